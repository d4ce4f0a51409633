"""Fakes of what the native module gives: views, instruments, sessions. Plain Python: these tests need no build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tickerml.schema import FEATURE_NAMES, LIVE, MONEY_ONE, UNDEF_I64, Intent, Refused

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Info:
    """An instrument: BTCUSDT perpetual by default, tick 0.1, lot 0.001."""

    id: str = "binance_usdm:BTCUSDT"
    venue: str = "binance_usdm"
    symbol: str = "BTCUSDT"
    base: str = "BTC"
    quote: str = "USDT"
    kind: str = "perpetual"
    price_precision: int = 1
    qty_precision: int = 3
    tick: int = 1
    lot: int = 1
    min_notional_e18: int = 5 * MONEY_ONE
    contract_size_e18: int = MONEY_ONE
    maker_bps: float = 2.0
    taker_bps: float = 5.0


SPOT = Info(
    "binance_spot:BTCUSDT",
    "binance_spot",
    kind="spot",
    price_precision=2,
    qty_precision=5,
    maker_bps=10.0,
    taker_bps=10.0,
)
INVERSE = Info(
    "binance_coinm:BTCUSD_PERP", "binance_coinm", "BTCUSD_PERP", quote="USD", kind="inverse", qty_precision=0,
    contract_size_e18=100 * MONEY_ONE,
)  # fmt: skip


@dataclass(frozen=True)
class FakeOrder:
    order_id: int
    px: int
    side: int = 1
    qty: int = 1
    state: str = "resting"
    instrument: int = 0
    tag: int = 0
    leaves: int = 1
    ahead_qty: int = 0
    ahead_late_qty: int = 0
    ahead_early_qty: int = 0
    reduce_only: bool = False


@dataclass(frozen=True)
class FakeFill:
    side: int
    px: int
    qty: int
    fee_e18: int = 0
    instrument: int = 0
    order_id: int = 1
    tag: int = 0
    maker: bool = True
    ts_event_ns: int = 0
    ts_recv_ns: int = 0
    ahead_qty: int = 0
    cause_pos: int = 0
    n: int = 0
    decision_mid2: int = UNDEF_I64
    arrival_mid2: int = UNDEF_I64
    bid_px: int = UNDEF_I64
    ask_px: int = UNDEF_I64
    bid_qty: int = 0
    ask_qty: int = 0
    age_ns: int = 0
    order_qty: int = 0
    placed_ahead_qty: int = -1
    print_median_qty: int = 0
    volume_qty: int = 0
    fee_in_base: bool = False


@dataclass(frozen=True)
class FakeReport:
    kind: str
    order_id: int = 1
    tag: int = 0
    instrument: int = 0
    side: int = 1
    px: int = 0
    qty: int = 0
    leaves: int = 0
    reason: str = ""
    ts_ns: int = 0
    cause_pos: int = 0


@dataclass(frozen=True)
class FakeGap:
    from_ts_ns: int
    to_ts_ns: int = 0
    cause: str = "sequence_gap"
    instrument: int = 0


@dataclass(frozen=True)
class FakeFunding:
    qty: int
    mark_e8: int = 0
    rate_e12: int | None = None
    instrument: int = 0
    ts_ns: int = 0
    correction: bool = False
    resolves: bool = False


@dataclass
class FakeView:
    index: int = 0
    ts_ns: int = 0
    cause: str = "step"
    pos: int = 0
    restarted: bool = False
    book_px: Any = None
    book_qty: Any = None
    features: Any = None
    state: Any = None
    age_ns: Any = None
    mark_e8: Any = None
    orders: tuple[FakeOrder, ...] = ()
    fills: tuple[FakeFill, ...] = ()
    reports: tuple[FakeReport, ...] = ()
    gaps: tuple[FakeGap, ...] = ()
    funding: tuple[FakeFunding, ...] = ()


def view(*touches: tuple[int | None, int | None], state: Sequence[int] = (), **more: Any) -> FakeView:
    """A view of books with these best bids and asks (None: missing), one level deep, 5 lots each."""
    touches = touches or ((100_000, 100_010),)
    px = np.array([[[UNDEF_I64 if p is None else p] for p in touch] for touch in touches], dtype=np.int64)
    qty = np.where(px == UNDEF_I64, 0, 5).astype(np.int64)
    features = np.zeros((len(touches), len(FEATURE_NAMES)))
    states = np.array(state or [LIVE] * len(touches), dtype=np.uint8)
    ages = more.pop("age_ns", [0] * len(touches))
    return FakeView(
        book_px=px, book_qty=qty, features=features, state=states, age_ns=np.array(ages, dtype=np.int64),
        mark_e8=np.zeros(len(touches), dtype=np.int64), **more,
    )  # fmt: skip


@dataclass
class Holdings:
    """What policies read of a portfolio."""

    positions: list[int] = field(default_factory=lambda: [0])


@dataclass
class FakeSession:
    """Gives prepared views and keeps what was submitted."""

    views: Sequence[FakeView]
    instruments: Sequence[Info] = (Info(),)
    digest: str = ""
    submitted: list[tuple[Sequence[Intent], Sequence[Refused], bytes]] = field(default_factory=list)

    def __iter__(self) -> Iterator[FakeView]:
        return iter(self.views)

    def submit(self, approved: Sequence[Intent], refused: Sequence[Refused], state: bytes) -> list[int]:
        self.submitted.append((approved, refused, state))
        return [intent.order_id or 1 + n for n, intent in enumerate(approved)]


class ApproveAll:
    """Risk that refuses nothing. It exists in tests alone and cannot be named in a configuration."""

    def check(self, intents: Sequence[Intent], view: Any, portfolio: Any) -> tuple[Sequence[Intent], Sequence[Refused]]:
        return intents, ()


__all__ = [
    "INVERSE", "SECOND", "SPOT", "ApproveAll", "FakeFill", "FakeFunding", "FakeGap", "FakeOrder", "FakeReport",
    "FakeSession", "FakeView", "Holdings", "Info", "replace", "view",
]  # fmt: skip
