"""Tapes that were damaged, removed or replaced: what a live command, a convert and a look at a book make of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, environment, import_capture, run, serving, tickerml
from tape_reader import records

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

EVERY_S = {"TICKERML__MONITORING__STATUS_INTERVAL_S": "1"}
HEADER_LEN = 128
CARRY = 12
LEDGER_WAIT_S = 25
"""A ledger waits 30 s for a disk that may yet take what it rests on."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A venue in a process of its own."""
    with serving(tmp_path_factory.mktemp("venue"), "--speed", "5") as (_, control_url):
        yield control_url


@pytest.fixture(scope="module")
def killed(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a run that was killed after it had traded."""
    data = tmp_path_factory.mktemp("killed")
    with Running([*COMMAND, "--data", str(data), "run", "--at", url, "--policy", "grid"], data, **EVERY_S) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        process.line_with("live 4/4")
        process.kill()
    return data, name


def flip(segment: Path, at: int) -> None:
    body = bytearray(segment.read_bytes())
    body[at] ^= 4
    segment.write_bytes(body)


def info(data: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "demo" / "runs" / name / "run.json").read_text())
    return found


# ---- a run that is gone on with --------------------------------------------------------------------------------------


def test_a_damaged_run_is_ended_and_another_goes_on_with_its_account(
    url: str, killed: tuple[Path, str], tmp_path: Path
) -> None:
    source, name = killed
    data = tmp_path / "data"
    shutil.copytree(source, data)
    segment = next((data / "demo" / "tapes" / name).glob("0000-*.tape"))
    flip(segment, HEADER_LEN + 200)
    words = ("run", "--at", url, "--policy", "grid", "--duration", "1s")
    named = tickerml(data, *words, "--resume", name, code=6)
    assert f"{segment.name} at byte {HEADER_LEN}" in named
    assert named.count("\n") == 1
    assert (info(data, name)["state"], info(data, name)["damaged"]["offset"]) == ("ended", HEADER_LEN)
    assert segment.name in tickerml(data, *words, "--resume", name, code=6)
    done = run(data, *words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    record = next(records(data / "demo" / "tapes" / result["run"]))
    assert (result["run"] != name, record.kind, json.loads(record.bytes)["source_run"]) == (True, CARRY, name)
    assert tickerml(data, "replay", result["run"])["digest"] == result["digest"]


def test_the_plain_command_says_which_run_it_ended_and_why(url: str, killed: tuple[Path, str], tmp_path: Path) -> None:
    source, name = killed
    data = tmp_path / "data"
    shutil.copytree(source, data)
    shutil.rmtree(data / "demo" / "tapes" / name)
    done = run(data, "run", "--at", url, "--policy", "grid", "--duration", "1s")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "has been ended" in line]
    assert name in line
    assert "the tape is gone" in line
    assert f"with the account of run {name}" in done.stderr
    listed = run(data, "data", "list")
    assert listed.returncode == 0
    assert "damaged" in {key for row in json.loads(listed.stdout)["runs"] for key in row}


def test_a_killed_run_that_is_whole_goes_on(url: str, killed: tuple[Path, str], tmp_path: Path) -> None:
    source, name = killed
    data = tmp_path / "data"
    shutil.copytree(source, data)
    result = tickerml(data, "run", "--at", url, "--policy", "grid", "--duration", "1s")
    assert (result["run"], info(data, name)["epochs"]) == (name, 2)


# ---- a tape that vanishes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["data", "tape", "segment", "replaced"])
@pytest.mark.parametrize("command", ["collect", "run"])
def test_a_tape_that_is_removed_or_replaced_stops_the_command(
    command: str, what: str, url: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with Running([*COMMAND, "--data", str(data), command, "--at", url], tmp_path, **EVERY_S) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        tape = data / "demo" / "tapes" / name
        segment = next(tape.glob("*.tape"))
        if what == "data":
            shutil.rmtree(data, ignore_errors=True)
        elif what == "tape":
            shutil.rmtree(tape)
        elif what == "segment":
            segment.unlink()
        else:
            shutil.copy(segment, tape / "copy")
            (tape / "copy").rename(segment)
        begin = time.monotonic()
        process.result(code=1)
        assert time.monotonic() - begin < LEDGER_WAIT_S, "nobody waits for what will never be on disk"
    (line,) = [line for line in process.said if "removed or replaced" in line]
    assert str(tape) in line
    assert not any("Traceback" in line for line in process.said)


# ---- what is made of a damaged tape ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a small ended tape and its event files."""
    data = tmp_path_factory.mktemp("imported")
    return data, import_capture(data, "binance_spot")


@pytest.fixture
def damaged(imported: tuple[Path, str], tmp_path: Path) -> tuple[Path, str, Path]:
    """A copy of it with a flipped bit in its last block; its segment."""
    source, name = imported
    data = tmp_path / "data"
    shutil.copytree(source, data)
    (segment,) = (data / "tapes" / name).glob("*.tape")
    flip(segment, segment.stat().st_size - 100)
    return data, name, segment


def events(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (data / "events").rglob("*") if path.is_file()}


def test_a_damaged_tape_replaces_no_event_file_unless_that_is_allowed(damaged: tuple[Path, str, Path]) -> None:
    data, name, segment = damaged
    before = events(data)
    error = tickerml(data, "data", "convert", name, code=6)
    assert segment.name in error
    assert "--allow-damage" in error
    assert error.count("\n") == 1
    assert events(data) == before
    rows = tickerml(data, "data", "convert", name, "--allow-damage")["rows"]
    assert rows > 0
    assert events(data) != before


def test_what_a_killed_convert_left_behind_is_removed_by_the_next(imported: tuple[Path, str], tmp_path: Path) -> None:
    source, name = imported
    data = tmp_path / "data"
    shutil.copytree(source, data)
    (made,) = (data / "events").rglob("*.parquet")
    left = made.with_name(f".{name}-0000000000-9.tmp")
    left.write_bytes(b"PAR1")
    tickerml(data, "data", "convert", name)
    assert sorted(events(data)) == [made]


def test_a_book_over_damage_is_printed_and_told(damaged: tuple[Path, str, Path]) -> None:
    data, name, segment = damaged
    words = ("data", "book", name, "--instrument", "binance_spot:DEMOUSDT")
    done = run(data, *words)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert segment.name in done.stderr
    found = json.loads(done.stdout)
    assert found["damaged"][0]["segment"] == segment.name
    allowed = run(data, *words, "--allow-damage")
    assert (allowed.returncode, allowed.stdout, allowed.stderr) == (0, done.stdout, done.stderr)
    early = run(data, *words, "--at", "1760000001000000000")
    assert (early.returncode, early.stderr, json.loads(early.stdout)["damaged"]) == (0, "", [])


# ---- what a result says of it ----------------------------------------------------------------------------------------

SPOT = "binance_spot:DEMOUSDT"
EARLY = "1760000001000000000"
"""Before the damage, and when its book was alive."""


def lost(data: Path, name: str) -> dict[str, Any]:
    """The key `allowed_damage` as `data verify` has it."""
    found = json.loads(run(data, "data", "verify", name).stdout)
    (damage,) = found["damaged"]
    first = f"{damage['segment']} at byte {damage['offset']}: {damage['reason']}"
    return {"places": 1, "bytes": damage["bytes"], "missing_records": found["missing_records"], "first": first}


@pytest.fixture
def fills(damaged: tuple[Path, str, Path], tmp_path: Path) -> Path:
    """A file of fills, of which there are none."""
    file = tmp_path / "fills.csv"
    tickerml(damaged[0], "replay", damaged[1], "--policy", "hold", "--allow-damage", "--fills", str(file))
    return file


@pytest.mark.parametrize("command", ["replay", "markout", "costs", "convert"])
def test_a_result_over_damage_is_asked_for_and_says_so(
    command: str, damaged: tuple[Path, str, Path], fills: Path, imported: tuple[Path, str]
) -> None:
    data, name, segment = damaged
    words = {
        "replay": ("replay", name, "--policy", "hold"), "markout": ("markout", name, "--fills", str(fills)),
        "costs": ("costs", SPOT, name, "--qty", "0.05"), "convert": ("data", "convert", name),
    }[command]  # fmt: skip
    error = tickerml(data, *words, code=6)
    assert (segment.name in error, "--allow-damage" in error, error.count("\n")) == (True, True, 1)
    if command == "costs":  # after the lost block its book is none: what lies before it is asked for
        assert tickerml(data, *words, "--at", EARLY)["allowed_damage"] is None
    else:
        assert tickerml(data, *words, "--allow-damage")["allowed_damage"] == lost(data, name)
        said = subprocess.run(
            [*COMMAND, "--data", str(data), *words, "--allow-damage"], capture_output=True, text=True, check=True,
            cwd=data, env=environment(),
        ).stdout  # fmt: skip
        (line,) = [line for line in said.splitlines() if line.startswith("DAMAGED")]
        assert f"{lost(data, name)['missing_records']} records are missing" in line
    whole, sound = imported
    words = tuple(sound if word == name else word for word in words)
    for more in ((), ("--allow-damage",)):
        assert tickerml(whole, *words, *more)["allowed_damage"] is None


def test_parity_over_damage_is_asked_for_and_says_so(url: str, tmp_path: Path) -> None:
    result = tickerml(tmp_path, "run", "--at", url, "--policy", "grid", "--duration", "2s")
    words = ("parity", result["run"], "--no-others")
    assert tickerml(tmp_path, *words)["allowed_damage"] is None
    segment = next((tmp_path / "demo" / "tapes" / result["run"]).glob("*.tape"))
    flip(segment, segment.stat().st_size - 100)
    error = tickerml(tmp_path, *words, code=6)
    assert (segment.name in error, "--allow-damage" in error, error.count("\n")) == (True, True, 1)
    done = run(tmp_path, *words, "--allow-damage")
    assert json.loads(done.stdout)["allowed_damage"] == lost(tmp_path, result["run"]), done.stderr
