"""`data import`: what holds nothing usable is exit 6 and leaves nothing; stamps of no day are rejected line by line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from commands import run, tickerml

pytest.importorskip("tickerml._native", reason="the native module is not built")

CAPTURES = Path(__file__).parent / "data"
SPOT, USDM = (CAPTURES / f"binance_{venue}_DEMOUSDT.raw.gz" for venue in ("spot", "usdm"))
NS = 1_723_161_253_937_085_768


def importing(*files: Path, venue: str = "binance_spot") -> tuple[str, ...]:
    return "data", "import", "hftbacktest-raw", *map(str, files), "--instrument", f"{venue}:DEMOUSDT"


def left(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.is_file()]


@pytest.mark.parametrize("events", [(), ("--no-events",)], ids=["events", "tape only"])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((*importing(SPOT), "--tick", "1000000", "--lot", "1000000"), "tick 1000000 and lot 1000000"),
        (importing(SPOT, venue="binance_usdm"), "a diff of spot"),
        (importing(USDM), "a diff of futures"),
    ],
    ids=["tick", "spot as futures", "futures as spot"],
)
def test_what_holds_nothing_usable_is_told_and_leaves_nothing(
    words: tuple[str, ...], why: str, events: tuple[str, ...], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    error = tickerml(data, *words, *events, code=6)
    assert why in error
    assert error.count("\n") == 1
    assert left(data) == []


def test_a_recording_without_market_data_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ack.txt"
    file.write_text(f'{NS} {{"result":null,"id":1}}\n')
    data = tmp_path / "data"
    data.mkdir()
    for steps in ((), ("--tick", "1", "--lot", "1")):
        assert tickerml(data, *importing(file), *steps, code=6).startswith("nothing imported")
    assert left(data) == []


def test_a_folder_is_one_line(tmp_path: Path) -> None:
    error = tickerml(tmp_path, *importing(tmp_path), code=3)
    assert error == f"{tmp_path}: a folder; name the files in it\n"


def test_stamps_of_no_day_are_rejected_line_by_line(tmp_path: Path) -> None:
    with gzip.open(SPOT, "rt") as file:
        lines = file.read().splitlines()
    trade = (
        '{"stream":"demousdt@trade","data":{"e":"trade","E":%s,"s":"DEMOUSDT","t":1,"p":"1","q":"1","T":%s,"m":true}}'
    )
    most = 2**63 - 1
    bad = [
        f"{most} {trade % (1_723_161_253_937, 1_723_161_253_937)}",
        f"{most - 1} {trade % (1_723_161_253_937, 1_723_161_253_937)}",
        f"{NS} {trade % (most, 1_723_161_253_937)}",
        f"{NS} {trade % (1_723_161_253_937, most)}",
        f"{NS} {trade % (1_723_161_253_937, most // 10**6)}",
        f"{NS} {trade % (1_723_161_253_937, 5)}",
        f"1000000000000000000 {trade % (1_723_161_253_937, 1_723_161_253_937)}",
    ]
    file = tmp_path / "x.raw"
    file.write_text("\n".join([*lines[:500], *bad, *lines[500:]]))
    wanted = tickerml(tmp_path, *importing(SPOT))
    found = tickerml(tmp_path, *importing(file))
    assert found["rejected_count"] == len(bad)
    assert sorted(row["line"] for row in found["rejected"]) == list(range(501, 501 + len(bad)))
    assert all("from 2009 to 2199" in row["reason"] for row in found["rejected"])
    for key in ("frames", "levels", "trades", "first_ts_recv_ns", "last_ts_recv_ns"):
        assert found[key] == wanted[key]
    words = ("--policy", "hold")
    assert run(tmp_path, "replay", found["run"], *words).returncode == 0
    assert run(tmp_path, "backtest", found["run"], *words).returncode == 0


def test_what_a_killed_import_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    draft = tmp_path / "tapes" / "20240808T235415Z-0001.tmp"
    draft.mkdir(parents=True)
    (draft / "spool.tmp").write_bytes(b"x")
    run_name = tickerml(tmp_path, *importing(SPOT))["run"]
    assert [path.name for path in (tmp_path / "tapes").iterdir()] == [run_name]


# ---- another instrument's name ---------------------------------------------------------------------------------------


def asked_for(file: Path, instrument: str, *more: str) -> tuple[str, ...]:
    return "data", "import", "hftbacktest-raw", str(file), "--instrument", instrument, *more


def renamed(lines: list[str], symbol: str) -> list[str]:
    return [line.replace("demousdt", symbol.lower()).replace("DEMOUSDT", symbol) for line in lines]


@pytest.mark.parametrize("events", [(), ("--no-events",)], ids=["events", "tape only"])
@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
@pytest.mark.parametrize("kept", ["all", "no snapshot", "unwrapped"])
def test_a_recording_under_another_instruments_name_is_refused(
    kept: str, venue: str, events: tuple[str, ...], tmp_path: Path
) -> None:
    """Its snapshot names no symbol: alone it would make a book that looks alive."""
    with gzip.open({"binance_spot": SPOT, "binance_usdm": USDM}[venue], "rt") as raw:
        lines = raw.read().splitlines()
    if kept == "no snapshot":
        lines = [line for line in lines if '"stream"' in line]
    if kept == "unwrapped":
        lines = [re.sub(r'\{"stream":"[^"]*","data":(.*)\}$', r"\1", line) for line in lines]
    file, data = tmp_path / "x.raw", tmp_path / "data"
    file.write_text("\n".join(lines))
    data.mkdir()
    error = tickerml(data, *asked_for(file, f"{venue}:ETHUSDT"), *events, code=6)
    assert error.count("\n") == 1
    assert f"{venue}:ETHUSDT" in error
    assert ("DEMOUSDT" in error.upper()) == (kept != "unwrapped"), (
        "it says what the file holds, where it says so itself"
    )
    assert "--instrument" in error
    assert left(data) == []


def test_a_recording_of_which_nearly_all_is_of_another_instrument_is_refused(tmp_path: Path) -> None:
    with gzip.open(SPOT, "rt") as raw:
        lines = raw.read().splitlines()
    (first,) = renamed([next(line for line in lines if "@depth" in line)], "ETHUSDT")
    data, file = tmp_path / "data", tmp_path / "x.raw"
    data.mkdir()
    file.write_text("\n".join([first, *lines]))
    error = tickerml(data, *asked_for(file, "binance_spot:ETHUSDT"), code=6)
    assert f"{len(lines) - 1} of {len(lines) + 1} lines were rejected" in error
    assert "DEMOUSDT" in error
    assert (error.count("\n"), left(data)) == (1, [])


def test_one_of_two_instruments_in_a_recording_is_taken(tmp_path: Path) -> None:
    with gzip.open(SPOT, "rt") as raw:
        lines = raw.read().splitlines()
    file = tmp_path / "x.raw"
    file.write_text("\n".join(sorted(lines + renamed([line for line in lines if '"stream"' in line], "ETHUSDT"))))
    wanted, found = (tickerml(tmp_path, *asked_for(given, "binance_spot:DEMOUSDT")) for given in (SPOT, file))
    assert found["levels"] == wanted["levels"]
    assert found["rejected_count"] == len(lines) - wanted["snapshots"]


def test_a_snapshot_alone_is_taken(tmp_path: Path) -> None:
    with gzip.open(SPOT, "rt") as raw:
        (line,) = (line for line in raw.read().splitlines() if '"stream"' not in line)
    file = tmp_path / "x.raw"
    file.write_text(line)
    steps = ("--tick", "0.01", "--lot", "0.00001")
    assert tickerml(tmp_path, *asked_for(file, "binance_spot:DEMOUSDT"), *steps)["snapshots"] == 1


def test_an_instrument_of_no_venue_is_told_with_the_venues_that_there_are(tmp_path: Path) -> None:
    for words in (asked_for(SPOT, "binance:DEMOUSDT"), ("data", "import", "hftbacktest-npz", str(SPOT), "--instrument",
                  "binance:DEMOUSDT", "--tick", "1", "--lot", "1")):  # fmt: skip
        error = tickerml(tmp_path, *words, code=3)
        assert error.startswith("--instrument binance:DEMOUSDT: no such venue in this version; ")
        assert ("binance_us" in error, error.count("\n")) == (True, 1)


def test_a_run_without_event_files_says_what_makes_them(tmp_path: Path) -> None:
    name = tickerml(tmp_path, *importing(SPOT), "--no-events")["run"]
    for words in (("backtest", name, "--policy", "hold"), ("data", "export", "csv", name, "-o", "x.csv")):
        error = tickerml(tmp_path, *words, code=3)
        assert (f"`tickerml data convert {name}`" in error, error.count("\n")) == (True, 1)
    other = f"{name[:-4]}zzzz"
    assert "no such run" in tickerml(tmp_path, "backtest", other, "--policy", "hold", code=3)
