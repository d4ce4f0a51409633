"""Imported recordings against an independent rebuild: final book, 20 levels on the way, and every count.

The small captures in `tests/data` are our own; the real recordings stay outside the repository (`../shared/data`, or
`TICKERML_RECORDINGS`) and their tests skip where they are absent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from oracle_rebuild import rebuild

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
OURS = [
    ("binance_spot:DEMOUSDT", ["binance_spot_DEMOUSDT.raw.gz"], True),
    ("binance_usdm:DEMOUSDT", ["binance_usdm_DEMOUSDT.raw.gz"], True),
    ("binance_spot:DEMOUSDT", ["binance_spot_gap_DEMOUSDT.raw.gz"], False),
    ("binance_usdm:DEMOUSDT", ["binance_usdm_gap_DEMOUSDT.raw.gz"], False),
]
REAL = [
    ("binance_spot:BTCUSDT", ["binance_spot/spot_btcusdt_20240808.gz", "binance_spot/spot_btcusdt_20240809.gz"]),
    ("binance_usdm:BTCUSDT", ["binance_usdm/usdm_btcusdt_20240808.gz"]),
    (
        "binance_spot:NEXOUSDT",
        ["binance_spot/spot_nexousdt_20240723.dat.gz", "binance_spot/spot_nexousdt_20240724.dat.gz"],
    ),
]
COUNTS = ("levels", "trades", "snapshots", "discarded_diffs", "trade_id_gaps", "crossed")


def tickerml(data: Path, *words: str) -> dict[str, Any]:
    """Runs a command with `--json` and gives its object."""
    command = [sys.executable, "-c", "from tickerml.cli import main; main()", "--data", str(data), "--json", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(data: Path, instrument: str, files: list[Path], *, whole: bool) -> None:
    """Imports the files and compares everything that the oracle knows."""
    names = [str(f) for f in files]
    done = tickerml(data, "data", "import", "hftbacktest-raw", *names, "--instrument", instrument, "--no-events")
    first, last = done["first_ts_recv_ns"], done["last_ts_recv_ns"]
    stamps = [first + (last - first) * k // 6 for k in range(1, 6)] if whole else []
    truth = rebuild(names, stamps)
    assert (done["frames"], done["levels"], done["trades"]) == (truth["frames"], truth["levels"], truth["trades"])
    assert done["rejected"] == []
    verified = tickerml(data, "data", "verify", done["tape"])
    (row,) = verified["instruments"]
    assert {name: row[name] for name in COUNTS} == {name: truth[name] for name in COUNTS}
    assert len(row["gaps"]) == truth["gaps"]
    for ts, book in [("", truth["book"]), *truth["at"].items()]:
        where = ["--at", ts, "--depth", "20"] if ts else ["--depth", "100000"]
        ours = tickerml(data, "data", "book", done["tape"], "--instrument", instrument, *where)
        assert ours["state"] == "Live"
        assert (ours["bids"], ours["asks"]) == (book["bids"], book["asks"]), ts or "final"


@pytest.mark.parametrize(("instrument", "files", "whole"), OURS)
def test_our_captures_equal_the_oracle(tmp_path: Path, instrument: str, files: list[str], whole: bool) -> None:
    compare(tmp_path, instrument, [HERE / "data" / f for f in files], whole=whole)


def test_a_smallest_notional_of_ten_is_taken(tmp_path: Path) -> None:
    words = ["--instrument", OURS[0][0], "--tick", "0.01", "--lot", "0.00001", "--min-notional", "10", "--no-events"]
    done = tickerml(tmp_path, "data", "import", "hftbacktest-raw", str(HERE / "data" / OURS[0][1][0]), *words)
    assert done["instrument"]["min_notional"] == "10"


@pytest.mark.parametrize(("instrument", "files"), REAL)
def test_real_recordings_equal_the_oracle(tmp_path: Path, instrument: str, files: list[str]) -> None:
    paths = [RECORDINGS / f for f in files]
    if not all(path.exists() for path in paths):
        pytest.skip(f"no recordings at {RECORDINGS}: set TICKERML_RECORDINGS")
    compare(tmp_path, instrument, paths, whole=True)
