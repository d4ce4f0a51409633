"""The XDG folders of the one who calls: where configuration and data lie when nobody says where."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["config_home", "data_home", "own_environment"]


def own_environment() -> Mapping[str, str]:
    """The process's; where HOME is missing or empty, with the home that the system knows for this user."""
    if os.environ.get("HOME"):
        return os.environ
    import pwd

    try:
        return {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir}
    except KeyError:
        return os.environ


def config_home(environ: Mapping[str, str]) -> Path | None:
    """XDG_CONFIG_HOME, else HOME/.config; None without either."""
    return _home(environ, "XDG_CONFIG_HOME", ".config")


def data_home(environ: Mapping[str, str]) -> Path | None:
    """XDG_DATA_HOME, else HOME/.local/share; None without either."""
    return _home(environ, "XDG_DATA_HOME", ".local/share")


def _home(environ: Mapping[str, str], name: str, below: str) -> Path | None:
    """A path that is not absolute is no folder of XDG's and counts as unset."""
    given, home = Path(environ.get(name, "")), environ.get("HOME", "")
    if given.is_absolute():
        return given
    return Path(home) / below if home else None
