"""What a configuration becomes on its way into Rust and onto the tape: JSON in one canonical form, and its hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickerml.config.models import Config
from tickerml.config.queue_file import read_curve
from tickerml.errors import ConfigError

__all__ = ["DECIDING", "canonical", "config_hash", "effective", "record", "settings", "settings_json", "venue_feeds"]

DECIDING = ("exchanges", "execution", "risk", "model")
"""The sections that change what is recorded or decided: a run is pinned to their hash, the others may change."""

MOVED = ("ws_url", "market_ws_url", "rest_url", "channels", "market_channels")
"""What a venue on loopback says of itself."""


def effective(config: Config) -> dict[str, Any]:
    """All values but secrets, as JSON knows them: money as exact text, other decimals as numbers."""
    out: dict[str, Any] = _plain(config.model_dump(exclude={"secrets"}))
    out["execution"]["balance"] = {k: _money(v) for k, v in config.execution.balance.items()}
    out["risk"]["order_quote_min"] = _money(config.risk.order_quote_min)
    for policy in ("hold", "imbalance", "grid"):
        out["model"][policy] = config.model.params(policy)
    out["execution"].update(_curve(config))
    return out


def _curve(config: Config) -> dict[str, Any]:
    """The curve itself, so that hash and tape hold what decides and not only where it lay."""
    execution = config.execution
    if execution.queue != "fitted":
        return {"queue_share": [], "queue_fit_end_ns": 0}
    if not execution.queue_file:
        return {}
    try:
        curve = read_curve(Path(execution.queue_file))
    except ValueError as error:  # it was there when the configuration was checked
        raise ConfigError([f"queue_file: {error}"]) from None
    return {"queue_share": [_number(share) for share in curve.share], "queue_fit_end_ns": curve.fit_end_ns}


def canonical(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def config_hash(config: Config) -> str:
    """SHA-256 over the canonical text of the deciding sections, in hex."""
    whole = effective(config)
    return hashlib.sha256(canonical({name: whole[name] for name in DECIDING}).encode()).hexdigest()


def settings(config: Config) -> dict[str, Any]:
    """The flat execution settings by the names of contract.md."""
    found: dict[str, Any] = effective(config)["execution"]
    return found


def settings_json(config: Config) -> str:
    """`settings` as the text that a native `Session` reads."""
    return canonical(settings(config))


def record(config: Config, head: Mapping[str, str], venues: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The CONFIG record: everything that a replay needs to decide as the run did.

    Parameters
    ----------
    head : the run, what it is pinned to, and its source.
    venues : as `venue_feeds` gave them.
    """
    values = effective(config)
    name = config.model.policy
    return {
        **head,
        "settings": {**values["execution"], "queue_file": ""},
        "instruments": [f"{venue['venue']}:{symbol}" for venue in venues for symbol in venue["symbols"]],
        "policy": {"name": name, "params": config.model.params(name)},
        "risk": values["risk"],
        "seed": config.execution.seed,
    }


def venue_feeds(config: Config, at: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The enabled venues as `_native.Feed` wants them.

    Parameters
    ----------
    at : what replaces the configured values, by venue, where a loopback venue is used: addresses (`ws_url`,
        `market_ws_url`, `rest_url`), and for a recording its `channels` and `market_channels`.
    """
    venues = effective(config)["exchanges"]["venues"]
    return [_venue_feed(name, venue, (at or {}).get(name, {})) for name, venue in venues.items() if venue["enabled"]]


def _venue_feed(name: str, venue: dict[str, Any], at: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in venue.items() if key not in ("enabled", "instruments")}
    moved = {key: at[key] for key in MOVED if key in at}
    return {"venue": name, "symbols": venue["instruments"], **kept, **moved}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _number(value) if isinstance(value, Decimal) else value


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _money(value: Decimal) -> str:
    """Exact text without an exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
