"""`tickerml execution`: how right the fills are, and the curve of the queue model `fitted`."""

from pathlib import Path

import click

from tickerml.cli.options import I64_MAX, check_output, common, globals_of
from tickerml.cli.output import emit

__all__ = ["execution"]

LAWS = ("uniform", "tail_heavy", "head_heavy", "size_proportional")
REGIMES = ("calm", "trending", "volatile", "thin")
ALL = "all"
SEED_MAX = I64_MAX // 2
_LAW = click.option("--law", type=click.Choice([*LAWS, ALL]), help="Which order of a level is cancelled.")
_REGIME = click.option("--regime", type=click.Choice([*REGIMES, ALL]), help="The market's mood.")
_SEED = click.option("--seed", type=click.IntRange(0, SEED_MAX), help="Decides everything.")


@click.group()
@common
def execution() -> None:
    """Hold the simulator's fills against the truth, and measure what it needs to know of queues."""


@execution.command()
@_LAW
@_REGIME
@click.option("--orders", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Orders to follow.")
@_SEED
@click.option("--horizon", type=click.IntRange(1, 3600), default=30, show_default=True, help="Seconds an order waits.")
@click.option("--curve", type=click.Path(path_type=Path), help="Curve of `fitted` [measured on another seed].")
@click.option("--fit-orders", type=click.IntRange(0, 1_000_000), default=4000, show_default=True,
              help="Length of that other market; 0 leaves `fitted` out.")  # fmt: skip
@click.option("--grid/--no-grid", default=True, show_default=True, help="Run the policy grid by every model.")
@click.option("--allow-insample", is_flag=True, help="Take a curve measured on this very market; the report says so.")
@common
def truth(
    *,
    law: str | None,
    regime: str | None,
    orders: int,
    seed: int | None,
    horizon: int,
    curve: Path | None,
    fit_orders: int,
    grid: bool,
    allow_insample: bool,
) -> None:
    """Follow one-lot orders in the loopback venue's true queues, and score every queue model on what it says of them.

    Without --law all four laws, without --regime the calm market.
    """
    from tickerml import execution as measured

    laws, regimes = _each(law or ALL, LAWS), _each(regime or "calm", REGIMES)
    seed = 1 if seed is None else seed
    given = measured.read_given(curve, laws, regimes, seed=seed, allow_insample=allow_insample) if curve else None
    tables = [
        measured.truth(
            one,
            mood,
            orders=orders,
            seed=seed,
            horizon_s=horizon,
            curve=given,
            fit_orders=fit_orders,
            grid=grid,
        )
        for one in laws
        for mood in regimes
    ]
    emit({"tables": tables}, lambda: measured.truth_text(tables))


@execution.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE",
              help="Where the curve goes, for --set queue_file=FILE.")  # fmt: skip
@_LAW
@_REGIME
@click.option("--orders", type=click.IntRange(1, 1_000_000), help="Length of the loopback market, in orders [4000].")
@_SEED
@common
def fit(
    *,
    files: tuple[Path, ...],
    output: Path,
    law: str | None,
    regime: str | None,
    orders: int | None,
    seed: int | None,
) -> None:
    """Measure which share of a level's decrease was ahead of an order, by its place in the queue.

    From FILES of Bitstamp's order events; without any, from the loopback venue.
    """
    from tickerml import execution as measured

    if files and (law or regime or orders or seed is not None):
        raise click.UsageError("--law, --regime, --orders and --seed belong to the loopback venue, not to FILES")
    check_output("-o", output, *files)
    if files:
        curve = measured.fit_files(files)
    else:
        curve = measured.fit_loopback(
            _each(law or ALL, LAWS), _each(regime or "calm", REGIMES), orders=orders or 4000, seed=seed or 0
        )
    measured.write_curve(curve, output)
    shares = " ".join(f"{share:.2f}" for share in curve["share"])
    result = {**curve, "output": str(output)}
    emit(result, lambda: f"{output}: from {curve['observations']} observations, off by {curve['error']:.3f}\n{shares}")
    if globals_of().verbose >= 0:
        click.echo(f"use it on later events: --set queue=fitted --set queue_file={output}", err=True)


def _each(given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return known if given == ALL else (given,)
