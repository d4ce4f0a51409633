"""What a terminal shows, however narrow, and what is said of a disk that is full or a user without a home."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from test_cli import call, place
from tickerml import config
from tickerml.config.home import own_environment
from tickerml.errors import ConfigError, NotFoundError, TickerError
from tickerml.layout import flow
from tickerml.screen import BORDER, COLUMNS, _table, shown_columns
from tickerml.writing import writing

__all__ = ["place"]

LINES = [
    ["binance_spot:BTCUSDT", "Live", "60000.01", "60000.02", "0.00 bps", "12 ms", "0.00167"],
    ["binance_usdm:BTCUSDT", "Buffering", "", "", "", "", "-0.006"],
]
STATUS = "18:04:40  live 2/2  P&L -0.07  frames 1193 (163/s)  gaps 0  reconnects 0  tape lag 2  orders 21  fills 3"


def drawn(width: int) -> list[str]:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(_table(LINES, STATUS, "run 20260101T000000Z-aaaa", width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [36, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    lines = drawn(width)
    assert all(len(line.rstrip()) <= width for line in lines), lines
    text = "\n".join(lines)
    assert "…" not in text
    for whole in ("binance_usdm:BTCUSDT", "Buffering", "frames 1193 (163/s)", "P&L -0.07", "tape lag 2"):
        assert whole in text, (whole, text)


def test_columns_go_in_the_order_in_which_they_are_least_missed() -> None:
    assert [COLUMNS[n] for n in shown_columns(LINES, 120)] == list(COLUMNS)
    assert [COLUMNS[n] for n in shown_columns(LINES, 40 - BORDER)] == ["instrument", "book"]
    assert [COLUMNS[n] for n in shown_columns(LINES, 50)] == ["instrument", "book", "position"]
    assert [COLUMNS[n] for n in shown_columns(LINES, 10)] == ["instrument", "book"]


def test_lines_are_broken_between_their_parts() -> None:
    line = "views      650   orders 124   fills 48   refused 0"
    assert flow(line, 40, gap="   ", indent=11).splitlines() == [
        "views      650   orders 124   fills 48", "           refused 0",
    ]  # fmt: skip
    assert flow("digest     " + "f" * 64, 40, gap="   ", indent=11).replace("\n", "").endswith("f" * 64)
    assert flow(line, 80, gap="   ", indent=11) == line


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), TickerError, "disk full; free some space"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), TickerError, "disk full"),
        (FileNotFoundError(2, "No such file or directory", "/x/y"), NotFoundError, "make it first"),
        (PermissionError(13, "Permission denied", "/x/y"), TickerError, "cannot be written: Permission denied"),
    ],
)
def test_what_goes_wrong_with_a_file_names_it(error: OSError, kind: type[TickerError], words: str) -> None:
    with pytest.raises(kind, match=words) as raised, writing(Path("/x/y")):
        raise error
    assert str(raised.value).startswith("/x/y: ")


def test_without_a_home_the_system_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TICKERML_DATA")
    for unset in (lambda: monkeypatch.delenv("HOME"), lambda: monkeypatch.setenv("HOME", "")):
        unset()
        known = Path(own_environment()["HOME"])
        assert known.is_absolute()
        assert config.data_dir(None) == known / ".local" / "share" / "tickerml"


def test_a_user_whom_nobody_knows_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TICKERML_DATA")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    code, _, err = call(capsys, "data", "list")
    assert (code, err.count("\n")) == (4, 1), err
    assert "--data" in err
    assert call(capsys, "data", "list", "--data", "d")[0] == 0
    assert call(capsys, "config", "check")[0] == 0


def test_xdg_folders_that_are_not_absolute_count_as_unset(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config"}
    assert config.data_dir(None, environ) == tmp_path / ".local" / "share" / "tickerml"
    assert config.data_dir(None, {**environ, "XDG_DATA_HOME": "/d"}) == Path("/d/tickerml")
    with pytest.raises(ConfigError, match="HOME is not set"):
        config.data_dir(None, {})
