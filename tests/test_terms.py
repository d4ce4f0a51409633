"""What venues charge, by date: the table, its mistakes, and fills that are charged by it."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from commands import import_capture, tickerml
from engine_fakes import SPOT, FakeFill, view
from simulated import LIVE, Kind, Market, Message, Row, run_native
from tickerml import cost
from tickerml.config import build, load
from tickerml.errors import ConfigError
from tickerml.schema import MONEY_ONE
from tickerml.sinks.files import FILLS, FillsFile

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
ROW = "  - {venue: binance_usdm, tier: vip0, from: 2024-01-01, maker_bps: 2, taker_bps: 5}\n"
DAY_NS = int(datetime(2024, 8, 9, tzinfo=UTC).timestamp()) * 10**9


def given(tmp_path: Path, terms: str) -> Path:
    folder = tmp_path / "given"
    folder.mkdir(exist_ok=True)
    (folder / "terms_config.yaml").write_text(terms)
    return folder


def test_the_date_and_the_tier_choose_the_row(tmp_path: Path) -> None:
    rows = "fees:\n" + ROW + ROW.replace("2024-01-01", "2024-08-09").replace("5", "-0.5")
    rows += ROW.replace("vip0", "vip1").replace("5", "4")
    folder = given(tmp_path, rows)
    config = load(folder, environ={}, cwd=tmp_path).config
    at = [build.fees_at(config, "binance_usdm", DAY_NS + k) for k in (-1, 0)]
    assert at == [(Decimal(2), Decimal(5)), (Decimal(2), Decimal("-0.5"))]
    own = load(folder, environ={}, cwd=tmp_path, sets=[("taker_bps", "7")]).config
    assert build.fees_at(own, "binance_usdm", DAY_NS) == (Decimal(2), Decimal(7))
    tier = load(folder, environ={}, cwd=tmp_path, sets=[("exchanges.venues.binance_usdm.fee_tier", "vip1")]).config
    assert build.fee_schedules(tier)["binance_usdm"][0][1:] == [2, 4]
    with pytest.raises(ConfigError, match="begin after that time"):
        build.fees_at(config, "binance_usdm", 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (ROW.replace("2024-01-01", "2024-13-01"), "2 fees.0.from: '2024-13-01' is no date; write it like 2024-08-31"),
        (ROW.replace("vip0", "VIP 0"), "'VIP 0' is no tier; write it small, like vip0"),
        (ROW.replace("usdm", "usd"), "did you mean binance_usdm?"),
        (ROW.replace("maker_bps: 2", "maker_bps: 2000"), "less than or equal to 1000 (basis points: 10 means 0.1 %)"),
        (ROW.replace("maker_bps: 2, ", ""), "fees.0.maker_bps: is missing"),
        (ROW + ROW, "fees: has two rows of binance_usdm vip0 from 2024-01-01; keep one"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(given(tmp_path, "fees:\n" + wrong), environ={}, cwd=tmp_path)
    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path}/given/terms_config.yaml:")
    assert said in problem


def test_a_tier_of_margin_is_given_once(tmp_path: Path) -> None:
    """A tier is known by symbol, date and worth; the same worth in other words is the same tier."""
    row = "{venue: binance_usdm, symbol: %s, from: %s, worth_max: %s, maintenance_frac: 0.01, leverage_max: 20}"
    rows = [row % one for one in (
        ("BTCUSDT", "2024-01-01", "500"), ("BTCUSDT", "2024-01-01", "600"), ("BTCUSDT", "2024-01-02", "500"),
        ("ETHUSDT", "2024-01-01", "500"),
    )]  # fmt: skip
    folder = given(tmp_path, "margin:\n" + "".join(f"  - {one}\n" for one in rows))
    assert len(load(folder, environ={}, cwd=tmp_path).config.terms.margin) == 4
    rows.append(rows[0].replace("500", "500.0").replace("0.01", "0.02"))
    given(tmp_path, "margin:\n" + "".join(f"  - {one}\n" for one in rows))
    with pytest.raises(ConfigError, match=r"margin: has two rows of binance_usdm BTCUSDT 500.0 from 2024-01-01; keep"):
        load(folder, environ={}, cwd=tmp_path)


def test_a_replay_takes_the_terms_of_its_tape(tmp_path: Path) -> None:
    """The folder has changed since: tape and tier decide."""
    folder = given(tmp_path, "fees:\n" + ROW.replace("vip0", "vip7"))
    sets = [("exchanges.venues.binance_usdm.fee_tier", "vip7")]
    recorded = build.record(load(folder, environ={}, cwd=tmp_path, sets=sets).config, {}, [])
    again = load(environ={}, cwd=tmp_path, recorded=json.loads(build.canonical(recorded), parse_float=Decimal)).config
    assert build.fee_schedules(again)["binance_usdm"][0][1:] == [2, 5]
    assert "binance_spot" not in build.fee_schedules(again)


INSTRUMENT: dict[str, Any] = {
    "venue": "binance_spot", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "kind": "spot",
    "price_precision": 2, "qty_precision": 5, "tick": 1, "lot": 1, "min_notional": "0", "contract_size": "1",
    "funding_interval_h": None, "metadata_source": "given",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "step_ms": 10, "queue": "risk_averse", "reorder_ms": 0, "base_latency_ms": 1, "clock": "fixed:0", "entry_ms": 0,
    "response_ms": 0, "decision_ms": 0,
}  # fmt: skip


def market(ts_ns: int, **settings: Any) -> Market:
    book = ((Row.BID, 999_900, 200_000, 0), (Row.ASK, 1_000_000, 200_000, 1))
    shown = [(ts_ns, ts_ns, book), (ts_ns, None, ((Row.STATE, LIVE, 4, 1),))]
    shown.append((ts_ns + 10**9, None, ((Row.TOUCH, 1, 1, 1),)))
    messages = [Message(n, *one) for n, one in enumerate(shown)]
    return Market(INSTRUMENT, {**SETTINGS, **settings}, messages)


def bought(tested: Market) -> Any:
    orders = iter([[(Kind.MARKET, 0, 1, 0, 100_000, 0, 0)]])
    views, _, _ = run_native(tested, lambda _: next(orders, ()))
    (fill,) = (fill for shown in views for fill in shown.fills)
    return fill


def test_a_fill_is_charged_by_its_own_date() -> None:
    """Sent on the day before, filled on the day of the new fee."""
    fees = {"binance_spot": [[0, 10, 10], [DAY_NS, 10, 7.5]]}
    for entry_ms, want in ((0, MONEY_ONE // 1000), (200, MONEY_ONE * 75 // 100_000)):
        fill = bought(market(DAY_NS - 100_000_000, fees=fees, entry_ms=entry_ms))
        assert (fill.fee_in_base, fill.fee_e18) == (True, want)


def test_a_venue_without_a_fee_is_not_traded() -> None:
    """Neither named, nor named from a later day on: no fee is not a fee of 0."""
    for fees in ({}, {"binance_usdm": [[0, 1, 1]]}, {"binance_spot": [[DAY_NS + 1, 1, 1]]}):
        with pytest.raises(ConfigError, match="binance_spot has no row of its fee_tier"):
            bought(market(DAY_NS, fees=fees))


def test_hftbacktest_takes_every_fee_in_the_quote() -> None:
    fill = bought(market(DAY_NS, maker_bps=1, taker_bps=1, exchange="no_partial"))
    assert (fill.fee_in_base, fill.fee_e18) == (False, MONEY_ONE)


def test_a_file_of_fills_says_in_what_a_fee_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "fills.csv"
    file = FillsFile(path, [SPOT], cost.USUAL)
    fills = FakeFill(1, 1_000_000, 100_000, MONEY_ONE // 1000, fee_in_base=True), FakeFill(-1, 1_000_000, 7, MONEY_ONE)
    file.write(view(fills=fills), (), (), None)
    file.close()
    buy, sell = csv.DictReader(path.read_text().splitlines())
    assert FILLS[-2:] == ("fee_asset", "fee_qty")
    assert [buy[key] for key in ("fee_quote", "fee_asset", "fee_qty")] == ["10", "BTC", "0.001"]
    assert [sell[key] for key in ("fee_quote", "fee_asset", "fee_qty")] == ["1", "USDT", "1"]


def test_costs_take_the_table_and_round_against_us(tmp_path: Path) -> None:
    """The venue that is not traded may be missing."""
    (data := tmp_path / "data").mkdir()
    demo, name = "binance_usdm:DEMOUSDT", import_capture(data)
    folder = str(given(tmp_path, "fees:\n" + ROW.replace("taker_bps: 5", "taker_bps: 4")))
    out = tickerml(data, "costs", demo, name, "--qty", "0.01", "--config", folder)
    taker = next(row for row in out["legs"] if (row["side"], row["liquidity"]) == ("buy", "taker"))
    assert (out["taker_bps"], taker["fee_asset"]) == ("4", "USDT")
    exact = Fraction(taker["notional_quote"]) * 4 / 10_000
    assert 0 <= Fraction(taker["fee_qty"]) - exact < Fraction(taker["levels"], 10**8)
