"""How a command speaks: data on stdout, everything else on stderr; one JSON object with ``--json``."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from tickerml.cli.options import globals_of
from tickerml.layout import flow

__all__ = ["bytes_text", "emit", "span_text", "time_text"]

GAP = "   "
"""What stands between the parts of a line."""

INDENT = 11
"""Where the values of a summary begin."""


def emit(result: Mapping[str, Any], lines: Callable[[], str]) -> None:
    """Prints a result: as one JSON object, or as the text that `lines` makes."""
    if globals_of().json:
        click.echo(json.dumps(result, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(_fitted(lines()))


def _fitted(text: str) -> str:
    """As it is, or on a terminal that is narrower with its lines broken where their parts end."""
    if not sys.stdout.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(line if len(line) <= columns else flow(line, columns, gap=GAP, indent=INDENT) for line in lines)


def bytes_text(size: int) -> str:
    """A size with three digits and its unit: 1.25 MiB."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{int(value)} B" if unit == "B" else f"{value:.3g} {unit}"


def time_text(ts_ns: int) -> str:
    """A time in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(ts_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"


def span_text(first_ns: int, last_ns: int) -> str:
    """Two times in UTC, and how far apart they are."""
    if first_ns <= 0 or last_ns < first_ns:
        return "empty"
    first, last = (datetime.fromtimestamp(t / 1e9, UTC) for t in (first_ns, last_ns))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC ({(last_ns - first_ns) / 1e9:.1f} s)"
