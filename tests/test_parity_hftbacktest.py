"""Profile `hftbacktest` against hftbacktest 2.4.4 itself: every order and fill, for every model (simulation.md 2).

The grid is written twice, here by our policy and there in numba, and acts on the same rows. Small captures are always
compared, a recording where it is present, and the whole matrix by `make soak`.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import tickerml as command

pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
pytestmark = pytest.mark.filterwarnings("ignore")

from peer_hftbacktest import Case, fills_of_amends, fills_of_grid  # noqa: E402
from tickerml import config  # noqa: E402
from tickerml.profiles import PROFILES  # noqa: E402
from tickerml.schema import AMEND, POST_ONLY, UNDEF_I64  # noqa: E402
from tickerml.sinks.events import EventFile, read_events  # noqa: E402
from tickerml.sinks.npz import hftbacktest_rows  # noqa: E402
from tickerml.sources.recorded import event_session, load_events  # noqa: E402

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
QUEUES = ("risk_averse", "prob_log", "prob_log2", "prob_power:2.5", "prob_power2:3", "prob_power3:3")
ROUND_TRIPS_MS = (0, 20, 140, 800)


@dataclass(frozen=True)
class Feed:
    """Rows that both programs read."""

    name: str
    instrument: str
    files: tuple[Path, ...]
    qty_lots: int
    lot: str | None = None
    """A lot other than the data's: one tenth of the venue's, where orders are to fill in part."""


CAPTURES = [
    Feed("spot capture", "binance_spot:DEMOUSDT", (HERE / "data" / "binance_spot_DEMOUSDT.raw.gz",), 100),
    Feed("usdm capture", "binance_usdm:DEMOUSDT", (HERE / "data" / "binance_usdm_DEMOUSDT.raw.gz",), 100),
]
SPOT, USDM = RECORDINGS / "binance_spot", RECORDINGS / "binance_usdm"
USDM_FEED = Feed("usdm", "binance_usdm:BTCUSDT", (USDM / "usdm_btcusdt_20240808.gz",), 1)
WHOLE = [
    USDM_FEED,
    Feed(
        "spot",
        "binance_spot:BTCUSDT",
        (SPOT / "spot_btcusdt_20240808.gz", SPOT / "spot_btcusdt_20240809.gz"),
        100,
    ),
    Feed(
        "nexo",
        "binance_spot:NEXOUSDT",
        (SPOT / "spot_nexousdt_20240723.dat.gz", SPOT / "spot_nexousdt_20240724.dat.gz"),
        1000,
    ),
]
PARTIAL = Feed("usdm in tenths of a lot", USDM_FEED.instrument, USDM_FEED.files, 25, lot="0.0001")


class Rows:
    """A feed imported by us, and the same rows as hftbacktest's."""

    def __init__(self, feed: Feed, data: Path) -> None:
        self.feed, self.data = feed, data
        more = ["--lot", feed.lot] if feed.lot else []
        done = command(
            data, "data", "import", "hftbacktest-raw", *map(str, feed.files), "--instrument", feed.instrument, *more
        )
        self.run = str(done["run"])
        files = sorted(data.glob("events/**/*.parquet"))
        first = EventFile(files[0])
        self.instrument: dict[str, Any] = first.instrument
        first.close()
        i = self.instrument
        self.tick = Decimal(i["tick"]).scaleb(-i["price_precision"])
        self.lot = Decimal(i["lot"]).scaleb(-i["qty_precision"])
        self.rows = hftbacktest_rows(read_events(files), i["price_precision"], i["qty_precision"], 5_000_000)

    def case(self, queue: str, round_trip_ms: float, exchange: str = "no_partial") -> Case:
        """The grid of five levels, one tick from the mid and from each other."""
        lots, one_way = self.feed.qty_lots, round_trip_ms / 2
        return Case(queue, one_way, one_way, exchange, qty_lots=lots, position_lots_max=4.5 * lots)

    def theirs(self, case: Case) -> list[tuple[int, int, int, int, int]]:
        """What hftbacktest filled."""
        return fills_of_grid(self.rows, case, float(self.tick), float(self.lot))

    def ours(self, case: Case, *more: str) -> list[tuple[int, int, int, int, int]]:
        """What our profile filled, in the same units."""
        out = self.data / "fills.csv"
        sets = {
            "queue": case.queue, "exchange": case.exchange, "entry_ms": case.entry_ms,
            "response_ms": case.response_ms, "maker_bps": 0, "taker_bps": 0, "levels": case.levels,
            "half_spread_ticks": case.half_spread_ticks, "interval_ticks": case.interval_ticks,
            "qty": self.lot * case.qty_lots, "position_max": self.lot * Decimal(str(case.position_lots_max)),
        }  # fmt: skip
        if case.latency_file:
            sets["latency"] = f"file:{case.latency_file}"
        args = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        done = command(
            self.data, "backtest", self.run, "--policy", "grid", "--profile", "hftbacktest", "--fills", str(out), *args,
            *more,
        )  # fmt: skip
        assert done["refused"] == 0, "a limit bound"
        assert done["late_rows"] == 0
        step = case.step_ms * 1_000_000
        with out.open() as file:
            return [self._fill(row, step) for row in csv.DictReader(file)]

    def _fill(self, row: dict[str, str], step: int) -> tuple[int, int, int, int, int]:
        learned = -(-int(row["ts_recv_ns"]) // step) * step
        px, qty = Decimal(row["px"]) / self.tick, Decimal(row["qty"]) / self.lot
        return int(row["ts_event_ns"]), learned, 1 if row["side"] == "buy" else -1, int(px), int(qty)

    def amended(self, case: Case, plan: np.ndarray) -> list[tuple[int, int, int, int]]:
        """What our profile fills of one post-only a side, amended as the plan says (see `fills_of_amends`)."""
        ways = (("entry_ms", str(case.entry_ms)), ("response_ms", str(case.response_ms)), ("queue", case.queue))
        loaded = config.load(policy="hold", sets=[*PROFILES["hftbacktest"], *ways], environ={}, cwd=self.data)
        files = sorted(self.data.glob("events/**/*.parquet"))
        session = event_session(load_events(files), loaded.config, batch_events=65_536)
        tick, lot = self.instrument["tick"], self.instrument["lot"]
        fills = []
        for view in session:
            fills += [(f.ts_event_ns, f.side, f.px // tick, f.qty // lot) for f in view.fills]
            amends, away, lots = (int(x) for x in plan[view.ts_ns // (case.step_ms * 1_000_000) % len(plan)])
            wanted = []
            for side in (1, -1):
                px, mine = int(view.book_px[0, int(side < 0), 0]), [o for o in view.orders if o.side == side]
                if UNDEF_I64 in view.book_px[0, :, 0] or view.cause != "step":
                    continue
                if not mine:
                    wanted.append((POST_ONLY, 0, side, px - side * away * tick, lots * lot, 0, 0))
                elif amends and mine[0].state == "resting":
                    new = (
                        (px - side * away * tick, mine[0].qty)
                        if amends == 1
                        else (mine[0].px, min(mine[0].qty, lots * lot))
                    )
                    wanted.append((AMEND, 0, side, *new, 0, mine[0].order_id))
            session.submit(wanted, (), b"")
        return fills

    def compare(self, case: Case) -> int:
        """Every fill equal; how many there were."""
        ours, theirs = self.ours(case), self.theirs(case)
        if case.exchange == "partial":
            # hftbacktest keeps only the last execution of an order between two steps: compare what each step learned.
            assert by_step(ours) == by_step(theirs)
        else:
            assert Counter(ours) == Counter(theirs)
        return len(theirs)


def by_step(fills: list[tuple[int, int, int, int, int]]) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for _, learned, side, px, qty in fills:
        found[learned, side, px] += qty
    return found


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    known: dict[str, Rows] = {}

    def load(feed: Feed) -> Rows:
        if any(not file.is_file() for file in feed.files):
            pytest.skip(f"no recording at {feed.files[0]}")
        if feed.name not in known:
            known[feed.name] = Rows(feed, tmp_path_factory.mktemp("parity"))
        return known[feed.name]

    return load


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("feed", CAPTURES, ids=lambda feed: feed.name)
def test_a_capture_fills_alike(loaded: Any, feed: Feed, queue: str) -> None:
    rows = loaded(feed)
    assert rows.compare(rows.case(queue, 20)) > 5, "too few fills to tell anything"


@pytest.mark.parametrize(("queue", "round_trip_ms"), [("risk_averse", 0), ("prob_log2", 140), ("prob_power3:3", 800)])
def test_a_recording_fills_alike(loaded: Any, queue: str, round_trip_ms: float) -> None:
    rows = loaded(USDM_FEED)
    assert rows.compare(rows.case(queue, round_trip_ms)) > 500


@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_requests_that_arrive_with_a_row_are_alike(loaded: Any, feed: Feed) -> None:
    """Venues stamp in milliseconds: a request whose way ends on one meets rows of the same time, which go first."""
    rows = loaded(feed)
    within_ms, counts = np.unique(rows.rows["exch_ts"] % 1_000_000, return_counts=True)
    case = replace(rows.case("risk_averse", 20), entry_ms=10 + int(within_ms[counts.argmax()]) / 1e6)
    assert rows.compare(case) > 5


def test_partial_fills_are_alike(loaded: Any) -> None:
    rows = loaded(PARTIAL)
    assert rows.compare(rows.case("risk_averse", 20, "partial")) > 500


@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_measured_latencies_are_alike(loaded: Any, tmp_path: Path, feed: Feed) -> None:
    """Interpolated from one file by both, 1 to 300 ms each way, without refusals (`latency/file.rs`)."""
    rows = loaded(feed)
    stamps, draw = rows.rows["local_ts"], np.random.default_rng(1)
    req = np.arange(stamps.min() - 10**9, stamps.max() + 10**9, 171_000_001)
    made = np.zeros(len(req), [(name, "i8") for name in ("req_ts", "exch_ts", "resp_ts", "_padding")])
    made["req_ts"] = req
    made["exch_ts"] = np.maximum.accumulate(req + draw.integers(10**6, 3 * 10**8, len(req)))
    made["resp_ts"] = np.maximum.accumulate(made["exch_ts"] + draw.integers(10**6, 3 * 10**8, len(req)))
    np.savez(tmp_path / "latency.npz", data=made)
    case = replace(rows.case("risk_averse", 20), latency_file=str(tmp_path / "latency.npz"))
    assert rows.compare(case) > 5
    assert Counter(rows.ours(case)) != Counter(rows.ours(rows.case("risk_averse", 20))), "the file must tell"


@pytest.mark.parametrize("queue", ["risk_averse", "prob_power3:3"])
@pytest.mark.parametrize("feed", [CAPTURES[1], USDM_FEED], ids=lambda feed: feed.name)
def test_amendments_are_alike(loaded: Any, feed: Feed, queue: str) -> None:
    """To another price, and to no more at the same; some meet their fill, some are a post-only that would take.

    To another price *and* quantity there is nothing to compare: 2.4.4 moves the order and fills the old quantity.
    """
    rows, draw = loaded(feed), np.random.default_rng(2)
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


@pytest.mark.soak
@pytest.mark.parametrize("round_trip_ms", ROUND_TRIPS_MS)
@pytest.mark.parametrize("queue", [*QUEUES, "prob_power:3", "prob_power2:2.5", "prob_power3:2.5"])
@pytest.mark.parametrize("feed", WHOLE, ids=lambda feed: feed.name)
def test_the_whole_matrix(loaded: Any, feed: Feed, queue: str, round_trip_ms: float) -> None:
    rows = loaded(feed)
    count = rows.compare(rows.case(queue, round_trip_ms))
    print(f"{feed.name} {queue} {round_trip_ms} ms: {count} fills, all equal")


def test_the_comparison_can_fail(loaded: Any) -> None:
    """What each program is told apart from must show: another model, another step, another latency."""
    rows = loaded(USDM_FEED)
    theirs = Counter(rows.theirs(rows.case("risk_averse", 20)))
    for changed in (["--set", "entry_ms=11"], ["--set", "clock=fixed:0"], ["--set", "exchange=shared"]):
        assert Counter(rows.ours(rows.case("risk_averse", 20), *changed)) != theirs, changed


def test_the_export_is_what_hftbacktest_reads(loaded: Any, tmp_path: Path) -> None:
    rows = loaded(CAPTURES[0])
    out = tmp_path / "events.npz"
    done = command(rows.data, "data", "export", "hftbacktest-npz", rows.run, "-o", str(out))
    with np.load(out) as file:
        found = file["data"]
    assert done == {"rows": len(found), "bytes": out.stat().st_size}
    assert found.tobytes() == rows.rows.tobytes()
    for flag, clock in ((1 << 31, "exch_ts"), (1 << 30, "local_ts")):
        seen = found[found["ev"] & np.uint64(flag) != 0]
        assert (np.diff(seen[clock]) >= 0).all(), f"{clock} goes back"
