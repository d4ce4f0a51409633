"""What the system does to us, on real processes: full disks, limits, signals, a second instance, damaged files."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, WAIT_S, Running, run, serving, tickerml
from fold import fold, ledger_rows
from tape_reader import BLOCK_LEN, BLOCK_MAGIC, CLOCK, FRAME, HEALTH, STOP, records

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
SMALL = {"TICKERML__EXCHANGES__RECORDING__SEGMENT_BYTES": str(1 << 20)}
EVERY_S = {"TICKERML__MONITORING__STATUS_INTERVAL_S": "1"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A venue in a process of its own."""
    with serving(tmp_path_factory.mktemp("venue"), "--speed", "5") as (_, control_url):
        yield control_url


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ended tape."""
    data = tmp_path_factory.mktemp("imported")
    return Path(importing(data, [HERE / "data" / "binance_spot_DEMOUSDT.raw.gz"])["tape"])


@pytest.fixture(scope="module")
def killed(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tape of a recording that was killed: its last segment is open and preallocated."""
    data = tmp_path_factory.mktemp("killed")
    with Running([*COMMAND, "--data", str(data), "collect", "--at", url], data, **EVERY_S) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        process.kill()
    return data / "demo" / "tapes" / name


def importing(data: Path, files: list[Path]) -> Any:
    words = ["--instrument", "binance_spot:DEMOUSDT", "--no-events"]
    return tickerml(data, "data", "import", "hftbacktest-raw", *(str(f) for f in files), *words)


def copied(tape: Path, to: Path) -> Path:
    """A copy of a tape with its `run.json`, to be damaged; the one segment of it."""
    for folder in ("tapes", "runs"):
        shutil.copytree(tape.parents[1] / folder / tape.name, to / folder / tape.name)
    (segment,) = (to / "tapes" / tape.name).glob("*.tape")
    return segment


def blocks(segment: Path) -> list[tuple[int, int]]:
    """Offset and end of every block."""
    body, at, found = segment.read_bytes(), 128, []
    while body[at : at + 8] == BLOCK_MAGIC:
        end = at + BLOCK_LEN + int.from_bytes(body[at + 16 : at + 20], "little") + 1
        found.append((at, end))
        at = end
    return found


# ---- files that are not what they should be --------------------------------------------------------------------------


