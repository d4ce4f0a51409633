"""What a configuration becomes on its way into Rust and onto the tape: JSON in one canonical form, and its hash."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickerml.config.layers import FILES
from tickerml.config.models import Config
from tickerml.config.queue_file import read_curve
from tickerml.errors import ConfigError
from tickerml.schema import DAY_NS

__all__ = [
    "DECIDING", "canonical", "check_fees", "config_hash", "day_ns", "effective", "fee_schedules", "fees_at", "record",
    "settings",
    "settings_json", "venue_feeds",
]  # fmt: skip

EPOCH = date(1970, 1, 1)

DECIDING = ("exchanges", "execution", "terms", "risk", "model")
"""The sections that change what is recorded or decided: a run is pinned to their hash, the others may change."""

MOVED = ("ws_url", "market_ws_url", "rest_url", "channels", "market_channels")
"""What a venue on loopback says of itself."""


def effective(config: Config) -> dict[str, Any]:
    """All values but secrets, as JSON knows them: money as exact text, other decimals as numbers."""
    out: dict[str, Any] = _plain(config.model_dump(exclude={"secrets"}, by_alias=True))
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


def config_hash(config: Config, place: str = "") -> str:
    """SHA-256 over the canonical text of the deciding sections, in hex.

    Parameters
    ----------
    place : `Place.account`. With `demo` the hash is another one: what a demo left unfinished is for a demo, not for the
        venue at a control URL whose runs lie beside it.
    """
    from tickerml._native import sha256_hex  # hashlib loads OpenSSL

    whole = effective(config)
    demo = {"place": place} if place == "demo" else {}
    return sha256_hex(canonical({**{name: whole[name] for name in DECIDING}, **demo}).encode())


def settings(config: Config) -> dict[str, Any]:
    """The flat execution settings by the names of contract.md, and the fees by date of each venue's tier."""
    whole = effective(config)
    liquidation = whole["terms"]["liquidation_bps"]
    return {**whole["execution"], "fees": fee_schedules(config), "liquidation_bps": liquidation}


def settings_json(config: Config) -> str:
    """`settings` as the text that a native `Session` reads."""
    return canonical(settings(config))


def day_ns(day: str) -> int:
    """The beginning of a day, UTC, in ns since 1970."""
    return (date.fromisoformat(day) - EPOCH).days * DAY_NS


def fee_schedules(config: Config) -> dict[str, list[list[int | float]]]:
    """The rows of each venue's `fee_tier`, in order: from when (ns since 1970 UTC), maker and taker in bps."""
    found: dict[str, list[list[int | float]]] = {}
    for row in sorted(config.terms.fees, key=lambda row: row.since):
        if row.tier == getattr(config.exchanges.venues, row.venue).fee_tier:
            found.setdefault(row.venue, []).append([day_ns(row.since), _number(row.maker_bps), _number(row.taker_bps)])
    return found


def fees_at(config: Config, venue: str, ts_ns: int) -> tuple[Decimal, Decimal]:
    """Maker and taker fee of a venue at a time, in basis points.

    Raises
    ------
    ConfigError
        Where the table has none.
    """
    check_fees(config, [venue])
    own = (getattr(config.execution.maker_bps, venue), getattr(config.execution.taker_bps, venue))
    rows = [row for row in fee_schedules(config).get(venue, []) if row[0] <= ts_ns]
    if not rows and None in own:
        raise ConfigError([f"{FILES['terms']} fees: the rows for {venue} begin after that time; add an earlier one"])
    maker, taker = (Decimal(str(bps)) for bps in rows[-1][1:]) if rows else own
    return (maker if own[0] is None else own[0], taker if own[1] is None else own[1])


def check_fees(config: Config, venues: Iterable[str]) -> None:
    """Refuses to trade at a venue whose fee is not known: it would be none.

    Raises
    ------
    ConfigError
    """
    known, execution = fee_schedules(config), config.execution
    problems = []
    for venue in dict.fromkeys(venues):
        own = (getattr(execution.maker_bps, venue), getattr(execution.taker_bps, venue))
        if venue not in known and None in own:
            tier = getattr(config.exchanges.venues, venue).fee_tier
            problems.append(
                f"{FILES['terms']} fees: no row for {venue} with tier {tier}, which is traded; add one, name another "
                f"tier in exchanges.venues.{venue}.fee_tier, or give maker_bps.{venue} and taker_bps.{venue}"
            )
    if problems:
        raise ConfigError(problems)


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
        "terms": values["terms"],
        "fee_tiers": {name: venue["fee_tier"] for name, venue in values["exchanges"]["venues"].items()},
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
    kept = {key: value for key, value in venue.items() if key not in ("enabled", "instruments", "fee_tier")}
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
