"""`data export`: every row, exactly, in a form that others read, and onto regular files or free names alone."""

from __future__ import annotations

import csv
import gzip
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import import_capture, run, serving, tickerml
from tickerml.errors import NotFoundError, TickerError, UnsoundDataError
from tickerml.schema import KINDS, STATES, UNDEF_I64, decimal_text
from tickerml.sinks import text
from tickerml.sinks.events import read_events

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
NAMES = {number: name for name, number in KINDS.items()}


@pytest.fixture(scope="module", params=["binance_spot", "binance_usdm"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A data folder with a capture, its run, and its venue."""
    data, venue = tmp_path_factory.mktemp("exports"), str(request.param)
    return data, import_capture(data, venue), venue


def columns_of(data: Path) -> Any:
    return read_events(sorted(data.glob("events/**/*.parquet")))


def read(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return list(csv.DictReader(text.splitlines()))


def test_csv_has_every_row(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    data, run, venue = loaded
    columns, scales = columns_of(data), (2, 5) if venue == "binance_spot" else (1, 3)
    found = {}
    for name in ("all.csv", "all.csv.gz"):
        done = tickerml(data, "data", "export", "csv", run, "-o", str(tmp_path / name))
        assert done == {"rows": len(columns["pos"]), "bytes": (tmp_path / name).stat().st_size}
        found[name] = read(tmp_path / name)
    assert found["all.csv"] == found["all.csv.gz"]
    rows = found["all.csv"]
    for name in ("pos", "ts_recv_ns", "flags"):
        assert [int(row[name]) for row in rows] == columns[name].tolist()
    assert [row["kind"] for row in rows] == [NAMES[kind] for kind in columns["kind"].tolist()]
    for n, row in enumerate(rows):
        event, px, qty = (int(columns[name][n]) for name in ("ts_event_ns", "px", "qty"))
        assert row["ts_event_ns"] == ("" if event == UNDEF_I64 else str(event))
        if row["kind"] == "state":
            assert row["px"] == STATES[px]
        elif row["kind"] == "clear":
            assert (row["px"], row["qty"]) == ("", "")
        else:
            assert (row["px"], row["qty"]) == (decimal_text(px, scales[0]), decimal_text(qty, scales[1]))
    assert {row["instrument"] for row in rows} == {f"{venue}:DEMOUSDT"}


@pytest.mark.filterwarnings("ignore")
def test_tardis_files_are_what_tardis_tools_read(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    """hftbacktest's converter of Tardis' files gives the levels and prints that we have."""
    tardis = pytest.importorskip("hftbacktest.data.utils.tardis", reason="pip install 'tickerml[oracle]'")
    data, run, venue = loaded
    done = tickerml(data, "data", "export", "tardis-csv", run, "-o", str(tmp_path / "out"))
    book, trades = (Path(path) for path in done["files"])
    exchange = {"binance_spot": "binance", "binance_usdm": "binance-futures"}[venue]
    assert book.name == f"{exchange}_incremental_book_L2_DEMOUSDT.csv.gz"
    first = read(book)[0]
    assert list(first) == [
        "exchange", "symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount",
    ]  # fmt: skip
    assert (first["is_snapshot"], first["exchange"], first["symbol"]) == ("true", exchange, "DEMOUSDT")
    assert list(read(trades)[0])[4:] == ["id", "side", "price", "amount"]
    rows = tardis.convert([str(trades), str(book)], buffer_size=100_000)
    local = rows[rows["ev"] & np.uint64(1 << 30) != 0]
    what = local["ev"] & np.uint64(0xFF)
    columns = columns_of(data)
    scales = (10.0**2, 10.0**5) if venue == "binance_spot" else (10.0**1, 10.0**3)
    for ours, theirs in (((1, 2), (1, 4)), ((3, 4), (2,))):
        mine, peers = np.isin(columns["kind"], ours), local[np.isin(what, theirs)]
        assert len(peers) == mine.sum() > 100
        pairs = sorted(zip(columns["px"][mine] / scales[0], columns["qty"][mine] / scales[1], strict=True))
        assert np.allclose(pairs, sorted(zip(peers["px"], peers["qty"], strict=True)))
    assert done["rows"] == int(np.isin(columns["kind"], (1, 2, 3, 4)).sum())


def test_raw_gives_the_recording_back(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    data, run, venue = loaded
    lines = gzip.decompress((HERE / "data" / f"{venue}_DEMOUSDT.raw.gz").read_bytes())
    for name in ("out.raw", "out.raw.gz"):
        done = tickerml(data, "data", "export", "raw", run, "-o", str(tmp_path / name))
        written = (tmp_path / name).read_bytes()
        assert (gzip.decompress(written) if name.endswith(".gz") else written) == lines
        assert done == {"rows": lines.count(b"\n"), "bytes": len(written)}


def test_raw_of_a_live_tape_imports_to_the_same_events(tmp_path: Path) -> None:
    run = tickerml(tmp_path, "run", "--demo", "--duration", "3s")["run"]
    error = tickerml(tmp_path, "data", "export", "raw", run, "-o", "a.raw", code=3)
    assert "--instrument" in error
    other = tickerml(tmp_path, "data", "export", "raw", run, "-o", "a.raw", "--instrument", "binance_us:X", code=3)
    assert "not on this tape" in other
    for instrument in ("binance_spot:BTCUSDT", "binance_usdm:BTCUSDT"):
        out = tmp_path / f"{instrument[:12]}.raw"
        tickerml(tmp_path, "data", "export", "raw", run, "-o", str(out), "--instrument", instrument)
        made = tickerml(tmp_path, "data", "import", "hftbacktest-raw", str(out), "--instrument", instrument)
        (row,) = tickerml(tmp_path, "data", "verify", made["run"])["instruments"]
        (live,) = (r for r in tickerml(tmp_path, "data", "verify", run)["instruments"] if r["instrument"] == instrument)
        keys = ("updates", "levels", "trades", "snapshots", "trade_id_gaps", "crossed")
        assert {key: row[key] for key in keys} == {key: live[key] for key in keys}
        assert made["rejected_count"] == 0


def test_an_export_that_fails_leaves_nothing(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    data, run, _ = loaded
    assert "is a folder" in tickerml(data, "data", "export", "csv", run, "-o", str(tmp_path), code=2)
    (tmp_path / "file").write_text("")
    assert "give a folder" in tickerml(data, "data", "export", "tardis-csv", run, "-o", str(tmp_path / "file"), code=2)
    assert "no event files" in tickerml(data, "data", "export", "csv", "nowhere", "-o", "x.csv", code=3)
    tape = tmp_path / "tape"
    tape.mkdir()
    for path in (data / "tapes" / run).glob("*.tape"):
        found = bytearray(path.read_bytes())
        found[len(found) // 2] ^= 0xFF
        (tape / path.name).write_bytes(found)
    assert "damaged" in tickerml(data, "data", "export", "raw", str(tape), "-o", str(tmp_path / "y.raw"), code=6)
    broken = tmp_path / "z.parquet"
    broken.write_bytes(b"PAR1 nothing PAR1")
    files = [str(path) for path in sorted(data.glob("events/**/*.parquet"))]
    assert files
    assert "not a Parquet" in tickerml(
        data, "data", "export", "csv", str(broken), "-o", str(tmp_path / "z.csv"), code=6
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tape", "z.parquet"]


def test_text_that_cannot_be_written_is_told_with_its_name_and_replaces_nothing(
    loaded: tuple[Path, str, str], tmp_path: Path
) -> None:
    files = sorted(loaded[0].glob("events/**/*.parquet"))
    with pytest.raises(NotFoundError, match=f"{tmp_path}/none/x.csv: cannot be written: there is no folder"):
        text.export_csv(files, tmp_path / "none" / "x.csv")
    before = text.export_tardis(files, tmp_path / "out")
    broken = tmp_path / "z.parquet"
    broken.write_bytes(b"PAR1 nothing PAR1")
    made = {Path(path): Path(path).stat() for path in before["files"]}
    with pytest.raises(UnsoundDataError, match="not a Parquet"):
        text.export_tardis([*files, broken], tmp_path / "out")
    assert {path: path.stat() for path in (tmp_path / "out").iterdir()} == made
    book = Path(before["files"][0])
    book.unlink()
    book.mkdir()
    with pytest.raises(TickerError, match=f"{book}: is a folder"):
        text.export_tardis(files, tmp_path / "out")
    assert sorted((tmp_path / "out").iterdir()) == sorted(made)


def exporting(loaded: tuple[Path, str, str], to: Path | str) -> tuple[Path, str, str, str, str, str, str]:
    data, name, _ = loaded
    return data, "data", "export", "hftbacktest-npz", name, "-o", str(to)


def test_a_file_is_replaced_and_a_link_keeps_pointing_to_it(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.write_bytes(b"old")
    link.symlink_to("target.npz")
    rows = tickerml(*exporting(loaded, link))["rows"]
    assert link.is_symlink()
    with np.load(target) as found:
        assert len(found["data"]) == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.npz", "target.npz"]


def test_what_is_no_file_is_refused_and_stays(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "null"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for to in (pipe, link, "/dev/null", "/dev/stdout", "/proc/self/fd/1", tmp_path, tmp_path / "nowhere" / "x.npz"):
        done = run(*exporting(loaded, to))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), (to, done)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()


def test_no_export_replaces_what_it_reads(tmp_path: Path) -> None:
    run = import_capture(tmp_path)
    events, tape = next(tmp_path.glob("events/**/*.parquet")), next(tmp_path.glob("tapes/*/*.tape"))
    before = events.read_bytes(), tape.read_bytes()
    (tmp_path / "link").symlink_to(events)
    for format_, source, out in (
        ("csv", str(events), events), ("csv", run, tmp_path / "link"), ("hftbacktest-npz", run, events),
        ("raw", run, tape),
    ):  # fmt: skip
        said = tickerml(tmp_path, "data", "export", format_, source, "-o", str(out), code=2)
        assert ("is an input" in said, said.count("\n")) == (True, 1), said
    assert before == (events.read_bytes(), tape.read_bytes())


# ---- of several instruments ------------------------------------------------------------------------------------------

ONE = {"hftbacktest-npz": "x.npz", "tardis-csv": "folder", "raw": "x.raw"}
"""Formats that hold one instrument, and where they go."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with one run of two instruments, and event files."""
    data = tmp_path_factory.mktemp("two")
    named = ("--instrument", "binance_spot:BTCUSDT", "--instrument", "binance_usdm:BTCUSDT")
    with serving(data, "--speed", "5") as (_, url):
        made = tickerml(data, "collect", "--at", url, "--duration", "2s", *named)
    tickerml(data, "data", "convert", made["run"])
    return data, made["run"]


@pytest.mark.parametrize("format_", ONE)
def test_an_export_of_one_asks_which_and_leaves_nothing(format_: str, two: tuple[Path, str], tmp_path: Path) -> None:
    data, name = two
    out = tmp_path / ONE[format_]
    words = ("data", "export", format_, name, "-o", str(out))
    error = tickerml(data, *words, code=3)
    assert (error.count("\n"), "--instrument" in error) == (1, True)
    assert all(one in error for one in ("binance_spot:BTCUSDT", "binance_usdm:BTCUSDT"))
    error = tickerml(data, *words, "--instrument", "binance_usdm:NONE", code=3)
    assert (error.count("\n"), "binance_usdm:NONE" in error, "binance_usdm:BTCUSDT" in error) == (1, True, True)
    assert list(tmp_path.iterdir()) == []
    rows = [
        tickerml(data, *words, "--instrument", one)["rows"] for one in ("binance_spot:BTCUSDT", "binance_usdm:BTCUSDT")
    ]
    assert min(rows) > 0


def test_csv_takes_all_or_the_one_that_is_named(two: tuple[Path, str], tmp_path: Path) -> None:
    data, name = two
    out = tmp_path / "x.csv"
    words = ("data", "export", "csv", name, "-o", str(out))
    assert "binance_usdm:BTCUSDT" in tickerml(data, *words, "--instrument", "binance_usdm:NONE", code=3)
    whole = tickerml(data, *words)["rows"]
    parts = []
    for one in ("binance_spot:BTCUSDT", "binance_usdm:BTCUSDT"):
        parts.append(tickerml(data, *words, "--instrument", one)["rows"])
        assert {row["instrument"] for row in read(out)} == {one}
    assert sum(parts) == whole


def test_an_export_that_fails_leaves_no_folder(loaded: tuple[Path, str, str], tmp_path: Path) -> None:
    files = sorted(loaded[0].glob("events/**/*.parquet"))
    broken = tmp_path / "z.parquet"
    broken.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UnsoundDataError, match="not a Parquet"):
        text.export_tardis([*files, broken], tmp_path / "made" / "out")
    assert list(tmp_path.iterdir()) == [broken]
