"""The ledger: rows wait for the durable mark, are the same after any restart, and a difference stops the run."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engine_fakes import FakeFill, Info, view
from ledger_child import RUN, scripted, steps
from tickerml.errors import TickerError, UnsoundDataError
from tickerml.portfolio import Portfolio
from tickerml.schema import Refused, decimal_text
from tickerml.sinks import Sinks
from tickerml.sinks.ledger import Ledger
from tickerml.sinks.store import TABLES

UNKNOWN = (*[None] * 8, "0", None, None, None, 0, None, None)
"""What is said of a fill without a book: a maker has no impact, and no age here."""

Rows = dict[str, list[tuple[Any, ...]]]


def write(path: Path, first: int, last: int, durable: int, **more: Any) -> Ledger:
    """Folds views `first` to `last` into a ledger and closes it, as one process would."""
    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    ledger = Ledger(path, RUN, [Info()], lambda: durable, interval_s=3600.0, **more)
    sinks = Sinks([ledger])
    try:
        for shown, approved, refused in steps(portfolio, iter(range(first, last + 1))):
            sinks.write(shown, approved, refused, portfolio)
    finally:
        ledger.close(deadline_s=0.0)
    return ledger


def rows(path: Path, last_view: int = 2**60) -> Rows:
    with sqlite3.connect(path) as db:
        found = {
            table: db.execute(f"SELECT * FROM {table} WHERE view <= ? ORDER BY view, n", (last_view,)).fetchall()
            for table in TABLES
        }
    db.close()
    return found


def cursor(path: Path) -> tuple[int, int]:
    db = sqlite3.connect(path)
    found: tuple[int, int] = db.execute("SELECT view, pos FROM cursor WHERE run=?", (RUN,)).fetchone()
    db.close()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What one process that never died writes of 2,000 views."""
    path = tmp_path_factory.mktemp("whole") / "ledger.sqlite"
    write(path, 0, 2000, 10**9)
    return rows(path)


def test_every_table_gets_its_rows(whole: Rows) -> None:
    assert {table: len(found) > 3 for table, found in whole.items()} == dict.fromkeys(TABLES, True)
    fill = next(r for r in whole["fills"] if r[1] == 7)
    assert fill == (
        RUN,
        7,
        "fills",
        0,
        20,
        21,
        0,
        0,
        1,
        0,
        Info().id,
        1,
        "10000.7",
        "0.005",
        1,
        "0.007",
        "0",
        *UNKNOWN,
        "USDT",
        "0.007",
    )


def test_portfolio_rows_come_on_change_and_every_minute(whole: Rows) -> None:
    views = [row[1] for row in whole["portfolio"]]
    assert views == sorted({*range(0, 2001, 7), 0, 600, 1200, 1800})


def test_refusals_are_rows_of_change_with_a_count(whole: Rows) -> None:
    spans = [(row[1], row[9], row[11]) for row in whole["refusals"]]
    assert spans[:5] == [
        (0, "position_limit", 1),
        (102, "position_limit", 34),
        (102, "book_old", 1),
        (201, "book_old", 33),
        (201, "position_limit", 1),
    ]


def test_the_stop_counts_what_is_open(tmp_path: Path) -> None:
    portfolio = Portfolio({"USDT": "1"}, [Info()])
    ledger = Ledger(tmp_path / "l", RUN, [Info()], lambda: 10**9, interval_s=0.0)
    intent = next(r.intent for _, _, refused in steps(portfolio, iter(range(1))) for r in refused)
    for k in range(3):
        ledger.write(view(index=k), (), [Refused(intent, "drawdown", "deep")], portfolio)
    ledger.write(view(index=3, cause="stop"), (), (), portfolio)
    ledger.close()
    found = rows(tmp_path / "l")
    assert [(r[1], r[11]) for r in found["refusals"]] == [(0, 1), (3, 3)]
    assert [r[1] for r in found["portfolio"]] == [0, 3]


def test_no_row_before_its_record_is_durable(tmp_path: Path, whole: Rows) -> None:
    """The tape is durable up to record 1,000: view 333 rests on record 999, view 334 on 1,002."""
    path = tmp_path / "ledger.sqlite"
    ledger = write(path, 0, 2000, 1000)
    assert rows(path) == {table: [r for r in found if r[1] <= 333] for table, found in whole.items()}
    assert all(row[5] <= 1000 for found in rows(path).values() for row in found)
    assert (ledger.committed_view, ledger.committed_pos) == cursor(path)


def test_rows_follow_the_mark_while_the_ledger_closes(tmp_path: Path, whole: Rows) -> None:
    marks = iter([0, 300, 900, *[10**9] * 1000])
    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    ledger = Ledger(tmp_path / "l", RUN, [Info()], lambda: next(marks), interval_s=3600.0)
    sinks = Sinks([ledger])
    for shown, approved, refused in steps(portfolio, iter(range(2001))):
        sinks.write(shown, approved, refused, portfolio)
    ledger.close()
    assert rows(tmp_path / "l") == whole


