"""Configuration: read once, checked whole, frozen. `load` is the door; docs of the keys stand in `config/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.config.home import data_home, own_environment
from tickerml.errors import ConfigError

if TYPE_CHECKING:
    from tickerml.config.layers import Key, Layer
    from tickerml.config.models import Config

__all__ = ["Below", "Loaded", "data_dir", "load", "read_below"]


@dataclass(frozen=True)
class Loaded:
    """A checked configuration, and where each of its keys was set."""

    config: Config
    origins: Mapping[Key, str]

    def origin(self, key: Key) -> str:
        """`file:line`, `environment NAME` or the flag that set a key."""
        from tickerml.config.check import origin_of

        return origin_of(key, self.origins)


def load(
    config_dir: Path | None = None,
    *,
    policy: str | None = None,
    sets: Sequence[tuple[str, str]] = (),
    instruments: Sequence[str] = (),
    recorded: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Loaded:
    """Reads every layer and checks the result.

    Parameters
    ----------
    config_dir : the folder of ``--config``, which must exist; None for the usual places.
    policy, sets, instruments : what ``--policy``, ``--set`` and ``--instrument`` say.
    recorded : a tape's CONFIG record, which lies over everything but the flags: a replay decides as the run did.
    environ, cwd : for tests; the process's own by default.

    Raises
    ------
    ConfigError
        With every problem of every layer, not only the first.
    """
    below = read_below(config_dir, recorded=recorded, environ=environ, cwd=cwd)
    return below.with_flags(policy=policy, sets=sets, instruments=instruments)


@dataclass(frozen=True)
class Below:
    """The layers below the flags, read once for any number of settings."""

    layers: Sequence[Layer]
    data: Mapping[str, Any]

    def with_flags(
        self,
        *,
        policy: str | None = None,
        sets: Sequence[tuple[str, str]] = (),
        instruments: Sequence[str] = (),
        origins: Mapping[str, str] | None = None,
    ) -> Loaded:
        """The configuration with the flags on top.

        Parameters
        ----------
        origins : where the keys of `sets` stand, for those that no ``--set`` gave.

        Raises
        ------
        ConfigError
        """
        from tickerml.config.layers import lay_over, origins_of

        data, layers = dict(self.data), list(self.layers)
        if policy or sets or instruments:
            from tickerml.config.flags import flag_layer, instrument_layer

            layers += [instrument_layer(instruments), flag_layer(policy, sets, _configured_policy(data), origins or {})]
            data = lay_over(lay_over(data, layers[-2].data), layers[-1].data)
        return _checked(data, origins_of(layers), [problem for layer in layers for problem in layer.problems])


def read_below(
    config_dir: Path | None = None,
    *,
    recorded: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Below:
    """Reads every layer below the flags; parameters as of `load`."""
    from tickerml.config.env import env_layer
    from tickerml.config.layers import FILES, file_layers, lay_over, lay_record, recorded_layer

    environ = own_environment() if environ is None else environ
    layers = [*file_layers(config_dir, cwd or Path(), environ), env_layer(environ)]
    data: dict[str, Any] = {section: {} for section in (*FILES, "secrets")}
    for layer in layers:
        data = lay_over(data, layer.data)
    if recorded:
        layers.append(recorded_layer(recorded))
        data = lay_record(data, layers[-1])
    return Below(layers, data)


def data_dir(given: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """The data folder: ``--data``, else TICKERML_DATA, else the XDG data home.

    Raises
    ------
    ConfigError
        Where none is given and nobody knows a home.
    """
    if given is not None:
        return given
    environ = own_environment() if environ is None else environ
    if environ.get("TICKERML_DATA"):
        return Path(environ["TICKERML_DATA"])
    home = data_home(environ)
    if home is None:
        raise ConfigError(["HOME is not set, and this user has no home: give --data DIR, or set TICKERML_DATA"])
    return home / "tickerml"


def _configured_policy(data: dict[str, Any]) -> str:
    model = data["model"]
    return str(model.get("policy")) if isinstance(model, dict) else ""


def _checked(data: dict[str, Any], origins: dict[Key, str], problems: list[str]) -> Loaded:
    from pydantic import ValidationError

    from tickerml.config.check import explain, policy_problems
    from tickerml.config.models import Config

    problems += policy_problems(data["model"], origins)
    try:
        config = Config.model_validate(data)
    except ValidationError as e:
        raise ConfigError([*problems, *explain(e, origins)]) from None
    if problems:
        raise ConfigError(problems)
    return Loaded(config, origins)
