"""What `tickerml data` does with tapes: import, convert to event files, verify, look at a book."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.errors import NotFoundError, TickerError, UnsoundDataError
from tickerml.progress import bar
from tickerml.sources.damage import scanned
from tickerml.sources.imported import check_usable, named_other
from tickerml.sources.lookup import find_tape
from tickerml.version import code_version
from tickerml.writing import replacing

if TYPE_CHECKING:
    from tickerml.sinks.parquet import EventFiles, Segment

__all__ = [
    "book_at",
    "convert_into",
    "convert_tape",
    "export_raw",
    "full_book",
    "import_files",
    "span",
    "verify_tape",
]

CHUNK_ROWS = 1 << 14
"""Rows on their way from a tape to a file: 700 kB, which stay in a core's cache and in memory that was used before."""

LEVELS_MAX = 1_000_000
"""Levels of a side of a whole book."""

COUNTED = ("levels", "trades", "snapshots")
"""Counts of an instrument that an import adds up."""


def import_files(
    data: Path, format_: str, files: Sequence[Path], instrument: str, *, events: bool, steps: Mapping[str, str | None]
) -> dict[str, Any]:
    """Makes one tape of recordings, and its event files.

    Parameters
    ----------
    steps : tick, lot and min_notional as text where they were given.

    Raises
    ------
    NotFoundError, UnsoundDataError
        For files that are not there, and for recordings that hold nothing usable or are of another instrument; nothing
        is left behind then.
    """
    from tickerml import _native

    missing = [f"{path}: {'a folder; name the files in it' if path.is_dir() else 'no such file'}"
               for path in files if not path.exists() or path.is_dir()]  # fmt: skip
    if missing:
        raise NotFoundError("\n".join(missing))
    begin = time.perf_counter()
    options = {"data_dir": str(data), "now_ns": time.time_ns(), "chance": int.from_bytes(os.urandom(2)),
               "code_version": code_version(), **steps}  # fmt: skip
    with bar(f"importing {len(files)} files", lambda: None):
        try:
            report = json.loads(_native.tape_import(format_, [str(f) for f in files], instrument, json.dumps(options)))
        except UnsoundDataError as error:
            raise named_other(error, instrument) from None
    tape = Path(report["tape"])
    try:
        market, report["events"] = _market(data, tape, report, events=events)
    except BaseException:
        # The tape of a recording that holds nothing usable, or whose import was broken off, is of no use to anybody.
        shutil.rmtree(tape, ignore_errors=True)
        shutil.rmtree(data / "runs" / tape.name, ignore_errors=True)
        raise
    rows = market["instruments"]
    report |= {name: sum(row[name] for row in rows) for name in COUNTED}
    report["gaps"] = [gap for row in rows for gap in row["gaps"]]
    return {**report, "cpu_s": round(time.process_time(), 6), "wall_s": round(time.perf_counter() - begin, 6)}


def _market(data: Path, tape: Path, report: Mapping[str, Any], *, events: bool) -> tuple[dict[str, Any], str]:
    """What an imported tape holds, and the glob of its event files, which are made on the way."""
    from tickerml import _native

    if events:
        made = _convert(data, tape, partial(check_usable, report))
        return made["market"], made["events"]
    market = dict(json.loads(_native.tape_market(tape)))
    check_usable(report, market)
    return market, ""


def convert_tape(data: Path, tape_or_run: str, *, allow_damage: bool = False) -> dict[str, Any]:
    """Makes the event files of a tape's closed segments; files of the same run are replaced.

    Raises
    ------
    UnsoundDataError
        For a damaged tape, unless that is allowed: whole files are not replaced by what is left.
    """
    tape = find_tape(tape_or_run, data)
    damage = scanned(tape, allow=allow_damage, so="no event file was changed; --allow-damage converts what is left")
    folder = tape.parent.parent if tape.parent.name == "tapes" else data
    made = _convert(folder, tape)
    return {"events": made["events"], "rows": made["rows"], "bytes": made["bytes"],
            "allowed_damage": damage, "cpu_s": round(time.process_time(), 6)}  # fmt: skip


def convert_into(folder: Path, tape: Path) -> bool:
    """Makes a tape's event files under another folder; whether there are any."""
    return bool(_convert(folder, tape)["rows"])


def export_raw(data: Path, tape_or_run: str, out: Path, instrument: str | None) -> dict[str, Any]:
    """Writes the frames and depth snapshots of one instrument as lines `<recv_ns> <json>`; `.gz` is compressed.

    Parameters
    ----------
    instrument : whose; the tape's own where it has one only.

    Raises
    ------
    NotFoundError, UnsoundDataError
        The latter for a tape that is damaged, or has none of it: nothing is written then.
    """
    from tickerml import _native

    tape = find_tape(tape_or_run, data)
    known = [str(name) for name in json.loads(_native.tape_config(tape)).get("instruments", [])]
    if instrument is None and len(known) != 1:
        raise NotFoundError(f"{tape}: holds {', '.join(known) or 'no instrument'}; say which one with --instrument")
    wanted = instrument or known[0]
    if wanted not in known:
        raise NotFoundError(f"{wanted}: not on this tape, which holds {', '.join(known) or 'no instrument'}")
    with replacing(out) as draft:
        try:
            report = json.loads(_native.tape_raw(tape, wanted, draft, out.suffix == ".gz"))
        except TickerError as error:  # of a write that failed it names the draft
            raise type(error)(str(error).replace(str(draft), str(out))) from None
        if report["damaged"]:
            raise UnsoundDataError(f"{tape}: damaged in {report['damaged']} places; `tickerml data verify` says where")
        if not report["rows"]:
            raise UnsoundDataError(f"{tape}: has no frame or snapshot of {wanted} in this form")
    return {"rows": report["rows"], "bytes": out.stat().st_size}


