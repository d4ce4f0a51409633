"""What a data folder holds: runs, tapes and event files with spans and sizes, from names, headers and `run.json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tickerml.errors import TickerError, UnsoundDataError
from tickerml.schema import EVENT_FILE
from tickerml.sources.lookup import RUN, data_folders
from tickerml.sources.runs import read_run

__all__ = ["catalog"]


def catalog(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Lists of runs, tapes and events of a data folder and of its demo folder."""
    folders = data_folders(data)
    return {
        "runs": [row for folder in folders for row in _runs(folder)],
        "tapes": [row for folder in folders for row in _tapes(folder)],
        "events": [row for folder in folders for row in _events(folder)],
    }


def _runs(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / "runs").glob("*/run.json")):
        try:
            head = read_run(path)
        except UnsoundDataError as error:
            head = {"state": "unreadable", "problem": str(error)}
        yield {
            **head,
            "run": path.parent.name,
            "path": str(path.parent),
            "disk_bytes": sum(_size(file) for file in path.parent.glob("*")),
            "first_ts_ns": head.get("created_ts_ns"),
            "last_ts_ns": head.get("ended_ts_ns"),
        }


def _tapes(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / "tapes").glob("*")):
        if RUN.fullmatch(path.name):
            sizes = [_size(p) for p in path.glob("*.tape")]
            first_ns, last_ns = _span(path)
            yield {
                "run": path.name,
                "path": str(path),
                "segments": len(sizes),
                "bytes": sum(sizes),
                "first_ts_ns": first_ns,
                "last_ts_ns": last_ns,
            }


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a link to nowhere, which is listed all the same."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _span(tape: Path) -> tuple[int | None, int | None]:
    """Stamps of a tape's first and last record; None for both where it has none or cannot be read."""
    from tickerml import _native

    try:
        return _native.tape_span(tape) or (None, None)
    except TickerError:
        return None, None


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((folder / "events").glob("venue=*/symbol=*/date=*/*.parquet")):
        name = EVENT_FILE.fullmatch(path.name)
        if name is None:
            continue
        venue, symbol = (part.partition("=")[2] for part in path.parts[-4:-2])
        instrument = f"{unquote(venue)}:{unquote(symbol)}"
        first_ns, last_ns = int(name[1]), int(name[2])
        row = groups.setdefault(
            (name[3], instrument),
            {
                "run": name[3],
                "instrument": instrument,
                "files": 0,
                "bytes": 0,
                "first_ts_ns": first_ns,
                "last_ts_ns": last_ns,
                "glob": str(folder / "events" / path.parts[-4] / path.parts[-3] / "date=*" / f"*-{name[3]}-*.parquet"),
            },
        )
        row["files"] += 1
        row["bytes"] += _size(path)
        row["first_ts_ns"] = min(row["first_ts_ns"], first_ns)
        row["last_ts_ns"] = max(row["last_ts_ns"], last_ns)
    yield from groups.values()
