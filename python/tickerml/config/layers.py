"""The layers of the configuration and how one lies over another.

From the strongest: command line, environment, the ``--config`` folder, ``./config``, the XDG config home, the packaged
defaults. A key comes from the strongest layer that has it; mappings are laid over each other key by key, lists whole.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickerml.config.home import config_home
from tickerml.config.yaml_file import read_yaml

__all__ = [
    "DEFAULTS",
    "FILES",
    "Key",
    "Layer",
    "did_you_mean",
    "file_layers",
    "lay_over",
    "lay_record",
    "origins_of",
    "recorded_layer",
]

Key = tuple[str, ...]

FILES = {
    "exchanges": "exchanges_config.yaml",
    "execution": "execution_config.yaml",
    "terms": "terms_config.yaml",
    "risk": "risk_limits.yaml",
    "model": "model_config.yaml",
    "monitoring": "monitoring_config.yaml",
    "kafka": "kafka_config.yaml",
    "timescale": "timescale_config.yaml",
}
"""Section -> the file that holds it."""

FREE: tuple[Key, ...] = (("execution", "balance"), ("risk", "book_age_ms_max"))
"""Maps whose keys are the user's own names. They stand as written, and one that a tape lacks was not there when
the run decided.
"""

DEFAULTS = Path(__file__).parent / "defaults"
"""The packaged defaults: the same files as `config/` at the root of the repository."""


@dataclass
class Layer:
    """Values by section, where each key stands (`file:line`, `environment NAME`, `--flag`), and what is wrong."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, key: Key, value: Any, origin: str) -> None:
        """Sets one key, making the mappings above it."""
        at = self.data
        for name in key[:-1]:
            at = at.setdefault(name, {})
            if not isinstance(at, dict):
                self.problems.append(f"{origin} {'.'.join(key)}: {name} has a value of its own; name only one of both")
                return
        at[key[-1]] = value
        self.origins.update({key[:n]: origin for n in range(1, len(key)) if key[:n] not in self.origins})
        self.origins[key] = origin


def file_layers(config_dir: Path | None, cwd: Path, environ: Mapping[str, str]) -> Iterator[Layer]:
    """The layers that are folders, weakest first."""
    yield folder_layer(DEFAULTS, "packaged")
    if home := config_home(environ):
        yield folder_layer(home / "tickerml")
    local = cwd / "config"
    if config_dir is None or not config_dir.is_dir() or not local.is_dir() or not local.samefile(config_dir):
        yield folder_layer(local)
    if config_dir is not None:
        yield folder_layer(config_dir, strict=True)


def folder_layer(folder: Path, shown: str = "", *, strict: bool = False) -> Layer:
    """One folder's files. A `strict` folder, one the user named, must exist and hold nothing else in YAML."""
    layer = Layer()
    if not folder.is_dir():
        if strict:
            layer.problems.append(f"{folder}: no such folder; `tickerml config init {folder}` makes one")
        return layer
    for section, name in FILES.items():
        path = folder / name
        if path.exists() or path.is_symlink():
            _read(path, section, shown, layer)
    layer.problems += _strangers(folder, strict=strict)
    return layer


def recorded_layer(record: Mapping[str, Any]) -> Layer:
    """What a CONFIG record says; an import's says nothing of settings, policy or risk."""
    layer = Layer()
    policy = record.get("policy") or {}
    found = {"execution": record.get("settings"), "risk": record.get("risk"), "terms": record.get("terms")}
    if isinstance(policy, dict) and policy.get("name"):
        found["model"] = {"policy": policy["name"], policy["name"]: policy.get("params") or {}}
    for section, values in found.items():
        if isinstance(values, dict):
            layer.data[section] = values
            layer.origins.update({(section, key): "the tape's CONFIG record" for key in values})
    for venue, tier in (record.get("fee_tiers") or {}).items():
        layer.put(("exchanges", "venues", venue, "fee_tier"), tier, "the tape's CONFIG record")
    return layer


def lay_over(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, as a new mapping."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = lay_over(old if isinstance(old, dict) else {}, value) if isinstance(value, dict) else value
    return out


def lay_record(base: dict[str, Any], record: Layer) -> dict[str, Any]:
    """The same with a tape's record on top, whose `FREE` maps stay as they were recorded."""
    out = dict(base)
    for section, name in FREE:
        below, over = out.get(section), record.data.get(section)
        if isinstance(below, dict) and isinstance(over, dict) and isinstance(over.get(name), dict):
            out[section] = {key: value for key, value in below.items() if key != name}
    return lay_over(out, record.data)


def origins_of(layers: Iterable[Layer]) -> dict[Key, str]:
    """Where each key was set, given the layers from weak to strong; a value that is replaced takes its parts along."""
    out: dict[Key, str] = {}
    for layer in layers:
        whole = {key for key in layer.origins if not isinstance(_at(layer.data, key), dict)}
        out = {key: where for key, where in out.items() if not any(key[:n] in whole for n in range(1, len(key)))}
        out.update(layer.origins)
    return out


def _at(data: Any, key: Key) -> Any:
    for name in key:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def did_you_mean(word: str, known: list[str]) -> str:
    """`did you mean X?` with the nearest known word, else the known words."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _read(path: Path, section: str, shown: str, layer: Layer) -> None:
    file = read_yaml(path)
    layer.problems += file.problems
    if file.data:
        layer.data[section] = file.data
    name = f"{shown} {path.name}".strip() if shown else str(path)
    layer.origins.update({(section, *key): f"{name}:{line}" for key, line in file.lines.items()})


def _strangers(folder: Path, *, strict: bool) -> Iterator[str]:
    """YAML files that look like ours under another name: a misspelt file would be ignored in silence."""
    known = list(FILES.values())
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".yaml", ".yml") or path.name in known:
            continue
        if strict or difflib.get_close_matches(path.name, known, n=1, cutoff=0.85):
            yield f"{path}: no configuration file has this name; {did_you_mean(path.name, known)}"
