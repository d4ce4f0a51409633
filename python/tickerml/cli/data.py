"""`tickerml data`: import, convert, verify, look at, list."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tickerml.cli.options import (
    ALLOW_DAMAGE,
    AMOUNT,
    I64_MAX,
    INSTRUMENT,
    STEP,
    FiniteRange,
    check_output,
    common,
    globals_of,
)
from tickerml.cli.output import bytes_text, emit, span_text
from tickerml.errors import NotFoundError, UnsoundDataError

__all__ = ["data"]

REJECTED_SHOWN = 5


def _to_replace(path: Path, *, folder: bool) -> Path:
    """Where a file (or a folder of files) is renamed to: one that is there or a name that is free, behind a link if it
    is one.

    Raises
    ------
    click.UsageError
        For a device, a pipe, the other of file and folder, and a place in a folder that is not there.
    """
    found = path.resolve()
    if path.absolute().parts[1:2] in (("dev",), ("proc",)) or (
        found.exists() and not (found.is_file() or found.is_dir())
    ):
        raise click.UsageError(f"-o {path}: not a regular file; name one to write")
    if found.exists() and found.is_dir() != folder:
        is_, give = ("file", "folder") if folder else ("folder", "file")
        raise click.UsageError(f"-o {path}: is a {is_}; give a {give}")
    if not found.parent.is_dir():
        raise click.UsageError(f"-o {path}: {found.parent}: no such folder")
    return found


EXPORTS = ("hftbacktest-npz", "tardis-csv", "csv", "raw")


@click.group()
@common
def data() -> None:
    """Import, convert, verify and look at recordings."""


@data.command("list")
@common
def list_() -> None:
    """List runs, tapes and event files."""
    from tickerml.sources.catalog import catalog

    folder = globals_of().data_dir()
    found = catalog(folder)
    emit(found, lambda: _list_text(folder, found))


def _list_text(folder: Path, found: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        f"run {row['run']}: {row.get('command', '?')}, {row.get('source', '?')}, {row.get('state', '?')}, "
        f"{bytes_text(row['disk_bytes'])}, {span_text(row['first_ts_ns'] or 0, row['last_ts_ns'] or 0)}"
        f"{_trouble(row)}"
        for row in found["runs"]
    ]
    lines += [
        f"tape {row['path']}: {row['segments']} segments, {bytes_text(row['bytes'])}, "
        f"{span_text(row['first_ts_ns'] or 0, row['last_ts_ns'] or 0)}"
        for row in found["tapes"]
    ]
    lines += [
        f"events {row['run']} {row['instrument']}: {row['files']} files, {bytes_text(row['bytes'])}, "
        f"{span_text(row['first_ts_ns'], row['last_ts_ns'])}"
        for row in found["events"]
    ]
    return "\n".join(lines) or f"{folder} is empty; `tickerml run --demo` makes a first recording"


def _trouble(row: dict[str, Any]) -> str:
    """What is wrong with a run, if something is."""
    from tickerml.sources.runs import damage_text

    if damage := row.get("damaged"):
        return f", damaged: {damage_text(damage)}"
    return f", {row['problem']}" if "problem" in row else ""


@data.command("import")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["hftbacktest-raw", "jsonl", "hftbacktest-npz"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--instrument", type=INSTRUMENT, required=True, help="What the recording is of.")
@click.option("--no-events", is_flag=True, help="Write the tape only, no event files.")
@click.option("--tick", type=STEP, help="Price step, instead of inferring it.")
@click.option("--lot", type=STEP, help="Quantity step, instead of inferring it.")
@click.option("--min-notional", type=AMOUNT, help="Smallest price x quantity of an order [0].")
@common
def import_(
    *,
    format_: str,
    files: tuple[Path, ...],
    instrument: str,
    no_events: bool,
    tick: str | None,
    lot: str | None,
    min_notional: str | None,
) -> None:
    """Make a tape and event files of recordings; several FILEs are one tape. An npz makes event files only."""
    steps = {"tick": tick, "lot": lot, "min_notional": min_notional}
    with _known_venue(instrument):
        if format_ == "hftbacktest-npz":
            result = _import_npz(files, instrument, steps, no_events=no_events)
            emit(result, lambda: _npz_text(result))
            return
        from tickerml.sources.tapes import import_files

        result = import_files(globals_of().data_dir(), format_, files, instrument, events=not no_events, steps=steps)
        emit(result, lambda: _import_text(result))


@contextmanager
def _known_venue(instrument: str) -> Iterator[None]:
    """Says of an instrument that the native side does not know which venues there are. Not asked beforehand: the
    configuration that has them takes longer to load than a small file to import.
    """
    try:
        yield
    except NotFoundError:
        from tickerml.config.flags import check_venue

        check_venue(instrument)
        raise


def _import_npz(
    files: tuple[Path, ...], instrument: str, steps: dict[str, str | None], *, no_events: bool
) -> dict[str, Any]:
    if no_events:
        raise click.UsageError("hftbacktest-npz has no frames for a tape: leave --no-events out")
    given = {name: text for name, text in steps.items() if text is not None}
    if not {"tick", "lot"} <= given.keys():
        raise click.UsageError("hftbacktest-npz says nothing of the instrument: give --tick and --lot")
    from tickerml.sources.npz import import_npz

    return import_npz(globals_of().data_dir(), files, instrument, given)


def _npz_text(result: dict[str, Any]) -> str:
    when = span_text(result["first_ts_recv_ns"], result["last_ts_recv_ns"])
    lines = [
        f"run {result['run']}: {result['rows']} rows, {when}",
        f"{result['levels']} levels, {result['trades']} trades, {result['snapshots']} snapshots, "
        f"{result['discarded_diffs']} levels before the first snapshot, {result['skipped']} rows of no use here",
        f"events {result['events']}",
    ]
    return "\n".join([*lines, f"next: tickerml backtest {result['run']} --policy P"])


def _import_text(result: dict[str, Any]) -> str:
    rejected = result.get("rejected", [])
    lines = [
        f"run {result['run']}: {result['frames']} frames, {bytes_text(result['bytes'])}, "
        f"{span_text(result['first_ts_recv_ns'], result['last_ts_recv_ns'])}",
        f"{result['levels']} levels, {result['trades']} trades, {result['snapshots']} snapshots, "
        f"{len(result['gaps'])} gaps, {result.get('rejected_count', len(rejected))} lines rejected",
    ]
    lines += [f"  {row['file']}:{row['line']} {row['reason']}" for row in rejected[:REJECTED_SHOWN]]
    lines.append(f"tape {result['tape']}")
    if result.get("events"):
        lines.append(f"events {result['events']}")
    return "\n".join([*lines, f"next: tickerml replay {result['run']}"])


@data.command()
@click.argument("tape_or_run")
@ALLOW_DAMAGE
@common
def convert(tape_or_run: str, allow_damage: bool) -> None:
    """Make event files (Parquet) of a tape's closed segments. A damaged tape is refused with exit 6, and the files that
    there are stay.
    """
    from tickerml.sources.tapes import convert_tape

    result = convert_tape(globals_of().data_dir(), tape_or_run, allow_damage=allow_damage)
    emit(result, lambda: _convert_text(result))


def _convert_text(result: dict[str, Any]) -> str:
    from tickerml.sources.damage import allowed_text

    return "\n".join(
        [f"{result['rows']} rows, {bytes_text(result['bytes'])}: {result['events']}", *allowed_text(result)]
    )


@data.command()
@click.argument("format_name", metavar="FORMAT", type=click.Choice(EXPORTS))
@click.argument("path")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write (tardis-csv: a folder)."
)
@click.option("--instrument", type=INSTRUMENT, help="Which one [csv: all, else the only one].")
@click.option(
    "--base-latency-ms", type=FiniteRange(0, 60_000), default=5, show_default=True,
    help="One way, of the fastest message: what the venue's clock is corrected with.",
)  # fmt: skip
@common
def export(format_name: str, path: str, output: Path, instrument: str | None, base_latency_ms: float) -> None:
    """Write event files (files, a folder, a glob or a run) for another program; raw: a tape's frames as lines."""
    from tickerml.sources.chosen import files_of
    from tickerml.sources.lookup import find_events, find_tape

    data_dir = globals_of().data_dir()
    output = _to_replace(output, folder=format_name == "tardis-csv")
    files = []
    if format_name != "raw":
        files = files_of(find_events((path,), data_dir), instrument, one=format_name != "csv")
    check_output("-o", output, *(files or find_tape(path, data_dir).iterdir()))
    result: dict[str, Any]
    if format_name == "raw":
        from tickerml.sources.tapes import export_raw

        result = export_raw(data_dir, path, output, instrument)
    elif format_name == "hftbacktest-npz":
        from tickerml.sinks.npz import export_npz

        result = dict(export_npz(files, output, base_latency_ms))
    else:
        from tickerml.sinks import text

        write: Any = text.export_csv if format_name == "csv" else text.export_tardis
        result = dict(write(files, output))
    emit(result, lambda: f"{result['rows']} rows, {bytes_text(result['bytes'])}: {output}")


