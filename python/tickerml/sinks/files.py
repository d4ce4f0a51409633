"""`--fills FILE` and `--orders FILE`: one row a fill, one row an order event, as `.csv` or `.parquet` (contract.md)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from tickerml import cost
from tickerml.errors import TickerError
from tickerml.schema import INTENT_KINDS, InstrumentInfo, Intent, Refused, View, decimal_text, order_ids
from tickerml.sinks.base import sent_with
from tickerml.writing import writing

FILLS: Final = (
    "ts_event_ns", "ts_recv_ns", "instrument", "order_id", "side", "px", "qty", "maker", "fee_quote", "ahead_qty",
    *cost.COLUMNS, "fee_asset", "fee_qty",
)  # fmt: skip
ORDERS: Final = ("ts_ns", "instrument", "order_id", "tag", "event", "side", "px", "qty", "leaves", "reason")

ROWS_MAX: Final = 65_536
"""Rows held before they are written to a Parquet file."""

SIDES: Final = {1: "buy", -1: "sell"}


class Table(Protocol):
    """A file of rows."""

    def add(self, row: Sequence[Any]) -> None: ...
    def close(self) -> None: ...


class FillsFile:
    """A sink: every fill, in order; prices, quantities and money are exact decimal text. What is not known is empty."""

    def __init__(self, path: Path, instruments: Sequence[InstrumentInfo], gauge: cost.Gauge) -> None:
        self._infos, self._gauge = tuple(instruments), gauge
        self._table = open_table(path, FILLS)

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Adds the view's fills."""
        for fill in view.fills:
            info = self._infos[fill.instrument]
            px, qty = decimal_text(fill.px, info.price_precision), decimal_text(fill.qty, info.qty_precision)
            fee, ahead = (
                decimal_text(cost.fee_quote_e18(fill, info), 18),
                decimal_text(fill.ahead_qty, info.qty_precision),
            )
            stamps = (fill.ts_event_ns, fill.ts_recv_ns)
            what = (info.id, fill.order_id, SIDES[fill.side], px, qty, fill.maker, fee, ahead)
            taken = cost.fee_taken(fill, info)
            self._table.add((*stamps, *what, *cost.measure(fill, info, self._gauge), *taken))

    def close(self) -> None:
        """Finishes the file."""
        self._table.close()


class OrdersFile:
    """A sink: every order event: what was sent (a cancel names its order) and what the venue said."""

    def __init__(self, path: Path, instruments: Sequence[InstrumentInfo]) -> None:
        self._infos = tuple(instruments)
        self._table = open_table(path, ORDERS)

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Adds the view's reports, then what it sent."""
        for report in view.reports:
            head = (report.ts_ns, self._infos[report.instrument].id, report.order_id, report.tag, report.kind)
            self._table.add((*head, *self._numbers(report, report.leaves), report.reason))
        for intent, order_id in zip(approved, order_ids(approved), strict=True):
            event = f"sent_{INTENT_KINDS[intent.kind]}"
            head = (view.ts_ns, self._infos[intent.instrument].id, order_id, intent.tag, event)
            self._table.add((*head, *self._numbers(intent, intent.qty), sent_with(intent)))

    def _numbers(self, what: Any, leaves: int) -> tuple[str, str, str, str]:
        info = self._infos[what.instrument]
        px, qty = decimal_text(what.px, info.price_precision), decimal_text(what.qty, info.qty_precision)
        return SIDES.get(what.side, ""), px, qty, decimal_text(leaves, info.qty_precision)

    def close(self) -> None:
        """Finishes the file."""
        self._table.close()


class _Csv:
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        with writing(path):
            self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self.add(names)

    def add(self, row: Sequence[Any]) -> None:
        with writing(self._path):
            self._writer.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in row])

    def close(self) -> None:
        with writing(self._path):
            self._file.close()


class _Parquet:
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = ("ts_event_ns", "ts_recv_ns", "ts_ns", "order_id", "tag", "age_ns")
        parts = ("ahead_ratio", "imbalance", "participation_frac", "spread_ticks")
        types: dict[str, Any] = dict.fromkeys(("maker", "toxic"), pa.bool_())
        types |= dict.fromkeys(whole, pa.int64()) | dict.fromkeys(parts, pa.float64())
        types |= {name: pa.float64() for name in names if name.endswith("_bps")}
        self._path = path
        self._schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
        with writing(path):
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Sequence[Any]] = []

    def add(self, row: Sequence[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_MAX:
            self._flush()

    def close(self) -> None:
        self._flush()
        with writing(self._path):
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        columns = [[row[k] for row in self._rows] for k in range(len(self._schema))]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        with writing(self._path):
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


def open_table(path: Path, names: Sequence[str]) -> Table:
    """A new file of rows with these columns.

    Raises
    ------
    TickerError
        For an ending that says neither `.csv` nor `.parquet`.
    """
    check_ending(path)
    table: Table = KINDS[path.suffix](path, names)
    return table


def check_ending(path: Path) -> None:
    """Refuses a file that says neither `.csv` nor `.parquet`.

    Raises
    ------
    TickerError
    """
    if path.suffix not in KINDS:
        raise TickerError(f"{path}: rows can be written as .csv or .parquet; give the file one of these endings")


KINDS: Final[dict[str, Any]] = {".csv": _Csv, ".parquet": _Parquet}
