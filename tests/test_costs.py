"""`tickerml costs`: a book by hand, a recorded one against its own levels, a running run, and mistakes."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, environment, tickerml
from tickerml.cli import costs
from tickerml.cost import Gauge
from tickerml.errors import TickerError
from tickerml.roundtrip import BadQuantity, Ladder, round_trips

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
DEMO = "binance_usdm:DEMOUSDT"
BOOK = {
    "instrument": "v:X", "state": "Live", "volume_qty": "20",
    "bids": [["100.0", "3"], ["99.5", "10"]], "asks": [["100.1", "1"], ["100.2", "4"]],
    "metadata": {"kind": "spot", "base": "X", "quote": "USDT", "price_precision": 1, "qty_precision": 1, "lot": 5,
                 "min_notional": "60", "contract_size": "1"},
}  # fmt: skip


def trips(qty: str, **changed: Any) -> dict[str, Any]:
    ladder = Ladder.of({**BOOK, **changed})
    return round_trips(ladder, Fraction(qty), Fraction(-1), Fraction(10), Gauge(impact_bps=Fraction(8)))


def test_a_round_trip_by_hand() -> None:
    found = trips("5")
    legs = {(row["side"], row["liquidity"]): row for row in found["legs"]}
    buy, sell = legs["buy", "taker"], legs["sell", "taker"]
    # 1 at 100.1 and 4 at 100.2; the mid is 100.05: 0.05 x 5 of spread, 0.1 x 4 of depth, 10 bps of 500.9,
    # and 8 bps x sqrt(5 / 20) of it.
    assert buy == {
        "side": "buy", "liquidity": "taker", "vwap_px": "100.18", "worst_px": "100.2", "levels": 2,
        "notional_quote": "500.9", "spread_quote": "0.25", "depth_quote": "0.4", "fee_quote": "0.5009",
        "fee_asset": "X", "fee_qty": "0.005",
        "impact_quote": "0.20036", "total_quote": "1.35126", "total_bps": pytest.approx(1.35126 / 500.25 * 1e4),
    }  # fmt: skip
    assert (sell["notional_quote"], sell["depth_quote"], sell["total_quote"]) == ("499", "1", "1.9486")
    maker = legs["buy", "maker"]
    assert [maker[f"{name}_quote"] for name in ("spread", "depth", "fee", "impact", "total")] == [
        "-0.25", "0", "-0.05", "0", "-0.3",
    ]  # fmt: skip
    totals = {(row["buy"], row["sell"]): row["total_quote"] for row in found["trips"]}
    assert totals == {
        ("taker", "taker"): "3.29986", ("taker", "maker"): "1.05121", ("maker", "taker"): "1.6486",
        ("maker", "maker"): "-0.60005",
    }  # fmt: skip
    assert (found["participation_frac"], found["large"], found["mid_quote"]) == (0.25, True, "500.25")


def test_what_the_venue_would_refuse_and_what_the_book_does_not_hold() -> None:
    with pytest.raises(BadQuantity, match=r"1.2 is no multiple of v:X's lot 0.5"):
        trips("1.2")
    with pytest.raises(BadQuantity, match=r"0.5 is worth 50.025 USDT; the venue takes 60 or more"):
        trips("0.5")
    with pytest.raises(TickerError, match=r"the asks hold 5 in all, less than --qty 5.5"):
        trips("5.5")
    for changed, said in ({"state": "Gap"}, "Gap then, not Live"), ({"asks": []}, "one side of its book was empty"):
        with pytest.raises(TickerError, match=said):
            trips("1", **changed)
    with pytest.raises(TickerError, match="inverse"):
        trips("1", metadata={**BOOK["metadata"], "kind": "inverse"})
    assert trips("1", volume_qty="0")["participation_frac"] is None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("data")
    words = ("data", "import", "hftbacktest-raw", str(CAPTURE), "--instrument", DEMO, "--no-events")
    return data, str(tickerml(data, *words)["run"])


def test_a_recorded_book_is_walked(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    book = tickerml(data, "data", "book", run, "--instrument", DEMO, "--depth", "100000")
    (ask, there), (second, _) = ([Fraction(text) for text in level] for level in book["asks"][:2])
    lot = Fraction("0.001")
    qty = there + lot
    found = tickerml(data, "costs", DEMO, run, "--qty", str(float(qty)), "--set", "taker_bps=3")
    buy = next(row for row in found["legs"] if (row["side"], row["liquidity"]) == ("buy", "taker"))
    assert Fraction(buy["notional_quote"]) == ask * there + second * lot
    assert Fraction(buy["depth_quote"]) == (second - ask) * lot
    assert Fraction(buy["fee_quote"]) == Fraction(buy["notional_quote"]) * 3 / 10_000
    assert (found["ts_recv_ns"], found["run"]) == (book["ts_recv_ns"], run)
    earlier = tickerml(data, "costs", DEMO, run, "--qty", "1", "--at", str(book["ts_recv_ns"] - 10**9))
    assert earlier["ts_recv_ns"] < book["ts_recv_ns"]
    assert set(book) == {"instrument", "state", "ts_recv_ns", "bids", "asks", "damaged", "missing_records"}


def test_every_mistake_is_one_line(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    for words, code, said in (
        ((DEMO, run, "--qty", "0.0001"), 2, "no multiple"),
        ((DEMO, run, "--qty", "-1"), 2, "no decimal"),
        ((DEMO, run), 2, "--qty"),
        ((DEMO, run, "--qty", "99999999"), 1, "less than --qty"),
        (("binance_usdm:NONE", run, "--qty", "1"), 3, "not on this tape"),
        ((DEMO, "no-such-run", "--qty", "1"), 3, "neither a tape folder nor a run"),
        ((DEMO, "--qty", "1"), 3, "no running run"),
    ):
        text = tickerml(data, "costs", *words, code=code)
        assert said in text
        assert text.count("\n") == 1, text


BEGIN_NS = 1_760_000_000_017_372_731
"""The first record of the capture; it is a minute long, and its book lives after 0.3 s."""


def shown(data: Path, *words: str) -> list[str]:
    """The text for people."""
    return subprocess.run(
        [*COMMAND, "--data", str(data), *words], capture_output=True, text=True, check=True, cwd=data,
        env=environment(),
    ).stdout.splitlines()  # fmt: skip


def test_a_time_before_the_book_is_told_with_the_tapes_span(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    words = ("costs", DEMO, run, "--qty", "1", "--at")
    for at in (0, BEGIN_NS - 1):
        error = tickerml(data, *words, str(at), code=3)
        assert error == (
            f"--at {at}: nothing was known of {DEMO} yet; this tape begins at {BEGIN_NS}, give a later time\n"
        )
    error = tickerml(data, *words, str(BEGIN_NS), code=1)
    assert ("not Live" in error, f"from {BEGIN_NS} to " in error, error.count("\n")) == (True, True, 1)


def test_a_window_that_is_shorter_than_five_minutes_is_marked(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    words = ("costs", DEMO, run, "--qty", "1", "--at", str(BEGIN_NS + 40 * 10**9))
    assert tickerml(data, *words)["volume_window_s"] == pytest.approx(40, abs=0.1)
    (line,) = [line for line in shown(data, *words) if "were traded" in line]
    assert "in the 40 s since the tape begins, not in five minutes: the impact is shown too high" in line


def test_a_whole_window_is_five_minutes() -> None:
    assert costs.window_s({"ts_recv_ns": 400 * 10**9, "begins_ns": 0}) == 300
    assert costs.window_s({"ts_recv_ns": 40 * 10**9, "begins_ns": 10**9}) == 39
    said = costs.volume_text({"volume_qty": "3", "volume_window_s": 300.0, "large": False})
    assert said == ["3 were traded in the five minutes before"]
    assert costs.volume_text({"volume_qty": "0", "volume_window_s": 300.0, "large": True})[1:] == [
        "nothing was traded: impact is shown as 0 and not known"
    ]


def test_a_running_runs_book(tmp_path: Path) -> None:
    command = [*COMMAND, "--data", str(tmp_path), "--json", "-v", "collect", "--instrument", "binance_usdm:BTCUSDT"]
    from commands import serving

    with serving(tmp_path, "--port", "0") as (_, url), Running([*command, "--at", url], tmp_path) as running:
        running.line_with("is live")
        found = tickerml(tmp_path, "costs", "binance_usdm:BTCUSDT", "--qty", "0.01")
        running.stop()
    assert Fraction(found["bid_px"]) < Fraction(found["ask_px"])
    assert "no running run" in tickerml(tmp_path, "costs", "binance_usdm:BTCUSDT", "--qty", "0.01", code=3)
