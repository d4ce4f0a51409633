"""What tests of the simulated venue share: messages, what a view shows as plain tuples, and a native backtest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tickerml.schema import UNDEF_I64

LIVE = 3
"""The state of a true book."""


INSTRUMENT: dict[str, Any] = {
    "venue": "binance_usdm", "symbol": "DEMOUSDT", "base": "DEMO", "quote": "USDT", "kind": "perpetual",
    "price_precision": 1, "qty_precision": 0, "tick": 1, "lot": 1, "min_notional": "0", "contract_size": "1",
    "funding_interval_h": None, "metadata_source": "given",
}  # fmt: skip
"""A linear perpetual with round numbers, for markets by hand."""


class Kind:
    """Kinds of intents."""

    LIMIT, POST_ONLY, MARKET, IOC, CANCEL, FOK, AMEND, CANCEL_ALL = 1, 2, 3, 4, 5, 6, 7, 8


class Row:
    """Kinds of rows."""

    BID, ASK, BUY_TRADE, SELL_TRADE, STATE, CLEAR, TOUCH, MARK = 1, 2, 3, 4, 5, 6, 7, 9


class Flag:
    """Bits of a row's flags."""

    LAST, SNAPSHOT, ASK_SIDE = 1, 2, 8


class Message(NamedTuple):
    """One message of an event file; rows are (kind, px, qty, flags), `ts_event_ns` is None where there is none."""

    pos: int
    ts_recv_ns: int
    ts_event_ns: int | None
    rows: tuple[tuple[int, int, int, int], ...]


class Report(NamedTuple):
    ts_ns: int
    order_id: int
    tag: int
    side: int
    px: int
    qty: int
    kind: str
    leaves: int
    reason: str
    cause_pos: int


class Fill(NamedTuple):
    ts_recv_ns: int
    order_id: int
    tag: int
    side: int
    px: int
    qty: int
    maker: bool
    fee_e18: int
    ts_event_ns: int
    ahead_qty: int
    cause_pos: int
    fee_in_base: bool


class Shown(NamedTuple):
    """An order as a view shows it."""

    order_id: int
    tag: int
    side: int
    px: int
    qty: int
    leaves: int
    state: str
    ahead_qty: int


class View(NamedTuple):
    ts_ns: int
    cause: str
    pos: int
    reports: tuple[Report, ...]
    fills: tuple[Fill, ...]
    orders: tuple[Shown, ...]


Intent = tuple[int, ...]
"""(kind, instrument, side, px, qty, tag, order_id) and perhaps reduce_only, as the native session takes it."""

Decide = Callable[[Any], Sequence[Intent]]
"""A policy: a view in, intents out."""


@dataclass(frozen=True)
class Market:
    """An instrument, the settings to trade it with, and what happened, in order of arrival."""

    instrument: dict[str, Any]
    settings: dict[str, Any]
    messages: list[Message]

    @property
    def end_ns(self) -> int:
        return self.messages[-1].ts_recv_ns


def columns(market: Market) -> tuple[Any, ...]:
    """The instrument as JSON and the seven columns, as `Session.backtest` takes them."""
    rows = [
        (m.pos, m.ts_recv_ns, UNDEF_I64 if m.ts_event_ns is None else m.ts_event_ns, *row)
        for m in market.messages
        for row in m.rows
    ]
    table = np.array(rows, dtype=np.int64).T
    pos, recv, event, kind, px, qty, flags = (np.ascontiguousarray(column) for column in table)
    return json.dumps(market.instrument), pos, recv, event, kind.astype(np.uint8), px, qty, flags.astype(np.uint8)


def native_session(market: Market, **changed: Any) -> Any:
    """A backtest of the market by the native module, its settings changed where asked.

    `latencies` among the settings are the columns of a latency file.
    """
    from tickerml import _native

    settings = {**market.settings, **changed}
    latencies = settings.pop("latencies", None)
    return _native.Session.backtest([columns(market)], json.dumps(settings), latencies=latencies)


def as_plain(view: Any) -> View:
    """A native view without its arrays."""
    return View(
        view.ts_ns,
        view.cause,
        view.pos,
        tuple(
            Report(r.ts_ns, r.order_id, r.tag, r.side, r.px, r.qty, r.kind, r.leaves, r.reason, r.cause_pos)
            for r in view.reports
        ),
        tuple(
            Fill(
                f.ts_recv_ns, f.order_id, f.tag, f.side, f.px, f.qty, f.maker, f.fee_e18, f.ts_event_ns, f.ahead_qty,
                f.cause_pos, f.fee_in_base,
            )
            for f in view.fills
        ),
        tuple(
            Shown(o.order_id, o.tag, o.side, o.px, o.qty, o.leaves, o.state, o.ahead_qty) for o in view.orders
        ),
    )  # fmt: skip


def run_native(market: Market, decide: Decide, **changed: Any) -> tuple[list[View], list[Sequence[Intent]], Any]:
    """Runs it to its end; what every view showed, what was answered, and the session."""
    session = native_session(market, **changed)
    views, answers = [], []
    for view in session:
        wanted = decide(view)
        session.submit(wanted, (), b"")
        views.append(as_plain(view))
        answers.append(wanted)
    return views, answers, session
