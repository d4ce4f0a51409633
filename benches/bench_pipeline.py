"""Speed and memory of the whole line on the real recordings: prints a table and writes ``target/bench.json``.

Run it with ``make bench``. Rates are per CPU second; every case runs in interleaved rounds and the median counts. It
reads ``TICKERML_RECORDINGS`` (or ``../shared/data``) and leaves out what is absent. Nothing here gates on time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from table import show

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", ROOT.parent / "shared" / "data"))
TICKERML = Path(sys.executable).with_name("tickerml")
FEEDS = {
    "USD-M": ("binance_usdm:BTCUSDT", ["binance_usdm/usdm_btcusdt_20240808.gz"]),
    "spot": (
        "binance_spot:BTCUSDT",
        ["binance_spot/spot_btcusdt_20240808.gz", "binance_spot/spot_btcusdt_20240809.gz"],
    ),
}
GRID = ["levels=5", "half_spread_ticks=1", "interval_ticks=1"]
BUILTIN = ["--builtin", "--profile", "hftbacktest", "--set", "qty=0.001", "--set", "position_max=0.005"]
COLLECT_S = 15
FAILED = "failed"

Row = tuple[str, str, str, str]
"""What, measured, bar, goal."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5, help="interleaved rounds of every case")
    rounds = max(asked.parse_args().rounds, 1)
    rows: list[Row] = [*criterion_rows(), *frame_rows(rounds)]
    with tempfile.TemporaryDirectory(prefix="tickerml-bench-") as folder:
        data = Path(folder)
        imported = {name: import_feed(name, data) for name in FEEDS}
        runs = {name: done for name, done in imported.items() if done}
        for name in sorted(set(FEEDS) - set(runs)):
            print(f"{name}: no recording in {RECORDINGS}, left out", file=sys.stderr)
        rows += [row for name, done in runs.items() for row in file_rows(name, done)]
        rows += engine_rows(data, runs, rounds)
    rows += memory_rows()
    show("bench.json", f"Medians of {rounds} interleaved rounds", ("what", "measured", "bar", "goal"), rows)


