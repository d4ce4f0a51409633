"""Files written whole or not at all, and what goes wrong then said with their names: the system's own error of a write
has none.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tickerml.errors import NotFoundError, TickerError

__all__ = ["replacing", "writing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a draft beside `path`, which takes its place at the end; after an error there is no draft and `path` is as
    it was. What the block closes must be closed inside it.

    Raises
    ------
    TickerError, NotFoundError
        With the name `path`, for every OSError of the block.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with writing(path):
            yield draft
            draft.replace(path)
    finally:
        with suppress(OSError):  # where the folder is none, or the name too long: said already
            draft.unlink(missing_ok=True)


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
