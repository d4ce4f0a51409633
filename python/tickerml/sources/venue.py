"""The exchange on loopback, served for others: `tickerml venue serve`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from tickerml.errors import ConfigError, NotFoundError
from tickerml.signals import Stopping

__all__ = ["market_config", "serve"]

WAIT_S = 3600.0
"""One wait for the end; a signal ends it by stopping the venue."""

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


def market_config(
    market: Path | None, recordings: Sequence[Path], instrument: str | None, *, speed: float, **more: Any
) -> dict[str, Any]:
    """The configuration of `_native.Venue`: a YAML file's, with the command's flags on top.

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
        config = _texts(file.data)
    if recordings:
        files = [str(path) for path in recordings]
        config["recording"] = {"files": files, "instrument": instrument, "speed": speed}
    else:
        config["speed"] = speed
    return {**config, **{key: value for key, value in more.items() if value is not None}}


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