def command(data: Path, *arguments: str) -> dict[str, Any]:
    """A command's JSON, with the CPU seconds of its process as ``process_cpu_s``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [TICKERML, *arguments, "--json", "--data", str(data)], capture_output=True, text=True, check=True, cwd=data
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout), "process_cpu_s": cpu_s}


def import_feed(name: str, data: Path) -> dict[str, Any] | None:
    """The median of three imports by CPU time; the data of the last one stays."""
    instrument, files = FEEDS[name]
    paths = [RECORDINGS / file for file in files]
    if not all(path.is_file() for path in paths):
        return None
    made = [
        command(data / f"{name}{n}", "data", "import", "hftbacktest-raw", *map(str, paths), "--instrument", instrument)
        for n in range(3)
        if not (data / f"{name}{n}").mkdir()
    ]
    cpu_s = statistics.median(one["process_cpu_s"] for one in made)
    return {**made[-1], "process_cpu_s": cpu_s, "data": str(data / f"{name}2")}


def file_rows(name: str, done: dict[str, Any]) -> list[Row]:
    import pyarrow.parquet as pq

    files = sorted(Path(done["data"]).glob("events/**/*.parquet"))
    count = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    last = sum(int((pq.read_table(file, columns=["flags"])["flags"].to_numpy() & 1).sum()) for file in files)
    events = done["levels"] + done["trades"] + touches(done)
    bars = ("<= 4.0", "<= 3.7") if name == "USD-M" else ("<= 4.3", "<= 4.0")
    size = sum(file.stat().st_size for file in files)
    return [
        (
            f"`data import`, {name}, M events per CPU second",
            f"{events / done['process_cpu_s'] / 1e6:.2f}",
            ">= 1.5",
            ">= 2.5",
        ),
        (f"event file, {name}, bytes a row", f"{size / count:.2f}", *bars),
        (f"event in memory, {name}, bytes a row", f"{16 + 32 * last / count:.1f}", "<= 32", "<= 20"),
    ]


def touches(done: dict[str, Any]) -> int:
    verified = command(Path(done["data"]), "data", "verify", done["run"])
    return sum(int(row.get("touches", 0)) for row in verified["instruments"])


def engine_rows(data: Path, runs: dict[str, dict[str, Any]], rounds: int) -> list[Row]:
    """Replay and backtests, all cases in every round."""
    cases: dict[str, Callable[[], float]] = {}
    bars: dict[str, tuple[str, str]] = {}

    def rate(done: dict[str, Any], what: str) -> float:
        return float(done[what]) / float(done["engine_cpu_s"]) / 1e6

    for name, made in runs.items():
        folder, run = Path(made["data"]), made["run"]
        replay = f"replay, {name}, `hold`, M events per CPU second"
        cases[replay] = lambda f=folder, r=run: rate(command(f, "replay", r, "--policy", "hold"), "events")
        bars[replay] = (">= 5", ">= 6.5") if name == "USD-M" else ("", "")
        sets = [part for one in GRID for part in ("--set", one)]
        grid = f"backtest, {name}, `grid` of 5 levels, M rows per CPU second"
        cases[grid] = lambda f=folder, r=run, s=sets: rate(command(f, "backtest", r, "--policy", "grid", *s), "rows")
        bars[grid] = (">= 10" if name == "USD-M" else ">= 4", "next issue")
        builtin = f"backtest, {name}, `--builtin`, a ladder of 5 levels, M rows per CPU second"
        fixed = [*sets, *BUILTIN]
        cases[builtin] = lambda f=folder, r=run, s=fixed: rate(
            command(f, "backtest", r, "--policy", "grid", *s), "rows"
        )
        bars[builtin] = bars[grid]
        hold = f"backtest, {name}, `hold`, M rows per CPU second"
        cases[hold] = lambda f=folder, r=run: rate(command(f, "backtest", r, "--policy", "hold"), "rows")
        bars[hold] = ("", "")
    if "USD-M" in runs:
        made = runs["USD-M"]
        step = "one step in Python, `hold`, view built and read, us"
        cases[step] = lambda: step_us(Path(made["data"]), made["run"])
        bars[step] = ("<= 2", "<= 1")
    measured: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, work in cases.items():
            measured[case].append(work())
    return [(case, f"{statistics.median(values):.2f}", *bars[case]) for case, values in measured.items()]


def step_us(data: Path, run: str) -> float:
    """CPU of the steps that a session with 1 ms steps has more than one with 100 ms: view, loop, digest and all."""
    fine = command(data, "replay", run, "--policy", "hold", "--set", "step_ms=1")
    coarse = command(data, "replay", run, "--policy", "hold", "--set", "step_ms=100")
    more = fine["views"] - coarse["views"]
    return float(fine["engine_cpu_s"] - coarse["engine_cpu_s"]) / more * 1e6


def criterion_rows() -> list[Row]:
    """What `cargo bench` has just measured, ns a level."""
    bars = {"decode": ("<= 25", "<= 17"), "decode+book": ("<= 80", "<= 60")}
    rows = []
    for feed in ("usdm", "spot"):
        for bench, (bar, goal) in bars.items():
            if (found := criterion(feed, bench)) is not None:
                ns, levels = found
                rows.append((f"{bench}, {feed}, ns a level", f"{ns / levels:.1f}", bar, goal))
        if (found := criterion(feed, "largest message")) is not None:
            ns, levels = found
            rows.append((f"largest message, {feed}, {levels} levels, ms", f"{ns / 1e6:.3f}", "<= 0.2", "<= 0.1"))
    return rows


def criterion(feed: str, bench: str) -> tuple[float, int] | None:
    folder = ROOT / "target" / "criterion" / feed / re.sub(r"[^\w+-]", " ", bench) / "new"
    try:
        median = json.loads((folder / "estimates.json").read_text())["median"]["point_estimate"]
        levels = json.loads((folder / "benchmark.json").read_text())["throughput"]["Elements"]
    except (OSError, KeyError, ValueError):
        return None
    return float(median), int(levels)


def frame_rows(rounds: int) -> list[Row]:
    """CPU of a 752-byte frame over loopback; the venue is another process and is not counted (see `frame_cost`)."""
    build = ["cargo", "build", "--quiet", "--release", "-p", "tickerml-feed", "--example", "frame_cost"]
    example = [ROOT / "target" / "release" / "examples" / "frame_cost", "300000"]
    spent: dict[bool, list[float]] = {False: [], True: []}
    try:
        subprocess.run(build, capture_output=True, text=True, timeout=900, cwd=ROOT, check=True)
        for _ in range(rounds):
            done = subprocess.run(example, capture_output=True, text=True, timeout=150, check=True)
            for one in map(json.loads, done.stdout.splitlines()):
                spent[one["tape"]].append(one["cpu_ns_per_frame"] / 1e3)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        say_failed("frame_cost", error)
    rows = [
        ("WebSocket frame of 752 B into the book, no tape, us of CPU", spent[False], "<= 2.0", "<= 1.5"),
        ("WebSocket frame of 752 B, recording with engine, all threads, us of CPU", spent[True], "<= 5", "<= 4"),
    ]
    return [(what, f"{statistics.median(us):.2f}" if us else FAILED, bar, goal) for what, us, bar, goal in rows]


def say_failed(what: str, error: Exception) -> None:
    """On stderr, with what the command itself said: its row of the table says `failed`."""
    print(f"{what}: {error}\n{getattr(error, 'stderr', None) or ''}", file=sys.stderr)


def memory_rows() -> list[Row]:
    # Not ru_maxrss: that keeps the peak of the process which forked this one.
    code = "import tickerml; print(open('/proc/self/status').read())"
    status = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rows: list[Row] = [("`import tickerml`, MiB resident", f"{peak_mib(status):.0f}", "<= 60", "")]
    for what, measure, bar, goal in (
        ("`tickerml collect`, 2 venues of 5 symbols, 15 s, peak MB resident", collect_mb, "<= 120", ""),
        ("wheel, MB", wheel_mb, "<= 10", "<= 6"),
    ):
        try:
            measured = f"{measure():.1f}"
        except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
            say_failed(what, error)
            measured = FAILED
        rows.append((what, measured, bar, goal))
    begin = time.perf_counter()
    subprocess.run([TICKERML, "--help"], capture_output=True, check=True)
    rows.append(("`tickerml --help`, ms of wall time", f"{(time.perf_counter() - begin) * 1e3:.0f}", "< 100", ""))
    return rows


def peak_mib(status: str) -> float:
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def collect_mb() -> float:
    """Peak of a collector whose venue is another process: spot and USD-M, the same five symbols on each."""
    prices = {"BTCUSDT": "60000", "ETHUSDT": "3000", "BNBUSDT": "600", "SOLUSDT": "150", "LTCUSDT": "80"}
    ticks = {"BTCUSDT": "0.1"}
    listed = [
        {"symbol": name, "price": price, "tick": ticks.get(name, "0.01"), "lot": "0.001"}
        for name, price in prices.items()
    ]
    venues = [{"venue": name, "symbols": listed} for name in ("binance_spot", "binance_usdm")]
    with tempfile.TemporaryDirectory(prefix="tickerml-bench-") as folder, contextlib.ExitStack() as stack:
        # JSON is YAML.
        market = Path(folder) / "market.yaml"
        market.write_text(json.dumps({"venues": venues}))

        def start(*words: str) -> subprocess.Popen[str]:
            arguments = [TICKERML, *words, "--json", "--data", folder]
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=folder)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            return process

        served = start("venue", "serve", "--market", str(market))
        assert served.stdout is not None
        if not select.select([served.stdout], [], [], 30)[0]:
            raise ValueError("the venue did not say where it serves within 30 s")
        control = json.loads(served.stdout.readline())["control_url"]
        collector = start("collect", "--at", control)
        time.sleep(COLLECT_S)
        status = Path(f"/proc/{collector.pid}/status").read_text()
        collector.terminate()
        done = json.loads(collector.communicate(timeout=30)[0])
        if not done["frames"] > 10 * COLLECT_S:
            raise ValueError(f"only {done['frames']} frames were collected: this measures nothing")
        return peak_mib(status) * 1.048576


def wheel_mb() -> float:
    """Size of the wheel as it is shipped."""
    with tempfile.TemporaryDirectory(prefix="tickerml-bench-") as folder:
        maturin = Path(sys.executable).with_name("maturin")
        build = [maturin, "build", "--release", "--locked", "--out", folder]
        subprocess.run(build, capture_output=True, text=True, timeout=900, cwd=ROOT, check=True)
        return next(Path(folder).glob("*.whl")).stat().st_size / 1e6


if __name__ == "__main__":
    main()
