"""What the commands share: the global options, which stand before or after a command, and a few parameter types."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tickerml.config import Loaded

__all__ = [
    "ALLOW_DAMAGE",
    "AMOUNT",
    "CONTROL_URL",
    "DURATION",
    "I64_MAX",
    "INSTRUMENT",
    "ROWS_FILE",
    "SECOND_SIGNAL",
    "SETTING",
    "STEP",
    "SWEEP_FILE",
    "FiniteRange",
    "Globals",
    "check_output",
    "common",
    "globals_of",
]

SECOND_SIGNAL = 130
"""Exit code of an interrupt that drains nothing: 128 + SIGINT."""

F = TypeVar("F", bound=Callable[..., Any])
DURATION_DAYS_MAX = 36_500
"""A century; what waits for it counts in 64-bit nanoseconds."""

I64_MAX = 2**63 - 1
ROWS_ENDINGS = (".csv", ".parquet")
UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass
class Globals:
    """The global options as given, from either place."""

    config: Path | None = None
    data: Path | None = None
    json: bool = False
    verbose: int = 0
    color: bool = True

    def data_dir(self) -> Path:
        """The data folder in effect; it need not be there yet."""
        from tickerml.config import data_dir

        found = data_dir(self.data)
        if found.exists() and not found.is_dir():
            raise click.UsageError(f"{found}: a file, and the data folder must be one")
        return found

    def load(
        self,
        policy: str | None = None,
        sets: tuple[tuple[str, str], ...] = (),
        instruments: tuple[str, ...] = (),
        recorded: dict[str, Any] | None = None,
    ) -> "Loaded":
        """The configuration, or that of a tape, with the command's flags on top."""
        from tickerml.config import load

        return load(self.config, policy=policy, sets=sets, instruments=instruments, recorded=recorded)


def globals_of(context: click.Context | None = None) -> Globals:
    """The one `Globals` of this invocation."""
    found: Globals = (context or click.get_current_context()).find_root().ensure_object(Globals)
    return found


KEPT = frozenset({"tapes", "runs", "events"})
"""Folders of the data folder that hold what was recorded."""


def check_output(option: str, path: Path, *inputs: Path) -> None:
    """Refuses an output that is also read, by whatever name, for writing it would leave neither; and one among the
    recordings of the data folder.

    Raises
    ------
    click.UsageError
    """
    for given in inputs:
        if path.resolve() == given.resolve() or (path.exists() and given.exists() and path.samefile(given)):
            raise click.UsageError(f"{option} {path}: this file is an input; give another")
    found, data = path.resolve(), globals_of().data_dir().resolve()
    # The demo's lie one folder further down.
    if found.is_relative_to(data) and not KEPT.isdisjoint(found.relative_to(data).parts[:2]):
        raise click.UsageError(f"{option} {path}: lies among the recordings of {data}; give another place")


def common(function: F) -> F:
    """Adds the global options to a command or a group."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _speak(context: click.Context, verbose: int) -> None:
    """Says as much by the way as `-v` and `-q` ask for; a command without either does not load what does it."""
    from tickerml.notes import show

    globals_of(context).verbose = verbose
    show(verbose)


def _more(context: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        _speak(context, value)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False and value != 0:
            setattr(globals_of(context), name, value)

    return callback


def _less(context: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        _speak(context, -value)


def _plain(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        globals_of(context).color = False


_FOLDER = click.Path(path_type=Path)
_OPTIONS = [
    click.option(
        "--config",
        type=_FOLDER,
        metavar="DIR",
        expose_value=False,
        callback=_keep("config"),
        help="Configuration folder [./config, then the XDG config home, then packaged defaults].",
    ),
    click.option(
        "--data",
        type=_FOLDER,
        metavar="DIR",
        expose_value=False,
        callback=_keep("data"),
        help="Data folder [TICKERML_DATA, then the XDG data home].",
    ),
    click.option("--json", is_flag=True, expose_value=False, callback=_keep("json"), help="One JSON object on stdout."),
    click.option("-v", "--verbose", count=True, expose_value=False, callback=_more, help="Say more."),
    click.option("-q", "--quiet", count=True, expose_value=False, callback=_less, help="Say less."),
    click.option("--no-color", is_flag=True, expose_value=False, callback=_plain, help="No colours."),
]


class Duration(click.ParamType[float]):
    """`250ms`, `60s`, `5m`, `2h`, `1d`, or a number of seconds; the value is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, above zero and at most a century."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", str(value))
        if not found or float(found[1]) == 0:
            self.fail(f"{value!r} is no duration; write it like 90s, 5m, 2h or 1d", param, ctx)
        seconds = float(found[1]) * UNIT_S[found[2] or "s"]
        if seconds > DURATION_DAYS_MAX * UNIT_S["d"]:
            self.fail(f"{value!r} is more than {DURATION_DAYS_MAX}d; leave it out to go on until Ctrl-C", param, ctx)
        return seconds


