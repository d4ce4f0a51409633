"""`tickerml run` and `tickerml collect`: live, from sockets to the tape and, for `run`, through the engine."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tickerml.cli.options import CONTROL_URL, DURATION, INSTRUMENT, SETTING, common, globals_of
from tickerml.cli.output import emit

__all__ = ["collect", "run"]

F = TypeVar("F", bound=Callable[..., Any])


def _live_options(function: F) -> F:
    for option in (
        click.option(
            "--at",
            type=CONTROL_URL,
            metavar="CONTROL_URL",
            help="Use the venues of a `tickerml venue serve`; data go to DATA/demo.",
        ),
        click.option("--resume", metavar="RUN", help="Go on with this run."),
        click.option("--new", is_flag=True, help="Start a new run with the configured balance, whatever ran before."),
        click.option(
            "--instrument", "instruments", type=INSTRUMENT, multiple=True, help="Exactly these; may be repeated."
        ),
        click.option("--duration", type=DURATION, help="Stop after this time, like 90s, 5m, 2h."),
    ):
        function = option(function)
    return function


@click.command()
@click.option("--demo", is_flag=True, help="Paper-trade venues on this machine: no network, no key.")
@click.option("--policy", help="hold, imbalance or grid [model_config.yaml].")
@click.option("--set", "sets", type=SETTING, multiple=True, help="Override a setting or a policy's parameter.")
@_live_options
@common
def run(
    *,
    demo: bool,
    policy: str | None,
    sets: tuple[tuple[str, str], ...],
    duration: float | None,
    instruments: tuple[str, ...],
    new: bool,
    resume: str | None,
    at: str | None,
) -> int:
    """Record and paper-trade until Ctrl-C or --duration, then say how to replay it.

    The newest unfinished run with the same configuration, code and policy is gone on with. Where none matches, a new
    run starts with the account of the newest run here: balances, positions, an open breaker. --new starts afresh.
    Exit 1 where --duration ended and a venue had sent nothing at all.
    """
    from tickerml import live

    _one_of(new, resume)
    if demo and at is not None:
        raise click.UsageError("--demo starts its own venues; --at uses others: give one")
    given = globals_of()
    asked = live.Asked("run", duration_s=duration, new=new, resume=resume, at=at, demo=demo)
    loaded = given.load(policy, sets, instruments)
    if not instruments and (served := live.served(loaded, asked)):
        loaded = given.load(policy, sets, served)
    result = live.run(loaded, given.data_dir(), asked, quiet=given.verbose < 0 or given.json, color=given.color)
    return _ended(result)


@click.command()
@_live_options
@common
def collect(duration: float | None, instruments: tuple[str, ...], new: bool, resume: str | None, at: str | None) -> int:
    """Record the raw feed until Ctrl-C or --duration, without the engine.

    Exit 1 where --duration ended and a venue had sent nothing at all.
    """
    from tickerml import live

    _one_of(new, resume)
    given = globals_of()
    asked = live.Asked("collect", duration_s=duration, new=new, resume=resume, at=at)
    loaded = given.load(instruments=instruments)
    if not instruments and (served := live.served(loaded, asked)):
        loaded = given.load(instruments=served)
    result = live.collect(loaded, given.data_dir(), asked, quiet=given.verbose < 0 or given.json, color=given.color)
    return _ended(result)


def _ended(result: dict[str, Any]) -> int:
    """Prints the result, and last what is missing of it."""
    from tickerml import ending, live

    emit(result, lambda: live.summary_text(result))
    if line := ending.line(result):
        click.echo(line, err=True)
    return ending.exit_code(result)


def _one_of(new: bool, resume: str | None) -> None:
    if new and resume:
        raise click.UsageError("--new and --resume contradict each other; give one")