def test_a_flipped_bit_is_located_and_refused(imported: Path, tmp_path: Path) -> None:
    segment = copied(imported, tmp_path)
    begin, end = blocks(segment)[-1]
    body = bytearray(segment.read_bytes())
    body[(begin + end) // 2] ^= 4
    segment.write_bytes(body)
    done = run(tmp_path, "data", "verify", imported.name)
    (damage,) = json.loads(done.stdout)["damaged"]
    assert (done.returncode, damage["segment"], damage["offset"]) == (6, segment.name, begin)
    assert begin + damage["bytes"] >= (begin + end) // 2
    words = ("replay", imported.name, "--policy", "hold")
    error = tickerml(tmp_path, *words, code=6)
    assert segment.name in error
    assert error.count("\n") == 1
    assert tickerml(tmp_path, *words, "--allow-damage")["digest"]


def test_damage_that_takes_the_configuration_is_named_too(imported: Path, tmp_path: Path) -> None:
    """Without the CONFIG record there is nothing to replay with, damage allowed or not."""
    segment = copied(imported, tmp_path)
    body = bytearray(segment.read_bytes())
    body[128 + BLOCK_LEN] ^= 1
    segment.write_bytes(body)
    for words in ((), ("--allow-damage",)):
        error = tickerml(tmp_path, "replay", imported.name, *words, code=6)
        assert f"{segment.name} at byte 128" in error


def test_every_flip_of_a_seeded_draw_is_found(imported: Path, tmp_path: Path) -> None:
    segment = copied(imported, tmp_path)
    whole = segment.read_bytes()
    chance = random.Random(8)
    for _ in range(200):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        body = bytearray(whole)
        body[at] ^= 1 << bit
        segment.write_bytes(body)
        damaged = json.loads(_native.tape_scan(segment.parent))["damaged"]
        assert any(d["offset"] <= at < d["offset"] + d["bytes"] for d in damaged), (at, bit, damaged)


def test_a_tail_that_is_cut_is_told_and_only_strict_minds(killed: Path, tmp_path: Path) -> None:
    segment = copied(killed, tmp_path)
    begin, end = blocks(segment)[-1]
    frames = sum(r.kind == FRAME for r in records(killed))
    for at in (begin + 3, (begin + end) // 2, end - 1):
        os.truncate(segment, at)
        found = tickerml(tmp_path, "data", "verify", killed.name)
        assert (found["ok"], found["cut_bytes"], found["damaged"]) == (True, at - begin, [])
        assert run(tmp_path, "data", "verify", killed.name, "--strict").returncode == 6
        assert found["frames"] < frames
        shutil.copy(killed / segment.name, segment)


def test_a_cut_in_an_ended_tape_is_damage(imported: Path, tmp_path: Path) -> None:
    segment = copied(imported, tmp_path)
    os.truncate(segment, segment.stat().st_size - 1)
    done = run(tmp_path, "data", "verify", imported.name)
    assert done.returncode == 6
    assert segment.name in {row["segment"] for row in json.loads(done.stdout)["damaged"]}


def test_an_ended_tape_without_its_only_segments_records_is_not_ok(imported: Path, tmp_path: Path) -> None:
    """The last segment is gone: what is left is whole in itself, and `run.json` knows better."""
    segment = copied(imported, tmp_path)
    info = tmp_path / "runs" / imported.name / "run.json"
    text = info.read_text()
    head = json.loads(text)
    head["segment_last"]["segment"] += 1
    info.write_text(json.dumps({**head, "records": head["records"] + 5}))
    found = json.loads(run(tmp_path, "data", "verify", imported.name).stdout)
    assert (found["ok"], found["missing_records"]) == (False, 5)
    assert [(d["segment"], d["reason"]) for d in found["damaged"]] == [("0000-000001.tape", "segment is missing")]
    assert run(tmp_path, "replay", imported.name, "--policy", "hold").returncode == 6
    info.unlink()
    alone = tickerml(tmp_path, "data", "verify", str(segment.parent))
    assert (alone["ok"], alone["missing_records"], len(alone["unchecked"])) == (True, 0, 1)
    info.write_text(text)
    assert tickerml(tmp_path, "data", "verify", imported.name)["unchecked"] == []


def test_garbage_in_a_recording_is_told_by_line(tmp_path: Path) -> None:
    lines = gzip.decompress((HERE / "data" / "binance_spot_DEMOUSDT.raw.gz").read_bytes()).splitlines(keepends=True)
    garbage = {
        3: b"not a line at all\n",
        7: b'1760000000500000000 {"stream":"demousdt@trade","data":{"e":"tr\n',
        20: b"\xff\xfe\x00\x01\n",
        21: b"99999999999999999999999999 {}\n",
    }
    file = tmp_path / "garbage.raw"
    mixed = list(lines)
    for number, text in garbage.items():
        mixed.insert(number - 1, text)
    file.write_bytes(b"".join(mixed))
    made = importing(tmp_path, [file])
    assert {(row["file"], row["line"]) for row in made["rejected"]} == {(str(file), n) for n in garbage}
    assert made["rejected_count"] == len(garbage)
    assert all(row["reason"] for row in made["rejected"])
    assert made["frames"] == sum(b'"stream"' in line for line in lines)
    assert tickerml(tmp_path, "data", "verify", made["tape"])["ok"]
    file.write_bytes(b"".join(garbage.values()))
    words = ("data", "import", "hftbacktest-raw", str(file), "--instrument", "binance_spot:DEMOUSDT")
    assert tickerml(tmp_path, *words, code=6).strip()


def test_every_mistake_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "execution_config.yaml").write_text("step_ms: 0\nqueu: risk_averse\n")
    (config / "risk_limits.yaml").write_text("position_frac_max: 7\n")
    error = tickerml(tmp_path, "--config", str(config), "run", "--demo", "--duration", "1s", code=4, TICKERML_STEP="1")
    lines = error.splitlines()
    for start, what in (
        ("execution_config.yaml:1", "step_ms"),
        ("execution_config.yaml:2", "did you mean queue"),
        ("risk_limits.yaml:1", "position_frac_max"),
        ("", "TICKERML_STEP"),
    ):
        assert any(start in line and what in line for line in lines), (start, what, error)
    assert not (tmp_path / "demo").exists()


# ---- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_second_instance_ends_with_1_and_the_first_one_goes_on(command: str, url: str, tmp_path: Path) -> None:
    with Running([*COMMAND, "--data", str(tmp_path), "--json", command, "--at", url], tmp_path) as first:
        name = first.line_with("starting run ").split()[2]
        for words in (
            (command, "--at", url),
            ("collect", "--at", url, "--new"),
            (command, "--at", url, "--resume", name),
        ):
            error = tickerml(tmp_path, *words, code=1)
            assert f"{first.process.pid}" in error
        result = json.loads(first.stop())
    assert result["run"] == name
    assert tickerml(tmp_path, "data", "verify", name)["ok"]


@pytest.mark.parametrize("command", ["run", "collect"])
def test_sigterm_ends_the_tape(command: str, url: str, tmp_path: Path) -> None:
    with Running([*COMMAND, "--data", str(tmp_path), command, "--at", url], tmp_path, **EVERY_S) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        process.stop(signal.SIGTERM)
    info = json.loads((tmp_path / "demo" / "runs" / name / "run.json").read_text())
    *_, last = records(tmp_path / "demo" / "tapes" / name)
    assert (info["state"], info["records"], last.kind) == ("ended", last.pos + 1, STOP)
    segment = next((tmp_path / "demo" / "tapes" / name).glob("*.tape"))
    assert info["segment_last"]["length"] == segment.stat().st_size
    found = tickerml(tmp_path, "data", "verify", name, "--strict")
    assert (found["ok"], found["cut_bytes"]) == (True, 0), "nothing was lost, so not even --strict minds"


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
def test_a_limit_on_file_size_is_told_like_a_full_disk_and_the_run_goes_on_without(url: str, tmp_path: Path) -> None:
    """Nothing fits from the start: the process stays and tries until it is told to stop, then says what was wrong."""
    words = [*COMMAND, "--data", str(tmp_path), "collect", "--at", url]
    with Running(["prlimit", f"--fsize={1 << 19}", *words], tmp_path, **SMALL, **EVERY_S) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("frames ")
        process.stop(code=1)
        assert "disk full" in process.said[-1]
        assert name in process.said[-1]
    assert tickerml(tmp_path, "collect", "--at", url, "--duration", "1s", **SMALL)["run"] == name
    assert tickerml(tmp_path, "data", "verify", name)["ok"]


# ---- a clock that steps ---------------------------------------------------------------------------------------------

CLOCK_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *ts) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, ts);
    const char *path = getenv("STEP_FILE");
    FILE *file = id == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    if (file) {
        long seconds = 0;
        if (fscanf(file, "%ld", &seconds) == 1) ts->tv_sec += seconds;
        fclose(file);
    }
    return rc;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_stepped_clock_is_recorded_and_disturbs_nothing(url: str, tmp_path: Path) -> None:
    """An hour forward, then two back, for this process alone: CLOCK records, order kept, no reconnect, books Live."""
    (tmp_path / "shim.c").write_text(CLOCK_SHIM)
    shim, step = tmp_path / "shim.so", tmp_path / "step"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(tmp_path / "shim.c"), "-ldl"], check=True)
    stepped = {"LD_PRELOAD": str(shim), "STEP_FILE": str(step), **EVERY_S}
    with Running([*COMMAND, "--data", str(tmp_path), "run", "--at", url], tmp_path, **stepped) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        for count, seconds in ((1, 3600), (2, -3600)):
            (tmp_path / "draft").write_text(str(seconds))
            (tmp_path / "draft").rename(step)
            until(process, lambda *_, count=count: len(clocks(tmp_path / "demo" / "tapes" / name)) >= count)
        line = until(process, lambda before, now, line: now > before and "live 4/4" in line)
        out = process.stop()
    assert "reconnects 0" in line
    forward, back = clocks(tmp_path / "demo" / "tapes" / name)
    assert [forward["reanchored"], back["reanchored"]] == [True, False]
    stamps = [record.ts_ns for record in records(tmp_path / "demo" / "tapes" / name)]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] > 3_600_000_000_000
    assert tickerml(tmp_path, "replay", name)["digest"] in out


