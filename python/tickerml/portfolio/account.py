"""The portfolio: cash by currency and a position for each instrument, in exact integers of 10^-18, double entry.

Every fill posts to two sides at once and is checked by a second path (reliability.md 3.6):
cash + positions + fees + funding = start + pnl, to the last digit, for the currency it settles in. A fee that a spot
buy pays in the base is worth what the fill paid for it: the position gets the rest. Equity is marked to the mid price
of Live books, and only while there is something to mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tickerml.cost import base_worth_e18
from tickerml.portfolio import state
from tickerml.portfolio.carried import by_name, money, take, unlisted
from tickerml.portfolio.funding import funding_e18, settled_e18
from tickerml.portfolio.position import FIELDS, Position
from tickerml.portfolio.state import Broken
from tickerml.schema import (
    LIVE,
    MONEY_PRECISION,
    POW10,
    RATE_PRECISION,
    UNDEF_I64,
    Fill,
    Funding,
    InstrumentInfo,
    View,
    decimal_text,
)

DOLLARS: Final = frozenset({"USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD"})
"""Currencies that equity counts at par. Results in others are converted at the mid of their first dollar instrument."""


class Snapshot(NamedTuple):
    """The portfolio at one view; money is integers of 10^-18 dollars unless it is by currency."""

    ts_ns: int
    equity_e18: int
    pnl_e18: int
    realised_e18: int
    fees_e18: int
    funding_e18: int
    funding_unknown: int
    drawdown_frac: float
    max_drawdown_frac: float
    cash_e18: dict[str, int]
    positions: tuple[int, ...]


class Portfolio:
    """Cash and positions of one run.

    Parameters
    ----------
    balance : starting balance by currency, decimals.
    instruments : the session's, in its order.
    carried : what another run's portfolio handed on with `carry`: this one goes on where that one was, and `balance`
        counts for currencies that it did not have.

    Attributes
    ----------
    positions : signed quantity of each instrument that is held, scaled, without what is too little for the scale; read
        it, never write it.
    equity_e18, peak_e18 : dollars of 10^-18 at the last view.
    version : grows with every fill and every funding settlement.
    """

    def __init__(
        self,
        balance: Mapping[str, Decimal | str],
        instruments: Sequence[InstrumentInfo],
        carried: Mapping[str, Any] | None = None,
    ) -> None:
        self._count = len(instruments)
        # Behind the session's instruments come those of which only the account knows: their results still count.
        self._infos: tuple[InstrumentInfo, ...] = (
            *instruments,
            *(unlisted(carried, {info.id for info in instruments}) if carried else ()),
        )
        self._settles = tuple(info.base if info.kind == "inverse" else info.quote for info in self._infos)
        self._spot = tuple(info.kind == "spot" for info in self._infos)
        start = {**balance, **(carried["start"] if carried else {})}
        self._start = {currency: money(amount) for currency, amount in start.items()}
        for currency in self._settles:
            self._start.setdefault(currency, 0)
        self._cash = {currency: self._start[currency] for currency in sorted(self._start)}
        self._lots = [Position(info) for info in self._infos]
        self._by_currency: dict[str, list[tuple[Position, bool]]] = {currency: [] for currency in self._cash}
        for lots, currency, spot in zip(self._lots, self._settles, self._spot, strict=True):
            self._by_currency[currency].append((lots, spot))
        self._rates = {c: i for c in self._cash if c not in DOLLARS and (i := self._dollar_instrument(c)) is not None}
        self.positions = [0] * self._count
        self.version = 0
        self.start_e18 = sum(amount for currency, amount in self._start.items() if currency in DOLLARS)
        self.equity_e18 = self.peak_e18 = self.start_e18
        self._worst = (0, 1)
        self._held: list[int] = []
        self._foreign = any(currency not in DOLLARS for currency in self._cash)
        self._dollars = self.start_e18
        self._fixed: bytes | None = None
        self._bytes: bytes | None = None
        if carried:
            self._take(carried)
        self._begun = (self.equity_e18, [[getattr(lots, name) for name in _SUMS] for lots in self._lots])

    # ---- what happened -------------------------------------------------------------------------------------------

    def apply(self, view: View) -> None:
        """Posts the view's fills and funding and marks what is held. Nothing to do costs nothing."""
        fills = view.fills
        funding = view.funding
        if fills or funding:
            for fill in fills:
                self._post_fill(fill)
            for settlement in funding:
                self._post_funding(settlement)
            self._held = [i for i, lots in enumerate(self._lots) if lots.qty]
            self._mark(view)
        elif self._held:
            self._mark(view)

    def _post_fill(self, fill: Fill) -> None:
        i = fill.instrument
        lots, currency = self._lots[i], self._settles[i]
        fee = fill.fee_e18
        if self._spot[i] and fill.fee_in_base:
            value, _ = lots.fill(fill.side, fill.px, fill.qty, fee)
            self._cash[currency] -= value
            lots.fees += base_worth_e18(lots.info, fill.px, fee)
        else:
            value, realised = lots.fill(fill.side, fill.px, fill.qty)
            self._cash[currency] += (-value if self._spot[i] else realised) - fee
            lots.fees += fee
        self.positions[i] = lots.lots
        self._changed()
        self._check(currency)

    def _post_funding(self, settlement: Funding) -> None:
        """An unknown rate books nothing and is counted; the venue's own word, where it comes later, makes up for it."""
        i = settlement.instrument
        lots, amount = self._lots[i], settled_e18(self._infos[i], settlement)
        if amount is None:
            lots.unknown += 1
        else:
            self._cash[self._settles[i]] += amount
            lots.funding += amount
            lots.unknown -= settlement.resolves
        self._changed()
        self._check(self._settles[i])

    def _check(self, currency: str) -> None:
        """cash + positions + fees + funding = start + pnl; and each cost is what its fills say."""
        left, right = self._cash[currency], self._start[currency]
        for lots, spot in self._by_currency[currency]:
            cost, realised = lots.cost, lots.realised
            left += lots.fees - lots.funding + (cost if spot else 0)
            right += realised
            if cost - realised != lots.traded or (cost and not lots.qty):
                raise Broken(f"the cost of {lots.info.id} is not what its fills say: {cost} of {lots.traded}")
        if left != right:
            raise Broken(f"accounts in {currency} do not balance: {left} against {right} (10^-18)")

    def _changed(self) -> None:
        self.version += 1
        self._fixed = self._bytes = None
        self._dollars = sum(cash for currency, cash in self._cash.items() if currency in DOLLARS)

    # ---- what it is worth ----------------------------------------------------------------------------------------

    def _mark(self, view: View) -> None:
        """Marks held instruments (and those that convert a currency) to the mid of their Live books."""
        px, state = view.book_px.item, view.state.item
        moved = self._bytes is None
        for i in {*self._held, *self._rates.values()} if self._rates else self._held:
            if i < self._count and state(i) == LIVE:
                mark2 = px(i, 0, 0) + px(i, 1, 0)
                if mark2 != self._lots[i].mark2:
                    self._lots[i].mark2 = mark2
                    moved = True
        if moved:
            self._bytes = None
            self._value()

    def mark(self, instrument: int, mid2: int) -> None:
        """Marks an instrument to twice a mid, scaled, that it had between two views which are shown here."""
        self._lots[instrument].mark2 = mid2
        self._bytes = None
        self._value()

    def _value(self) -> None:
        self.equity_e18 = equity = self._equity()
        peak = self.peak_e18
        if equity >= peak:
            self.peak_e18 = equity
            return
        worst, of = self._worst
        if (peak - equity) * of > worst * peak:
            self._worst = (peak - equity, peak)

    def _equity(self) -> int:
        if self._foreign:
            return self._equity_converted()
        equity = self._dollars
        for i in self._held:
            equity += self._lots[i].gain()
        return equity

    def _equity_converted(self) -> int:
        """Of other currencies only what they gained counts, at the last mid of their dollar instrument."""
        equity = self._dollars
        for currency, cash in self._cash.items():
            if currency not in DOLLARS:
                equity += self.dollars(cash - self._start[currency], currency)
        return equity + sum(self.dollars(self._lots[i].gain(), self._settles[i]) for i in self._held)

    def dollars(self, amount: int, currency: str) -> int:
        """An amount in dollars, both of 10^-18; 0 while the currency has no known price."""
        if currency in DOLLARS:
            return amount
        i = self._rates.get(currency)
        if i is None or self._lots[i].mark2 == UNDEF_I64:
            return 0
        return amount * self._lots[i].mark2 // (2 * POW10[self._infos[i].price_precision])

    def cash_e18(self, currency: str) -> int:
        """Cash in a currency, 10^-18."""
        return self._cash.get(currency, 0)

    def cost_e18(self, instrument: int) -> int:
        """What the open quantity of an instrument was entered for, signed, 10^-18 of the currency it settles in."""
        return self._lots[instrument].cost

    def snapshot(self, view: View) -> Snapshot:
        """Everything for a ledger row, a screen or a summary."""
        lots = list(zip(self._settles, self._lots, strict=True))
        total = {name: sum(self.dollars(getattr(p, name), c) for c, p in lots) for name in _SUMS}
        fall = self.peak_e18 - self.equity_e18
        return Snapshot(
            ts_ns=view.ts_ns,
            equity_e18=self.equity_e18,
            pnl_e18=self.equity_e18 - self.start_e18,
            realised_e18=total["realised"],
            fees_e18=total["fees"],
            funding_e18=total["funding"],
            funding_unknown=sum(p.unknown for p in self._lots),
            drawdown_frac=_ratio(fall, self.peak_e18),
            max_drawdown_frac=self.max_drawdown_frac,
            cash_e18=dict(self._cash),
            positions=tuple(self.positions),
        )

    def of_run(self) -> tuple[int, int, int]:
        """P&L, fees and funding since this run began, 10^-18 dollars: without what came with a carried account, whose
        positions count from what they were worth then.
        """
        equity, before = self._begun
        gone = dict.fromkeys(_SUMS, 0)
        for currency, lots, had in zip(self._settles, self._lots, before, strict=True):
            for name, amount in zip(_SUMS, had, strict=True):
                gone[name] += self.dollars(getattr(lots, name) - amount, currency)
        return self.equity_e18 - equity, gone["fees"], gone["funding"]

    def next_funding(self, expected: Sequence[tuple[int, int, int] | None]) -> list[dict[str, Any]]:
        """What the contracts held would get at their next settlement, at the running rate: provisional.

        Parameters
        ----------
        expected : of each instrument (time in ns, rate x 10^12, mark price x 10^8), None where nothing is known.
        """
        rows = []
        for i, (info, told) in enumerate(zip(self._infos, expected, strict=False)):
            if self.positions[i] and not self._spot[i]:
                settles_ns, rate_e12, mark_e8 = told or (None, None, 0)
                known = rate_e12 is not None and mark_e8 > 0
                amount = funding_e18(info, self.positions[i], mark_e8, rate_e12 or 0) if known else None
                rows.append({
                    "instrument": info.id, "settles_ns": settles_ns,
                    "rate": None if rate_e12 is None else decimal_text(rate_e12, RATE_PRECISION),
                    "provisional_amount": None if amount is None else decimal_text(amount, MONEY_PRECISION),
                    "asset": self._settles[i],
                })  # fmt: skip
        return rows

    @property
    def max_drawdown_frac(self) -> float:
        """The deepest fall below the peak so far, as a part of that peak."""
        return _ratio(*self._worst)

    def _dollar_instrument(self, currency: str) -> int | None:
        for i, info in enumerate(self._infos[: self._count]):
            if info.base == currency and info.quote in DOLLARS:
                return i
        return None

    # ---- what survives -------------------------------------------------------------------------------------------

    def state_bytes(self) -> bytes:
        """What the digest covers and what a restart takes back (`portfolio/state.py`). Kept until something changes."""
        if self._bytes is None:
            if self._fixed is None:
                self._fixed = state.settled(self._cash, self._lots, self.version)
            self._bytes = self._fixed + state.marked(self._lots, self.peak_e18, self._worst)
        return self._bytes

    def restore(self, saved: bytes) -> None:
        """Takes back what `state_bytes` gave, of the same currencies and instruments.

        Raises
        ------
        Broken
            When it is of another shape, or does not balance.
        """
        self.version, self.peak_e18, self._worst = state.restore(saved, self._cash, self._lots)
        self._taken()
        self._bytes = saved

    def _taken(self) -> None:
        """Works out what follows from cash and lots that were set from outside, and that they balance."""
        self.positions[:] = [lots.lots for lots in self._lots[: self._count]]
        self._held = [i for i, lots in enumerate(self._lots) if lots.qty]
        self._fixed = self._bytes = None
        self._dollars = sum(cash for currency, cash in self._cash.items() if currency in DOLLARS)
        for currency in self._cash:
            self._check(currency)
        self.equity_e18 = self._equity()

    # ---- what another run goes on from -------------------------------------------------------------------------------

    def carry(self) -> dict[str, Any]:
        """The account by names, in exact text: what a run with other instruments or other code can go on from."""
        return {
            "start": {currency: decimal_text(amount, MONEY_PRECISION) for currency, amount in self._start.items()},
            "cash": {currency: decimal_text(amount, MONEY_PRECISION) for currency, amount in self._cash.items()},
            "peak": decimal_text(self.peak_e18, MONEY_PRECISION),
            "worst": [decimal_text(amount, MONEY_PRECISION) for amount in self._worst],
            "lots": [by_name(lots) for lots in self._lots if any(getattr(lots, name) for name in FIELDS)],
        }

    def _take(self, carried: Mapping[str, Any]) -> None:
        """Goes on from what `carry` gave.

        Raises
        ------
        ConfigError
            When a quantity cannot be held in the instrument's present steps.
        Broken
            When it does not balance.
        """
        for currency, amount in carried["cash"].items():
            self._cash[currency] = money(amount)
        lots_of = {lots.info.id: lots for lots in self._lots}
        for row in carried["lots"]:
            take(lots_of[row["instrument"]], row)
        self.peak_e18 = money(carried["peak"])
        self._worst = (money(carried["worst"][0]), money(carried["worst"][1]))
        self._taken()

    @property
    def unlisted(self) -> list[str]:
        """Instruments that are held and that this run does not have: they cannot be valued or closed."""
        return [lots.info.id for lots in self._lots[self._count :] if lots.qty]


_SUMS: Final = ("realised", "fees", "funding")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole > 0 else 0.0
