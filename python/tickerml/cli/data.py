"""`tickerml data`: import, convert, verify, look at, list."""

from pathlib import Path
from typing import Any

import click

from tickerml.cli.options import common, globals_of
from tickerml.cli.output import bytes_text, emit, span_text

__all__ = ["data"]


@click.group()
@common
def data() -> None:
    """Import, convert, verify and look at recordings."""


@data.command("list")
@common
def list_() -> None:
    """List runs, tapes and event files."""
    from tickerml.sources.catalog import catalog

    folder = globals_of().data_dir()
    found = catalog(folder)
    emit(found, lambda: _list_text(folder, found))


def _list_text(folder: Path, found: dict[str, list[dict[str, Any]]]) -> str:
    lines = [f"run {row['run']}: {row.get('command', '?')}, {row.get('source', '?')}" for row in found["runs"]]
    lines += [f"tape {row['path']}: {row['segments']} segments, {bytes_text(row['bytes'])}" for row in found["tapes"]]
    lines += [
        f"events {row['run']} {row['instrument']}: {row['files']} files, {bytes_text(row['bytes'])}, "
        f"{span_text(row['first_ts_ns'], row['last_ts_ns'])}"
        for row in found["events"]
    ]
    return "\n".join(lines) or f"{folder} is empty; `tickerml run --demo` makes a first recording"
