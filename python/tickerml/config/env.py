"""The environment as a layer: ``TICKERML__SECTION__KEY`` and the flat names. An unknown ``TICKERML_*`` is refused,
because a misspelt limit that is ignored is worse than a program that does not start.
"""

from collections.abc import Mapping

from tickerml.config.layers import FILES, FREE, Key, Layer, did_you_mean
from tickerml.config.yaml_file import parse_text

__all__ = ["FLAT", "KNOWN", "env_layer"]

KNOWN = {
    "TICKERML_DATA": "the data folder, where --data is not given",
    "TICKERML_DEBUG": "1 shows the traceback of a failure",
    "TICKERML_RECORDINGS": "the folder of recordings that the tests import",
}
"""Names that are no configuration key: read where they act."""

FLAT: dict[str, Key] = {
    "BINANCE_API_KEY": ("secrets", "binance_api_key"),
    "BINANCE_API_SECRET": ("secrets", "binance_api_secret"),
    "TIMESCALE_HOST": ("timescale", "host"),
    "TIMESCALE_PORT": ("timescale", "port"),
    "TIMESCALE_DB": ("timescale", "database"),
    "TIMESCALE_PASSWORD": ("secrets", "timescale_password"),
    "KAFKA_BROKERS": ("kafka", "brokers"),
    "MAX_POSITION_SIZE": ("risk", "position_frac_max"),
    "MAX_DRAWDOWN": ("risk", "drawdown_frac_max"),
}
"""Short names that other programs already set, and the key each one means. Empty means unset."""

ALIASES: dict[Key, Key] = {
    ("risk", "max_drawdown"): ("risk", "drawdown_frac_max"),
    ("risk", "max_position_size"): ("risk", "position_frac_max"),
}

TEXT: frozenset[Key] = frozenset({("timescale", "host"), ("timescale", "database"), ("timescale", "user")})


def env_layer(environ: Mapping[str, str]) -> Layer:
    """The layer of the environment; a nested name beats the flat name of the same key."""
    layer = Layer()
    for name, key in FLAT.items():
        if environ.get(name):
            layer.put(key, _value(key, environ[name]), f"environment {name}")
    for name in sorted(environ):
        if name.startswith("TICKERML__"):
            key = _nested(name)
            layer.put(key, _value(key, environ[name]), f"environment {name}")
        elif name.startswith("TICKERML_") and name not in KNOWN:
            layer.problems.append(f"environment {name}: no such setting; {did_you_mean(name, _names())}")
    return layer


def _nested(name: str) -> Key:
    parts = name.split("__")[1:]
    key = tuple(part.lower() for part in parts)
    if key[:2] in FREE:
        key = (*key[:2], *parts[2:])
    return ALIASES.get(key, key)


def _value(key: Key, text: str) -> object:
    return text if key[0] == "secrets" or key in TEXT else parse_text(text)


def _names() -> list[str]:
    return [*KNOWN, *(f"TICKERML__{section.upper()}__<KEY>" for section in FILES)]
