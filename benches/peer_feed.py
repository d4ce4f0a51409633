"""Rows for `bench_peer.py`, the same for both programs, and one run over them by either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from peer_grid import Done, Ladder, run
from peer_market import INSTRUMENT, parts
from tickerml import _native, config
from tickerml.config.build import settings_json
from tickerml.profiles import PROFILES
from tickerml.sinks.events import read_events
from tickerml.sinks.npz import LOCAL, TRADE, hftbacktest_rows
from tickerml.sinks.parquet import EventFiles, Segment
from tickerml.sources.npz import import_npz
from tickerml.sources.recorded import EventRows, load_events
from tickerml.trader import make_trader

__all__ = ["USDM", "Feed", "recording", "synthetic", "tickerml"]

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", ROOT.parent / "shared" / "data"))
USDM = RECORDINGS / "binance_usdm" / "usdm_btcusdt_20240808.gz"
TICKERML = Path(sys.executable).with_name("tickerml")
BASE_LATENCY_NS = 5_000_000
WAYS = (("entry_ms", "10"), ("response_ms", "10"), ("maker_bps", "0"), ("taker_bps", "0"))
REAL = Ladder()
BUSY = Ladder(half_spread_ticks=2, position_lots=1 << 40)
"""No position ends a side: ten orders work all the time."""


@dataclass
class Feed:
    """Rows that both programs read. `count` is the number of source rows."""

    name: str
    data: Path
    ladder: Ladder
    files: list[Path] = field(default_factory=list)
    rows: Any = None
    events: EventRows | None = None
    count: int = 0
    tick: float = 0.1
    lot: float = 0.001
    bounds: tuple[float, float] = (0.0, 0.0)

    def load(self) -> Feed:
        """Reads the event files twice: for us, and as the peer's array."""
        self.files = sorted(self.data.glob("events/**/*.parquet"))
        self.events = load_events(self.files)
        self.rows = hftbacktest_rows(read_events(self.files), 1, 3, BASE_LATENCY_NS)
        self.count = int((self.rows["ev"] & LOCAL != 0).sum())
        # As narrow as the data allow: the prices at which anything was printed, and room for the ladder beyond them.
        printed = self.rows["px"][self.rows["ev"] & 0xFF == TRADE]
        ladder = self.ladder
        room = (ladder.half_spread_ticks + ladder.levels * ladder.interval_ticks + 5) * self.tick
        self.bounds = float(printed.min()) - room, float(printed.max()) + room
        return self

    def loaded(self, *sets: tuple[str, str], profile: str = "hftbacktest", policy: str = "hold") -> Any:
        """A configuration: later settings override."""
        given = [*PROFILES.get(profile, ()), *WAYS, *sets]
        return config.load(policy=policy, sets=given, environ={}, cwd=self.data).config

    def theirs(self) -> Done:
        """hftbacktest with its compiled strategy."""
        return run(self.rows, self.ladder, self.tick, self.lot, self.bounds)

    def builtin(self, queue: str = "risk_averse", profile: str = "hftbacktest") -> Done:
        """We, with the grid that is built in."""
        assert self.events is not None
        settings = settings_json(self.loaded(("queue", queue), profile=profile))
        begin = time.thread_time()
        session = _native.Session.backtest(self.events.rows, settings)
        position, _ = _native.run_grid(session, self.grid())
        cpu_s = time.thread_time() - begin
        return Done(cpu_s, session.stats()["fills"], position, session.stats()["orders"])

    def python(self, *, bound: bool = False) -> Done:
        """We, with the policy in Python, risk and portfolio: what `tickerml backtest` does once rows are in memory."""
        assert self.events is not None
        given = self.loaded(*self.policy_sets(), profile="" if bound else "hftbacktest", policy="grid")
        begin = time.thread_time()
        session = _native.Session.backtest(self.events.rows, settings_json(given))
        made = time.thread_time() - begin
        with make_trader(given, session.instruments, unbound=not bound) as trader:
            trader.trade(session)
            stats = session.stats()
            return Done(made + trader.engine_cpu_s, stats["fills"], trader.portfolio.positions[0], stats["orders"])

    def grid(self) -> dict[str, int]:
        """The ladder as the built-in grid takes it; a lot is one unit of the quantity's scale."""
        ladder = self.ladder
        return {
            "levels": ladder.levels, "half_spread_ticks": ladder.half_spread_ticks,
            "interval_ticks": ladder.interval_ticks, "qty": ladder.qty_lots, "position_max": ladder.position_lots,
        }  # fmt: skip

    def policy_sets(self) -> list[tuple[str, str]]:
        """The ladder as settings of the policy."""
        ladder, lot = self.ladder, Decimal("0.001")
        return [
            ("levels", str(ladder.levels)), ("half_spread_ticks", str(ladder.half_spread_ticks)),
            ("interval_ticks", str(ladder.interval_ticks)), ("qty", f"{ladder.qty_lots * lot:f}"),
            ("position_max", f"{ladder.position_lots * lot:f}"),
        ]  # fmt: skip


def recording(data: Path) -> Feed:
    """The rows of the USD-M recording that both programs have a place for."""
    (data / "all").mkdir(parents=True)
    words = ["data", "import", "hftbacktest-raw", USDM, "--instrument", "binance_usdm:BTCUSDT"]
    tickerml(data / "all", *words)
    out = data / "rows.npz"
    tickerml(data / "all", "data", "export", "hftbacktest-npz", data / "all" / "events", "-o", out)
    import_npz(data / "both", [out], "binance_usdm:BTCUSDT", {"tick": "0.1", "lot": "0.001"})
    return Feed("USD-M", data / "both", REAL).load()


def synthetic(data: Path, rows: int) -> Feed:
    """The synthetic market in an event file of our own writer."""
    made = json.loads(_native.instrument_json(INSTRUMENT, "0.1", "0.001", "0"))
    with EventFiles(data, "20231114T000000Z-0001", made, source="bench", code_version="bench") as files:
        for columns in parts(rows, seed=1):
            files.add(Segment(0, 0, "0" * 64), columns)
    return Feed(f"synthetic, {rows / 1e6:.0f} M rows", data, BUSY)


def tickerml(data: Path, *words: Any) -> dict[str, Any]:
    """A command's JSON."""
    command = [TICKERML, *words, "--json", "--data", data]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=data).stdout))
