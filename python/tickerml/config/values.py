"""What a value of the configuration may be: text, numbers, names and addresses, each refused with how to write it."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from tickerml.config.layers import did_you_mean

__all__ = [
    "LATENCIES",
    "QUEUES",
    "VENUES",
    "AnySymbol",
    "BookAges",
    "Brokers",
    "Channel",
    "Clock",
    "Currency",
    "Date",
    "Exact",
    "FeeBps",
    "Frac",
    "InstrumentId",
    "Latency",
    "LatencyMs",
    "Money",
    "Off",
    "Parameters",
    "Queue",
    "RestUrl",
    "Symbol",
    "Tier",
    "WsUrl",
    "as_text",
]

VENUES = ("binance_spot", "binance_us", "binance_usdm", "binance_coinm")
"""The venues this version speaks, in the order of contract.md."""


def _decimal(value: Any) -> Any:
    """Whole numbers and decimal text as exact decimals; anything else is left for pydantic to refuse."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return Decimal(value)
    return value


def as_text(value: object) -> str:
    """A value as text without an exponent: 0.5, 12, true."""
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _symbol(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{2,30}(_[A-Z0-9]{2,12})?", value):
        raise ValueError(f"{value!r} is no Binance symbol; write it in capitals, like BTCUSDT")
    return value


def _instrument(value: str) -> str:
    venue, _, symbol = value.partition(":")
    if venue not in VENUES:
        raise ValueError(f"{value!r} names no venue of this version; write it like binance_spot:BTCUSDT")
    _symbol(symbol)
    return value


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if value and not value.startswith(tuple(f"{s}://" for s in schemes)):
            raise ValueError(f"{value!r} is no URL for this; start it with {schemes[0]}://")
        if value.endswith("/"):
            raise ValueError(f"{value!r} ends with a slash; leave it out")
        return value

    return AfterValidator(check)


def _clock(value: str) -> str:
    if value not in ("causal", "fixed") and not re.fullmatch(r"fixed:-?[0-9]{1,18}", value):
        raise ValueError(f"{value!r} is no clock; write causal, or fixed: and a number of nanoseconds")
    return value


def _latency(value: str) -> str:
    if value.startswith("file:") and len(value) > len("file:"):
        return value
    if value not in LATENCIES:
        raise ValueError(
            f"{value!r} is no latency model; write {', '.join(LATENCIES)}, or file:PATH of an .npz or .npy"
        )
    return value


LATENCIES = ("constant", "venue", "feed")
"""Models of the way to the venue and back; file:PATH is the fourth, for replay and backtest."""

QUEUES = ("risk_averse", "prob_log", "prob_log2", "prob_power:3", "prob_power2:3", "prob_power3:3")
"""The queue models; an exponent above 0 stands behind the colon."""


def _queue(value: str) -> str:
    family, _, exponent = value.partition(":")
    if value in (*QUEUES[:3], "fitted", "early"):
        return value
    if value == "fifo":
        raise ValueError(
            "fifo needs a feed that names every order, and tapes and event files hold price levels; write fitted with "
            "a curve that `tickerml execution fit` measured on such a feed"
        )
    if family in ("prob_power", "prob_power2", "prob_power3"):
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", exponent) and float(exponent) > 0:
            return value
        raise ValueError(
            f"{value!r} needs a number above 0 and below 1000, of six decimals at most, behind the colon; "
            f"write {family}:3"
        )
    raise ValueError(f"{value!r} is no queue model; {did_you_mean(value, [*QUEUES, 'fitted', 'early'])}")


def _date(value: str) -> str:
    try:
        if date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise ValueError(f"{value!r} is no date; write it like 2024-08-31")


def _any_symbol(value: str) -> str:
    return value if value == "*" else _symbol(value)


def _tier(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,29}", value):
        raise ValueError(f"{value!r} is no tier; write it small, like vip0")
    return value


def _currency(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{2,12}", value):
        raise ValueError(f"{value!r} is no currency; write it in capitals, like USDT")
    return value


def _channel(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z]+[0-9]*(@[0-9]+m?s)?", value):
        raise ValueError(f"{value!r} is no stream; write it as after symbol@, like depth@100ms")
    return value


def _brokers(value: str) -> str:
    if not all(re.fullmatch(r"[^\s,:]+:[0-9]{1,5}", part) for part in value.split(",")):
        raise ValueError(f"{value!r} is no list of brokers; write host:port,host:port")
    return value


def _ages(value: dict[str, int]) -> dict[str, int]:
    if "default" not in value:
        raise ValueError("has no line for every other instrument; add `default: 3000`")
    for key in value.keys() - {"default"}:
        _instrument(key)
    return value


def _word(value: Any) -> Any:
    if not isinstance(value, (int, Decimal, str)):
        raise ValueError("a parameter is one number or one word")
    return value


def _off(value: bool) -> bool:
    if value:
        raise ValueError("this version has no such sink; write enabled: false")
    return value


Exact = Annotated[Decimal, BeforeValidator(_decimal)]
Money = Annotated[Exact, Field(ge=0, le=Decimal(10) ** 15, decimal_places=18)]
Frac = Annotated[Exact, Field(gt=0, le=1)]
FeeBps = Annotated[Exact, Field(ge=-100, le=1000, decimal_places=4)]
LatencyMs = Annotated[Exact, Field(ge=0, le=60_000, decimal_places=6)]
Date = Annotated[str, AfterValidator(_date)]
Tier = Annotated[str, AfterValidator(_tier)]
Symbol = Annotated[str, AfterValidator(_symbol)]
InstrumentId = Annotated[str, AfterValidator(_instrument)]
Channel = Annotated[str, AfterValidator(_channel)]
Currency = Annotated[str, AfterValidator(_currency)]
Parameters = dict[str, Annotated[Any, AfterValidator(_word)]]
Off = Annotated[bool, AfterValidator(_off)]
WsUrl = Annotated[str, _url("wss", "ws")]
RestUrl = Annotated[str, _url("https", "http")]
Clock = Annotated[str, AfterValidator(_clock)]
Latency = Annotated[str, AfterValidator(_latency)]
Queue = Annotated[str, AfterValidator(_queue)]
AnySymbol = Annotated[str, AfterValidator(_any_symbol)]
Brokers = Annotated[str, AfterValidator(_brokers)]
BookAges = Annotated[dict[str, Annotated[int, Field(ge=1, le=3_600_000)]], AfterValidator(_ages)]
