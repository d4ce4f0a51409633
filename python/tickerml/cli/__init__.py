"""The command line. Commands, options, JSON and exit codes are in the contract and change only by addition.

The modules here import click and nothing else that is slow, so that ``tickerml --help`` answers at once; what a command
needs is imported when it runs.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from tickerml import __version__
from tickerml.cli.config import config
from tickerml.cli.data import data
from tickerml.cli.doctor import doctor
from tickerml.cli.options import SECOND_SIGNAL, common
from tickerml.cli.replay import backtest, replay
from tickerml.cli.run import collect, run
from tickerml.cli.venue import venue
from tickerml.errors import TickerError

__all__ = ["main", "root"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tickerml")
@common
def root() -> None:
    """Record, replay and paper-trade crypto order books with one deterministic engine.

    \b
    tickerml run --demo        paper-trade a local venue: no network, no key
    tickerml run               paper-trade the configured exchanges' public streams
    tickerml collect           record only
    tickerml doctor            is this machine fit for it?
    """


for _command in (run, collect, replay, backtest, data, venue, doctor, config):
    root.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script: runs a command and exits with the contract's code; a mistake gets one line, no traceback."""
    sys.exit(_run(list(sys.argv[1:] if argv is None else argv)))


def _run(argv: list[str]) -> int:
    try:
        code: Any = root.main(argv, prog_name="tickerml", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as e:
        command = e.ctx.command_path if e.ctx else "tickerml"
        return _say(f"{e.format_message()} (`{command} --help` shows how)", e.exit_code)
    except click.ClickException as e:
        return _say(e.format_message(), e.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", SECOND_SIGNAL)
    except BrokenPipeError:
        sys.stdout = None  # nobody reads on; Python would complain at exit
        return 0
    except Exception as e:
        if os.environ.get("TICKERML_DEBUG"):
            raise
        return _say(_line(e), _code(e))


def _line(error: Exception) -> str:
    """What the user reads: our own errors speak for themselves."""
    if isinstance(error, TickerError) or _native_code(error) is not None:
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return f"{type(error).__name__}: {error} (a defect of tickerml; TICKERML_DEBUG=1 shows where)"


def _code(error: Exception) -> int:
    if isinstance(error, TickerError):
        return error.exit_code
    return _native_code(error) or (3 if isinstance(error, FileNotFoundError) else 1)


def _native_code(error: Exception) -> int | None:
    """The exit code that an error of the Rust side carries."""
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, int) else None


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code
