"""What a comparison with hftbacktest needs: feeds, their rows for both programs, and the grid run by both."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from commands import tickerml as command
from peer_hftbacktest import Case, GridRun, run_of_grid
from tickerml import config
from tickerml.profiles import PROFILES
from tickerml.schema import AMEND, POST_ONLY, UNDEF_I64
from tickerml.sinks.events import EventFile, read_events
from tickerml.sinks.npz import hftbacktest_rows
from tickerml.sources.recorded import event_session, load_events

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
SIX_MODELS = ("risk_averse", "prob_log", "prob_log2", "prob_power:2.5", "prob_power2:3", "prob_power3:3")
QUEUES = (*SIX_MODELS, "prob_power:3", "prob_power2:2.5", "prob_power3:2.5")
ROUND_TRIPS_MS = (0, 20, 140, 800)


@dataclass(frozen=True)
class Feed:
    """Rows that both programs read."""

    name: str
    instrument: str
    files: tuple[Path, ...]
    qty_lots: int
    lot: str | None = None
    """A lot other than the data's: a part of the venue's, where orders are to fill in part."""
    minutes: int = 0
    """Of the large-tick market, which is generated: so many minutes of it, and no files."""

    def in_parts(self, lot: str, parts: int = 10) -> Feed:
        """The same rows for orders of 2.5 of the venue's lots, counted in parts of one."""
        return replace(self, name=f"{self.name} in parts of a lot", qty_lots=25 * parts // 10, lot=lot)


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
BIG = {"price": "5", "tick": "0.01", "lot": "1"}
LARGE_TICK = Feed("large tick", "binance_spot:BIGUSDT", (), 100, minutes=60)
"""A tick of 0.2 % of the price: the spread is one tick in 99 of 100 books, and 200,000 lots queue at the best prices,
where the median print has 8.
"""
SHORT = replace(LARGE_TICK, name="two minutes of large tick", minutes=2)
WHOLE.append(LARGE_TICK)
IN_PARTS = [
    USDM_FEED.in_parts("0.0001"),
    WHOLE[1].in_parts("0.000001"),
    # In tenths a model's estimate may fill exactly what is left of an order, and hftbacktest ends there with code 14
    # (simulation.md 2): it does with prob_power:3 on the first, at hour 10.7, and with prob_power2:3 on the second.
    WHOLE[2].in_parts("0.0001", 100),
    LARGE_TICK.in_parts("0.01", 100),
]
"""Their orders are 2.5 of the venue's lots."""


class Met(NamedTuple):
    """How much a comparison saw: orders, fills, and fills that were less than an order."""

    orders: int
    fills: int
    parts: int


class Rows:
    """A feed imported by us, and the same rows as hftbacktest's."""

    def __init__(self, feed: Feed, data: Path) -> None:
        self.feed, self.data = feed, data
        files = (large_tick_market(data, feed.minutes),) if feed.minutes else feed.files
        known = {"tick": BIG["tick"], "lot": BIG["lot"]} if feed.minutes else {}
        known |= {"lot": feed.lot} if feed.lot else {}
        steps = [word for key, value in known.items() for word in (f"--{key}", value)]
        words = ("data", "import", "hftbacktest-raw", *map(str, files), "--instrument", feed.instrument, *steps)
        done = command(data, *words)
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

    def theirs(self, case: Case) -> GridRun:
        """What hftbacktest's grid did."""
        return run_of_grid(self.rows, case, float(self.tick), float(self.lot))

    def ours(self, case: Case, *more: str) -> GridRun:
        """What our grid did in our profile, in the same units."""
        fills, orders = self.data / "fills.csv", self.data / "orders.csv"
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
            self.data, "backtest", self.run, "--policy", "grid", "--profile", "hftbacktest", "--fills", str(fills),
            "--orders", str(orders), *args, *more,
        )  # fmt: skip
        assert done["refused"] == 0, "a limit bound"
        assert done["late_rows"] == 0
        with fills.open() as file:
            filled = [self._fill(row, case.step_ms * 1_000_000) for row in csv.DictReader(file)]
        with orders.open() as file:
            return GridRun(filled, self._sent(csv.DictReader(file)))

    def _fill(self, row: dict[str, str], step: int) -> tuple[int, int, int, int, int]:
        learned = -(-int(row["ts_recv_ns"]) // step) * step
        px, qty = Decimal(row["px"]) / self.tick, Decimal(row["qty"]) / self.lot
        return int(row["ts_event_ns"]), learned, 1 if row["side"] == "buy" else -1, int(px), int(qty)

    def _sent(self, rows: Iterable[dict[str, str]]) -> list[tuple[int, int, int]]:
        sent, of = [], {}
        for row in rows:
            if row["event"] == "sent_post_only":
                of[row["order_id"]] = int(Decimal(row["px"]) / self.tick)
                sent.append((int(row["ts_ns"]), 1 if row["side"] == "buy" else -1, of[row["order_id"]]))
            elif row["event"] == "sent_cancel":
                sent.append((int(row["ts_ns"]), 0, of[row["order_id"]]))
        return sent

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

    def compare(self, case: Case) -> Met:
        """Every order and fill equal; what was met."""
        ours, theirs = self.ours(case), self.theirs(case)
        if case.exchange == "partial":
            # hftbacktest keeps only the last execution of an order between two steps: compare what each step learned.
            assert by_step(ours.fills) == by_step(theirs.fills)
        else:
            assert Counter(ours.fills) == Counter(theirs.fills)
        assert Counter(ours.sent) == Counter(theirs.sent)
        parts = sum(qty < case.qty_lots for *_, qty in ours.fills)
        return Met(sum(kind != 0 for _, kind, _ in theirs.sent), len(ours.fills), parts)


def large_tick_market(place: Path, minutes: int) -> Path:
    """Records that much of the large-tick market, in virtual time."""
    symbol = ", ".join(f"{key}: '{value}'" for key, value in BIG.items())
    text = f"seed: 3\nvenues:\n  - venue: binance_spot\n    symbols: [{{symbol: BIGUSDT, {symbol}}}]\n"
    (place / "market.yaml").write_text(text)
    made = place / "market.gz"
    command(place, "venue", "record", "--market", "market.yaml", "--duration", f"{minutes}m", "-o", str(made))
    return made


def by_step(fills: list[tuple[int, int, int, int, int]]) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for _, learned, side, px, qty in fills:
        found[learned, side, px] += qty
    return found


class Feeds:
    """Feeds that are imported once."""

    def __init__(self, place: Callable[[], Path]) -> None:
        self._place = place
        self._known: dict[str, Rows] = {}

    def __call__(self, feed: Feed) -> Rows:
        """The rows of a feed; the test is skipped where it has no recording."""
        if any(not file.is_file() for file in feed.files):
            pytest.skip(f"no recording at {feed.files[0]}")
        if feed.name not in self._known:
            self._known[feed.name] = Rows(feed, self._place())
        return self._known[feed.name]
