"""Event files for tests: rows like those of a feed, and the writing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tickerml.schema import COLUMNS, UNDEF_I64, Columns
from tickerml.sinks.parquet import EventFiles, Segment

RUN = "20240808T235415Z-0001"
META: dict[str, Any] = {
    "venue": "kraken_spot", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "kind": "spot",
    "price_precision": 1, "qty_precision": 8, "tick": 1, "lot": 1,
}  # fmt: skip
DAY_NS = 86_400 * 10**9
NOON = 1_723_118_400 * 10**9


def columns(count: int, first_ns: int = NOON, step_ns: int = 10**6, seed: int = 1) -> Columns:
    """Rows like a feed's: messages of a few levels, times that never go back, some without a venue time."""
    rng = np.random.default_rng(seed)
    message = np.cumsum(rng.integers(0, 2, count))
    found: Columns = {
        "pos": message + 7,
        "ts_recv_ns": first_ns + message * step_ns,
        "ts_event_ns": np.where(message % 5 == 0, UNDEF_I64, first_ns + message * step_ns - 3_000_000),
        "kind": rng.integers(1, 10, count),
        "px": 600_000 + rng.integers(-500, 500, count),
        "qty": rng.integers(0, 10**9, count),
        "flags": rng.integers(0, 32, count),
    }
    return {name: found[name].astype(dtype) for name, dtype in COLUMNS.items()}


def convert(data: Path, *parts: tuple[Segment, Columns], run: str = RUN) -> EventFiles:
    with EventFiles(data, run, META, source="import", code_version="test") as files:
        for segment, part in parts:
            files.add(segment, part)
    return files


def paths(data: Path) -> list[Path]:
    return sorted(data.rglob("*.parquet"))


def same(a: Columns, b: Columns) -> bool:
    return all(np.array_equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in COLUMNS)


def instrument(symbol: str, **steps: int) -> dict[str, Any]:
    return {
        "venue": "binance_spot", "symbol": symbol, "base": symbol[:3], "quote": "USDT", "kind": "spot",
        "price_precision": 2, "qty_precision": 3, "tick": 1, "lot": 1, "min_notional": "5", "contract_size": "1",
        "funding_interval_h": None, "metadata_source": "venue", **steps,
    }  # fmt: skip
