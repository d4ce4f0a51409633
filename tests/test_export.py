"""`data export -o`: only a regular file or a free name is replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from commands import run, tickerml

pytest.importorskip("tickerml._native", reason="the native module is not built")

CAPTURE = Path(__file__).parent / "data" / "binance_spot_DEMOUSDT.raw.gz"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("imported")
    words = ("data", "import", "hftbacktest-raw", str(CAPTURE), "--instrument", "binance_spot:DEMOUSDT")
    return data, tickerml(data, *words)["run"]


def exporting(imported: tuple[Path, str], to: Path | str) -> tuple[Path, str, str, str, str, str, str]:
    data, name = imported
    return data, "data", "export", "hftbacktest-npz", name, "-o", str(to)


def test_a_file_is_replaced_and_a_link_keeps_pointing_to_it(imported: tuple[Path, str], tmp_path: Path) -> None:
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.write_bytes(b"old")
    link.symlink_to("target.npz")
    rows = tickerml(*exporting(imported, link))["rows"]
    assert link.is_symlink()
    with np.load(target) as found:
        assert len(found["data"]) == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.npz", "target.npz"]


def test_what_is_no_file_is_refused_and_stays(imported: tuple[Path, str], tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "null"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for to in (pipe, link, "/dev/null", "/dev/stdout", "/proc/self/fd/1", tmp_path, tmp_path / "nowhere" / "x.npz"):
        done = run(*exporting(imported, to))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), (to, done)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
