"""Arrays of other programs: an .npy, or the array ``data`` of an .npz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.errors import NotFoundError, TickerError, UnsoundDataError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["read_array"]

MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")
"""How an .npz, an .npz of nothing and an .npy begin; numpy takes all else for a pickle."""


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array of a file; nothing in it is run.

    Raises
    ------
    UnsoundDataError
        One line, whatever is wrong with the bytes.
    NotFoundError, TickerError
        Where the system does not let them be read.
    """
    import numpy as np

    try:
        # Opened here: where numpy opens a file that proves bad, it leaves it open.
        file = path.open("rb")
    except OSError as error:
        kind = NotFoundError if isinstance(error, FileNotFoundError) else TickerError
        raise kind(f"{path}: cannot be read: {error.strerror}") from error
    names = None
    try:
        with file:
            if file.read(6).startswith(MAGICS):
                file.seek(0)
                found = np.load(file, allow_pickle=False)
                if isinstance(found, np.ndarray):
                    return found
                names = ", ".join(found.files) or "nothing"
                if "data" in found.files:
                    rows: npt.NDArray[Any] = found["data"]
                    return rows
    # Zip, zlib, tokenize and numpy each raise their own, MemoryError included, over bytes that are not what they claim.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnsoundDataError(f"{path}: cannot be read: {reason}; write it again, by numpy.savez") from error
    if names is None:
        raise UnsoundDataError(f"{path}: is neither .npz nor .npy; numpy.savez(path, data=rows) writes one")
    raise UnsoundDataError(f"{path}: has no array `data`, only {names}; numpy.savez(path, data=rows) writes one")
