"""`tickerml config`: what is in effect and why, what is wrong, and a folder to begin with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tickerml.cli.options import common, globals_of
from tickerml.cli.output import emit

__all__ = ["config"]


@click.group()
@common
def config() -> None:
    """Show, check or create configuration."""


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value was set.")
@common
def show(origin: bool) -> None:
    """Print every effective value; secrets only as set or not set."""
    from tickerml.config.build import config_hash, effective

    loaded = globals_of().load()
    values = effective(loaded.config)
    rows = [(key, value, loaded.origin(key)) for key, value in _leaves((), values)]
    secrets = {name: "set" if value else "not set" for name, value in loaded.config.secrets}
    result: dict[str, Any] = {"config": values, "config_hash": config_hash(loaded.config), "secrets": secrets}
    if origin:
        result["origins"] = {".".join(key): where for key, _, where in rows}

    def lines() -> str:
        text = [f"{'.'.join(key)}: {value}" + (f"   # {where}" if origin else "") for key, value, where in rows]
        text += [f"secrets.{name}: {state}" for name, state in secrets.items()]
        return "\n".join([*text, f"config_hash: {result['config_hash']}"])

    emit(result, lines)


@config.command()
@common
def check() -> None:
    """Check every file and the environment; exit 4 with every problem."""
    from tickerml.config.build import config_hash

    loaded = globals_of().load()
    places = (where.rpartition(":") for where in loaded.origins.values())
    files = sorted({file for file, _, line in places if line.isdigit()})
    result = {"ok": True, "config_hash": config_hash(loaded.config), "files": files}
    emit(result, lambda: f"ok: {len(files)} files, {len(loaded.origins)} keys")


@config.command()
@click.argument("folder", type=click.Path(path_type=Path))
@common
def init(folder: Path) -> None:
    """Write the default files, with every key explained, into FOLDER; existing files stay as they are."""
    from tickerml.config.layers import DEFAULTS, FILES
    from tickerml.writing import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = [name for name in FILES.values() if not (folder / name).exists()]
    for name in written:
        with writing(folder / name):
            (folder / name).write_bytes((DEFAULTS / name).read_bytes())
    kept = [name for name in FILES.values() if name not in written]

    def lines() -> str:
        text = [f"{folder / name}: written" for name in written] + [f"{folder / name}: kept" for name in kept]
        return "\n".join([*text, f"next: edit them, then `tickerml config check --config {folder}`"])

    emit({"folder": str(folder), "written": written, "kept": kept}, lines)


def _leaves(at: tuple[str, ...], values: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves((*at, key), value)
        else:
            yield (*at, key), value
