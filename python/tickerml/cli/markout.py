"""`tickerml markout`: where the market went after each fill."""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerml.cli.options import ALLOW_DAMAGE, ROWS_FILE, SETTING, FiniteRange, check_output, common, globals_of
from tickerml.cli.output import emit

if TYPE_CHECKING:
    from tickerml.markout import Marked
    from tickerml.sources.fills import FillRow

__all__ = ["markout"]

RESAMPLES_MIN = 1_000


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="RUN_OR_EVENTS...")
@click.option("--fills", type=click.Path(path_type=Path), help="Fills of a replay or backtest, not the run's ledger.")
@click.option("-o", "--output", type=ROWS_FILE, help="Write one row a fill (.csv, .parquet).")
@click.option("--ratio", type=FiniteRange(0, 1e6), help="Threshold of ahead_ratio [toxic_ahead_ratio].")
@click.option("--resamples", type=click.IntRange(RESAMPLES_MIN, 1_000_000), default=RESAMPLES_MIN, show_default=True)
@click.option("--seed", type=click.IntRange(0, 1 << 62), default=1, show_default=True, help="Of the resampling.")
@click.option("--set", "sets", type=SETTING, multiple=True, help="Override a setting, like clock=fixed.")
@ALLOW_DAMAGE
@common
def markout(
    *,
    sources: tuple[str, ...],
    fills: Path | None,
    output: Path | None,
    ratio: float | None,
    resamples: int,
    seed: int,
    sets: tuple[tuple[str, str], ...],
    allow_damage: bool,
) -> None:
    """Say how the mid and the microprice moved after each fill, by queue, side and spread, with confidence intervals.

    The fills are those of a RUN's ledger, or of --fills FILE; the market is that of the run's tape or of event files.
    """
    from tickerml.markout import joined, rule, table
    from tickerml.sources.damage import scanned

    market = Market(sources, sets)
    damage = scanned(market.tape, allow=allow_damage) if market.tape else None
    if output is not None:
        check_output("-o", output, *market.files, *([fills] if fills else []))
    rows = sorted(market.fills(fills), key=lambda row: (row.ts_event_ns, row.instrument))
    ratio = float(market.execution.toxic_ahead_ratio) if ratio is None else ratio
    names = sorted({row.instrument for row in rows})
    parts = [market.mark([row for row in rows if row.instrument == name], name) for name in names]
    result: dict[str, Any] = {"fills": len(rows), "resamples": resamples, "seed": seed, "table": [], "rule": None,
                              "allowed_damage": damage}  # fmt: skip
    numbers: list[list[float]] = []
    if parts:
        whole = joined(parts)
        result |= {"table": table(whole, ratio, resamples, seed), "rule": rule(whole, ratio, resamples, seed)}
        numbers = [[spread, *bps.ravel().tolist()] for spread, bps in zip(whole.spread_ticks, whole.bps, strict=True)]
    if output is not None:
        _write(output, rows, numbers)
    emit(result, lambda: _text(result))


