"""The root of the commands, what loads each, and what their mistakes become."""

import os
import sys
from importlib import import_module
from typing import Any

import click

from tickerml import __version__
from tickerml.cli.options import SECOND_SIGNAL, common
from tickerml.errors import TickerError

__all__ = ["execute", "root"]

MODULES = {
    "run": "run",
    "collect": "run",
    "replay": "replay",
    "backtest": "replay",
    "costs": "costs",
    "markout": "markout",
    "parity": "parity",
    "execution": "execution",
    "data": "data",
    "venue": "venue",
    "doctor": "doctor",
    "config": "config",
}
"""Each command and the module here that has it: only the one that is called is loaded."""


PANIC_MODULE = "pyo3_runtime"
"""Where the class of a panic of the Rust side says it comes from: no `Exception`, and not to be imported."""


class Commands(click.Group):
    """Commands that are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the alphabet."""
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name. Where there is none, click looks among all for what may have been meant."""
        for name in (cmd_name,) if cmd_name in MODULES else MODULES:
            self.commands[name] = getattr(import_module(f"tickerml.cli.{MODULES[name]}"), name)
        return self.commands.get(cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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


def execute(argv: list[str]) -> int:
    """Runs a command: its exit code."""
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
    except BaseException as e:
        ours = isinstance(e, Exception) or type(e).__module__ == PANIC_MODULE
        if os.environ.get("TICKERML_DEBUG") or not ours:
            raise
        return _say(_line(e), _code(e))


def _line(error: BaseException) -> str:
    """What the user reads: our own errors speak for themselves."""
    if isinstance(error, TickerError) or _native_code(error) is not None:
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return f"{type(error).__name__}: {error} (a defect of tickerml; TICKERML_DEBUG=1 shows where)"


def _code(error: BaseException) -> int:
    if isinstance(error, TickerError):
        return error.exit_code
    return _native_code(error) or (3 if isinstance(error, FileNotFoundError) else 1)


def _native_code(error: BaseException) -> int | None:
    """The exit code that an error of the Rust side carries."""
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, int) else None


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code
