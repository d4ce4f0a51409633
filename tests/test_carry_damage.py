"""The newest account is the one that is carried over, or none: damage in its place stops the command with 6."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import COMMAND, Running, run, serving, tickerml
from engine_fakes import FakeFill, Info, view
from fold import fold, ledger_rows
from tickerml import carry, checkpoint
from tickerml.errors import UnsoundDataError
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk
from tickerml.sinks.ledger import Ledger
from tickerml.sinks.store import Store

pytest.importorskip("tickerml._native", reason="the native module is not built")

OLDER, NEWEST = "20260101T000000Z-aaaa", "20260102T000000Z-bbbb"


def ended(data: Path, name: str, state: str = "ended") -> Path:
    """A run of `run` against loopback venues that holds a position, its breaker open; its ledger."""
    folder = data / "runs" / name
    folder.mkdir(parents=True)
    info = {"run": name, "state": state, "command": "run", "source": "loopback"}
    (folder / "run.json").write_text(json.dumps(info))
    portfolio, risk = Portfolio({"USDT": "10000"}, [Info()]), Risk(Limits(), [Info()])
    risk.tripped, risk.tripped_ts_ns = name == NEWEST, 5
    ledger = Ledger(folder / "ledger.sqlite", name, [Info()], lambda: 10**9)
    trader = SimpleNamespace(portfolio=portfolio, risk=risk)
    ledger.account = carry.account(name, SimpleNamespace(digest="d"), trader)
    shown = view(fills=(FakeFill(1, 100_000, 500, 7, 0),), cause="stop", pos=9)
    portfolio.apply(shown)
    ledger.write(shown, (), (), portfolio)
    ledger.close()
    return folder / "ledger.sqlite"


def newest(data: Path) -> dict[str, Any] | None:
    return carry.newest(data, "run", "loopback", "20260103T000000Z-cccc")


def flipped(path: Path) -> None:
    """One digit of the account's text, in the place where SQLite sees nothing wrong."""
    raw = path.read_bytes()
    at = raw.rindex(b'"peak":"') + 8
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def in_sql(text: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(text)

    return damage


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "zeros at the head": lambda path: path.write_bytes(bytes(4096) + path.read_bytes()[4096:]),
    "no database": lambda path: path.write_bytes(b"not a database\n" * 400),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[:8192]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "a folder": folder_in_its_place,
    "one digit": flipped,
    "no text": in_sql("UPDATE account SET state='{\"portfolio\":'"),
    "no row": in_sql("DELETE FROM account"),
    "of another program": in_sql("PRAGMA user_version=9"),
    "no run.json": lambda path: path.with_name("run.json").write_text('{"run":'),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_of_the_newest_account_is_never_answered_with_an_older_one(how: str, tmp_path: Path) -> None:
    ended(tmp_path, OLDER)
    path = ended(tmp_path, NEWEST)
    found = newest(tmp_path)
    assert found is not None
    assert (found["source_run"], found["risk"]["tripped_ts_ns"]) == (NEWEST, 5)
    DAMAGE[how](path)
    with pytest.raises(UnsoundDataError) as e:
        newest(tmp_path)
    assert str(path.parent) in str(e.value)
    assert NEWEST in str(e.value)
    assert "--new" in str(e.value)
    assert "\n" not in str(e.value)


def test_a_run_that_was_killed_before_it_committed_anything_had_no_account(tmp_path: Path) -> None:
    """No ledger yet, an empty file, or tables without rows: the account before it is still the newest."""
    ended(tmp_path, OLDER)
    path = ended(tmp_path, NEWEST, "running")
    path.unlink()
    for made in (lambda: None, lambda: path.write_bytes(b""), lambda: Store(path, NEWEST, 0).close()):
        if path.exists():
            path.unlink()
        made()
        found = newest(tmp_path)
        assert found is not None
        assert found["source_run"] == OLDER


def test_a_run_that_was_ended_as_damaged_before_it_committed_anything_had_no_account(tmp_path: Path) -> None:
    """Nothing can be put back, so it must not stop every run after it; an account that was there still does."""
    ended(tmp_path, OLDER)
    path = ended(tmp_path, NEWEST)
    kept = path.with_name("run.json")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "damaged": {"segment": "the tape is gone"}}))
    assert (newest(tmp_path) or {})["source_run"] == NEWEST
    in_sql("DELETE FROM account")(path)
    with pytest.raises(UnsoundDataError, match="its account is not there"):
        newest(tmp_path)
    path.unlink()
    for made in (lambda: None, lambda: Store(path, NEWEST, 0).close()):
        made()
        assert (newest(tmp_path) or {})["source_run"] == OLDER
    (path.parent / "checkpoint-10.bin").touch()
    for made in (lambda: None, path.unlink):
        made()
        with pytest.raises(UnsoundDataError, match="its account is not there"):
            newest(tmp_path)


@pytest.mark.parametrize("how", ["zeros at the head", "no database", "a folder"])
def test_a_run_that_goes_on_is_told_how_its_ledger_is_made_again(how: str, tmp_path: Path) -> None:
    path = ended(tmp_path, NEWEST, "running")
    DAMAGE[how](path)
    with pytest.raises(UnsoundDataError, match="made again from the tape") as e:
        checkpoint.newest(path.parent, tmp_path / "tapes" / NEWEST, {}, NEWEST)
    assert str(path) in str(e.value)


def test_the_command_says_it_in_one_line_and_begins_nothing(tmp_path: Path) -> None:
    path = ended(tmp_path / "demo", NEWEST)
    DAMAGE["a folder"](path)
    done = run(tmp_path, "run", "--demo", "--duration", "1s")
    assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
    assert str(path) in done.stderr
    assert [p.name for p in (tmp_path / "demo" / "runs").iterdir()] == [NEWEST]
    assert not (tmp_path / "demo" / "tapes").exists()


def test_a_damaged_ledger_moved_away_is_made_again_from_the_tape(tmp_path: Path) -> None:
    """What the message promises, on a run that was killed while it traded."""
    each_second = {"TICKERML__MONITORING__STATUS_INTERVAL_S": "1"}
    with serving(tmp_path, "--speed", "5") as (_, url):
        words = ("run", "--at", url, "--policy", "grid")
        with Running([*COMMAND, "--data", str(tmp_path), *words], tmp_path, **each_second) as process:
            name = process.line_with("starting run ").split()[2]
            process.line_with("live 4/4")
            process.line_with("live 4/4")
            process.kill()
        path = tmp_path / "demo" / "runs" / name / "ledger.sqlite"
        path.with_name("ledger.sqlite-wal").unlink()  # all of it is still there: SQLite would mend the file from it
        path.write_bytes(bytes(8192))
        assert f"{path}: the ledger of run {name} cannot be read" in tickerml(tmp_path, *words, code=6)
        path.rename(tmp_path / "damaged.sqlite")
        result = tickerml(tmp_path, *words, "--duration", "1s")
    assert result["run"] == name
    assert fold(tmp_path / "demo" / "tapes" / name, tmp_path / "again.sqlite") == result["digest"]
    assert ledger_rows(path)[0] == ledger_rows(tmp_path / "again.sqlite")[0]
