"""`tickerml parity`: a live run against its replay, a backtest of its events, and other models. It writes nothing."""

from functools import partial

import click

from tickerml.cli.options import ALLOW_DAMAGE, common, globals_of
from tickerml.cli.output import emit

__all__ = ["parity"]


@click.command()
@click.argument("run")
@click.option("--others/--no-others", default=True, show_default=True, help="Other queue models and profiles, too.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [one a core].")
@ALLOW_DAMAGE
@common
def parity(*, run: str, others: bool, workers: int | None, allow_damage: bool) -> int:
    """Hold a run's decisions and fills against its replay and a backtest of its events (exit 6 where they differ), and
    against other models: where each parts first, and why.
    """
    from tickerml import config
    from tickerml import parity as parities
    from tickerml.sources.lookup import find_tape

    given = globals_of()
    data = given.data_dir()
    load = partial(config.load, given.config)
    result, code = parities.parity(
        data,
        find_tape(run, data),
        load,
        others=others,
        workers=workers,
        quiet=given.verbose < 0,
        allow_damage=allow_damage,
    )
    emit(result, lambda: parities.summary_text(result))
    return code