@data.command()
@click.argument("path")
@click.option("--strict", is_flag=True, help="Exit 6 for a cut tail and for market gaps too.")
@common
def verify(path: str, strict: bool) -> int:
    """Prove a tape: every block, every id, every book; exit 6 for damage or missing records."""
    from tickerml.sources.tapes import verify_tape

    result, code = verify_tape(globals_of().data_dir(), path, strict=strict)
    emit(result, lambda: _verify_text(result))
    return code


def _verify_text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['segments']} segments, {result['blocks']} blocks, {result['records']} records, "
        f"{result['cut_bytes']} bytes cut"
    ]
    lines += [f"damaged: {d['segment']} at {d['offset']}, {d['bytes']} bytes: {d['reason']}" for d in result["damaged"]]
    if result["missing_records"]:
        lines.append(f"{result['missing_records']} records are missing")
    if result["pruned"]:
        lines.append("pruned: retention removed the first segments")
    lines += [f"not checked: {what}" for what in result["unchecked"]]
    for row in result["instruments"]:
        lines.append(
            f"{row['instrument']}: {row['updates']} updates, {row['trades']} trades, {len(row['gaps'])} gaps, "
            f"{row['trade_id_gaps']} trade ids missing, {row['repeats']} repeated, {row['crossed']} crossed"
        )
    return "\n".join([*lines, "ok" if result["ok"] else "not ok"])


@data.command()
@click.argument("path")
@click.option("--instrument", type=INSTRUMENT, required=True, help="Whose book.")
@click.option(
    "--at", type=click.IntRange(0, I64_MAX), metavar="TS_NS", help="At this time, ns since 1970 UTC [the end]."
)
@click.option("--depth", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="Levels a side.")
@ALLOW_DAMAGE
@common
def book(path: str, instrument: str, at: int | None, depth: int, allow_damage: bool) -> int:
    """Print a book as it was at a time; exit 6 where the tape is damaged before it."""
    from tickerml.sources.damage import damage_line
    from tickerml.sources.tapes import book_at

    result = book_at(globals_of().data_dir(), path, instrument, at, depth)
    emit(result, lambda: _book_text(result))
    problem = damage_line(result)
    if problem:
        click.echo(f"{problem}; this book may lack what was there", err=True)
    return UnsoundDataError.exit_code if problem and not allow_damage else 0


def _book_text(result: dict[str, Any]) -> str:
    lines = [f"{result['instrument']} {result['state']}"]
    lines += [f"{'':>32}{px:>16} {qty}" for px, qty in reversed(result["asks"])]
    lines += [f"{qty:>15} {px:>16}" for px, qty in result["bids"]]
    return "\n".join(lines)
