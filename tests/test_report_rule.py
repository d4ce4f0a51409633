"""`report_rule=causal` holds a report back until its cause has arrived. Where the response takes longer than that, it
is `report_rule=venue` to the byte: knowing the recording beforehand gives nothing (simulation.md 1).
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import tickerml
from tickerml.cost import COLUMNS

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
USDM = RECORDINGS / "binance_usdm" / "usdm_btcusdt_20240808.gz"
REORDER_MS, BASE_LATENCY_MS = 250, 5
LONG_MS = REORDER_MS + BASE_LATENCY_MS + 5
GRID = {"reorder_ms": REORDER_MS, "base_latency_ms": BASE_LATENCY_MS, "half_spread_ticks": 1, "interval_ticks": 1}
CAPTURES = {
    "usdm capture": ("binance_usdm:DEMOUSDT", HERE / "data" / "binance_usdm_DEMOUSDT.raw.gz", {"qty": "0.1"}),
    "usdm capture with gaps": (
        "binance_usdm:DEMOUSDT",
        HERE / "data" / "binance_usdm_gap_DEMOUSDT.raw.gz",
        {"qty": "0.1"},
    ),
    "spot capture": ("binance_spot:DEMOUSDT", HERE / "data" / "binance_spot_DEMOUSDT.raw.gz", {"qty": "0.1"}),
    "spot capture with gaps": (
        "binance_spot:DEMOUSDT",
        HERE / "data" / "binance_spot_gap_DEMOUSDT.raw.gz",
        {"qty": "0.1"},
    ),
}
FEEDS = {**CAPTURES, "usdm": ("binance_usdm:BTCUSDT", USDM, {"qty": "0.001"})}
MONEY = ("orders", "fills", "refused", "pnl_quote", "fees_quote", "max_drawdown_frac")


class Outcome:
    """One backtest: its result, and the two files that it wrote."""

    def __init__(self, data: Path, run: str, sets: dict[str, Any]) -> None:
        words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        fills, orders = data / "fills.csv", data / "orders.csv"
        files = ("--fills", str(fills), "--orders", str(orders))
        self.result = tickerml(data, "backtest", run, "--policy", "grid", *files, *words)
        self.fills, self.orders = fills.read_text(), orders.read_text()

    def money(self, costs: bool) -> dict[str, Any]:
        return {key: self.result[key] for key in (*MONEY, *(["costs"] if costs else []))}


@pytest.fixture(scope="module")
def backtests(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Gives the outcome of both rules over a feed, at a response."""
    known: dict[str, tuple[Path, str]] = {}

    def both(name: str, response_ms: int) -> tuple[Outcome, Outcome]:
        instrument, file, sets = FEEDS[name]
        if not file.is_file():
            pytest.skip(f"no recording at {file}")
        if name not in known:
            data = tmp_path_factory.mktemp("rules")
            made = tickerml(data, "data", "import", "hftbacktest-raw", str(file), "--instrument", instrument)
            known[name] = data, made["run"]
        sets = {**GRID, **sets, "response_ms": response_ms}
        causal, venue = (Outcome(*known[name], {**sets, "report_rule": rule}) for rule in ("causal", "venue"))
        assert causal.result["late_rows"] == 0, "a late row acts elsewhere, and the two may part"
        return causal, venue

    return both


@pytest.mark.parametrize("name", FEEDS)
def test_a_long_response_hides_nothing(backtests: Any, name: str) -> None:
    causal, venue = backtests(name, LONG_MS)
    assert causal.result["fills"] > 5
    # A gap is no row of a stream. The book stops being true when that is noticed, earlier where all is known, and the
    # mid that a cost is measured from may be unknown in one and known in the other.
    costs = "gaps" not in name
    assert causal.money(costs) == venue.money(costs)
    assert rows(causal.fills, costs) == rows(venue.fills, costs)
    assert causal.orders == venue.orders


def test_a_short_one_would_have_known_too_early(backtests: Any) -> None:
    """The comparison can fail: at 10 ms `venue` answers before the cause has arrived, and the grid trades on it."""
    causal, venue = backtests("usdm capture", 10)
    assert causal.orders != venue.orders


@pytest.mark.soak
def test_what_knowing_early_changes(backtests: Any) -> None:
    """Prints, for each response, how many fills of the one rule the other lacks, and the money between them."""
    print("\nUSD-M, grid: response ms | orders causal, venue | fills causal, venue, shared | P&L causal, venue")
    for response_ms in (0, 10, 50, 100, 200, LONG_MS):
        causal, venue = backtests("usdm", response_ms)
        shared = sum((keys(causal.fills) & keys(venue.fills)).values())
        one, other = causal.result, venue.result
        counts = f"{one['orders']:6} {other['orders']:6} | {one['fills']:5} {other['fills']:5} {shared:5}"
        money = " ".join(f"{Decimal(result['pnl_quote']):.6f}" for result in (one, other))
        print(f"{response_ms:4} | {counts} | {money}")
        assert (causal.orders == venue.orders) == (response_ms == LONG_MS)


def rows(fills: str, costs: bool) -> list[dict[str, str]]:
    """The rows of a file of fills, with or without what each cost."""
    kept = csv.DictReader(fills.splitlines())
    return [{key: text for key, text in row.items() if costs or key not in COLUMNS} for row in kept]


def keys(fills: str) -> Counter[tuple[str, ...]]:
    """What a fill is, but for the moment at which it was known."""
    return Counter((r["ts_event_ns"], r["side"], r["px"], r["qty"]) for r in csv.DictReader(fills.splitlines()))
