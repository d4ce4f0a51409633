"""Profile `hftbacktest` against hftbacktest 2.4.4 itself: every order and fill, for every model (simulation.md 2).

The grid is written twice, here by our policy and there in numba, and acts on the same rows. Small captures are always
compared, a recording where it is present, and the whole matrix by `make soak` (`test_parity_matrix.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import tickerml as command

pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
pytestmark = pytest.mark.filterwarnings("ignore")

from parity_rows import (  # noqa: E402
    CAPTURES,
    IN_PARTS,
    QUEUES,
    SHORT,
    SIX_MODELS,
    USDM_FEED,
    Feed,
)
from peer_hftbacktest import fills_of_amends  # noqa: E402


@pytest.mark.parametrize("queue", SIX_MODELS)
@pytest.mark.parametrize("feed", CAPTURES, ids=lambda feed: feed.name)
def test_a_capture_fills_alike(feeds: Any, feed: Feed, queue: str) -> None:
    rows = feeds(feed)
    met = rows.compare(rows.case(queue, 20))
    assert met.fills > 5, "too few to tell anything"


@pytest.mark.parametrize("queue", QUEUES)
def test_a_large_tick_fills_alike(feeds: Any, queue: str) -> None:
    """Long queues, where the models part from each other."""
    rows = feeds(SHORT)
    met = rows.compare(rows.case(queue, 20))
    assert met.fills > 5


def test_a_large_tick_fills_alike_in_part(feeds: Any) -> None:
    rows = feeds(SHORT.in_parts("0.1"))
    met = rows.compare(rows.case("prob_log", 20, "partial"))
    assert met.fills > 5
    assert met.parts > 0


@pytest.mark.parametrize(("queue", "round_trip_ms"), [("risk_averse", 0), ("prob_log2", 140), ("prob_power3:3", 800)])
def test_a_recording_fills_alike(feeds: Any, queue: str, round_trip_ms: float) -> None:
    rows = feeds(USDM_FEED)
    met = rows.compare(rows.case(queue, round_trip_ms))
    assert met.fills > 500


@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_requests_that_arrive_with_a_row_are_alike(feeds: Any, feed: Feed) -> None:
    """Venues stamp in milliseconds: a request whose way ends on one meets rows of the same time, which go first."""
    rows = feeds(feed)
    within_ms, counts = np.unique(rows.rows["exch_ts"] % 1_000_000, return_counts=True)
    case = replace(rows.case("risk_averse", 20), entry_ms=10 + int(within_ms[counts.argmax()]) / 1e6)
    met = rows.compare(case)
    assert met.fills > 5


def test_partial_fills_are_alike(feeds: Any) -> None:
    rows = feeds(IN_PARTS[0])
    met = rows.compare(rows.case("risk_averse", 20, "partial"))
    assert met.fills > 500
    assert met.parts > 5


@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_measured_latencies_are_alike(feeds: Any, tmp_path: Path, feed: Feed) -> None:
    """Interpolated from one file by both, 1 to 300 ms each way, without refusals (`latency/file.rs`)."""
    rows = feeds(feed)
    stamps, draw = rows.rows["local_ts"], np.random.default_rng(1)
    req = np.arange(stamps.min() - 10**9, stamps.max() + 10**9, 171_000_001)
    made = np.zeros(len(req), [(name, "i8") for name in ("req_ts", "exch_ts", "resp_ts", "_padding")])
    made["req_ts"] = req
    made["exch_ts"] = np.maximum.accumulate(req + draw.integers(10**6, 3 * 10**8, len(req)))
    made["resp_ts"] = np.maximum.accumulate(made["exch_ts"] + draw.integers(10**6, 3 * 10**8, len(req)))
    np.savez(tmp_path / "latency.npz", data=made)
    case = replace(rows.case("risk_averse", 20), latency_file=str(tmp_path / "latency.npz"))
    met = rows.compare(case)
    assert met.fills > 5
    assert Counter(rows.ours(case).fills) != Counter(rows.ours(rows.case("risk_averse", 20)).fills), (
        "the file must tell"
    )


@pytest.mark.parametrize("queue", ["risk_averse", "prob_power3:3"])
@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_amendments_are_alike(feeds: Any, feed: Feed, queue: str) -> None:
    """To another price, and to no more at the same; some meet their fill, some are a post-only that would take.

    To another price *and* quantity there is nothing to compare: 2.4.4 moves the order and fills the old quantity.
    """
    rows, draw = feeds(feed), np.random.default_rng(2)
    case, lots = rows.case(queue, 140), feed.qty_lots
    plan = np.array(
        [
            draw.integers(0, 7, 997) % 3 * draw.integers(0, 2, 997),
            draw.integers(-2, 3, 997),
            lots * draw.integers(1, 4, 997),
        ],
        np.int64,
    ).T
    plan = np.ascontiguousarray(plan)
    theirs = fills_of_amends(rows.rows, case, plan, float(rows.tick), float(rows.lot))
    ours = rows.amended(case, plan)
    assert Counter(ours) == Counter(theirs)
    assert len(theirs) > 20


def test_the_comparison_can_fail(feeds: Any) -> None:
    """What each program is told apart from must show: another model, another step, another latency."""
    rows = feeds(USDM_FEED)
    theirs = Counter(rows.theirs(rows.case("risk_averse", 20)).fills)
    for changed in (["--set", "entry_ms=11"], ["--set", "clock=fixed:0"], ["--set", "exchange=shared"]):
        assert Counter(rows.ours(rows.case("risk_averse", 20), *changed).fills) != theirs, changed


def test_the_export_is_what_hftbacktest_reads(feeds: Any, tmp_path: Path) -> None:
    rows = feeds(CAPTURES[0])
    out = tmp_path / "events.npz"
    done = command(rows.data, "data", "export", "hftbacktest-npz", rows.run, "-o", str(out))
    with np.load(out) as file:
        found = file["data"]
    assert done == {"rows": len(found), "bytes": out.stat().st_size}
    assert found.tobytes() == rows.rows.tobytes()
    for flag, clock in ((1 << 31, "exch_ts"), (1 << 30, "local_ts")):
        seen = found[found["ev"] & np.uint64(flag) != 0]
        assert (np.diff(seen[clock]) >= 0).all(), f"{clock} goes back"
