"""The policy protocol, the register of policies by name, and the reading of their parameters.

A policy turns a view into intents and does nothing else: no clock, no files, no unseeded randomness. What it keeps
between views goes through `state` and `restore`, so that a restart decides as if it had not happened.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from tickerml.errors import ConfigError
from tickerml.schema import MONEY_ONE, POW10, InstrumentInfo, Intent, Refused, View

__all__ = [
    "BadParameter",
    "Holdings",
    "Intent",
    "Parameter",
    "Policy",
    "Refused",
    "make_policy",
    "policy_names",
    "read_parameters",
    "register",
    "scaled_quantity",
]


class BadParameter(ConfigError):
    """A policy or a parameter that cannot be used; every problem says what, where and how to mend it."""


class Holdings(Protocol):
    """What a policy may read of the portfolio: signed positions, scaled as the instrument's quantities."""

    @property
    def positions(self) -> Sequence[int]: ...


class Policy(Protocol):
    """What the engine asks of a policy."""

    @property
    def name(self) -> str:
        """The registered name."""

    @property
    def params(self) -> Mapping[str, str]:
        """All parameters as text, defaults included: they go onto the tape."""

    def decide(self, view: View, portfolio: Holdings) -> Sequence[Intent]:
        """What is wanted now. An empty tuple is the quick answer."""

    def reset(self) -> None:
        """The process restarted: open orders are gone."""

    def state(self) -> bytes:
        """What must survive a restart."""

    def restore(self, state: bytes) -> None:
        """Takes back what `state` gave."""


class Parameter(NamedTuple):
    """One parameter: its name, its default as text, how to read it, and what it means."""

    name: str
    default: str
    read: Callable[[str], Any]
    text: str


class PolicyType(Protocol):
    """A class that can be registered: a policy that is made from parameters and instruments."""

    NAME: str
    PARAMETERS: tuple[Parameter, ...]

    def __call__(self, params: Mapping[str, str], instruments: Sequence[InstrumentInfo]) -> Policy: ...


QUANTITY_MAX: Final = 10**12
PLACES_MAX: Final = 18
DIGITS_MAX: Final = 28
"""Digits with which `Decimal` reckons without rounding."""

I64_MAX: Final = 2**63 - 1

T = TypeVar("T")
_REGISTER: dict[str, Any] = {}


def register(policy: T) -> T:
    """Class decorator: makes a policy known by its `NAME`."""
    name: str = policy.NAME  # type: ignore[attr-defined]
    assert name not in _REGISTER, f"two policies are called {name}"
    _REGISTER[name] = policy
    return policy


def policy_names() -> tuple[str, ...]:
    """The registered names."""
    return tuple(sorted(_REGISTER))


def policy_parameters(name: str) -> tuple[Parameter, ...]:
    """The parameters of a registered policy, in the order in which they are explained."""
    found: tuple[Parameter, ...] = _lookup(name).PARAMETERS
    return found


def make_policy(name: str, params: Mapping[str, object], instruments: Sequence[InstrumentInfo]) -> Policy:
    """Builds a registered policy.

    Parameters
    ----------
    name : str
    params : mapping of parameter name to value; values are read from their text.
    instruments : the session's instruments, in its order.

    Raises
    ------
    BadParameter
        For an unknown policy or parameter and for a value that cannot be read: all of them in one message.
    """
    made: Policy = _lookup(name)({key: str(value) for key, value in params.items()}, instruments)
    return made


def read_parameters(policy: str, known: Iterable[Parameter], given: Mapping[str, str]) -> dict[str, Any]:
    """Reads the given texts, takes defaults for the others, and reports every mistake at once."""
    table = {p.name: p for p in known}
    wrong = [f"policy {policy} has no parameter {key!r}{_hint(key, table)}" for key in given if key not in table]
    values: dict[str, Any] = {}
    for parameter in table.values():
        text = given.get(parameter.name, parameter.default)
        try:
            values[parameter.name] = parameter.read(text)
        except (ValueError, InvalidOperation) as error:
            wrong.append(f"policy {policy}: {parameter.name}={text!r}: {error} ({parameter.text})")
    if wrong:
        raise BadParameter(wrong)
    return values


def integer(low: int, high: int = 2**31) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
            raise ValueError("must be a whole number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A reader of numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("must be a number") from None
        if not low <= value <= high:
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return value

    return read


def decimal(text: str) -> Decimal:
    """A reader of exact decimals from 0 to 10^12, of at most 18 places."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("must be a decimal number") from None
    if not value.is_finite() or value < 0:
        raise ValueError("must be 0 or more")
    _, digits, exponent = value.as_tuple()
    if value > QUANTITY_MAX or len(digits) > DIGITS_MAX or int(exponent) < -PLACES_MAX:
        raise ValueError(f"must be at most {QUANTITY_MAX:,} and have at most {PLACES_MAX} decimals")
    return value


def decimal_or_auto(text: str) -> Decimal | None:
    """A reader of decimals above 0, or `auto` (None)."""
    if text == "auto":
        return None
    value = decimal(text)
    if value == 0:
        raise ValueError("must be above 0, or auto")
    return value


def scaled_quantity(policy: str, key: str, value: Decimal, info: InstrumentInfo) -> int:
    """A quantity in the instrument's units, exact: one that does not fit its precision is a mistake.

    Raises
    ------
    BadParameter
    """
    scaled = value.scaleb(info.qty_precision)
    if scaled != scaled.to_integral_value():
        raise BadParameter(
            [f"policy {policy}: {key}={value} has more than the {info.qty_precision} decimals of {info.id}; round it"]
        )
    if scaled > I64_MAX:
        raise BadParameter([f"policy {policy}: {key}={value} leaves 64 bits in the steps of {info.id}; lower it"])
    return int(scaled)


def quantity_worth(quote: int, px: int, info: InstrumentInfo) -> int:
    """The smallest whole lots worth at least `quote` units of the quote currency at price `px` (scaled)."""
    if info.kind == "inverse":
        lots = -(-quote * MONEY_ONE * POW10[info.qty_precision] // (info.contract_size_e18 * info.lot))
        return max(lots, 1) * info.lot
    per_lot = px * info.lot * info.contract_size_e18
    wanted = quote * MONEY_ONE * POW10[info.price_precision + info.qty_precision]
    return max(-(-wanted // per_lot), 1) * info.lot


def _lookup(name: str) -> Any:
    if name not in _REGISTER:
        known = ", ".join(policy_names())
        raise BadParameter([f"there is no policy {name!r}{_hint(name, _REGISTER)} (there are: {known})"])
    return _REGISTER[name]


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
