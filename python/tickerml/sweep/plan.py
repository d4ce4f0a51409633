"""The file of a sweep: which settings are tried. A mapping `key: [values]` is a full grid, a list names each one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tickerml.config.values import as_text
from tickerml.config.yaml_file import YamlFile, read_yaml
from tickerml.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from tickerml.config import Below, Loaded

__all__ = ["Setting", "check", "place", "read_settings"]

SETTINGS_MAX: Final = 100_000
"""More settings are no search but an accident; each takes a row in memory, and a backtest."""


@dataclass(frozen=True)
class Setting:
    """One setting of a sweep: what `--set` would take, the values as they were read, and where each key stands.

    Attributes
    ----------
    at : `file:line` of each key's value.
    where : `file:line` of the setting itself.
    """

    values: Mapping[str, Any]
    at: Mapping[str, str]
    where: str

    @property
    def sets(self) -> tuple[tuple[str, str], ...]:
        """The pairs of `--set`."""
        return tuple((key, as_text(value)) for key, value in self.values.items())

    @property
    def texts(self) -> dict[str, str]:
        """The pairs of `--set` as a mapping."""
        return dict(self.sets)


def read_settings(path: Path) -> list[Setting]:
    """The settings of a file, in its order; of a grid the last key changes fastest.

    Raises
    ------
    NotFoundError, ConfigError
        With every problem of the file.
    """
    if not path.is_file():
        raise NotFoundError(f"--sweep {path}: no such file")
    file = read_yaml(path, list_ok=True)
    found = _listed(file, file.items) if file.items is not None else _grid(file)
    if file.problems:
        raise ConfigError(file.problems)
    return found


def check(
    settings: Sequence[Setting], below: Below, policy: str, sets: Sequence[tuple[str, str]], fixed: Sequence[str]
) -> list[Loaded]:
    """The configuration of each setting.

    Parameters
    ----------
    sets : what is set below the sweep: a profile's, then ``--set``.
    fixed : keys that the command line gave: one that is swept, too, is a mistake.

    Raises
    ------
    ConfigError
        With every problem of every setting, each once.
    """
    problems: dict[str, None] = {}
    loaded = []
    for setting in settings:
        twice = [key for key in setting.values if key in fixed]
        problems.update((f"{setting.at[key]} {key}: is set by --set, too; leave it out there", None) for key in twice)
        kept = [pair for pair in sets if pair[0] not in setting.values]
        try:
            loaded.append(below.with_flags(policy=policy, sets=(*kept, *setting.sets), origins=setting.at))
        except ConfigError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise ConfigError(list(problems))
    return loaded


def place(problem: str, setting: Setting) -> str:
    """A problem that knows no line, with the one of the key that it names, else the setting's."""
    found = next((at for key, at in setting.at.items() if key.rpartition(".")[2] in problem), setting.where)
    return f"{found} {problem}"


def _grid(file: YamlFile) -> list[Setting]:
    columns: dict[str, list[tuple[Any, str]]] = {}
    for key, given in file.data.items():
        values = given if isinstance(given, list) else [given]
        if not values:
            file.blame(file.lines[key,], f"{key}: has no value; give a list of them, or remove the line")
        lines = [file.lines.get((key, str(n)), file.lines[key,]) for n in range(len(values))]
        columns[key] = [(value, f"{file.path}:{line}") for value, line in zip(values, lines, strict=True)]
        seen: set[tuple[bool, Any]] = set()
        for value, line in zip(values, lines, strict=True):
            _blame_value(file, line, key, value)
            if _same(value) in seen:
                file.blame(line, f"{key}: has {as_text(value)} twice; keep one")
            seen.add(_same(value))
    if not columns and not file.problems:
        file.blame(0, "names no setting; write `key: [value, value]`")
    count = math.prod(len(column) for column in columns.values())
    if count > SETTINGS_MAX:
        file.blame(0, f"is a grid of {count} settings, at most {SETTINGS_MAX} are tried; name fewer values")
    if file.problems:
        return []
    grid = itertools.product(*columns.values())
    return [_setting(f"{file.path}:1", list(columns), cells) for cells in grid]


def _listed(file: YamlFile, items: Sequence[Any]) -> list[Setting]:
    found = []
    if not items and not file.problems:
        file.blame(0, "names no setting; write `- {key: value}`")
    if len(items) > SETTINGS_MAX:
        file.blame(0, f"lists {len(items)} settings, at most {SETTINGS_MAX} are tried")
    for n, item in enumerate(items):
        line = file.lines[str(n),]
        if not isinstance(item, dict) or not item:
            file.blame(line, "a setting is a mapping, like `- {levels: 3, qty: 0.01}`")
            continue
        lines = [file.lines[str(n), key] for key in item]
        for (key, value), at in zip(item.items(), lines, strict=True):
            _blame_value(file, at, key, value)
        cells = [(value, f"{file.path}:{at}") for value, at in zip(item.values(), lines, strict=True)]
        found.append(_setting(f"{file.path}:{line}", list(item), cells))
    if not file.problems:
        _blame_twins(file, found)
    return found


def _setting(where: str, keys: Sequence[str], cells: Sequence[tuple[Any, str]]) -> Setting:
    values = {key: value for key, (value, _) in zip(keys, cells, strict=True)}
    return Setting(values, {key: at for key, (_, at) in zip(keys, cells, strict=True)}, where)


def _blame_value(file: YamlFile, line: int, key: str, value: Any) -> None:
    if isinstance(value, (list, dict)):
        file.blame(line, f"{key}: one value is a number or a word; for a part of a mapping write {key}.PART: [..]")
    elif value is None:
        file.blame(line, f"{key}: is empty; write a value")


def _blame_twins(file: YamlFile, found: Sequence[Setting]) -> None:
    """A setting that is tried twice would be counted twice."""
    first: dict[Any, Setting] = {}
    for setting in found:
        key = frozenset((key, _same(value)) for key, value in setting.values.items())
        twin = first.setdefault(key, setting)
        if twin is not setting:
            file.problems.append(f"{setting.where} this setting stands here and on {twin.where}; keep one")


def _same(value: Any) -> tuple[bool, Any]:
    """What two equal values share: 0.1 and 0.10 are one number, true and 1 are two values."""
    return isinstance(value, bool), value if not isinstance(value, (list, dict)) else str(value)
