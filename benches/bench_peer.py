"""TickerML beside hftbacktest 2.4.4, one run: prints a table, writes ``target/bench_peer.json``, gates nothing.

    [NAUTILUS_PYTHON=/its/bin/python] .venv/bin/python benches/bench_peer.py [--rows 20000000] [--rounds 15]

Both programs get the same rows: those of our event files that hftbacktest has a place for (levels, clears, prints),
exported to its arrays and imported back, so that neither reads a row that the other does not. Rates are source rows
per CPU second of the one thread that works, from rows in memory to the end of the run; what one program needs twice
(hftbacktest: a row for each clock where they disagree) counts once. Cases run in interleaved rounds and medians
count; a ratio is the median of the rounds' ratios, for a shared machine may be half as fast in the next round. Where
both follow `risk_averse`, orders, fills and position must be the same numbers, or the bench ends. NautilusTrader goes
over the recording beside them where ``NAUTILUS_PYTHON`` names a Python that has it; its orders and fills are others
(`peer_nautilus.py` says why), so of it only the speed compares.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from peer_feed import USDM, Feed, recording, synthetic, tickerml
from peer_grid import Done
from peer_program import Nautilus, nautilus
from table import show
from tickerml import _native
from tickerml.config.build import settings_json

ROOT = Path(__file__).resolve().parent.parent
QUEUES = ("prob_log", "prob_power3:3")
SWEEP_ROWS = 3_000_000
SWEEP_ROUNDS = 3
FEATURES = (
    "profile hftbacktest: both books, queue, shadows, latency there and back, views of 20 levels a side and features, "
    "digest; no risk, no portfolio"
)
Row = tuple[str, str, str, str, str]
"""What, measured, bar, goal, which features are on."""


class Took(NamedTuple):
    """A case: what it came to, and its CPU seconds round by round."""

    done: Done
    rounds: Sequence[float]

    @property
    def cpu_s(self) -> float:
        return statistics.median(self.rounds)

    def over(self, other: Took) -> float:
        """How many times as long as another case it took, in the median round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=20_000_000, help="rows of the synthetic market")
    asked.add_argument("--rounds", type=int, default=15, help="interleaved rounds over the recording; a fifth of "
                       "them over the synthetic market")  # fmt: skip
    given = asked.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="tickerml-bench-") as folder:
        data = Path(folder)
        if USDM.is_file():
            feed = recording(data / "usdm")
            with nautilus(feed) as other:
                rows += real_rows(feed, given.rounds, other)
        else:
            print(f"no recording at {USDM}, left out", file=sys.stderr)
        rows += synthetic_rows(data, given.rows, max(given.rounds // 5, 1))
    how = f"Medians of interleaved rounds; TickerML {_native.CODE_VERSION} ({_native.BUILD_PROFILE})"
    show("bench_peer.json", how, ("what", "measured", "bar", "goal", "with"), rows)


def real_rows(feed: Feed, rounds: int, other: Nautilus | None) -> list[Row]:
    cases: dict[str, Callable[[], Done]] = {
        "theirs": feed.theirs,
        "builtin": feed.builtin,
        "shared": lambda: feed.builtin(profile=""),
        "python": feed.python,
        "python shared": lambda: feed.python(bound=True),
        **{queue: partial(feed.builtin, queue) for queue in QUEUES},
        **({"nautilus": other.run} if other else {}),
    }
    took = measured(cases, rounds, equal=("theirs", "builtin", "python"))
    their, name = took["theirs"], feed.name
    what = f"{name}, {feed.count / 1e3:.0f} k rows, five-level grid at 100 ms, `risk_averse`"
    worst = max(QUEUES, key=lambda queue: took[queue].cpu_s)
    return [
        (f"{what}: hftbacktest, M rows per CPU second", rate(feed, their), "", "", "ROIVectorMarketDepth, "
         f"{feed.bounds[0]:.1f} to {feed.bounds[1]:.1f}; strategy compiled"),
        (f"{what}, built-in grid", times(feed, took["builtin"], their), ">= 2 x", ">= 3 x", FEATURES),
        ("the same, profile shared", times(feed, took["shared"], their), "", "",
         "release rule, causal reports and clock, prints as budgets; else the same"),
        ("the same, grid in Python", times(feed, took["python"], their), ">= 0.6 x", ">= 1.0 x",
         "profile hftbacktest; risk (limits that do not bind), portfolio, costs"),
        ("the same, grid in Python, profile shared", times(feed, took["python shared"], their), "", "",
         "risk as configured by default, portfolio, costs"),
        (f"cost of `prob_*` over `risk_averse`, {name} (worst: `{worst}`)",
         cost(took[worst], took["builtin"]), "<= 15 %", "", "built-in grid"),
        *(nautilus_rows(feed, what, other.version, took) if other else ()),
    ]  # fmt: skip


def nautilus_rows(feed: Feed, what: str, version: str, took: Mapping[str, Took]) -> list[Row]:
    it, ours = took["nautilus"], took["builtin"]
    theirs, mine = f"{it.done.orders} and {it.done.fills}", f"{ours.done.orders} and {ours.done.fills}"
    return [
        (f"{what.removesuffix(', `risk_averse`')}: Nautilus {version}, M rows per CPU second", rate(feed, it), "", "",
         f"not the same orders and fills: {theirs}, ours {mine} (no queue: "
         "the book must cross; one clock; answers at once); L2_MBP, delta batches, 10 ms to the venue, netting; no "
         "logging, analysis, risk, balances; strategy in Python"),
        ("our built-in grid over that", times(feed, ours, it), "", "", FEATURES),
        ("our grid in Python over that", times(feed, took["python"], it), "", "",
         "profile hftbacktest; risk (limits that do not bind), portfolio, costs"),
    ]  # fmt: skip


def synthetic_rows(data: Path, rows: int, rounds: int) -> list[Row]:
    whole = synthetic(data / "whole", rows).load()
    peaks = peaks_of(whole)
    cases: dict[str, Callable[[], Done]] = {
        "theirs": whole.theirs,
        "builtin": whole.builtin,
        QUEUES[0]: partial(whole.builtin, QUEUES[0]),
    }
    took = measured(cases, rounds, equal=("theirs", "builtin"))
    their = took["theirs"]
    what = f"{whole.name}, 10 orders working"
    theirs = peaks["theirs"] / whole.count
    return [
        (f"{what}: hftbacktest, M rows per CPU second", rate(whole, their), "", "", "ROIVectorMarketDepth, "
         f"{whole.bounds[0]:.1f} to {whole.bounds[1]:.1f}; strategy compiled"),
        (f"{what}, built-in grid", times(whole, took["builtin"], their), ">= 2 x", ">= 3 x", FEATURES),
        (f"cost of `{QUEUES[0]}` over `risk_averse`, synthetic",
         cost(took[QUEUES[0]], took["builtin"]), "<= 15 %", "", "built-in grid"),
        ("peak memory of that, MB, from event files to the last fill",
         f"{peaks['ours'] / 1e6:.0f} ({(peaks['ours'] - 100e6) / whole.count:.1f} B a row above 100 MB)",
         f"<= {(32 * whole.count + 100e6) / 1e6:.0f}", "", f"hftbacktest {peaks['theirs'] / 1e6:.0f} ({theirs:.0f} B a "
         f"row with all it loads); an interpreter with our modules {peaks['nothing'] / 1e6:.0f}"),
        sweep_row(data),
    ]  # fmt: skip


def measured(cases: dict[str, Callable[[], Done]], rounds: int, equal: tuple[str, ...]) -> dict[str, Took]:
    """What each came to, and its CPU seconds, all in every round; those of `equal` to the same."""
    took: dict[str, list[float]] = {case: [] for case in cases}
    done = {case: work() for case, work in cases.items()}  # compiled and warm from here on
    if len({done[case]._replace(cpu_s=0.0) for case in equal}) != 1:
        raise SystemExit(f"not the same orders and fills: {done}")
    for _ in range(rounds):
        for case, work in cases.items():
            took[case].append(work().cpu_s)
    return {case: Took(done[case], values) for case, values in took.items()}


def rate(feed: Feed, took: Took) -> str:
    return f"{feed.count / took.cpu_s / 1e6:.2f}"


def times(feed: Feed, ours: Took, theirs: Took) -> str:
    return f"{rate(feed, ours)}: {theirs.over(ours):.2f} x"


def cost(more: Took, less: Took) -> str:
    return f"{(more.over(less) - 1) * 100:+.1f} %"


def sweep_row(data: Path) -> Row:
    """Eight half spreads in one process and in two: wall time, for that is what the second core is for.

    The dearest come first, as in any list of distances: what is dear and last keeps one core waiting for the other.
    """
    feed = synthetic(data / "part", SWEEP_ROWS)
    file = data / "sweep.yaml"
    file.write_text("half_spread_ticks: [1, 2, 3, 4, 5, 6, 7, 8]\n")
    took: dict[str, list[float]] = {"1": [], "2": []}
    words = ["backtest", str(feed.data / "events"), "--policy", "grid", "--sweep", file, "-o", data / "sweep.parquet"]
    for _ in range(SWEEP_ROUNDS):
        for workers, walls in took.items():
            begin = time.perf_counter()
            tickerml(feed.data, *words, "--set", "qty=0.001", "--workers", workers)
            walls.append(time.perf_counter() - begin)
    one, two = (statistics.median(walls) for walls in took.values())
    ratio = statistics.median(a / b for a, b in zip(*took.values(), strict=True))
    return (
        f"sweep of 8 over {SWEEP_ROWS / 1e6:.0f} M rows on 2 cores over 1, wall time with loading",
        f"{one:.1f} s / {two:.1f} s = {ratio:.2f} x", ">= 1.8 x", "",
        "policy in Python, profile shared, risk, portfolio",
    )  # fmt: skip


def peaks_of(feed: Feed) -> dict[str, float]:
    """Peak memory of both programs over a feed, each in a process of its own, bytes."""
    np.save(feed.data / "rows.npy", feed.rows)
    asked = {
        "ladder": asdict(feed.ladder), "tick": feed.tick, "lot": feed.lot, "bounds": feed.bounds,
        "settings": settings_json(feed.loaded()), "grid": feed.grid(),
    }  # fmt: skip
    (feed.data / "peak.json").write_text(json.dumps(asked))
    return {who: peak(who, feed.data) for who in ("nothing", "ours", "theirs")}


def peak(who: str, data: Path) -> float:
    """Peak memory of a process that does nothing else, bytes."""
    words = [sys.executable, str(Path(__file__).with_name("peer_peak.py")), who, str(data)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1]) * 1024


if __name__ == "__main__":
    main()
