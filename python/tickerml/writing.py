"""What goes wrong while a file is written, said with its name: the system's own error of a write has none."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickerml.errors import NotFoundError, TickerError

__all__ = ["writing"]


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
