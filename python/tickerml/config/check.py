"""What pydantic found, as one line a problem: ``file:line key: what, and how to mend it``."""

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tickerml.config.layers import FILES, Key, did_you_mean
from tickerml.config.models import Config
from tickerml.config.values import VENUES, as_text

if TYPE_CHECKING:
    from tickerml.policy.base import Parameter

__all__ = ["explain", "origin_of", "policy_problems"]

UNITS = {
    "_frac_max": "a fraction: 0.25 means 25 %",
    "_bps": "basis points: 10 means 0.1 %",
    "_ms": "milliseconds",
    "_ms_max": "milliseconds",
    "_s": "seconds",
    "_bytes": "bytes",
    "_hz": "times a second",
    "_mib_min": "mebibytes",
}
WANTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes",
    "list_type": "a list, like [A, B]",
    "dict_type": "a mapping of `key: value` lines",
    "model_type": "a mapping of `key: value` lines",
    "is_instance_of": "a number",
    "decimal_type": "a number",
    "string_too_short": "text that is not empty",
}
"""What would have been right, by pydantic's name of the error."""


def explain(error: ValidationError, origins: Mapping[Key, str]) -> list[str]:
    """Every problem, in the order of the files' lines as far as pydantic keeps it."""
    lines = (f"{_where(key, origins)}: {what}" for key, what in _problems(error))
    return list(dict.fromkeys(lines))


def _where(key: Key, origins: Mapping[Key, str]) -> str:
    """Where a key was set, and its name unless the flag there is called the same."""
    return _placed(origin_of(key, origins), _shown(_written(key, origins)))


def _placed(origin: str, name: str) -> str:
    """An origin and a name; a flag that has the name, or the end of it as in `qty` for `grid.qty`, says it already."""
    flag = origin.removeprefix("--set ").removeprefix("--") if origin.startswith("--") else ""
    return origin if flag and (name == flag or name.endswith(f".{flag}")) else f"{origin} {name}"


def _written(key: Key, origins: Mapping[Key, str]) -> Key:
    """The key as it was written: one number that stood for every venue is one mistake."""
    return key[:-1] if key[-1] in VENUES and key not in origins and key[:-1] in origins else key


def origin_of(key: Key, origins: Mapping[Key, str]) -> str:
    """Where a key, or the nearest mapping around it, was set."""
    for n in range(len(key), 0, -1):
        if key[:n] in origins:
            return origins[key[:n]]
    return FILES.get(key[0], key[0])


def policy_problems(model: Any, origins: Mapping[Key, str]) -> Iterator[str]:
    """Parameters that their policy does not know or cannot read; the policies' own tables decide."""
    from tickerml.policy.base import policy_names, policy_parameters

    for name in policy_names():
        given = model.get(name) if isinstance(model, dict) else None
        table = {p.name: p for p in policy_parameters(name)}
        for key, value in given.items() if isinstance(given, dict) else ():
            where = _placed(origin_of(("model", name, key), origins), f"{name}.{key}") + ":"
            if key not in table:
                yield f"{where} unknown key; {did_you_mean(key, list(table)) if table else 'remove it'}"
            elif isinstance(value, (list, dict, type(None))):
                continue  # the model says so
            elif wrong := _unreadable(table[key], as_text(value)):
                yield f"{where} {as_text(value)!r} {wrong} ({table[key].text})"


def _unreadable(parameter: "Parameter", text: str) -> str:
    try:
        parameter.read(text)
    except (ValueError, ArithmeticError) as e:
        return str(e)
    return ""


def _problems(error: ValidationError) -> Iterator[tuple[Key, str]]:
    for detail in error.errors(include_url=False):
        key = tuple(str(part) for part in detail["loc"] if part != "[key]")
        yield key, _what(key, detail)


def _shown(key: Key) -> str:
    """The key as it stands in its file; the section is the file."""
    return ".".join(key[1:]) or key[0]


def _what(key: Key, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown key; {_near(key)}"
    if kind == "missing":
        return "is missing; add it, or remove the mapping to keep the packaged defaults"
    if kind == "value_error":
        return str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
    got = "is empty" if detail["input"] is None else f"{_quoted(key, detail['input'])} does not fit"
    if kind == "literal_error":
        return f"{got}; {did_you_mean(str(detail['input']), _choices(detail))}"
    places = detail.get("ctx", {}).get("decimal_places")
    wanted = f"at most {places} decimals" if places else WANTED.get(kind) or _bound(detail["msg"])
    unit = next((unit for end, unit in UNITS.items() if any(part.endswith(end) for part in key)), "")
    return f"{got}; write {wanted}" + (f" ({unit})" if unit else "")


def _quoted(key: Key, value: Any) -> str:
    """The value as the user wrote it, unless it may be a secret."""
    text = str(value) if not isinstance(value, str) else repr(value)
    hidden = key[0] == "secrets" or len(text) > 60
    return "this value" if hidden else text


def _bound(message: str) -> str:
    """Pydantic's bound without its opening words: `a value less than or equal to 1`."""
    _, found, tail = message.partition(" should ")
    if not found:
        return message
    tail = re.sub(r"Decimal\('([^']*)'\)", r"\1", tail)
    return tail.replace("be ", "a value ", 1) if tail.startswith("be ") else f"something that should {tail}"


def _choices(detail: ErrorDetails) -> list[str]:
    words = str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ", ")
    return [word.strip().strip("'") for word in words.split(",") if word.strip()]


def _near(key: Key) -> str:
    model = _model_at(key[:-1])
    if any(word in key[-1].lower() for word in ("secret", "password", "api_key")):
        return "a secret never stands in a file: set the environment variable instead"
    return did_you_mean(key[-1], sorted(model.model_fields)) if model else "remove it"


def _model_at(key: Key) -> type[BaseModel] | None:
    """The model that holds the keys below `key`."""
    model: Any = Config
    for name in key:
        if not (isinstance(model, type) and issubclass(model, BaseModel) and name in model.model_fields):
            return None
        model = model.model_fields[name].annotation
        if isinstance(model, types.UnionType):
            model = typing.get_args(model)[0]
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
