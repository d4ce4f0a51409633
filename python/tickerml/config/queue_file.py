"""The curve of the queue model `fitted`, as ``tickerml execution fit`` writes it: a small JSON file.

`share` holds how much of a level's decrease beyond what was printed was ahead of an order, at evenly spaced places from
the front of the queue (first) to its end (last). Above 1: placements hide cancels between two diffs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

__all__ = ["FORMAT", "KNOTS", "SHARE_MAX", "Curve", "read_curve"]

FORMAT = 1
KNOTS = 17
SHARE_MAX = 4
FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Curve:
    """What a model needs of the file, and where it was measured."""

    share: tuple[Decimal, ...]
    fit_end_ns: int
    sources: tuple[dict[str, Any], ...]


def read_curve(path: Path) -> Curve:
    """Reads a curve.

    Raises
    ------
    ValueError
        Saying what is wrong with the file and how to mend it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
        found = json.loads(text, parse_float=Decimal) if len(text) <= FILE_BYTES_MAX else None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; `tickerml execution fit -o {path}` writes one") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("model") != "fitted":
        raise ValueError(f"{path}: is no curve of `tickerml execution fit`; write one with it")
    share, end, sources = found.get("share"), found.get("fit_end_ns"), found.get("sources")
    if not isinstance(end, int) or not isinstance(sources, list) or not all(isinstance(s, dict) for s in sources):
        raise ValueError(f"{path}: fit_end_ns is no whole number, or sources is no list; write the file again")
    numbers = isinstance(share, list) and all(
        isinstance(s, int | Decimal) and not isinstance(s, bool) and 0 <= s <= SHARE_MAX for s in share
    )
    if not numbers or len(share or ()) != KNOTS:
        raise ValueError(f"{path}: share is not {KNOTS} numbers from 0 to {SHARE_MAX}; write the file again")
    return Curve(tuple(Decimal(s) for s in share or ()), end, tuple(sources))