class Market:
    """Where the books come from: one run's tape, or event files."""

    def __init__(self, sources: Sequence[str], sets: tuple[tuple[str, str], ...]) -> None:
        from tickerml.sources.lookup import RUN, find_events, find_tape, is_tape
        from tickerml.sources.recorded import recorded_config

        given = globals_of()
        data = given.data_dir()
        one = sources[0] if len(sources) == 1 else ""
        self.tape = find_tape(one, data) if RUN.fullmatch(one) or is_tape(Path(one or "/nowhere")) else None
        self.files = [] if self.tape else find_events(sources, data)
        recorded = recorded_config(self.tape) if self.tape else None
        self.config = given.load(sets=sets, recorded=recorded).config

    @property
    def execution(self) -> Any:
        """The settings of simulated venues."""
        return self.config.execution

    def fills(self, file: Path | None) -> "list[FillRow]":
        """The fills of a file, or of the run's ledger."""
        from tickerml.sources.fills import fills_of_file, fills_of_ledger

        if file is not None:
            return fills_of_file(file)
        if self.tape is None:
            raise click.UsageError("event files have no fills: give them with --fills FILE, or name a RUN")
        run = self.tape.name
        return fills_of_ledger(self.tape.parent.parent / "runs" / run / "ledger.sqlite", run)

    def mark(self, rows: "Sequence[FillRow]", name: str) -> "Marked":
        """The markouts of one instrument's fills.

        Raises
        ------
        NotFoundError
            Where its market was not recorded here.
        """
        import numpy as np

        from tickerml import _native
        from tickerml.config.build import settings_json
        from tickerml.errors import NotFoundError
        from tickerml.markout import Fills, mark

        info: dict[str, Any] = {}

        def chunks() -> Iterator[tuple[Any, ...]]:
            for text, *columns in self._chunks():
                found = json.loads(text)
                if f"{found['venue']}:{found['symbol']}" == name:
                    info.update(found)
                    yield text, *columns

        rows_ns = np.array([row.ts_event_ns for row in rows], dtype=np.int64)

        def quotes(times: Any) -> Any:
            # What an order's way takes is of no account here, and a file of such is not read again.
            settings = {**json.loads(settings_json(self.config)), "latency": "constant"}
            return _native.quotes_at(chunks(), json.dumps(settings), name, times)

        if next(chunks(), None) is None:
            raise NotFoundError(f"{name}: there are fills of it, and its market is not in these recordings")
        scale = 10 ** int(info["price_precision"])
        fills = Fills(
            rows_ns,
            np.array([row.side for row in rows], dtype=np.int64),
            np.array([round(Fraction(row.px) * scale) for row in rows], dtype=np.int64),
            np.array([row.maker for row in rows], dtype=bool),
            np.array([np.nan if row.ahead_ratio is None else row.ahead_ratio for row in rows], dtype=np.float64),
        )
        return mark(fills, quotes, int(info["tick"]))

    def _chunks(self) -> Iterator[tuple[Any, ...]]:
        """(instrument JSON, columns) of everything, one after the other."""
        if self.tape is not None:
            from tickerml import _native

            for _, _, instrument, columns in _native.TapeEvents(self.tape):
                yield instrument, *columns.values()
            return
        from tickerml.sinks.events import EventChunks

        events = EventChunks(self.files)
        try:
            yield from events
        finally:
            events.close()


def _write(path: Path, rows: "Sequence[FillRow]", numbers: Sequence[Sequence[float]]) -> None:
    """One row a fill: what it was, and its markouts; one that is not known is empty."""
    from math import isnan

    from tickerml.markout import HORIZONS_S, REFERENCES
    from tickerml.sinks.files import SIDES, open_table
    from tickerml.sources.fills import FillRow

    names = [f"{reference}_{horizon:g}s_bps" for reference in REFERENCES for horizon in HORIZONS_S]
    file = open_table(path, [*FillRow._fields, "spread_ticks", *names])
    try:
        for row, found in zip(rows, numbers, strict=True):
            known = [None if isnan(number) else number for number in found]
            file.add([*{**row._asdict(), "side": SIDES[row.side]}.values(), *known])
    finally:
        file.close()


def _text(result: dict[str, Any]) -> str:
    from tickerml.sources.damage import allowed_text

    if not result["fills"]:
        return "\n".join(["no fills", *allowed_text(result)])
    lines = [
        f"markouts of {result['fills']} fills, bps of the price, 95 % intervals of {result['resamples']} resamples",
        *allowed_text(result),
    ]
    cells = {(r["by"], r["group"], r["reference"], r["horizon_s"]): r for r in result["table"]}
    groups = {(r["by"], r["group"]): r["fills"] for r in result["table"]}
    for (by, group), count in groups.items():
        lines.append(f"{by}: {group}, {count} fills")
        for horizon in sorted({r["horizon_s"] for r in result["table"]}):
            mid, micro = (cells[by, group, reference, horizon] for reference in ("mid", "microprice"))
            lines.append(f"{horizon:>7g} s  n {mid['n']:<6} effective {mid['n_eff']:<9g} mid {_cell(mid)}   "
                         f"microprice {_cell(micro)}")  # fmt: skip
    found = result["rule"]
    lines.append(f'"ahead_ratio > {found["ahead_ratio"]:g} is toxic": {found["verdict"]}')
    for row in found["horizons"]:
        cell = "" if row["difference_bps"] is None else f", {_cell({**row, 'mean_bps': row['difference_bps']})}"
        lines.append(
            f"{row['horizon_s']:>7g} s  {row['n_above']} above, {row['n_not_above']} not: {row['found']}{cell}"
        )
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    if row["mean_bps"] is None:
        return f"{'-':>30}"
    if row["low_bps"] is None:
        return f"{row['mean_bps']:>8.3f}{'':22}"
    return f"{row['mean_bps']:>8.3f} ({row['low_bps']:>8.3f} to {row['high_bps']:>7.3f})"
