"""Orders that take, in both programs: `no_partial`, within the touch, for hftbacktest 2.4.4 reports only the last
level that it walked (simulation.md 2, "Defects").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
pytestmark = pytest.mark.filterwarnings("ignore")

from parity_rows import CAPTURES, SHORT, WHOLE, Feed, Rows  # noqa: E402
from peer_hftbacktest import Case, fills_of_takes  # noqa: E402
from tickerml import config  # noqa: E402
from tickerml.profiles import PROFILES  # noqa: E402
from tickerml.schema import CANCEL, FOK, IOC, LIMIT, MARKET, UNDEF_I64, Intent, View  # noqa: E402
from tickerml.sources.recorded import event_session, load_events  # noqa: E402
from tickerml.trader import make_trader  # noqa: E402

KINDS = (IOC, FOK, MARKET, LIMIT)
STEPS = 997


@dataclass
class Taker:
    """The policy of the peer's `_takes`: one order at a time, as the plan says."""

    plan: np.ndarray
    step_ns: int
    tick: int
    lot: int
    name: str = "taker"
    params: Mapping[str, str] = ()  # type: ignore[assignment]

    def decide(self, view: View, portfolio: Any) -> Sequence[Intent]:
        bid, ask = (int(px) for px in view.book_px[0, :, 0])
        if view.cause != "step":
            return ()
        if view.orders:
            (order,) = view.orders
            return (Intent(CANCEL, 0, order.side, 0, 0, order.tag, order.order_id),) if order.state == "resting" else ()
        side, kind, away, lots = (int(x) for x in self.plan[view.ts_ns // self.step_ns % len(self.plan)])
        if not side or UNDEF_I64 in (bid, ask):
            return ()
        px = (ask if side > 0 else bid) + side * away * self.tick
        return (Intent(KINDS[kind], 0, side, 0 if KINDS[kind] == MARKET else px, lots * self.lot),)

    def reset(self) -> None: ...

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None: ...


class Kept:
    """A sink of fills."""

    def __init__(self) -> None:
        self.fills: list[Any] = []

    def write(self, view: View, *_: object) -> None:
        self.fills += view.fills

    def close(self) -> None: ...


def taken(rows: Rows, case: Case, plan: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """What our profile fills, in the peer's terms."""
    ways = (("entry_ms", str(case.entry_ms)), ("response_ms", str(case.response_ms)), ("queue", case.queue))
    more = (*PROFILES["hftbacktest"], *ways)
    settings = config.load(policy="hold", sets=more, environ={}, cwd=rows.data).config
    session = event_session(load_events(sorted(rows.data.glob("events/**/*.parquet"))), settings, batch_events=65_536)
    kept, (tick, lot) = Kept(), (rows.instrument["tick"], rows.instrument["lot"])
    with make_trader(settings, session.instruments, [kept], unbound=True) as trader:
        trader.policy = Taker(plan, case.step_ms * 1_000_000, tick, lot)
        trader.trade(session)
    return [(f.ts_event_ns, f.side, f.px // tick, f.qty // lot, int(f.maker)) for f in kept.fills]


def plan(seed: int, lots: int) -> np.ndarray:
    """Half the steps ask for something: either side, every kind, zero to two ticks beyond the touch, one to three."""
    draw = np.random.default_rng(seed)
    side = draw.integers(-1, 2, STEPS) * draw.integers(0, 2, STEPS)
    drawn = [side, draw.integers(0, 4, STEPS), draw.integers(0, 3, STEPS), lots * draw.integers(1, 4, STEPS)]
    return np.ascontiguousarray(np.array(drawn, np.int64).T)


def compare(rows: Rows, round_trip_ms: float) -> tuple[int, int]:
    """Every fill equal: how many took, and how many were too late and waited."""
    case, wanted = rows.case("risk_averse", round_trip_ms), plan(3, rows.feed.qty_lots)
    theirs = fills_of_takes(rows.rows, case, wanted, float(rows.tick), float(rows.lot))
    ours = taken(rows, case, wanted)
    # The peer's loop ends before it learns what its last orders met.
    end_ns = int(rows.rows["local_ts"].max()) - round((2 * case.step_ms + round_trip_ms) * 1e6)
    ours, theirs = ([fill for fill in fills if fill[0] < end_ns] for fills in (ours, theirs))
    assert Counter(fill[:4] for fill in ours) == Counter(theirs)
    makers = sum(maker for *_, maker in ours)
    return len(ours) - makers, makers


@pytest.mark.parametrize("round_trip_ms", [0, 140])
@pytest.mark.parametrize("feed", [*CAPTURES, SHORT], ids=lambda feed: feed.name)
def test_takers_of_a_capture_fill_alike(feeds: Any, feed: Feed, round_trip_ms: float) -> None:
    takers, _ = compare(feeds(feed), round_trip_ms)
    assert takers > 20


@pytest.mark.soak
@pytest.mark.parametrize("round_trip_ms", [0, 20, 140, 800])
@pytest.mark.parametrize("feed", WHOLE, ids=lambda feed: feed.name)
def test_takers_of_a_recording_fill_alike(feeds: Any, feed: Feed, round_trip_ms: float) -> None:
    takers, makers = compare(feeds(feed), round_trip_ms)
    print(f"{feed.name} takers {round_trip_ms} ms: {takers} took, {makers} waited, all equal")
    assert takers > 100
