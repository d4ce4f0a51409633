"""`kill -9` of `tickerml run` at random moments, restarted each time, against a venue in a process of its own.

Beside it an observer, `tickerml collect` in another data folder, hears the same venue and is never killed: what the
killed run lacks must lie in a downtime. In the end the ledger is the fold of the tape, row by row.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, serving, tickerml
from fold import Rows, fingerprint, fold, ledger_rows, up_to
from tape_reader import CONNECT, EPOCH, FRAME, Record, Trade, records, trades

pytest.importorskip("tickerml._native", reason="the native module is not built")

PROBE = [sys.executable, str(Path(__file__).parent / "soak_probe.py")]
SLACK_NS = 3_000_000_000
"""Two processes of a busy machine hear one frame at most this far apart."""
AFTER = {"nothing": 0.3, "handled": 0.35, "kept": 0.35}
"""What a process is allowed to reach before the moment of its kill is drawn: at once (it starts, reads its tape,
connects), once it handles new frames, or once it has kept a checkpoint; and how often.
"""

FORGET_FRAC = 0.25
"""Starts whose checkpoints were taken away, so that the tape is folded from its start."""


@dataclass
class Story:
    """What happened, for the checks and the report. Stamps are of the wall clock, ns."""

    begun_ns: list[int] = field(default_factory=list)
    handled_s: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    """From the start of a process to its first new frame handled; True where it went on from a checkpoint."""
    killed_ns: list[int] = field(default_factory=list)
    from_pos: list[int] = field(default_factory=list)
    ledgers: list[tuple[int, str]] = field(default_factory=list)
    """After each kill: the ledger's last view, and a fingerprint of its rows."""

    def heard(self, process: Running) -> None:
        """Notes where a process went on from, and when it handled its first new frame."""
        said = {
            words[1]: int(words[2]) for words in map(str.split, process.said) if words[:1] == ["probe"] and words[2:]
        }
        if "from" in said:
            self.from_pos.append(said["from"])
        if "handled" in said:
            self.handled_s[said.get("from", -1) >= 0].append((said["handled"] - self.begun_ns[-1]) / 1e9)


