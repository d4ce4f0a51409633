"""What has not arrived changes nothing: rows after t are changed at random, and every view, report and intent up to t
stays as it was (simulation.md 1). The same test over `report_rule=venue`, which does know the future, finds it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from random_markets import MS, Draws, RandomPolicy, random_market
from simulated import Flag, Intent, Market, Message, Row, as_plain, native_session

pytest.importorskip("tickerml._native", reason="the native module is not built")

ARRAYS = ("book_px", "book_qty", "features", "state", "age_ns", "mark_e8")
CHANGES = ("prices", "sizes", "drops", "additions", "stamps", "delays", "everything")
CASES_A_MARKET = 12
STEPS = 100
Seen = tuple[Any, ...]
"""All that a view shows, as plain values, and what was answered."""


def seen(view: Any, answer: list[Intent]) -> Seen:
    gaps = tuple((g.from_ts_ns, g.to_ts_ns, g.cause) for g in view.gaps)
    arrays = tuple(getattr(view, name).tobytes() for name in ARRAYS)
    return as_plain(view), view.index, view.restarted, gaps, arrays, tuple(answer)


def views_until(market: Market, seed: int, until_ns: int, **changed: Any) -> Iterator[Seen]:
    """All views up to a time. What comes later is not waited for."""
    session, policy = native_session(market, **changed), RandomPolicy(market, seed, busy=0.7)
    for view in session:
        if view.ts_ns > until_ns:
            return
        answer = policy(view)
        session.submit(answer, (), b"")
        yield seen(view, answer)


def altered(market: Market, t_ns: int, change: str, draw: Draws, late_ms: int) -> Market:
    """The market with other rows after t. The last message stays: an input's end is known only when it is there."""
    kept = [m for m in market.messages if m.ts_recv_ns <= t_ns]
    later = [m for m in market.messages[len(kept) : -1] if change != "everything"]
    if change == "drops":
        later = [m for m in later if draw.chance(0.5)]
    elif change in ("additions", "everything"):
        later += [added(market, t_ns, draw, late_ms) for _ in range(draw.whole(1, 30))]
    elif change == "delays":
        later = [m._replace(ts_recv_ns=m.ts_recv_ns + draw.whole(0, late_ms) * MS) for m in later]
    elif change == "stamps":
        shifted = (None if m.ts_event_ns is None else m.ts_event_ns + draw.whole(-late_ms, late_ms) * MS for m in later)
        later = [m._replace(ts_event_ns=stamp) for m, stamp in zip(later, shifted, strict=True)]
    else:
        later = [m._replace(rows=tuple(other(row, change, draw) for row in m.rows)) for m in later]
    later = [m._replace(ts_recv_ns=min(m.ts_recv_ns, market.end_ns)) for m in later]
    whole = [*kept, *sorted(later, key=lambda m: m.ts_recv_ns), market.messages[-1]]
    return replace(market, messages=[m._replace(pos=n) for n, m in enumerate(whole)])


def other(row: tuple[int, int, int, int], change: str, draw: Draws) -> tuple[int, int, int, int]:
    kind, px, qty, flags = row
    if kind in (Row.STATE, Row.CLEAR) or draw.chance(0.3):
        return row
    if change == "sizes":
        return kind, px, draw.whole(1, 10) * qty // 2, flags
    return kind, max(1, px + draw.whole(-8, 8)), qty, flags


def added(market: Market, t_ns: int, draw: Draws, late_ms: int) -> Message:
    """A message that happened when it likes and arrives after t: rows of another, as they are or of the other side."""
    recv = t_ns + draw.whole(1, 600 * MS)
    source = draw.pick(market.messages)
    stamp = None if draw.chance(0.1) else recv - draw.whole(0, late_ms) * MS - _offset(market)
    flip = {Row.BID: Row.ASK, Row.ASK: Row.BID, Row.BUY_TRADE: Row.SELL_TRADE, Row.SELL_TRADE: Row.BUY_TRADE}
    first = source.rows[0]
    if first[0] in (Row.STATE, Row.CLEAR) or first[3] & Flag.SNAPSHOT or draw.chance(0.5):
        return source._replace(ts_recv_ns=recv, ts_event_ns=stamp)
    rows = tuple((flip.get(kind, kind), *rest) for kind, *rest in source.rows)
    return source._replace(ts_recv_ns=recv, ts_event_ns=stamp, rows=rows)


def _offset(market: Market) -> int:
    return int(market.settings["clock"].removeprefix("fixed:"))


def moment(market: Market, views: list[Seen], draw: Draws) -> int:
    """A time to change everything after: anywhere, when a message arrives, just before, or when a view is made."""
    first, last = market.messages[0].ts_recv_ns, market.messages[-2].ts_recv_ns
    arrival = draw.pick(market.messages[1:-1]).ts_recv_ns
    return draw.pick((draw.whole(first, last), arrival, arrival - 1, min(draw.pick(views)[0].ts_ns, last)))


def differences(markets: range, *, calm: bool = False, **changed: Any) -> tuple[int, int, int]:
    """How many cases there were, how many had a difference up to t, and how many views were compared."""
    cases = different = compared = 0
    for seed in markets:
        market, draw = random_market(seed, steps=STEPS, calm=calm), Draws(seed, 3)
        base = list(views_until(market, seed, market.end_ns, **changed))
        for n in range(CASES_A_MARKET):
            t_ns = moment(market, base, draw)
            future = altered(market, t_ns, CHANGES[(seed + n) % len(CHANGES)], draw, late_ms=80 if calm else 800)
            want = [view for view in base if view[0].ts_ns <= t_ns]
            got = list(views_until(future, seed, t_ns, **changed))
            cases, compared = cases + 1, compared + len(want)
            different += want != got
    return cases, different, compared


def no_look_ahead(markets: range, cases_min: int, **changed: Any) -> None:
    cases, different, compared = differences(markets, report_rule="causal", **changed)
    print(f"\n{changed}: {cases} changed futures, {compared} views compared, {different} differ")
    assert cases >= cases_min
    assert compared > 15 * cases
    assert different == 0


CLOCKS = pytest.mark.parametrize("clock", [{"clock": "causal"}, {}], ids=["causal", "fixed"])


@CLOCKS
def test_the_future_changes_nothing(clock: dict[str, str]) -> None:
    """Nothing comes after its release: `reorder_ms` is above every latency."""
    no_look_ahead(range(20), 200, calm=True, reorder_ms=400, **clock)


@CLOCKS
def test_a_future_of_late_rows_and_gaps_changes_nothing(clock: dict[str, str]) -> None:
    no_look_ahead(range(20), 200, **clock)


@pytest.mark.soak
@CLOCKS
def test_a_thousand_futures_change_nothing(clock: dict[str, str]) -> None:
    no_look_ahead(range(1_000, 1_090), 1_000, calm=True, reorder_ms=400, **clock)


@pytest.mark.soak
@CLOCKS
def test_a_thousand_futures_of_late_rows_and_gaps_change_nothing(clock: dict[str, str]) -> None:
    no_look_ahead(range(1_000, 1_090), 1_000, **clock)


def test_a_leak_is_found() -> None:
    """`report_rule=venue` answers in venue time, whatever has arrived."""
    cases, different, _ = differences(range(20), calm=True, report_rule="venue")
    print(f"\nreport_rule=venue: {different} of {cases} changed futures are known before")
    assert different > cases // 20
