"""Event files as text that any program reads: our own columns as `csv`, or Tardis' two files as `tardis-csv`.

Prices and quantities are exact decimals. A file whose name ends in `.gz` is compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from tickerml.errors import TickerError, UnsoundDataError
from tickerml.schema import (
    CAUSES,
    FLAGS,
    KINDS,
    MARK_PRECISION,
    RATE_PRECISION,
    STATES,
    UNDEF_I64,
    Columns,
    decimal_text,
)
from tickerml.sinks.events import EventFile
from tickerml.writing import replacing, writing

__all__ = ["export_csv", "export_tardis"]

US_NS: Final = 1000

TARDIS_EXCHANGES: Final = {
    "binance_spot": "binance", "binance_us": "binance-us", "binance_usdm": "binance-futures",
    "binance_coinm": "binance-delivery",
}  # fmt: skip
"""Tardis' names of venues; another one keeps ours."""

Text = npt.NDArray[np.object_]
Table = tuple[str, dict[str, Any]]


def export_csv(files: Sequence[Path], out: Path) -> dict[str, int]:
    """Writes every row as `instrument,pos,ts_recv_ns,ts_event_ns,kind,px,qty,flags`; gives `rows` and `bytes`.

    `kind` is a word. `px` and `qty` of a state are its name and its cause's, of a funding the rate and its settlement
    in ms; an absent time or number is empty.
    """

    def tables(file: EventFile, columns: Columns) -> Iterator[Table]:
        kind = columns["kind"]
        names = np.array(["", *KINDS], object)
        px, qty = _numbers(file, columns)
        event = pa.array(columns["ts_event_ns"], mask=columns["ts_event_ns"] == UNDEF_I64)
        yield "", {
            "instrument": np.full(len(kind), file.instrument_id, object), "pos": columns["pos"],
            "ts_recv_ns": columns["ts_recv_ns"], "ts_event_ns": event, "kind": names[kind], "px": px, "qty": qty,
            "flags": columns["flags"],
        }  # fmt: skip

    return _write(files, {"": out}, tables)


def export_tardis(files: Sequence[Path], out: Path) -> dict[str, Any]:
    """Writes Tardis' `incremental_book_L2` and `trades` of one instrument into the folder `out`.

    Tardis counts in microseconds, so stamps lose three digits; our event files keep no trade ids, so `id` is empty. A
    row without a venue time takes its arrival for it. Gives `rows`, `bytes` and `files`.
    """
    first = EventFile(files[0])
    symbol, venue, instrument = str(first.instrument["symbol"]), str(first.instrument["venue"]), first.instrument_id
    exchange = TARDIS_EXCHANGES.get(venue, venue)
    first.close()
    book, trades = "incremental_book_L2", "trades"
    places = {name: out / f"{exchange}_{name}_{symbol.replace('/', '-')}.csv.gz" for name in (book, trades)}

    def tables(file: EventFile, columns: Columns) -> Iterator[Table]:
        if file.instrument_id != instrument:
            raise UnsoundDataError(
                f"{file.path}: is of {file.instrument_id}, not {instrument}; say which one with --instrument"
            )
        kind = columns["kind"]
        px, qty = _numbers(file, columns)
        recv, event = columns["ts_recv_ns"], columns["ts_event_ns"]
        stamps = np.where(event == UNDEF_I64, recv, event) // US_NS
        head = {"exchange": np.full(len(kind), exchange, object), "symbol": np.full(len(kind), symbol, object),
                "timestamp": stamps, "local_timestamp": recv // US_NS}  # fmt: skip
        image = np.where(columns["flags"] & FLAGS["snapshot"] != 0, "true", "false").astype(object)
        sides = np.isin(kind, [KINDS["bid"], KINDS["buy_trade"]])
        for name, kinds, middle, words in (
            (book, ("bid", "ask"), {"is_snapshot": image}, ("bid", "ask")),
            (trades, ("buy_trade", "sell_trade"), {"id": np.full(len(kind), "", object)}, ("buy", "sell")),
        ):
            kept = np.isin(kind, [KINDS[one] for one in kinds])
            side = np.where(sides, *words).astype(object)
            table = {**head, **middle, "side": side, "price": px, "amount": qty}
            yield name, {key: column[kept] for key, column in table.items()}

    if out.exists() and not out.is_dir():
        raise TickerError(f"{out}: tardis-csv makes two files; give a folder with -o")
    with _folder(out):
        return {**_write(files, places, tables), "files": [str(path) for path in places.values()]}


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Makes a folder and those above it; after an error what was made is gone, unless something lies in it."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # others may have put something there meanwhile
            for folder in made:
                folder.rmdir()
        raise


def _write(
    files: Sequence[Path], places: dict[str, Path], tables: Callable[[EventFile, Columns], Iterator[Table]]
) -> dict[str, int]:
    """Writes the tables of every chunk behind each other, and gives the files their names when all are whole."""
    writers: dict[str, Any] = {}
    rows = 0
    options = pa.csv.WriteOptions(quoting_style="needed")
    # Everything that was opened is closed before the first file takes its name.
    with ExitStack() as named, ExitStack() as opened:
        for path in files:
            file = EventFile(path)
            opened.callback(file.close)
            for columns in file.chunks():
                for name, made in tables(file, columns):
                    table, place = pa.table(made), places[name]
                    with writing(place):
                        if name not in writers:
                            draft = named.enter_context(replacing(place))
                            sink = opened.enter_context(_sink(draft, gzip=place.suffix == ".gz"))
                            writer = pa.csv.CSVWriter(sink, table.schema, write_options=options)
                            writers[name] = opened.enter_context(writer)
                        writers[name].write_table(table)
                    rows += len(table)
    return {"rows": rows, "bytes": sum(places[name].stat().st_size for name in writers)}


def _sink(path: Path, *, gzip: bool) -> Any:
    return pa.CompressedOutputStream(str(path), "gzip") if gzip else pa.OSFile(str(path), "wb")


def _numbers(file: EventFile, columns: Columns) -> tuple[Text, Text]:
    """Prices and quantities of a chunk as text, by what each kind means with them."""
    kind, px, qty = columns["kind"], columns["px"], columns["qty"]
    made = np.full(len(kind), "", object), np.full(len(kind), "", object)
    scales = int(file.instrument["price_precision"]), int(file.instrument["qty_precision"])
    plain = [KINDS[name] for name in ("bid", "ask", "buy_trade", "sell_trade", "touch")]
    _fill(made[0], np.isin(kind, plain), px, lambda value: decimal_text(value, scales[0]))
    _fill(made[1], np.isin(kind, plain), qty, lambda value: decimal_text(value, scales[1]))
    state = kind == KINDS["state"]
    _fill(made[0], state, px, lambda value: STATES[value])
    _fill(made[1], state, qty, lambda value: CAUSES[value])
    funding = kind == KINDS["funding"]
    _fill(made[0], funding, px, lambda value: decimal_text(value, RATE_PRECISION))
    _fill(made[1], funding, qty, str)
    _fill(made[0], kind == KINDS["mark"], px, lambda value: decimal_text(value, MARK_PRECISION))
    return made


def _fill(into: Text, where: npt.NDArray[np.bool_], values: npt.NDArray[Any], text: Callable[[int], str]) -> None:
    """Each distinct value is made text once: a market has few prices."""
    unique, inverse = np.unique(values[where], return_inverse=True)
    known = np.array(["" if value == UNDEF_I64 else text(value) for value in unique.tolist()], object)
    if len(known):
        into[where] = known[inverse]
