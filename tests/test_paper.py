"""Paper trading over our small captures, whole: import, event files, session, policy, risk, portfolio, ledger."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tickerml import engine
from tickerml.policy import make_policy
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk
from tickerml.schema import MONEY_ONE
from tickerml.sinks import Sinks, Tally
from tickerml.sinks.events import EventChunks
from tickerml.sinks.ledger import Ledger

native = pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
RUN = "20250101T000000Z-0000"
SETTINGS = {
    "step_ms": 100, "queue": "risk_averse", "exchange": "shared", "report_rule": "causal", "reorder_ms": 250,
    "clock": "causal", "base_latency_ms": 5, "entry_ms": 10, "response_ms": 10, "decision_ms": 1,
    "latency": "constant", "maker_bps": 2, "taker_bps": 5, "balance": {"USDT": "10000"}, "short_spot": False,
    "seed": 1, "depth": 20,
}  # fmt: skip
VENUES = ["binance_usdm", "binance_spot"]
POLICIES = {"hold": {}, "imbalance": {"fees": "0"}, "grid": {"half_spread_ticks": "1", "interval_ticks": "1"}}


class Fills:
    """A sink that keeps every fill."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, bool]] = []

    def write(self, view: Any, approved: Any, refused: Any, portfolio: Any) -> None:
        self.rows += [(fill.side, fill.px, fill.qty, fill.fee_e18, fill.fee_in_base) for fill in view.fills]

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The captures as event files, by venue."""
    from tickerml.sources.tapes import import_files

    data = tmp_path_factory.mktemp("data")
    none = dict.fromkeys(("tick", "lot", "min_notional"))
    for venue in VENUES:
        capture = HERE / "data" / f"{venue}_DEMOUSDT.raw.gz"
        import_files(data, "hftbacktest-raw", [capture], f"{venue}:DEMOUSDT", events=True, steps=none)
    return {venue: sorted(data.glob(f"events/venue={venue}/**/*.parquet")) for venue in VENUES}


def trade(
    files: list[Path], policy: str, ledger: Path | None = None, batch: int = 65_536
) -> tuple[Any, Portfolio, Fills]:
    chunks = EventChunks(files)
    session = native.Session.backtest(chunks, json.dumps(SETTINGS), batch_events=batch)
    infos = session.instruments
    portfolio, fills = Portfolio({"USDT": "10000"}, infos), Fills()
    sinks: list[Any] = [fills, Tally()]
    if ledger is not None:
        sinks.append(Ledger(ledger, RUN, infos, lambda: 2**62, interval_s=3600.0))
    whole = Sinks(sinks)
    engine.run(session, make_policy(policy, POLICIES[policy], infos), Risk(Limits(), infos), portfolio, whole)
    whole.close()
    chunks.close()
    return session, portfolio, fills


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_digest_at_any_batch_and_the_same_ledger(
    events: dict[str, list[Path]], tmp_path: Path, venue: str, policy: str
) -> None:
    """The second pass meets every ledger row of the first: a difference would raise."""
    digests = [trade(events[venue], policy, tmp_path / "ledger.sqlite", batch)[0].digest for batch in (65_536, 1, 777)]
    assert len(set(digests)) == 1


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("policy", ["imbalance", "grid"])
def test_the_portfolio_is_the_sum_of_its_fills(events: dict[str, list[Path]], venue: str, policy: str) -> None:
    """Money by plain fractions: what was paid, what is held at the last mid, what fees took."""
    session, portfolio, fills = trade(events[venue], policy)
    (info,) = session.instruments
    assert len(fills.rows) > 10, "a capture on which nothing trades proves nothing"
    scale = 10 ** (info.price_precision + info.qty_precision)
    paid = sum(Fraction(side * px * qty, scale) for side, px, qty, *_ in fills.rows)
    fees, in_base = (
        sum(Fraction(fee, MONEY_ONE) for *_, fee, taken in fills.rows if taken == base) for base in (False, True)
    )
    held = sum(side * qty for side, _, qty, *_ in fills.rows) - in_base * 10**info.qty_precision
    assert (in_base > 0) == (info.kind == "spot")
    assert portfolio.positions == [int(held)]
    worth = Fraction(held * portfolio._lots[0].mark2, 2 * scale)
    exact = 10_000 - paid - fees + worth
    assert abs(Fraction(portfolio.equity_e18, MONEY_ONE) - exact) < Fraction(1, 10**15)
    if info.kind == "spot":
        assert held >= 0, "no short without short_spot"