def verify_tape(data: Path, tape_or_run: str, *, strict: bool) -> tuple[dict[str, Any], int]:
    """The proof of a tape, and the exit code: 6 for damage or missing records, and when `strict` for cuts and gaps."""
    from tickerml import _native

    tape = find_tape(tape_or_run, data)
    scan = json.loads(_native.tape_scan(tape))
    market = json.loads(_native.tape_market(tape))
    missing = max(scan["missing_records"], market["missing_records"])
    unsound = bool(scan["damaged"]) or missing > 0
    uneven = scan["cut_bytes"] > 0 or any(row["gaps"] for row in market["instruments"])
    code = UnsoundDataError.exit_code if unsound or (strict and uneven) else 0
    sources = {row.get("metadata_source", "") for row in market["instruments"]} - {""}
    source = sources.pop() if len(sources) == 1 else "mixed" if sources else "none"
    return {"ok": code == 0, "metadata_source": source, **scan, **market, "missing_records": missing}, code


def span(tape: Path) -> tuple[int, int]:
    """Stamps of the first and the last record, ns; zeros of an empty tape."""
    from tickerml import _native

    return _native.tape_span(tape) or (0, 0)


def book_at(data: Path, tape_or_run: str, instrument: str, at_ns: int | None, depth: int) -> dict[str, Any]:
    """A book as it was at a time, best first, with the damage met on the way there (`damaged`, `missing_records`).

    Raises
    ------
    NotFoundError
        For an instrument that the tape does not have, or did not have yet.
    """
    book = _book(find_tape(tape_or_run, data), instrument, at_ns, depth)
    return {key: value for key, value in book.items() if key not in ("metadata", "volume_qty")}


def full_book(tape: Path, instrument: str, at_ns: int | None) -> dict[str, Any]:
    """The same with every level, and beside it the instrument's metadata, what was traded in five minutes before, and
    the span of the tape (`begins_ns`, `ends_ns`).
    """
    book = _book(tape, instrument, at_ns, LEVELS_MAX)
    return {**book, **dict(zip(("begins_ns", "ends_ns"), span(tape), strict=True))}


def _book(tape: Path, instrument: str, at_ns: int | None, depth: int) -> dict[str, Any]:
    from tickerml import _native

    try:
        return dict(json.loads(_native.tape_book(tape, instrument, at_ns, depth)))
    except NotFoundError:
        if at_ns is None:
            raise
    begin_ns, _ = span(tape)
    end = json.loads(_native.tape_book(tape, instrument, None, depth))
    raise NotFoundError(
        f"--at {at_ns}: nothing was known of {end['instrument']} yet; this tape begins at {begin_ns}, give a later time"
    )


def _convert(
    data: Path, tape: Path, check: Callable[[Mapping[str, Any]], None] = lambda market: None
) -> dict[str, Any]:
    """The event files of a tape. `check` sees what the tape held; where it raises, no file is put in its place."""
    from tickerml import _native
    from tickerml.sinks.parquet import EventFiles

    run, segments = tape.name, _Segments(tape)
    events = _native.TapeEvents(tape, chunk_rows=CHUNK_ROWS)
    files: dict[str, EventFiles] = {}
    meta = {"source": _source(data, run), "code_version": code_version()}
    at = [0]
    with bar("event files", lambda: at[0] / len(segments)), ExitStack() as stack:
        for segment, day, text, rows in _closed(events, segments):
            instrument = json.loads(text)
            name = f"{instrument['venue']}:{instrument['symbol']}"
            if name not in files:
                files[name] = stack.enter_context(EventFiles(data, run, instrument, **meta))
            files[name].describe(instrument)
            files[name].add_rows(segment, day, rows)
            at[0] = segment.segment
        market = json.loads(events.report())
        check(market)
    globs = [made.glob() for made in files.values()]
    whole = str(data / "events" / "venue=*" / "symbol=*" / "date=*" / f"*-{run}-*.parquet")
    return {
        "events": globs[0] if len(globs) == 1 else whole if globs else "",
        "rows": sum(made.rows for made in files.values()),
        "bytes": sum(made.bytes for made in files.values()),
        "market": market,
    }


def _closed(events: Any, segments: _Segments) -> Iterator[tuple[Segment, int, str, Any]]:
    """The chunks of closed segments; the open one of a run that goes on comes with the next convert."""
    for index, day, instrument, rows in iter(events.rows, None):
        segment = segments.closed(index)
        if segment is not None:
            yield segment, day, instrument, rows


class _Segments:
    """The segments of a tape in order, and which of them are closed: all but the last, and that too at the end."""

    def __init__(self, tape: Path) -> None:
        self._paths = sorted(tape.glob("*.tape"))
        state = _run_json(tape.parent.parent, tape.name).get("state", "ended")
        self._closed = len(self._paths) - (state == "running")
        self._known: dict[int, Segment] = {}

    def __len__(self) -> int:
        return max(len(self._paths), 1)

    def closed(self, index: int) -> Segment | None:
        """Epoch, number and hash of a closed segment; None for the open one."""
        from tickerml import _native
        from tickerml.sinks.parquet import Segment

        if index >= self._closed:
            return None
        if index not in self._known:
            path = self._paths[index]
            epoch, _, number = path.stem.partition("-")
            self._known[index] = Segment(int(epoch), int(number), _native.file_sha256(path))
        return self._known[index]


def _source(data: Path, run: str) -> str:
    return str(_run_json(data, run).get("source", "venue"))


def _run_json(data: Path, run: str) -> dict[str, Any]:
    try:
        return dict(json.loads((data / "runs" / run / "run.json").read_bytes()))
    except (OSError, ValueError):
        return {}
