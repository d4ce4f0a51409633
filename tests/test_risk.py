"""Risk: every reason, at its exact edge; nothing is resized; the breaker latches and survives."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from engine_fakes import INVERSE, SPOT, FakeOrder, Info, view
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tickerml.errors import UnsoundDataError
from tickerml.risk import Limits, Margin, Reason, Risk
from tickerml.risk.desk import Desk
from tickerml.risk.margin import Tier
from tickerml.schema import AMEND, CANCEL, CANCEL_ALL, IOC, LIMIT, MARKET, MONEY_ONE, POST_ONLY, Intent


@dataclass
class Books:
    """A portfolio by its numbers: dollars, not 10^-18."""

    positions: list[int] = field(default_factory=lambda: [0])
    equity: int = 10_000
    peak: int = 10_000
    cash: dict[str, int] = field(default_factory=lambda: {"USDT": 10_000})
    version: int = 0

    @property
    def equity_e18(self) -> int:
        return self.equity * MONEY_ONE

    @property
    def peak_e18(self) -> int:
        return self.peak * MONEY_ONE

    def cost_e18(self, instrument: int) -> int:
        return 0

    def cash_e18(self, currency: str) -> int:
        return self.cash.get(currency, 0) * MONEY_ONE

    def dollars(self, amount: int, currency: str) -> int:
        return amount


def buy(qty: int = 10, px: int = 100_000, kind: int = POST_ONLY, i: int = 0) -> Intent:
    """By default 0.010 BTC at 10,000.0: $100."""
    return Intent(kind, i, 1, px, qty)


def sell(qty: int = 10, px: int = 100_000, kind: int = POST_ONLY, i: int = 0) -> Intent:
    return Intent(kind, i, -1, px, qty)


def reasons(intent: Intent, books: Books | None = None, infos: object = None, **more: object) -> list[str]:
    limits = more.pop("limits", Limits())
    risk = Risk(limits, infos or [Info()])  # type: ignore[arg-type]
    touches = more.pop("touches", ((100_000, 100_010),) * len(infos or [1]))  # type: ignore[arg-type]
    approved, refused = risk.check([intent], view(*touches, **more), books or Books())  # type: ignore[misc, arg-type]
    assert len(approved) + len(refused) == 1
    assert all(r.intent is intent and r.detail for r in refused)
    return [r.reason for r in refused]


SPOT_TOUCH = ((1_000_000, 1_000_100),)
SMALL = buy(qty=1, px=99_999)
WRONG = [
    (Intent(9, 0, 1, 100_000, 10), {}, Reason.BAD_INTENT),
    (Intent(LIMIT, 0, 0, 100_000, 10), {}, Reason.BAD_INTENT),
    (buy(qty=0), {}, Reason.BAD_INTENT),
    (buy(qty=-5), {}, Reason.BAD_INTENT),
    (buy(px=0), {}, Reason.BAD_INTENT),
    (buy(i=1), {}, Reason.UNKNOWN_INSTRUMENT),
    (buy(i=-1), {}, Reason.UNKNOWN_INSTRUMENT),
    (buy(), {"state": [4]}, Reason.BOOK_NOT_LIVE),
    (buy(), {"state": [5]}, Reason.BOOK_NOT_LIVE),
    (buy(), {"age_ns": [5_001_000_000]}, Reason.BOOK_OLD),
    (buy(kind=MARKET, px=0), {"touches": ((100_000, None),)}, Reason.NO_PRICE),
    (SMALL, {}, Reason.ORDER_TOO_SMALL),
    (buy(qty=251), {}, Reason.POSITION_LIMIT),
    (sell(qty=251), {}, Reason.POSITION_LIMIT),
    (buy(qty=10), {"books": Books([241])}, Reason.POSITION_LIMIT),
    (buy(qty=10), {"orders": (FakeOrder(1, 100_000, leaves=241),)}, Reason.POSITION_LIMIT),
    (sell(1000, 1_000_000), {"infos": [SPOT], "touches": SPOT_TOUCH}, Reason.SHORT_SPOT),
    (
        sell(1000, 1_000_000),
        {"infos": [SPOT], "touches": SPOT_TOUCH, "books": Books([1999]),
         "orders": (FakeOrder(1, 1_000_000, side=-1, leaves=1000),)},
        Reason.SHORT_SPOT,
    ),
    (
        buy(1000, 1_000_000),
        {"infos": [SPOT], "touches": SPOT_TOUCH, "books": Books(cash={"USDT": 99})},
        Reason.BALANCE,
    ),
    (buy(), {"limits": Limits(leverage_max=Fraction(1, 200))}, Reason.BALANCE),
]  # fmt: skip


@pytest.mark.parametrize(("intent", "more", "reason"), WRONG)
def test_each_rule_refuses_with_its_reason(intent: Intent, more: dict[str, object], reason: Reason) -> None:
    assert reasons(intent, **more) == [reason]  # type: ignore[arg-type]


def test_every_reason_has_a_test() -> None:
    elsewhere = {Reason.DRAWDOWN, Reason.LEVERAGE, Reason.LIQUIDATION}  # the last two: test_margin.py
    assert {reason for *_, reason in WRONG} | elsewhere == set(Reason)


PASSES = [
    (buy(), {}),
    (buy(qty=1), {}),
    (buy(qty=250), {}),
    (sell(qty=250), {}),
    (buy(kind=MARKET, px=0), {}),
    (buy(kind=IOC), {}),
    (buy(), {"age_ns": [5_000_000_000]}),
    (sell(1000, 1_000_000), {"infos": [SPOT], "touches": SPOT_TOUCH, "books": Books([1000])}),
    (sell(1000, 1_000_000), {"infos": [SPOT], "touches": SPOT_TOUCH, "limits": Limits(short_spot=True)}),
    (sell(1000, 1_000_000), {"infos": [SPOT], "touches": SPOT_TOUCH, "books": Books(cash={"BTC": 1})}),
    (sell(qty=400), {"books": Books([500])}),
    (buy(qty=25), {"infos": [INVERSE]}),
]


@pytest.mark.parametrize(("intent", "more"), PASSES)
def test_what_is_within_the_limits_passes(intent: Intent, more: dict[str, object]) -> None:
    assert reasons(intent, **more) == []  # type: ignore[arg-type]


def test_nothing_in_nothing_out() -> None:
    approved, refused = Risk(Limits(), [Info()]).check((), None, Books())  # type: ignore[arg-type]
    assert (tuple(approved), tuple(refused)) == ((), ())


def test_cancels_always_pass() -> None:
    cancel = Intent(CANCEL, 0, 1, 0, 0, 0, 7)
    risk = Risk(Limits(), [Info()])
    approved, refused = risk.check([buy(), cancel], view(state=[5]), Books(equity=1))
    assert list(approved) == [cancel]
    assert len(refused) == 1


def test_one_list_is_one_exposure() -> None:
    """Three orders of $1,000: the third would pass $2,500."""
    approved, refused = Risk(Limits(), [Info()]).check([buy(100), buy(100), buy(100), sell(100)], view(), Books())
    assert [i.side for i in approved] == [1, 1, -1]
    assert [r.reason for r in refused] == [Reason.POSITION_LIMIT]


def test_spot_buys_share_one_purse() -> None:
    infos = [SPOT, SPOT]
    books = Books([0, 0], cash={"USDT": 1500})
    touches = SPOT_TOUCH * 2
    risk = Risk(Limits(), infos)
    approved, refused = risk.check([buy(10_000, 1_000_000), buy(10_000, 1_000_000, i=1)], view(*touches), books)
    assert ([i.instrument for i in approved], [r.reason for r in refused]) == ([0], [Reason.BALANCE])


def test_the_age_limit_can_differ_by_instrument() -> None:
    risk = Risk(Limits(), [Info()], {Info().id: 100})
    _, refused = risk.check([buy()], view(age_ns=[101_000_000]), Books())
    assert [r.reason for r in refused] == [Reason.BOOK_OLD]


def test_the_breaker_opens_at_a_quarter_and_stays_open() -> None:
    risk = Risk(Limits(), [Info()])
    risk.check((), view(ts_ns=5), Books(equity=7_501))
    assert not risk.tripped
    risk.check((), view(ts_ns=7), Books(equity=7_500))
    assert (risk.tripped, risk.tripped_ts_ns) == (True, 7)
    again = Risk(Limits(), [Info()])
    again.restore(risk.state())
    approved, refused = again.check([buy(), sell()], view(), Books([50]))
    assert [i.side for i in approved] == [-1], "only what reduces passes"
    assert [r.reason for r in refused] == [Reason.DRAWDOWN]


def test_a_reduction_counts_the_open_orders_before_it() -> None:
    risk = Risk(Limits(), [Info()])
    risk.tripped = True
    resting = FakeOrder(1, 100_000, side=-1, leaves=45)
    _, refused = risk.check([sell()], view(orders=(resting,)), Books([50]))
    assert [r.reason for r in refused] == [Reason.DRAWDOWN]


@pytest.mark.parametrize("bad", [b"", bytes(8), b"\x02" + bytes(8)])
def test_a_foreign_state_is_refused(bad: bytes) -> None:
    with pytest.raises(UnsoundDataError):
        Risk(Limits(), [Info()]).restore(bad)


@given(
    st.lists(
        st.builds(
            Intent, st.integers(0, 6), st.integers(-1, 2), st.integers(-1, 1), st.integers(-1, 200_000),
            st.integers(-1, 400), st.just(0), st.just(1),
        ),
        max_size=12,
    ),
    st.integers(-250, 250),
)  # fmt: skip
def test_whole_or_not_at_all_and_never_beyond_the_limit(intents: list[Intent], position: int) -> None:
    """Every intent comes back once, unchanged, in order; filled together, approvals keep the position limit."""
    risk = Risk(Limits(), [Info()])
    approved, refused = risk.check(intents, view(), Books([position]))
    assert sorted([*approved, *(r.intent for r in refused)]) == sorted(intents)
    assert list(approved) == [i for i in intents if any(i is a for a in approved)]
    for side in (1, -1):
        mine = [i for i in approved if i.side == side and i.kind != CANCEL and not i.reduce_only]
        opened = side * position + sum(i.qty for i in mine)
        if mine and opened > max(0, -side * position):
            prices = [i.px if i.kind != MARKET else 100_000 for i in mine]
            assert opened * min(prices) <= 2_500 * 10**4 or any(side * position + i.qty <= 0 for i in mine)


def test_approve_all_is_not_ours() -> None:
    import tickerml.risk

    assert not hasattr(tickerml.risk, "ApproveAll")


def amend(px: int, qty: int, side: int = 1, order_id: int = 1) -> Intent:
    return Intent(AMEND, 0, side, px, qty, 0, order_id)


OPEN = FakeOrder(1, 100_000, qty=200, leaves=150)
"""50 of 200 are filled."""


@pytest.mark.parametrize(
    ("intent", "more", "found"),
    [
        (amend(100_000, 200), {}, []),
        (amend(99_000, 100), {}, []),
        (amend(100_000, 250), {}, []),
        (amend(100_000, 251), {}, [Reason.POSITION_LIMIT]),
        (amend(100_100, 250), {}, [Reason.POSITION_LIMIT]),
        (amend(99_000, 51), {}, [Reason.ORDER_TOO_SMALL]),
        (amend(99_000, 50), {}, []),
        (amend(100_000, 51), {"state": [5]}, []),
        (amend(99_000, 51), {"state": [5]}, [Reason.BOOK_NOT_LIVE]),
        (amend(100_000, 100, order_id=2), {}, [Reason.BAD_INTENT]),
        (amend(100_000, 100, side=-1), {}, [Reason.BAD_INTENT]),
        (amend(100_000, 0), {}, [Reason.BAD_INTENT]),
    ],
)
def test_an_amendment_is_judged_as_what_the_order_would_be(
    intent: Intent, more: dict[str, object], found: list[Reason]
) -> None:
    """$2,500 is a quarter of equity: 50 held, 200 more at 10,000.0 at most; less at the same price is like a cancel."""
    assert reasons(intent, books=Books([50]), orders=(OPEN,), **more) == found  # type: ignore[arg-type]


def test_an_order_is_amended_once_at_a_time() -> None:
    risk, state = Risk(Limits(), [Info()]), view(orders=(OPEN,))
    approved, refused = risk.check([amend(100_000, 100), amend(100_000, 90)], state, Books([50]))
    assert (len(approved), [r.reason for r in refused]) == (1, [Reason.BAD_INTENT])
    changing = view(orders=(FakeOrder(1, 100_000, qty=200, leaves=150, state="amending"),))
    assert not risk.check([amend(100_000, 100)], changing, Books([50]))[0]


def test_reduce_only_passes_limits_that_it_cannot_break() -> None:
    """The breaker is open and other sells are waiting: only what the venue lets reduce may be sent."""
    books = Books([100], equity=7_000)
    waiting = (FakeOrder(1, 100_000, side=-1, qty=100, leaves=100),)
    assert reasons(sell(), books=books, orders=waiting) == [Reason.DRAWDOWN]
    assert reasons(sell()._replace(reduce_only=True), books=books, orders=waiting) == []
    spot = {"infos": [SPOT], "touches": SPOT_TOUCH}
    assert reasons(sell(1000, 1_000_000)._replace(reduce_only=True), **spot) == [Reason.SHORT_SPOT]  # type: ignore[arg-type]


def test_cancel_all_passes_where_the_instrument_is_known() -> None:
    assert reasons(Intent(CANCEL_ALL, 0, 1, 0, 0), state=[5]) == []
    assert reasons(Intent(CANCEL_ALL, 1, 1, 0, 0)) == [Reason.UNKNOWN_INSTRUMENT]


def test_a_ladder_is_refused_again_only_while_nothing_changed() -> None:
    """The same intents, open orders, holdings and sound books: the same refusals. Anything else is judged."""
    risk, books = Risk(Limits(), [SPOT]), Books()
    ladder = [sell(1000, 1_000_000 + n) for n in range(5)]
    first = view(*SPOT_TOUCH)
    _, refused = risk.check(ladder, first, books)
    assert [r.reason for r in refused] == [Reason.SHORT_SPOT] * 5
    again = view(*SPOT_TOUCH)
    assert risk.check(list(ladder), again, books)[1] is refused
    stale = view(*SPOT_TOUCH, age_ns=[10**12])
    assert {r.reason for r in risk.check(ladder, stale, books)[1]} == {Reason.BOOK_OLD}
    risk.check(ladder, first, books)
    ladder[0] = sell(0, 1_000_000)
    assert risk.check(ladder, again, books)[1][0].reason == Reason.BAD_INTENT, "the list is the policy's to change"
    ladder[0] = sell(1000, 1_000_000)
    risk.check(ladder, first, books)
    books.positions[0], books.version = 5_000, 1
    approved, refused = risk.check(ladder, again, books)
    assert (len(approved), len(refused)) == (5, 0)


LADDER = st.tuples(
    st.sampled_from([POST_ONLY, POST_ONLY, LIMIT, CANCEL]),
    st.sampled_from([1, -1]),
    st.lists(st.tuples(st.integers(-1, 40), st.sampled_from([0, 1, 1, 20, 20, 60])), min_size=1, max_size=6),
)
"""Kind, side, and (ticks, quantity) of each order."""


@settings(max_examples=500)
@given(
    st.sampled_from([Info(), SPOT, INVERSE]), st.lists(LADDER, min_size=1, max_size=4),
    st.integers(-150, 150), st.integers(0, 100), st.tuples(st.booleans(), st.booleans(), st.booleans()),
)  # fmt: skip
@example(SPOT, [(POST_ONLY, -1, [(0, 60)] * 4)], 100, 0, (False, False, False))  # each is held, all are not
@example(Info(), [(POST_ONLY, 1, [(0, 60), (40, 15)])], -7, 100, (False, False, False))  # too much at the higher price
@example(Info(), [(POST_ONLY, 1, [(0, 60), (0, 7)])], 0, 10, (False, False, True))  # less margin for both than for one
def test_a_ladder_is_judged_as_its_orders_would_be(
    info: Info, ladders: list[tuple[int, int, list[tuple[int, int]]]], held: int, cash: int,
    flags: tuple[bool, bool, bool],
) -> None:  # fmt: skip
    """Whether risk looks at orders of one kind and side together or one by one: the same approvals, the same reasons
    with the same numbers.
    """
    tripped, short, rising = flags
    scale = 10 if info.kind == "spot" else 1
    intents = [
        Intent(kind, 0, side, (99_980 + ticks) * scale if ticks >= 0 else ticks, qty * scale * scale)
        for kind, side, asked in ladders
        for ticks, qty in asked
    ]
    orders = (FakeOrder(1, 99_990 * scale, leaves=7 * scale), FakeOrder(2, 100_020 * scale, side=-1, leaves=9 * scale))
    books = Books([held * scale * scale], equity=3_000, peak=4_500 if tripped else 3_000,
                  cash={"USDT": 20 * cash, "BTC": cash // 50})  # fmt: skip
    leverages = (2, 5, 1) if rising else (5, 2, 1)
    tiers = [Tier(0, 700 * n * MONEY_ONE, Fraction(1, 100), Fraction(most)) for n, most in enumerate(leverages, 1)]
    margin = Margin([info], [tiers if info.kind != "spot" else []])  # type: ignore[list-item]

    def judged(together: bool) -> object:
        risk = Risk(Limits(short_spot=short, leverage_max=Fraction(4)), [info], None, margin)  # type: ignore[list-item]
        seen = view((99_999 * scale, 100_001 * scale), orders=orders)
        with pytest.MonkeyPatch.context() as patch:
            if not together:
                patch.setattr(Desk, "judge", lambda *_: (False, None))
            return risk.check(intents, seen, books)  # type: ignore[arg-type]

    assert judged(together=True) == judged(together=False)
