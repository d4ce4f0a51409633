"""From what a user types to files: runs by name, tapes by folder, event files by file, folder, glob or run."""

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tickerml.errors import NotFoundError

__all__ = ["RUN", "data_folders", "find_events", "find_run", "find_tape", "is_tape"]

RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{4}")
"""The name of a run: its start in UTC and four letters."""


def data_folders(data: Path) -> tuple[Path, Path]:
    """Where a run is looked up: the data folder, then the loopback venues' under it."""
    return data, data / "demo"


def is_tape(folder: Path) -> bool:
    """Whether a folder holds segments."""
    return folder.is_dir() and next(folder.glob("*.tape"), None) is not None


def find_tape(tape_or_run: str, data: Path) -> Path:
    """The tape folder of a path or a run.

    Raises
    ------
    NotFoundError
    """
    path = Path(tape_or_run)
    if is_tape(path):
        return path
    if RUN.fullmatch(tape_or_run):
        return find_run(tape_or_run, data) / "tapes" / tape_or_run
    if path.is_dir():
        raise NotFoundError(f"{path}: no segments (*.tape) here; give the folder of one run, DATA/tapes/<run>")
    raise NotFoundError(f"{tape_or_run}: neither a tape folder nor a run; `tickerml data list` shows what there is")


def find_run(run: str, data: Path) -> Path:
    """The data folder that holds the tape of a run.

    Raises
    ------
    NotFoundError
    """
    for folder in data_folders(data):
        if is_tape(folder / "tapes" / run):
            return folder
    if any((folder / "runs" / run).is_dir() for folder in data_folders(data)):
        raise NotFoundError(f"{run}: has no tape (any more); its event files are for `tickerml backtest`")
    from difflib import get_close_matches

    near = get_close_matches(run, list(runs(data)), n=1)
    hint = f"did you mean {near[0]}?" if near else "`tickerml data list` shows what there is"
    raise NotFoundError(f"{run}: no such run in {data} or {data / 'demo'}; {hint}")


def runs(data: Path) -> Iterator[str]:
    """The names of all runs with a tape."""
    for folder in data_folders(data):
        yield from (p.name for p in sorted((folder / "tapes").glob("*")) if RUN.fullmatch(p.name))


def find_events(given: Sequence[str], data: Path) -> list[Path]:
    """The event files that the arguments mean, each once, in their order and by name within one argument.

    Raises
    ------
    NotFoundError
        For every argument that means no file, all in one message.
    """
    found: dict[Path, None] = {}
    missing = []
    for text in given:
        files = _events_of(text, data)
        if not files:
            missing.append(_no_events(text, data))
        found.update(dict.fromkeys(files))
    if missing:
        raise NotFoundError("\n".join(missing))
    return list(found)


def _no_events(text: str, data: Path) -> str:
    """Why an argument means no event file, and what makes or finds some."""
    if not RUN.fullmatch(text):
        return f"{text}: no event files; give .parquet files, a folder, a glob or a run with events"
    try:
        find_run(text, data)
    except NotFoundError as error:
        return str(error)
    return f"{text}: this run has no event files yet; `tickerml data convert {text}` makes them"


def _events_of(text: str, data: Path) -> list[Path]:
    path = Path(text)
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(path.rglob("*.parquet"))
    if RUN.fullmatch(text):
        pattern = f"events/venue=*/symbol=*/date=*/*-{text}-*.parquet"
        return sorted(p for folder in data_folders(data) for p in folder.glob(pattern))
    return sorted(Path(p) for p in glob.glob(text, recursive=True) if p.endswith(".parquet"))
