"""`tickerml parity`: live, replay and backtest are one; what is not is named with its first row and its cause."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, environment, import_capture, run, serving, tickerml
from tickerml.parity import _event_files

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
WORDS = ("--policy", "grid", "--set", "half_spread_ticks=0", "--set", "interval_ticks=1")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data folder with a demo that traded, and what it said at its end."""
    data = tmp_path_factory.mktemp("demo")
    result = tickerml(data, "run", "--demo", "--duration", "6s", *WORDS)
    assert result["fills"] > 20
    return data, result


@pytest.fixture
def copied(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> tuple[Path, str]:
    """A copy of it, to be changed."""
    shutil.copytree(demo[0] / "demo", tmp_path / "demo")
    return tmp_path, demo[1]["run"]


def parity(data: Path, run_: str, *words: str, code: int = 0) -> Any:
    done = run(data, "parity", run_, *words)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def against(result: Any, name: str) -> Any:
    (row,) = (row for row in result["against"] if row["name"] == name)
    return row


def change(data: Path, run_: str, *statements: str) -> None:
    with closing(sqlite3.connect(data / "demo" / "runs" / run_ / "ledger.sqlite")) as db:
        for statement in statements:
            assert db.execute(statement).rowcount == 1, statement
        db.commit()


def test_live_replay_and_backtest_are_equal_and_nothing_is_written(demo: tuple[Path, dict[str, Any]]) -> None:
    data, live = demo
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    result = parity(data, live["run"])
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert (result["run"], result["equal"], result["live"]["digest"]) == (live["run"], True, live["digest"])
    assert result["live"]["fills"] == live["fills"]
    assert result["live"]["orders"] == live["orders"]
    assert [row["name"] for row in result["against"][:2]] == ["replay", "backtest"]
    for name in ("replay", "backtest"):
        row = against(result, name)
        assert (row["equal"], row["differences"]) == (True, [])
        assert row["fills"] >= live["fills"] - 5, "compared to the common end"
    assert against(result, "replay")["digest"] == live["digest"]


def test_other_models_and_profiles_are_information(demo: tuple[Path, dict[str, Any]]) -> None:
    data, live = demo
    result = parity(data, live["run"])
    names = {row["name"] for row in result["against"]}
    assert names >= {"queue=prob_log", "queue=prob_power3:3", "profile=hftbacktest"}
    assert "queue=risk_averse" not in names, "that is the run's own"
    row = against(result, "profile=hftbacktest")
    assert row["equal"] is False
    first = row["differences"][0]
    assert first.keys() >= {"what", "n", "ts_ns", "instrument", "live", "other", "fields", "cause"}
    assert first["cause"].startswith("profile hftbacktest: exchange=no_partial")
    assert first["ts_ns"] == min(difference["ts_ns"] for difference in row["differences"])
    few = parity(data, live["run"], "--no-others", "--workers", "1")
    assert [row["name"] for row in few["against"]] == ["replay", "backtest"]


def test_event_files_that_are_there_are_used(copied: tuple[Path, str]) -> None:
    """One of them is taken away: had they been made again, nobody would know."""
    data, run_ = copied
    tickerml(data, "data", "convert", run_)
    assert parity(data, run_, "--no-others")["equal"] is True
    files = sorted(data.glob("demo/events/**/*.parquet"))
    assert len(files) == 2
    files[1].unlink()
    result = parity(data, run_, "--no-others", code=6)
    assert (against(result, "replay")["equal"], against(result, "backtest")["equal"]) == (True, False)
    assert "data convert" in against(result, "backtest")["differences"][0]["cause"]


def test_an_instrument_that_came_too_late_is_left_out(copied: tuple[Path, str], tmp_path: Path) -> None:
    data, run_ = copied
    tape = data / "demo" / "tapes" / run_
    files = _event_files(data, tape, ["binance_usdm:BTCUSDT"], tmp_path / "made")
    assert [path.parts[-4] for path in files] == ["venue=binance_usdm"]
    both = _event_files(data, tape, ["binance_usdm:BTCUSDT", "binance_spot:BTCUSDT"], tmp_path / "again")
    assert [path.parts[-4] for path in both] == ["venue=binance_usdm", "venue=binance_spot"], "in the session's order"


def test_a_row_that_was_changed_is_found(copied: tuple[Path, str]) -> None:
    data, run_ = copied
    pick = "(SELECT view FROM fills ORDER BY view LIMIT 1 OFFSET 3)"
    change(data, run_, f"UPDATE fills SET px='1.5' WHERE view={pick} AND n=0")
    result = parity(data, run_, "--no-others", code=6)
    assert result["equal"] is False
    for name in ("replay", "backtest"):
        (found,) = against(result, name)["differences"]
        assert (found["what"], found["fields"], found["live"]["px"]) == ("fills", ["px"], "1.5")
        assert found["other"]["px"] != "1.5"
        assert found["instrument"].startswith("binance_")
    assert "the file was changed" in against(result, "replay")["differences"][0]["cause"]
    done = run(data, "parity", run_, "--no-others")
    text = tickerml_text(data, run_)
    assert done.returncode == 6
    assert "px=1.5" in text
    assert "cause" in text


def tickerml_text(data: Path, run_: str) -> str:
    words = [*COMMAND, "--data", str(data), "parity", run_, "--no-others"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=data, env=environment())
    return done.stdout


def test_a_fill_that_is_missing_or_too_many(copied: tuple[Path, str]) -> None:
    data, run_ = copied
    change(data, run_, "DELETE FROM fills WHERE view=(SELECT max(view) FROM fills) AND n=0")
    result = parity(data, run_, "--no-others", code=6)
    (found,) = against(result, "replay")["differences"]
    assert (found["what"], found["other"] is not None) == ("fills", True)


def test_another_digest_is_a_difference_even_where_all_rows_agree(copied: tuple[Path, str]) -> None:
    data, run_ = copied
    change(data, run_, 'UPDATE account SET state=replace(state, \'"digest":"\', \'"digest":"x\')')
    result = parity(data, run_, "--no-others", code=6)
    (found,) = against(result, "replay")["differences"]
    assert (found["what"], found["live"]["digest"][0], found["cause"] != "") == ("digest", "x", True)
    assert against(result, "backtest")["equal"] is True


@pytest.mark.parametrize("what", ["gap", "code"])
def test_the_likely_cause_is_named(copied: tuple[Path, str], what: str) -> None:
    data, run_ = copied
    path = data / "demo" / "runs" / run_ / "run.json"
    change(data, run_, "UPDATE orders SET px='1' WHERE view=(SELECT max(view) FROM orders) AND n=0")
    if what == "code":
        path.write_text(json.dumps({**json.loads(path.read_text()), "code_version": "0.0.9+old"}))
    else:
        with closing(sqlite3.connect(path.with_name("ledger.sqlite"))) as db:
            names = db.execute("SELECT DISTINCT instrument FROM orders").fetchall()
            for n, (name,) in enumerate(names):
                db.execute("INSERT INTO gaps VALUES (?, 0, 'gaps', ?, 0, 0, ?, 5, 7, 'disconnect')", (run_, n, name))
            db.commit()
    result = parity(data, run_, "--no-others", code=6)
    causes = [found["cause"] for found in against(result, "backtest")["differences"]]
    assert causes[0].startswith("gap: no true book from 5 to 7" if what == "gap" else "other code: recorded by 0.0.9")


def test_a_run_that_was_killed_is_compared_as_far_as_it_can_be(tmp_path: Path) -> None:
    """Live and replay over the restart; the backtest until it, for event files hold none."""
    with serving(tmp_path) as (_, url):
        words = ("run", "--at", url, *WORDS)
        with Running([*COMMAND, "--data", str(tmp_path), *words], tmp_path) as command:
            run_ = command.line_with("starting run ").split()[2]
            command.line_with("live 4/4")
            command.kill()
        assert tickerml(tmp_path, *words, "--duration", "3s")["run"] == run_
        after = tickerml(tmp_path, *words, "--duration", "2s")["run"]
    result = parity(tmp_path, run_)
    assert result["equal"] is True
    assert 0 < against(result, "backtest")["until_ts_ns"] < result["restarted_ts_ns"]
    assert against(result, "replay")["until_ts_ns"] == result["live"]["last_ts_ns"]
    carried = parity(tmp_path, after, "--no-others")
    assert (carried["equal"], carried["restarted_ts_ns"]) == (True, None), "it began with the account of the run before"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("torn run.json", "run.json: cannot be read"),
        ("no run.json", "run.json: cannot be read"),
        ("no ledger", "ledger.sqlite: the ledger of run"),
        ("ALTER TABLE fills DROP COLUMN px", "ledger.sqlite: the ledger of run"),
        ("ALTER TABLE cursor DROP COLUMN ts_ns", "ledger.sqlite: the ledger of run"),
        ("DROP TABLE gaps", "ledger.sqlite: the ledger of run"),
        ("UPDATE account SET state='[]'", "ledger.sqlite: the ledger of run"),
        ("PRAGMA user_version=99", "version 99"),
    ],
)
def test_what_cannot_be_read_is_named(copied: tuple[Path, str], what: str, said: str) -> None:
    data, run_ = copied
    folder = data / "demo" / "runs" / run_
    if what == "torn run.json":
        (folder / "run.json").write_text('{"run": ')
    elif what == "no run.json":
        (folder / "run.json").unlink()
    elif what == "no ledger":
        (folder / "ledger.sqlite").write_bytes(b"no ledger " * 1000)
    else:
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
            db.execute(what)
            db.commit()
    done = run(data, "parity", run_, "--no-others")
    assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
    assert done.stderr.removeprefix("tickerml: ").startswith(str(folder)) or str(folder) in done.stderr
    assert said in done.stderr


def test_a_folder_may_have_any_name(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """`#` and `?` end a path in a URI: neither is the ledger taken for another file, nor is one made."""
    odd = tmp_path / "a#b?c"
    odd.mkdir()
    shutil.copytree(demo[0] / "demo", odd / "demo")
    run_ = demo[1]["run"]

    def files() -> set[Path]:
        # Whoever reads a ledger in WAL mode leaves the two files of that mode beside it.
        return {path for path in tmp_path.rglob("*") if not path.name.endswith(("-shm", "-wal"))}

    found = files()
    assert parity(odd, run_, "--no-others", code=0)["equal"] is True
    assert run(odd, "parity", run_, "--no-others", TMPDIR=str(odd)).returncode == 0
    assert tickerml(odd, "markout", run_)["fills"] == demo[1]["fills"]
    assert files() == found


def test_what_decided_nothing_has_no_parity(tmp_path: Path) -> None:
    error = tickerml(tmp_path, "parity", import_capture(tmp_path, "binance_spot"), code=3)
    assert (error.count("\n"), "no ledger" in error) == (1, True)
    assert "no such run" in tickerml(tmp_path, "parity", "20260101T000000Z-abcd", code=3)