def test_ten_kills(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kill_and_check(tmp_path, request.config.getoption("--kills") or 10, request.config.getoption("--seed"))


@pytest.mark.soak
def test_two_hundred_kills(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kill_and_check(tmp_path, request.config.getoption("--kills") or 200, request.config.getoption("--seed"))


@pytest.mark.soak
def test_kills_around_rotations(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Small segments and a quick market: every process rotates, and some die while they do."""
    small = {"TICKERML__EXCHANGES__RECORDING__SEGMENT_BYTES": str(1 << 20)}
    kill_and_check(tmp_path, 30, request.config.getoption("--seed"), speed=20, **small)
    assert any(int(path.stem[5:]) > 0 for path in (tmp_path / "data" / "demo").glob("tapes/*/*.tape")), (
        "nothing was rotated"
    )


def kill_and_check(place: Path, kills: int, seed: int, *, speed: int = 2, **environ: str) -> None:
    """The whole story: kills, an orderly stop, every check, and what was measured on stdout."""
    data, seen = place / "data", place / "seen"
    data.mkdir()
    seen.mkdir()
    with (
        serving(place, "--seed", str(seed), "--speed", str(speed)) as (_venue, url),
        Running([*COMMAND, "--data", str(seen), "--json", "collect", "--at", url], seen) as observer,
    ):
        observed = observer.line_with("starting run ").split()[2]
        story, result = killed_run(data, url, kills, random.Random(seed), environ)
        observer.stop()
    run = result["run"]
    data, seen = data / "demo", seen / "demo"
    tape = data / "tapes" / run
    check_tape(data, run, story)
    check_trades(list(trades(tape)), list(trades(seen / "tapes" / observed)), list(records(tape)))
    check_ledger(data / "runs" / run / "ledger.sqlite", tape, place / "again.sqlite", story, result)
    report(story, list(records(tape)), result)


def killed_run(
    data: Path, url: str, kills: int, chance: random.Random, environ: dict[str, str]
) -> tuple[Story, dict[str, Any]]:
    """Kills at seeded moments; the last process is left alone until it trades, and stopped by SIGTERM."""
    story = Story()
    for _ in range(kills):
        if chance.random() < FORGET_FRAC:
            forget(data)
        with begin(data, url, story, environ) as process:
            (after,) = chance.choices(list(AFTER), AFTER.values())
            if after != "nothing":
                process.line_with("probe handled")
            if after == "kept":
                process.line_with("probe kept")
            assert not process.ends_within(chance.uniform(0, 1.0)), "".join(process.said)
            story.killed_ns.append(time.time_ns())
            process.kill()
        story.heard(process)
        story.ledgers += [seen(path) for path in data.glob("demo/runs/*/ledger.sqlite") if has_tables(path)]
    with begin(data, url, story, environ) as process:
        process.line_with("probe live")
        assert not process.ends_within(1.0), "".join(process.said)
        result = json.loads(process.stop())
    story.heard(process)
    return story, result


def forget(data: Path) -> None:
    """Takes the checkpoints away."""
    for path in data.glob("demo/runs/*/checkpoint-*.bin"):
        path.unlink()


def begin(data: Path, url: str, story: Story, environ: dict[str, str]) -> Running:
    story.begun_ns.append(time.time_ns())
    words = ["--data", str(data), "--json", "run", "--at", url, "--policy", "grid"]
    return Running([*PROBE, *words], data, **environ)


def seen(path: Path) -> tuple[int, str]:
    """The last view of a ledger, -1 before the first commit, and a fingerprint of its rows."""
    rows, cursor = ledger_rows(path)
    return (cursor[1] if cursor else -1), fingerprint(rows)


def has_tables(path: Path) -> bool:
    """Whether the ledger got as far as having its tables; a kill may come before."""
    with closing(sqlite3.connect(path)) as db:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        return version > 0


def check_tape(data: Path, run: str, story: Story) -> None:
    """One run over all starts, nothing damaged, nothing missing; cut tails are what a kill leaves."""
    assert [path.name for path in (data / "runs").iterdir()] == [run], "each start goes on with the same run"
    info = json.loads((data / "runs" / run / "run.json").read_text())
    assert info["state"] == "ended"
    verified = tickerml(data, "data", "verify", run)
    assert (verified["ok"], verified["damaged"], verified["missing_records"]) == (True, [], 0)
    assert all(row["crossed"] == 0 for row in verified["instruments"])
    starts = [json.loads(r.bytes)["epoch"] for r in records(data / "tapes" / run) if r.kind == EPOCH]
    assert starts == sorted(set(starts))
    assert len(starts) <= len(story.begun_ns)


def check_trades(ours: list[Trade], observed: list[Trade], tape: list[Record]) -> None:
    """No trade twice, none out of order, and every one that the observer has and we lack fell into a downtime."""
    spans = downtimes(tape)
    for stream in {trade.stream for trade in observed}:
        have = [t for t in ours if t.stream == stream]
        for before, after in itertools.pairwise(have):
            assert after.id > before.id, "a trade twice, or out of order"
            if after.record.epoch == before.record.epoch:
                assert after.id == before.id + 1, f"{stream}: lost within a process"
        ids = {t.id for t in have}
        lacking = [t for t in observed if t.stream == stream and have[0].id < t.id < have[-1].id and t.id not in ids]
        for trade in lacking:
            at = trade.record.ts_ns
            assert any(first - SLACK_NS <= at <= last + SLACK_NS for first, last in spans), f"{stream} {trade.id}"


def downtimes(tape: list[Record]) -> list[tuple[int, int]]:
    """From the last record of each process to the first frame of the next one."""
    last = {r.epoch: r.ts_ns for r in tape}
    first: dict[int, int] = {}
    for r in tape:
        if r.kind == FRAME:
            first.setdefault(r.epoch, r.ts_ns)
    return [(last[a], first.get(b, last[b])) for a, b in itertools.pairwise(sorted(last))]


def check_ledger(path: Path, tape: Path, again: Path, story: Story, result: dict[str, Any]) -> None:
    """The ledger at the end and after each kill is the fold of the tape; no fill twice; one digest."""
    digest = fold(tape, again)
    assert digest == result["digest"]
    truth, cursor = ledger_rows(again)
    on_file, at = ledger_rows(path)
    for table, rows in truth.items():
        assert on_file[table] == rows, table
    assert at == cursor
    assert len(truth["fills"]) == result["fills"] > 0
    keys = [row[4:5] + row[6:] for row in truth["fills"]]
    assert len(set(keys)) == len(keys)
    assert max(story.from_pos) > 0, "no process went on from a checkpoint"
    assert story.ledgers == [(view, fingerprint(up_to(truth, view))) for view, _ in story.ledgers]
    assert tickerml(tape.parent.parent, "replay", tape.name, "--batch-events", "1000")["digest"] == digest


def report(story: Story, tape: list[Record], result: dict[str, Any]) -> None:
    """What was measured; no test rests on it."""
    last = {r.epoch: r.ts_ns for r in tape}
    connected = {r.epoch: r.ts_ns for r in reversed(tape) if r.kind == CONNECT}
    ends = sorted(last.values())[:-1]
    lost_ms = [(min(k for k in story.killed_ns if k >= end) - end) / 1e6 for end in ends if end <= story.killed_ns[-1]]
    print(
        f"\nkills {len(story.killed_ns)}  processes that recorded {len(last)}, connected {len(connected)}"
        f"  records {len(tape)}  fills {result['fills']}  orders {result['orders']}"
        f"\nstarts from a checkpoint {sum(pos >= 0 for pos in story.from_pos)} of {len(story.from_pos)} restarts"
        f"\nfrom start to the first new frame handled, s: from a checkpoint {spread(story.handled_s[True])};"
        f" folded from the start of the tape {spread(story.handled_s[False])}"
        f"\nfrom the last record on the tape to the kill, ms: {spread(lost_ms)}"
    )


def spread(numbers: list[float]) -> str:
    """Median, 90th percentile, maximum and count."""
    ordered = sorted(numbers) or [math.nan]
    p90 = ordered[int(0.9 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.2f} p90 {p90:.2f} max {ordered[-1]:.2f} (n={len(numbers)})"


def test_a_ledger_that_differs_is_told() -> None:
    """The comparison itself can fail: a changed row and a missing one are seen."""
    truth: Rows = {"fills": [("r", 1, "fills", 0, 5)], "orders": []}
    changed: Rows = {"fills": [("r", 1, "fills", 0, 6)], "orders": []}
    assert len({fingerprint(rows) for rows in (truth, changed, up_to(truth, 0))}) == 3
    assert fingerprint(up_to(truth, 1)) == fingerprint(truth)
