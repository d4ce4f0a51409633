"""`tickerml replay` and `tickerml backtest`: the engine over recordings. Neither writes under the data folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tickerml.cli.options import ALLOW_DAMAGE, ROWS_FILE, SETTING, SWEEP_FILE, check_output, common, globals_of
from tickerml.cli.output import emit
from tickerml.sources import BATCH_EVENTS

if TYPE_CHECKING:
    from tickerml.runner import Outputs

__all__ = ["backtest", "replay"]

F = TypeVar("F", bound=Callable[..., Any])


def _engine_options(function: F) -> F:
    for option in (
        click.option("--orders", type=ROWS_FILE, help="Write one row an order event (.csv, .parquet)."),
        click.option("--fills", type=ROWS_FILE, help="Write one row a fill (.csv, .parquet)."),
        click.option(
            "--batch-events",
            type=click.IntRange(1, 1 << 24),
            default=BATCH_EVENTS,
            show_default=True,
            help="Events decoded at a time; the digest does not depend on it.",
        ),
        click.option("--set", "sets", type=SETTING, multiple=True, help="Override a setting or a policy's parameter."),
    ):
        function = option(function)
    return function


INSAMPLE = click.option(
    "--allow-insample",
    is_flag=True,
    help="Use fitted parameters on the data that they were fitted to; the report says so.",
)


@click.command()
@click.argument("tape_or_run")
@click.option("--policy", help="Decide with this policy instead of the recorded one.")
@ALLOW_DAMAGE
@INSAMPLE
@_engine_options
@common
def replay(
    *,
    tape_or_run: str,
    policy: str | None,
    allow_damage: bool,
    allow_insample: bool,
    sets: tuple[tuple[str, str], ...],
    batch_events: int,
    fills: Path | None,
    orders: Path | None,
) -> None:
    """Run a tape through the engine again: the same digest, decisions and fills."""
    from tickerml import config, runner
    from tickerml.sources.lookup import find_tape
    from tickerml.summary import summary_text

    given = globals_of()
    outputs = _outputs(fills, orders)
    tape = find_tape(tape_or_run, given.data_dir())
    load = partial(config.load, given.config)
    result = runner.replay(
        tape,
        load,
        policy=policy,
        sets=sets,
        allow_damage=allow_damage,
        batch_events=batch_events,
        outputs=outputs,
        allow_insample=allow_insample,
    )
    emit(result, lambda: summary_text(result))


@click.command()
@click.argument("events", nargs=-1, required=True)
@click.option("--policy", required=True, help="hold, imbalance or grid.")
@click.option("--profile", type=click.Choice(["hftbacktest"]), help="Its rules, for comparison.")
@click.option(
    "--builtin",
    is_flag=True,
    help="The engine's own grid decides, for --policy grid --profile hftbacktest: quicker; its digest is its own.",
)
@INSAMPLE
@click.option(
    "--band", is_flag=True, help="Two more whole runs bound P&L: no cancel was ahead of us, and every one was."
)
@click.option("--sweep", type=click.Path(path_type=Path), metavar="FILE", help="Try every setting of this YAML file.")
@click.option(
    "-o",
    "--output",
    type=SWEEP_FILE,
    metavar="FILE",
    help="Where a sweep's rows go (.parquet) [the sweep file's name, in the working folder].",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes of a sweep [one a core].")
@_engine_options
@common
def backtest(
    *,
    events: tuple[str, ...],
    policy: str,
    profile: str | None,
    builtin: bool,
    allow_insample: bool,
    band: bool,
    sweep: Path | None,
    output: Path | None,
    workers: int | None,
    sets: tuple[tuple[str, str], ...],
    batch_events: int,
    fills: Path | None,
    orders: Path | None,
) -> None:
    """Run event files through the engine: files, folders, globs or a run."""
    from tickerml import runner
    from tickerml.profiles import PROFILES
    from tickerml.sources.lookup import find_events
    from tickerml.summary import summary_text

    if sweep is None and (output or workers):
        raise click.UsageError("-o and --workers belong to --sweep FILE")
    if sweep is not None and (fills or orders):
        raise click.UsageError("--fills and --orders are of one backtest; a sweep writes one row a setting")
    if sweep is not None and band:
        raise click.UsageError(
            "--band is of one backtest; put queue: [risk_averse, early] into the sweep's file instead"
        )
    if builtin and (policy, profile) != ("grid", "hftbacktest"):
        raise click.UsageError("--builtin has no risk: it is for --policy grid with --profile hftbacktest alone")
    if builtin and orders:
        raise click.UsageError("--orders: the built-in grid shows fills only; leave --builtin out")
    given = globals_of()
    fixed = [key for key, _ in sets]
    sets = (*PROFILES.get(profile or "", ()), *sets)
    files = find_events(events, given.data_dir())
    if sweep is not None:
        from tickerml import config
        from tickerml import sweep as sweeps

        output = output or _default_output(sweep)
        check_output("-o", output, sweep, *files)
        if output.resolve().is_relative_to(given.data_dir().resolve()):
            raise click.UsageError(f"{output}: a backtest writes nothing under the data folder; say where with -o FILE")
        asked = sweeps.Asked(
            sweep, output, policy, profile, sets, fixed, batch_events, workers, allow_insample, builtin
        )
        result = sweeps.run(files, config.read_below(given.config), asked, quiet=given.verbose < 0)
        emit(result, lambda: sweeps.summary_text(result))
        return
    outputs = _outputs(fills, orders, *files)
    loaded = given.load(policy, sets)
    result = runner.backtest(
        files,
        loaded,
        profile=profile,
        batch_events=batch_events,
        outputs=outputs,
        allow_insample=allow_insample,
        builtin=builtin,
        band={name: given.load(policy, (*sets, ("queue", queue))) for name, queue in runner.BAND} if band else {},
    )
    emit(result, lambda: summary_text(result))


def _default_output(sweep: Path) -> Path:
    """Where a sweep's rows go without ``-o``: into the working folder, under the name of its file.

    Raises
    ------
    click.UsageError
        Where that is there already.
    """
    path = Path(f"{sweep.stem}.parquet")
    if path.exists():
        raise click.UsageError(f"{path}: is there already; move it away, or say where with -o FILE")
    return path


def _outputs(fills: Path | None, orders: Path | None, *inputs: Path) -> "Outputs":
    """The files to write; two into one place, or one into what is read, would leave neither.

    Raises
    ------
    click.UsageError
    """
    from tickerml.runner import Outputs

    taken: dict[Path, str] = {}
    for option, path in (("--fills", fills), ("--orders", orders)):
        if path is None:
            continue
        check_output(option, path, *inputs)
        if other := taken.get(path.resolve()):
            raise click.UsageError(f"{option} {path}: this file is that of {other} already; give another")
        taken[path.resolve()] = option
    return Outputs(fills, orders)
