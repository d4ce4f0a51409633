"""What the command line sets, as layers: ``--policy``, ``--set key=value``, ``--instrument venue:SYMBOL``."""

from collections.abc import Iterable, Mapping, Sequence

from tickerml.config.layers import FILES, Key, Layer, did_you_mean
from tickerml.config.models import Execution
from tickerml.config.values import VENUES
from tickerml.config.yaml_file import parse_text
from tickerml.errors import NotFoundError

__all__ = ["check_venue", "flag_layer", "instrument_layer", "setting_keys"]


def flag_layer(
    policy: str | None, sets: Iterable[tuple[str, str]], configured: str, origins: Mapping[str, str]
) -> Layer:
    """The layer of ``--policy`` and ``--set``, or of what stands for it in a file.

    A key is a setting of execution_config.yaml (``step_ms``, ``balance.USDT``), a parameter of the policy (``levels``),
    or a whole path (``risk.drawdown_frac_max``).

    Parameters
    ----------
    configured : the policy of the configuration, whose parameters ``--set`` means where ``--policy`` is not given.
    origins : ``file:line`` of the keys that no ``--set`` gave.
    """
    layer = Layer()
    if policy is not None:
        layer.put(("model", "policy"), policy, "--policy")
    name = policy or configured
    for key, text in sets:
        path, origin = _path(key, name), origins.get(key, f"--set {key}")
        if path is None:
            where = f"{origin} {key}" if key in origins else origin
            layer.problems.append(f"{where}: unknown setting; {did_you_mean(key, setting_keys(name))}")
        else:
            layer.put(path, parse_text(text), origin)
    return layer


def instrument_layer(instruments: Sequence[str]) -> Layer:
    """``--instrument``: exactly these are recorded; venues that none of them names are switched off."""
    layer = Layer()
    if not instruments:
        return layer
    for name in instruments:
        check_venue(name)
    for venue in VENUES:
        symbols = [i.partition(":")[2] for i in dict.fromkeys(instruments) if i.partition(":")[0] == venue]
        layer.put(("exchanges", "venues", venue, "enabled"), bool(symbols), "--instrument")
        if symbols:
            layer.put(("exchanges", "venues", venue, "instruments"), symbols, "--instrument")
    layer.put(("exchanges", "demo", "instruments"), list(dict.fromkeys(instruments)), "--instrument")
    return layer


def check_venue(instrument: str) -> None:
    """Refuses an instrument of no venue of this version.

    Raises
    ------
    NotFoundError
    """
    name = instrument.partition(":")[0]
    if name not in VENUES:
        raise NotFoundError(
            f"--instrument {instrument}: no such venue in this version; {did_you_mean(name, list(VENUES))}"
        )


def setting_keys(policy: str) -> list[str]:
    """The plain names that ``--set`` takes with this policy."""
    return [*Execution.model_fields, *_parameters(policy)]


def _path(key: str, policy: str) -> Key | None:
    parts = tuple(key.split("."))
    if parts[0] in FILES and len(parts) > 1:
        return parts
    if parts[0] in Execution.model_fields:
        return ("execution", *parts)
    return ("model", policy, *parts) if key in _parameters(policy) else None


def _parameters(policy: str) -> list[str]:
    from tickerml.policy.base import policy_names, policy_parameters

    return [p.name for p in policy_parameters(policy)] if policy in policy_names() else []
