"""Which event files an export takes: those of one instrument, where it can hold only one or one was named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tickerml.errors import NotFoundError

__all__ = ["files_of"]


def files_of(files: Sequence[Path], instrument: str | None, *, one: bool) -> list[Path]:
    """The files of an instrument, in their order; without one all of them.

    Parameters
    ----------
    one : only one instrument has room.

    Raises
    ------
    NotFoundError
        For an instrument that none of them is of, and where none was named and there are several.
    UnsoundDataError
        For a file that cannot be read.
    """
    from tickerml.sinks.events import EventFile

    if instrument is None and not one:
        return list(files)
    ids: dict[Path, str] = {}
    for path in files:
        file = EventFile(path)
        ids[path] = file.instrument_id
        file.close()
    known = sorted(set(ids.values()))
    if instrument is None and len(known) > 1:
        raise NotFoundError(f"these events are of {', '.join(known)}; say which one with --instrument")
    if instrument is not None and instrument not in known:
        raise NotFoundError(f"--instrument {instrument}: not in these events, which are of {', '.join(known)}")
    return [path for path in files if instrument in (None, ids[path])]
