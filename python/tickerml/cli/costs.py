"""`tickerml costs`: what a round trip would have cost on a recorded book, or costs now on a running run's."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from tickerml.cli.options import ALLOW_DAMAGE, I64_MAX, INSTRUMENT, SETTING, STEP, common, globals_of
from tickerml.cli.output import emit

__all__ = ["costs", "volume_text", "window_s"]

WINDOW_S = 300.0
"""What the impact is measured by: the volume of five minutes."""

OLD_S = 10.0
"""A running run's book older than this is said to be old."""


@click.command()
@click.argument("instrument", type=INSTRUMENT)
@click.argument("tape_or_run", required=False)
@click.option("--qty", type=STEP, required=True, help="How much is bought and sold, in the instrument's own quantity.")
@click.option(
    "--at", type=click.IntRange(0, I64_MAX), metavar="TS_NS", help="At this time, ns since 1970 UTC [the end]."
)
@click.option("--set", "sets", type=SETTING, multiple=True, help="Override a setting, like taker_bps=4.")
@ALLOW_DAMAGE
@common
def costs(
    *,
    instrument: str,
    tape_or_run: str | None,
    qty: str,
    at: int | None,
    sets: tuple[tuple[str, str], ...],
    allow_damage: bool,
) -> None:
    """Say what buying and selling --qty of INSTRUMENT costs: spread, depth, fees and impact, as taker and as maker.

    The book is that of TAPE_OR_RUN; without one, the newest of the running run that records INSTRUMENT.
    """
    from fractions import Fraction

    from tickerml.config.build import fees_at
    from tickerml.cost import Gauge
    from tickerml.roundtrip import BadQuantity, Ladder, round_trips
    from tickerml.sources.damage import allowed
    from tickerml.sources.lookup import find_tape
    from tickerml.sources.recorded import recorded_config
    from tickerml.sources.tapes import full_book

    given = globals_of()
    tape = find_tape(tape_or_run, given.data_dir()) if tape_or_run else _running(given.data_dir(), instrument)
    loaded = given.load(sets=sets, recorded=recorded_config(tape))
    book = full_book(tape, instrument, at)
    damage = allowed(book, allow=allow_damage)
    maker, taker = map(Fraction, fees_at(loaded.config, instrument.partition(":")[0], book["ts_recv_ns"]))
    try:
        trips = round_trips(Ladder.of(book), Fraction(qty), maker, taker, Gauge.of(loaded.config.execution))
    except BadQuantity as e:
        raise click.BadParameter(str(e), param_hint="--qty") from None
    result = {
        "run": tape.name,
        "ts_recv_ns": book["ts_recv_ns"],
        **trips,
        "volume_window_s": window_s(book),
        "allowed_damage": damage,
    }
    if not tape_or_run and at is None:
        _say_if_old(tape, book["ts_recv_ns"])
    emit(result, lambda: _text(result))


def _running(data: Path, instrument: str) -> Path:
    """The tape of the newest running run that records an instrument.

    Raises
    ------
    NotFoundError
    """
    from tickerml.errors import NotFoundError, UnsoundDataError
    from tickerml.sources.lookup import data_folders, is_tape
    from tickerml.sources.recorded import recorded_config
    from tickerml.sources.runs import newest_first

    for folder in data_folders(data):
        for info in newest_first(folder):
            tape: Path = folder / "tapes" / str(info["run"])
            if info.get("state") != "running" or not is_tape(tape):
                continue
            with suppress(UnsoundDataError):  # a run that has just begun has no CONFIG record yet
                if instrument in recorded_config(tape).get("instruments", []):
                    return tape
    raise NotFoundError(f"{instrument}: no running run in {data} records it; name a tape or a run behind it")


def _say_if_old(tape: Path, ts_ns: int) -> None:
    import time

    age_s = time.time() - ts_ns / 1e9
    if age_s > OLD_S:
        click.echo(f"run {tape.name}: its last record is {age_s:.0f} s old; does it still run?", err=True)


def window_s(book: Mapping[str, Any]) -> float:
    """How much of the five minutes before a book lies on its tape, seconds."""
    return min(WINDOW_S, float(book["ts_recv_ns"] - book["begins_ns"]) / 1e9)


def volume_text(result: Mapping[str, Any]) -> list[str]:
    """What was traded before, and how far it can be believed."""
    volume, window = result["volume_qty"], result["volume_window_s"]
    if window < WINDOW_S:
        short = f"in the {window:.3g} s since the tape begins, not in five minutes: the impact is shown too high"
        lines = [f"{volume} were traded {short}"]
    else:
        lines = [f"{volume} were traded in the five minutes before"]
    if volume == "0":
        lines.append("nothing was traded: impact is shown as 0 and not known")
    elif result["large"]:
        lines.append("that is too much of it for these numbers to hold: see participation_frac_max")
    return lines


def _text(result: dict[str, Any]) -> str:
    from tickerml.cli.output import time_text
    from tickerml.sources.damage import allowed_text

    names = ("spread", "depth", "fee", "impact", "total")
    head = [
        f"{result['instrument']} at {time_text(result['ts_recv_ns'])}: {result['bid_px']} / {result['ask_px']}",
        f"{result['qty']} is worth {result['mid_quote']} {result['quote']} at the mid",
        *volume_text(result),
    ]
    lines = [f"{'paid, ' + result['quote']:24}" + "".join(f"{name:>13}" for name in names) + f"{'bps':>10}"]
    rows = [(f"{row['side']} {row['liquidity']}", row) for row in result["legs"]]
    rows += [(f"buy {row['buy']}, sell {row['sell']}", row) for row in result["trips"]]
    for label, row in rows:
        money = "".join(f"{float(row[f'{name}_quote']):>13.4f}" for name in names)
        lines.append(f"{label:24}{money}{row['total_bps']:>10.2f}")
    return "\n".join([*head, *lines, *allowed_text(result)])
