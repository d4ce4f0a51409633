"""The exchange on loopback, served for others: `tickerml venue serve`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerml.errors import ConfigError, NotFoundError
from tickerml.signals import Stopping
from tickerml.writing import replacing

if TYPE_CHECKING:
    from tickerml.config.yaml_file import YamlFile

__all__ = ["market_config", "record", "serve"]

WAIT_S = 3600.0
"""One wait for the end; a signal ends it by stopping the venue."""

RANGES = {"port": (0, 65_535), "seed": (0, 2**63 - 1), "speed": (Decimal("1e-9"), 1000)}
"""Numbers at the top of a market file, as `tickerml_venue::config` takes them."""

DECIMALS = ("price", "tick", "lot", "min_notional")


def serve(config: dict[str, Any], market: Path | None = None, *, as_json: bool) -> None:
    """Serves until a signal, or until the recording has ended; says where at once.

    Parameters
    ----------
    market : the file that most of the configuration came from, to name it in a problem.
    """
    from tickerml import _native

    try:
        server = _native.Venue(json.dumps(config))
        urls = json.loads(server.start())
    except ConfigError as e:
        raise ConfigError([_placed(problem, market) for problem in e.problems]) from None
    stopped = threading.Event()

    def stop(_: str) -> None:
        stopped.set()
        server.stop()

    with Stopping(stop):
        click.echo(json.dumps(urls) if as_json else "\n".join(f"{name:12} {url}" for name, url in urls.items()))
        while not stopped.is_set() and not server.wait(WAIT_S):
            pass
    server.stop()


def record(
    config: dict[str, Any], market: Path | None, instrument: str | None, *, duration_s: float, out: Path
) -> dict[str, Any]:
    """Writes a generated market as gzipped lines of a recording; gives `frames`, `bytes` (of text) and their span.

    Parameters
    ----------
    market : the file that the configuration came from, to name it in a problem.

    Raises
    ------
    ConfigError, TickerError, NotFoundError
    """
    import gzip

    from tickerml import _native

    try:
        lines = _native.RawLines(json.dumps(config), instrument, round(duration_s * 1e9))
    except ConfigError as e:
        raise ConfigError([_placed(problem, market) for problem in e.problems]) from None
    size, first_ts_recv_ns = 0, None
    # Neither the time nor the name goes in: the same seed gives the same file.
    with (
        replacing(out) as draft,
        draft.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
    ):
        for text in lines:
            first_ts_recv_ns = first_ts_recv_ns or (int(text.partition(" ")[0]) if text else None)
            size += packed.write(text.encode())
    return {
        "file": str(out), "frames": lines.frames, "bytes": size, "first_ts_recv_ns": first_ts_recv_ns,
        "last_ts_recv_ns": lines.last_ts_recv_ns,
    }  # fmt: skip


def market_config(
    market: Path | None, recordings: Sequence[Path], instrument: str | None, *, speed: float | None, **more: Any
) -> dict[str, Any]:
    """The configuration of `_native.Venue`: a YAML file's, with the command's flags on top; None was not given.

    Raises
    ------
    ConfigError, NotFoundError
    """
    from tickerml.config.yaml_file import read_yaml

    given = [path for path in (market, *recordings) if path is not None]
    if missing := [f"{path}: no such file" for path in given if not path.is_file()]:
        raise NotFoundError("\n".join(missing))
    config: dict[str, Any] = {}
    if market is not None:
        file = read_yaml(market)
        if file.problems:
            raise ConfigError(file.problems)
        if wrong := list(_out_of_range(file)):
            raise ConfigError(wrong)
        config = _texts(file.data)
    flags = {"speed": speed, **more}
    given_flags = {key: value for key, value in flags.items() if value is not None}
    if recordings:
        of = {"files": [str(path) for path in recordings], "instrument": instrument}
        speed_of = {"speed": given_flags.pop("speed")} if "speed" in given_flags else {}
        config["recording"] = {**of, **speed_of}
    return {**config, **given_flags}


def _out_of_range(file: YamlFile) -> Iterator[str]:
    """The numbers of a market file that do not fit, with their lines: the venue says what was wrong, not which."""
    for key, (low, high) in RANGES.items():
        value = file.data.get(key, high)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (key == "speed" and isinstance(value, Decimal))) or not low <= value <= high:
            wanted = "a number above 0, at most 1000" if key == "speed" else f"a whole number from {low} to {high}"
            yield f"{file.path}:{file.lines[key,]} {key}: {value} does not fit; write {wanted}"


def _placed(problem: str, market: Path | None) -> str:
    """A problem with the file and, where it names a key of it, the line."""
    from tickerml.config.yaml_file import read_yaml

    if market is None:
        return problem
    lines = {path[-1]: line for path, line in reversed(read_yaml(market).lines.items())}
    words = (word.rpartition(".")[2] for word in re.findall(r"[\w.]+", problem))
    line = next((lines[word] for word in words if word in lines), 0)
    return f"{market}:{line} {problem}" if line else f"{market}: {problem}"


def _texts(value: Any, key: str = "") -> Any:
    """Prices and steps as text, as the venue wants them; other numbers as numbers."""
    if isinstance(value, dict):
        return {name: _texts(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if key in DECIMALS and value is not None:
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return float(value) if isinstance(value, Decimal) else value