def clocks(tape: Path) -> list[dict[str, Any]]:
    """The CLOCK records of a tape, also while it is written."""
    return [json.loads(record.bytes) for record in records(tape) if record.kind == CLOCK]


SYNC_SHIM = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>
int adjtimex(struct timex *time) {
    int synced = access(getenv("SYNC_FILE"), F_OK) == 0;
    memset(time, 0, sizeof *time);
    time->status = synced ? 0 : STA_UNSYNC;
    return synced ? TIME_OK : TIME_ERROR;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_the_tape_says_when_the_clock_becomes_synchronised(url: str, tmp_path: Path) -> None:
    (tmp_path / "shim.c").write_text(SYNC_SHIM)
    shim, synced = tmp_path / "shim.so", tmp_path / "synced"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(tmp_path / "shim.c")], check=True)
    told = {"LD_PRELOAD": str(shim), "SYNC_FILE": str(synced), **EVERY_S}
    with Running([*COMMAND, "--data", str(tmp_path), "collect", "--at", url], tmp_path, **told) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        synced.touch()
        process.line_with("frames ")
        process.line_with("frames ")
        process.stop()
    made = list(records(tmp_path / "demo" / "tapes" / name))
    health = [json.loads(record.bytes) for record in made if record.kind == HEALTH]
    assert json.loads(made[0].bytes)["clock_unsynced"] is True
    assert [row["state"] for row in health if row["name"] == "clock"] == ["synced"]