class Setting(click.ParamType[tuple[str, str]]):
    """`key=value`; the value is the pair of texts."""

    name = "k=v"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Key and text; the configuration checks both."""
        if isinstance(value, tuple):
            return value
        key, found, text = str(value).partition("=")
        if not found or not key:
            self.fail(f"{value!r} is no setting; write it like step_ms=50", param, ctx)
        return key.strip(), text.strip()


class InstrumentId(click.ParamType[str]):
    """`venue:SYMBOL`."""

    name = "venue:symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself; whether the venue exists is asked later."""
        if not re.fullmatch(r"[a-z_]+:\S+", str(value)):
            self.fail(f"{value!r} is no instrument; write it like binance_spot:BTCUSDT", param, ctx)
        return str(value)


class ControlUrl(click.ParamType[str]):
    """`http://host:port/path`, as `tickerml venue serve` prints it."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself; whether anything answers there is asked later."""
        from urllib.parse import urlsplit

        text = str(value)
        try:
            parts = urlsplit(text)
            fits = re.fullmatch(r"http://[^\s/?#@]+(/[^\s?#]*)?", text) and parts.hostname and parts.port != 0
            fits = fits and not parts.netloc.endswith(":")
        except ValueError:
            fits = False
        if not fits:
            self.fail(
                f"{text!r} is no control URL; give the control_url that `tickerml venue serve` prints", param, ctx
            )
        return text


class RowsFile(click.Path):
    """A file that rows are written to: its ending says how.

    Parameters
    ----------
    endings : those that it may have.
    """

    name = "file"

    def __init__(self, endings: tuple[str, ...] = ROWS_ENDINGS) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        path = super().convert(value, param, ctx)
        if Path(str(value)).suffix not in self._endings:
            known = " nor ".join(self._endings)
            neither, one = ("neither ", "one of them") if len(self._endings) > 1 else ("no ", "this ending")
            self.fail(f"{str(value)!r} ends with {neither}{known}; give it {one}", param, ctx)
        return path


class FiniteRange(click.FloatRange):
    """A range of numbers: `nan` lies in none, though no bound refuses it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A finite number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class DecimalText(click.ParamType[str]):
    """A decimal number; the value is its text, exact."""

    name = "decimal"

    def __init__(self, *, above_zero: bool) -> None:
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself."""
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,8})?", text):
            self.fail(f"{text!r} is no decimal with at most 8 places; write it like 0.01", param, ctx)
        if self._above_zero and not float(text):
            self.fail(f"{text!r} must be above zero", param, ctx)
        return text


STEP = DecimalText(above_zero=True)
AMOUNT = DecimalText(above_zero=False)
CONTROL_URL = ControlUrl()
DURATION = Duration()
ROWS_FILE = RowsFile()
SWEEP_FILE = RowsFile((".parquet",))
SETTING = Setting()
INSTRUMENT = InstrumentId()
ALLOW_DAMAGE = click.option(
    "--allow-damage", is_flag=True, help="Go on over damaged blocks instead of exit 6; the result says so."
)
