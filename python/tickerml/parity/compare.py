"""Two ledgers of one run side by side: where they part for the first time, in each table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from tickerml.sinks.committed import read_only
from tickerml.sinks.files import SIDES
from tickerml.sinks.store import KEY, TABLES

__all__ = ["Difference", "differences", "strict_differences"]

KEYS: Final = [part.split()[0] for part in KEY.split(", ")]

TOLD: Final[dict[str, tuple[str, str]]] = {
    "orders": ("ts_ns", "ts_ns <= :until"),
    "fills": ("ts_recv_ns", "ts_recv_ns <= :until"),
    "refusals": ("ts_ns", "ts_ns <= :until AND detail <> 'until here'"),
}
"""What is compared by content: each table's time, and the rows that count. The end of a span of refusals moves with the
end of the input, and a portfolio row is due by the clock: neither is a decision.
"""


class Difference(NamedTuple):
    """The first row of a table that differs.

    Attributes
    ----------
    n : its number among the rows that are compared.
    live, other : the row as each side has it; None where it has no more.
    """

    what: str
    n: int
    ts_ns: int
    instrument: str
    live: dict[str, Any] | None
    other: dict[str, Any] | None

    @property
    def fields(self) -> list[str]:
        """The columns that differ; none where a row is missing."""
        if self.live is None or self.other is None:
            return []
        return [key for key, value in self.live.items() if self.other.get(key) != value]


def differences(live: Path, other: Path, until_ns: int) -> list[Difference]:
    """What was decided and filled up to a time, compared by content; the earliest difference first."""
    found: list[Difference] = []
    for table, (when, counted) in TOLD.items():
        columns = [part.split()[0] for part in TABLES[table].split(", ")]
        dropped = {"count"} if table == "refusals" else set()
        kept = [name for name in columns if name not in dropped]
        query = f"SELECT {', '.join(kept)} FROM {table} WHERE {counted} ORDER BY view, n"
        found += _first(table, when, kept, (live, other), (query, {"until": until_ns}))
    return sorted(found, key=lambda difference: difference.ts_ns)


def strict_differences(live: Path, other: Path, last_view: int) -> list[Difference]:
    """Every row of every table with its key, up to a view: what a replay must give bit for bit."""
    found: list[Difference] = []
    for table, text in TABLES.items():
        columns = [*KEYS[1:], "cause_pos", "gate_pos", *(part.split()[0] for part in text.split(", "))]
        when = next(name for name in ("ts_recv_ns", "ts_ns", "from_ts_ns") if name in columns)
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE view <= :last ORDER BY view, n"
        found += _first(table, when, columns, (live, other), (query, {"last": last_view}))
    return sorted(found, key=lambda difference: difference.ts_ns)


def _first(
    table: str, when: str, columns: Sequence[str], pair: tuple[Path, Path], query: tuple[str, dict[str, int]]
) -> Iterator[Difference]:
    with closing(read_only(pair[0])) as a, closing(read_only(pair[1])) as b:
        for n, (live, other) in enumerate(zip_longest(a.execute(*query), b.execute(*query))):
            if live != other:
                rows = [dict(zip(columns, row, strict=True)) if row else None for row in (live, other)]
                given = min((row for row in rows if row), key=lambda row: int(row[when]))
                instrument = str(given.get("instrument") or "")
                yield Difference(table, n, int(given[when]), instrument, *(_shown(row) for row in rows))
                return


def _shown(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Sides as words, as in `--fills`."""
    return row and {**row, **({"side": SIDES.get(row["side"], "")} if "side" in row else {})}