def test_a_restart_skips_equal_rows_and_goes_on(tmp_path: Path, whole: Rows) -> None:
    path = tmp_path / "ledger.sqlite"
    for durable in (600, 600, 2700, 1500, 10**9):
        write(path, 0, 2000, durable)
    assert rows(path) == whole
    assert cursor(path) == (2000, 6000) or cursor(path)[0] == max(r[1] for found in whole.values() for r in found)


def test_a_restart_from_a_checkpoint_writes_the_same(tmp_path: Path, whole: Rows) -> None:
    """Views 0 to 750 in one process, its state and the portfolio's carried into the next."""
    path = tmp_path / "ledger.sqlite"
    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    kept = b""
    for start, end in ((0, 750), (751, 2000)):
        ledger = Ledger(path, RUN, [Info()], lambda: 10**9, first_view=start, interval_s=0.0)
        if start:
            ledger.restore(kept)
        sinks = Sinks([ledger])
        for shown, approved, refused in steps(portfolio, iter(range(start, end + 1))):
            sinks.write(shown, approved, refused, portfolio)
        kept = ledger.state()
        ledger.close()
    assert rows(path) == whole


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fills SET qty='0.006' WHERE view=700",
        "UPDATE portfolio SET equity_quote='1' WHERE view=0",
        "DELETE FROM orders WHERE view=55",
        "INSERT INTO gaps VALUES ('20240808T235415Z-0001', 8, 'gaps', 0, 1, 1, 'x', 1, 2, 'start')",
    ],
)
def test_a_difference_is_exit_6(tmp_path: Path, change: str) -> None:
    path = tmp_path / "ledger.sqlite"
    write(path, 0, 1000, 10**9)
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(UnsoundDataError) as error:
        write(path, 0, 2000, 10**9)
    assert error.value.exit_code == 6
    assert str(path) in str(error.value)


def test_a_cursor_can_be_moved_without_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", RUN, [Info()], lambda: 10**9, interval_s=0.0)
    ledger.mark(scripted(41))
    ledger.close()
    assert (ledger.committed_view, ledger.committed_pos) == (41, 123)


def test_an_error_in_the_thread_reaches_the_engine(tmp_path: Path) -> None:
    """The engine writes on until it meets the error; it never hangs on a full queue."""

    def broken() -> int:
        raise OSError("the tape is gone")

    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    ledger = Ledger(tmp_path / "l", RUN, [Info()], broken, interval_s=0.0)
    fills = (FakeFill(1, 1, 1),)

    def write_on() -> None:
        for k in range(100_000):
            ledger.write(view(index=k, fills=fills), (), (), portfolio)

    with pytest.raises(OSError, match="the tape is gone"):
        write_on()
    with pytest.raises(OSError, match="the tape is gone"):
        ledger.close()


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(UnsoundDataError, match="not a ledger"):
        Ledger(path, RUN, [Info()], lambda: 0)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(UnsoundDataError, match="version 99"):
        Ledger(newer, RUN, [Info()], lambda: 0)


def test_a_locked_file_is_a_failure_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, RUN, [Info()], lambda: 10**9, interval_s=3600.0)
    ledger._store._db.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.mark(scripted(1))
    with pytest.raises(TickerError, match="locked"):
        ledger.close()
    other.close()


def test_kill_9_in_the_middle_loses_and_doubles_nothing(tmp_path: Path, whole: Rows) -> None:
    """Ten kills at random moments; each time the file is exactly the fold of the views up to its cursor."""
    path = tmp_path / "ledger.sqlite"
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    chance = random.Random(20240808)
    reached = -1
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, str(tests / "ledger_child.py"), str(path)], stdout=subprocess.PIPE, text=True, env=env
        )
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 40)):
            line = child.stdout.readline()
            assert line, "the child died by itself"
        child.kill()
        child.wait()
        child.stdout.close()
        view_on_file = cursor(path)[0]
        assert view_on_file >= int(line) > reached
        reached = view_on_file
    again = tmp_path / "again.sqlite"
    write(again, 0, reached, 10**9)
    assert rows(path) == rows(again, reached)
    common = min(reached, 2000)
    assert {t: [r for r in found if r[1] <= common] for t, found in rows(path).items()} == {
        t: [r for r in found if r[1] <= common] for t, found in whole.items()
    }


@pytest.mark.parametrize(
    ("value", "precision", "text"),
    [
        (0, 0, "0"),
        (5, 0, "5"),
        (-5, 3, "-0.005"),
        (1200, 2, "12"),
        (10**18 + 1, 18, "1.000000000000000001"),
        (-7, 0, "-7"),
    ],
)
def test_decimals_are_exact(value: int, precision: int, text: str) -> None:
    assert decimal_text(value, precision) == text