# ---- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[tuple[list[str], Path]]:
    """A tmpfs of this size in a mount namespace of its own, which ends with the process that holds it.

    Yields the words that run a command in there, and the folder as seen from out here.
    """
    folder.mkdir()
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && echo mounted && exec cat'
    words = ["unshare", "--mount", "sh", "-c", script, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != b"mounted\n":
                pytest.skip("this machine lets us mount nothing")
            yield ["nsenter", "--mount", f"--target={holder.pid}"], Path(f"/proc/{holder.pid}/root{folder}")
        finally:
            holder.stdin.close()


def fill(file: Path) -> None:
    """Writes until nothing more fits."""
    with file.open("wb", buffering=0) as out:
        for size in (1 << 16, 4096):
            try:
                while out.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def frames_of(line: str) -> int:
    words = line.split()
    return int(words[words.index("frames") + 1])


def until(process: Running, what: Any) -> str:
    """The first status line that fits, with the one before it at hand."""
    begun, before = time.monotonic(), ""
    while time.monotonic() - begun < WAIT_S:
        line = process.line_with("frames ")
        if before and what(frames_of(before), frames_of(line), line):
            return line
        before = line
    raise AssertionError("".join(process.said[-20:]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("nsenter")), reason="needs unshare and nsenter")
@pytest.mark.parametrize("command", ["collect", "run"])
def test_a_full_disk_tears_nothing_and_heals(command: str, tmp_path: Path) -> None:
    """The disk fills while it records: intake stops, the process stays; with room it goes on; the tape is whole."""
    disk = tmp_path / "disk"
    with serving(tmp_path, "--speed", "10") as (_, url), small_disk(disk, "24m") as (inside, seen):
        words = [*inside, *COMMAND, "--data", str(disk), command, "--at", url]
        with Running(words, tmp_path, **SMALL, **EVERY_S) as process:
            name = process.line_with("starting run ").split()[2]
            process.line_with("live 4/4")
            fill(seen / "filler")
            until(process, lambda before, now, _: now == before)
            assert process.process.poll() is None
            (seen / "filler").unlink()
            until(process, lambda before, now, line: now > before and "live 4/4" in line)
            process.stop()
        done = subprocess.run([*inside, *COMMAND, "--data", str(disk), "--json", "data", "verify", name],
                              capture_output=True, text=True, check=False, timeout=WAIT_S)  # fmt: skip
        found = json.loads(done.stdout)
        assert (done.returncode, found["damaged"], found["missing_records"]) == (0, [], 0)
        assert any(row["gaps"] for row in found["instruments"])
        assert all(row["crossed"] == 0 for row in found["instruments"])
        assert sum(1 for _ in records(seen / "demo" / "tapes" / name)) == found["records"]
        if command == "run":
            fold(seen / "demo" / "tapes" / name, tmp_path / "again.sqlite")
            shutil.copy(seen / "demo" / "runs" / name / "ledger.sqlite", tmp_path)  # SQLite does not go through /proc
            assert ledger_rows(tmp_path / "ledger.sqlite") == ledger_rows(tmp_path / "again.sqlite")
