"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from commands import import_capture, run, tickerml
from tickerml import execution
from tickerml.errors import NotFoundError, TickerError
from tickerml.sources.venue import record
from tickerml.sweep.table import check_place
from tickerml.writing import replacing


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_draft_takes_the_place_of_the_file_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    out.write_text("old")
    with replacing(out) as draft:
        draft.write_text("new")
        assert (out.read_text(), names(tmp_path)) == ("old", [".a.json.tmp", "a.json"])
    assert (out.read_text(), names(tmp_path)) == ("new", ["a.json"])


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_after_an_error_the_old_file_stays_and_no_draft(error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fail() -> None:
        with replacing(tmp_path / "a") as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert ((tmp_path / "a").read_text(), names(tmp_path)) == ("old", ["a"])


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        ("nowhere/a", NotFoundError, "make it first"),
        ("file/a", TickerError, "Not a directory"),
        ("n" * 253, TickerError, "name too long"),
        ("folder", TickerError, "is a folder"),
    ],
)
def test_a_place_that_takes_no_file_is_named(name: str, kind: type[TickerError], what: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(kind, match=what) as raised, replacing(tmp_path / name) as draft:
        draft.write_text("x")
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert names(tmp_path) == ["file", "folder"]


def test_a_full_disk_names_the_file_and_leaves_no_draft(tmp_path: Path) -> None:
    def full(name: str) -> Path:
        (tmp_path / f".{name}.tmp").symlink_to("/dev/full")
        return tmp_path / name

    with pytest.raises(TickerError, match=r"/curve: disk full"):
        execution.write_curve({"share": [0.5] * 9999}, full("curve"))
    market = {
        "venues": [{"venue": "binance_spot", "symbols": [{"symbol": "B", "price": "50", "tick": "0.01", "lot": "1"}]}]
    }
    with pytest.raises(TickerError, match=r"/raw.gz: disk full"):
        record(market, None, None, duration_s=1, out=full("raw.gz"))
    assert names(tmp_path) == []


def test_a_full_disk_names_the_file_of_frames(tmp_path: Path) -> None:
    run, out = import_capture(tmp_path), tmp_path / "frames"
    (tmp_path / ".frames.tmp").symlink_to("/dev/full")
    said = tickerml(tmp_path, "data", "export", "raw", run, "-o", str(out), code=1)
    assert (f"{out}" in said, ".tmp" in said) == (True, False), said
    assert not [name for name in names(tmp_path) if "frames" in name]


def test_a_sweep_asks_for_its_place_first(tmp_path: Path) -> None:
    check_place(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").mkdir()
    for path, what in ((tmp_path / "b.parquet", "is a folder"), (tmp_path / "none" / "a.parquet", "make it first")):
        with pytest.raises(TickerError, match=what):
            check_place(path)
    assert names(tmp_path) == ["b.parquet"], "asking leaves nothing"


@pytest.mark.parametrize(
    "words",
    [
        ["data", "export", "csv", "RUN", "-o"],
        ["data", "export", "raw", "RUN", "-o"],
        ["replay", "RUN", "--policy", "hold", "--fills"],
        ["backtest", "RUN", "--policy", "hold", "--orders"],
        ["markout", "RUN", "--fills", "none.csv", "-o"],
        ["execution", "fit", "--law", "uniform", "--orders", "10", "-o"],
        ["venue", "record", "--duration", "1s", "-o"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_nothing_is_written_among_the_recordings(words: list[str], tmp_path: Path) -> None:
    """Neither over somebody else's tape, run or event file, nor beside them."""
    name = import_capture(tmp_path)
    (tmp_path / "demo" / "tapes").mkdir(parents=True)
    taken = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for place in (min(taken), tmp_path / "demo" / "tapes" / "new.csv"):
        done = run(tmp_path, *(name if word == "RUN" else word for word in words), str(place))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert re.search("among the recordings|is an input", done.stderr), done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == taken
