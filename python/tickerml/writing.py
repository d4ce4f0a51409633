"""Files written whole or not at all, and what goes wrong then said with their names: the system's own error of a write
has none.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tickerml.errors import NotFoundError, TickerError

__all__ = ["draft_of", "replacing", "sync_folder", "writing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a draft beside `path`, which takes its place at the end, synced; after an error there is no draft and
    `path` is as it was. What the block closes must be closed inside it.

    Raises
    ------
    TickerError, NotFoundError
        With the name `path`, for what `draft_of` refuses and for every OSError of the block.
    """
    draft = draft_of(path)
    try:
        with writing(path):
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path.resolve())
            sync_folder(draft.parent)
    finally:
        with suppress(OSError):  # where the folder is none, or the name too long: said already
            draft.unlink(missing_ok=True)


def draft_of(path: Path) -> Path:
    """Where a file is written before it takes its place; behind a link where `path` is one.

    Raises
    ------
    TickerError
        For a folder, a device or a pipe: a file must never take their place.
    """
    found = path.resolve()
    if found.is_dir():
        raise TickerError(f"{path}: is a folder; give a file")
    if found.exists() and not found.is_file():
        raise TickerError(f"{path}: is no regular file; give one")
    return found.with_name(f".{found.name}.tmp")


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk: that is what makes a rename last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what opens, fills or closes `path`.

    Raises
    ------
    TickerError, NotFoundError
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC or "errno 28" in str(error):  # pyarrow says it in words
            raise TickerError(f"{path}: disk full; free some space and run the command again") from error
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(
                f"{path}: cannot be written: there is no folder {path.parent}; make it first"
            ) from error
        raise TickerError(f"{path}: cannot be written: {error.strerror or error}") from error
