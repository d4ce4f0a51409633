"""Latency files, setting `latency=file:PATH`: orders that were sent, in hftbacktest's order-latency layout.

An ``.npz`` with the array ``data`` or an ``.npy``, structured, with the int64 fields ``req_ts`` (sent), ``exch_ts``
(at the matching engine; 0 or less: refused) and ``resp_ts`` (answer here), all in ns. Core checks their order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.sources.arrays import read_array

if TYPE_CHECKING:
    from tickerml.config.models import Config

__all__ = ["FIELDS", "recorded_latencies"]

FIELDS = ("req_ts", "exch_ts", "resp_ts")


def recorded_latencies(config: Config) -> tuple[Any, Any, Any] | None:
    """The three columns of the file that the setting names, as a session takes them; None where it names none.

    Raises
    ------
    NotFoundError
        Without such a file.
    UnsoundDataError
        For a file that is no such array.
    """
    kind, _, path = config.execution.latency.partition(":")
    return _columns(Path(path)) if kind == "file" else None


def _columns(path: Path) -> tuple[Any, Any, Any]:
    import numpy as np

    if not path.is_file():
        raise NotFoundError(f"latency=file:{path}: there is no such file; give the path of an .npz or .npy")
    rows = read_array(path)
    names, whole = rows.dtype.names or (), np.dtype(np.int64)
    if rows.ndim != 1 or any(name not in names or rows.dtype[name] != whole for name in FIELDS):
        raise UnsoundDataError(
            f"{path}: its rows are {rows.dtype}, {rows.ndim} dimensions; they must be one row an order with the int64 "
            f"fields {', '.join(FIELDS)}"
        )
    req, exch, resp = (np.ascontiguousarray(rows[name]) for name in FIELDS)
    return req, exch, resp
