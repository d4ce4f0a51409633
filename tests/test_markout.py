"""Markouts: by hand, against the books of a recording, and the rule of thumb where the answer is known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import tickerml
from random_markets import RandomPolicy, random_market
from simulated import columns, native_session
from test_cost import Oracle, one_latency
from tickerml import _native
from tickerml.markout import HORIZONS_S, Fills, groups, joined, mark, rule, table
from tickerml.schema import UNDEF_I64

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
DEMO = "binance_usdm:DEMOUSDT"
SECOND = 10**9


def fills(*rows: tuple[int, int, int, bool, float]) -> Fills:
    """Fills of (ns, side, px, maker, ahead_ratio)."""
    ns, side, px, maker, ahead = zip(*rows, strict=True)
    return Fills(np.array(ns), np.array(side), np.array(px), np.array(maker), np.array(ahead, dtype=float))


def test_markouts_by_hand() -> None:
    """A bid of 1000 x 1 and an ask of 1002 x 3 until 3 s, then two ticks higher; a gap at 20 s; the end at 50 s."""

    def quotes(times: Any) -> dict[str, Any]:
        up = np.where(times > 3 * SECOND, 2, 0)
        there = times < 50 * SECOND
        return {
            "bid_px": np.where(there, 1000 + up, UNDEF_I64), "ask_px": np.where(there, 1002 + up, UNDEF_I64),
            "bid_qty": np.ones_like(times), "ask_qty": np.full_like(times, 3),
            "stretch": np.where(there, np.where(times < 20 * SECOND, 1, 2), 0),
        }  # fmt: skip

    found = mark(
        fills((0, 1, 1000, True, 4.0), (0, -1, 1002, True, 40.0), (21 * SECOND, 1, 1004, False, math.nan)), quotes, 1
    )
    mid, micro = found.bps[:, 0], found.bps[:, 1]
    # Bought at 1000 below a mid of 1001, a microprice of 1000.5; after 3 s they are 1003 and 1002.5.
    assert mid[0] == pytest.approx([10, 10, 30, math.nan, math.nan, math.nan], nan_ok=True)
    assert micro[0] == pytest.approx([5, 5, 25, math.nan, math.nan, math.nan], nan_ok=True)
    assert mid[1, :3] == pytest.approx(np.array([1, 1, -1]) / 1002 * 1e4)
    assert mid[2] == pytest.approx([*[-1 / 1004 * 1e4] * 3, *[math.nan] * 3], nan_ok=True)
    assert found.spread_ticks.tolist() == [2, 2, 2]
    told = {(by, group): chosen.tolist() for by, group, chosen in groups(found, 10)}
    assert told == {
        ("all", "all"): [True] * 3, ("liquidity", "maker"): [True, True, False],
        ("liquidity", "taker"): [False, False, True], ("side", "buy"): [True, False, True],
        ("side", "sell"): [False, True, False], ("ahead_ratio", "1 to 10"): [True, False, False],
        ("ahead_ratio", "above 10"): [False, True, False], ("spread", "wider"): [True] * 3,
    }  # fmt: skip
    row = next(r for r in table(found, 10, 1_000, 1) if r["group"] == "sell" and r["horizon_s"] == 5)
    assert (row["fills"], row["n"], row["low_bps"]) == (1, 1, None)
    assert row["mean_bps"] == pytest.approx(-1 / 1002 * 1e4)


@pytest.mark.parametrize("seed", range(12))
def test_markouts_are_what_the_venues_books_say(seed: int) -> None:
    market = one_latency(random_market(seed, 21, steps=150))
    oracle, policy, session = Oracle(market), RandomPolicy(market, seed), native_session(market)
    ours = []
    for shown in session:
        session.submit(policy(shown), (), b"")
        ours += shown.fills
    if not ours:
        pytest.skip("no fill by chance")
    rows = fills(*((f.ts_event_ns, f.side, f.px, f.maker, math.nan) for f in ours))
    name = session.instruments[0].id

    def quotes(times: Any) -> Any:
        return _native.quotes_at(iter([columns(market)]), json.dumps(market.settings), name, times)

    found = mark(rows, quotes, market.instrument["tick"])
    end = oracle.steps[-1][0]
    lives = live_spans(oracle)
    for k, fill in enumerate(ours):
        for h, horizon in enumerate(HORIZONS_S):
            at = fill.ts_event_ns + round(horizon * SECOND)
            bid, ask, bid_qty, ask_qty = oracle.quote(at, None)
            whole = at < end and any(first <= fill.ts_event_ns and at < last for first, last in lives)
            if not whole or UNDEF_I64 in (bid, ask) or UNDEF_I64 in oracle.quote(fill.ts_event_ns, None)[:2]:
                if not whole:
                    assert np.isnan(found.bps[k, :, h]).all()
                continue
            micro = (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)
            wanted = [fill.side * (reference - fill.px) / fill.px * 1e4 for reference in ((bid + ask) / 2, micro)]
            assert found.bps[k, :, h] == pytest.approx(wanted, rel=1e-9)


def live_spans(oracle: Oracle) -> list[tuple[int, int]]:
    """From when to when the venue's book was Live without a break."""
    spans: list[tuple[int, int]] = []
    since = None
    for at, message in oracle.steps:
        if message.rows[0][0] != 5:
            continue
        live = message.rows[0][1] == 3
        if live and since is None:
            since = at
        if not live and since is not None:
            spans.append((since, at))
            since = None
    return spans if since is None else [*spans, (since, 2**62)]


def planted(effect: float) -> Any:
    """800 maker fills, a quarter of them far behind, which fare worse by `effect` bps; news come in bursts."""
    draw = np.random.default_rng(11)
    far = draw.random(800) < 0.25
    rows = fills(*((k * SECOND, 1, 10_000, True, 20.0 if far[k] else 0.5) for k in range(800)))
    noise = np.convolve(draw.standard_normal(809), np.ones(10) / 3, "valid")
    bps = np.repeat((noise - effect * far)[:, None], 6, axis=1)
    nothing = dict.fromkeys(("bid_px", "ask_px", "bid_qty", "ask_qty", "stretch"))
    flat = mark(rows, lambda times: {name: np.ones(len(times), dtype=int) for name in nothing}, 1)
    return flat._replace(bps=np.stack([bps, bps], axis=1))


def test_the_rule_of_thumb_is_borne_out_where_it_is_true() -> None:
    assert rule(planted(3.0), 10, 1_000, 1)["verdict"] == "borne out"
    assert rule(planted(0.0), 10, 1_000, 1)["verdict"] == "not borne out"
    assert rule(planted(-3.0), 10, 1_000, 1)["verdict"] == "contradicted"
    assert rule(planted(3.0), 30, 1_000, 1)["verdict"] == "not decided: too few fills"
    row = rule(planted(3.0), 10, 1_000, 1)["horizons"][0]
    assert row["low_bps"] < -3 < row["high_bps"] < 0
    assert row["n_above"] + row["n_not_above"] == 800


def test_several_instruments_are_in_the_order_of_time() -> None:
    one, two = planted(1.0), planted(2.0)
    both = joined([one, two])
    assert np.all(np.diff(both.fills.ts_event_ns) >= 0)
    assert both.bps.shape == (1600, 2, 6)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The capture, and fills of a grid on it in both kinds of file."""
    data = tmp_path_factory.mktemp("data")
    run = str(tickerml(data, "data", "import", "hftbacktest-raw", str(CAPTURE), "--instrument", DEMO)["run"])
    for kind in ("csv", "parquet"):
        words = ("--policy", "imbalance", "--fills", f"f.{kind}")
        assert tickerml(data, "backtest", run, *words)["fills"] > 20
    return data, run


def test_the_command_says_the_same_of_tape_and_events(traded: tuple[Path, str]) -> None:
    data, run = traded
    found = tickerml(data, "markout", run, "--fills", "f.csv", "-o", "m.csv")
    assert tickerml(data, "markout", str(data / "events"), "--fills", "f.parquet", "-o", "m.parquet") == found
    assert found["rule"]["ahead_ratio"] == 10
    assert {row["reference"] for row in found["table"]} == {"mid", "microprice"}
    whole = next(r for r in found["table"] if (r["by"], r["reference"], r["horizon_s"]) == ("all", "mid", 1.0))
    with (data / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = [float(row["mid_1s_bps"]) for row in rows if row["mid_1s_bps"]]
    assert (len(rows), len(known)) == (found["fills"], whole["n"])
    assert np.mean(known) == pytest.approx(whole["mean_bps"])
    again = tickerml(data, "markout", run, "--fills", "f.csv", "--seed", "2")
    assert again["table"] != found["table"]


def test_a_runs_own_fills(tmp_path: Path) -> None:
    words = ("run", "--demo", "--duration", "3s", "--policy", "grid", "--set", "qty=0.01", "--set", "position_max=1")
    ran = tickerml(tmp_path, *words)
    found = tickerml(tmp_path, "markout", ran["run"])
    assert found["fills"] == ran["fills"] > 0


def test_every_mistake_is_one_line(traded: tuple[Path, str]) -> None:
    data, run = traded
    (data / "bad.csv").write_text("a,b\n1,2\n")
    (data / "bad.parquet").write_bytes(b"no parquet")
    good = (data / "f.csv").read_text().splitlines()
    for name, column, text in (("px", 5, "0"), ("px2", 5, "abc"), ("time", 0, str(1 << 63)), ("side", 4, "up")):
        cells = good[1].split(",")
        cells[column] = text
        (data / f"{name}.csv").write_text(f"{good[0]}\n{','.join(cells)}\n")
        assert "fill 1 is none of ours" in tickerml(data, "markout", run, "--fills", f"{name}.csv", code=6)
    (data / "other.csv").write_text((data / "f.csv").read_text().replace("DEMOUSDT", "NONE"))
    for words, code, said in (
        ((run,), 3, "this run traded nothing"),
        ((str(data / "events"),), 2, "--fills FILE"),
        (("nowhere",), 3, "no event files"),
        ((run, "--fills", "none.csv"), 3, "no such file"),
        ((run, "--fills", "bad.csv"), 6, "none of ours"),
        ((run, "--fills", "bad.parquet"), 6, "not a Parquet file"),
        ((run, "--fills", "other.csv"), 3, "not in these recordings"),
        ((run, "--fills", "f.csv", "-o", "m.txt"), 2, ".csv nor .parquet"),
        ((run, "--fills", "f.csv", "--resamples", "10"), 2, "--resamples"),
    ):
        text = tickerml(data, "markout", *words, code=code)
        assert said in text
        assert text.count("\n") == 1, text
    events = next(data.glob("events/**/*.parquet"))
    before = (data / "f.csv").read_bytes(), events.read_bytes()
    (data / "link.csv").symlink_to("f.csv")
    for out in ("f.csv", "link.csv"):
        assert "is an input" in tickerml(data, "markout", run, "--fills", "f.csv", "-o", out, code=2)
    words = (str(events), "--fills", "f.csv", "-o", str(events))
    assert "is an input" in tickerml(data, "markout", *words, code=2)
    assert before == ((data / "f.csv").read_bytes(), events.read_bytes())
    (data / "empty.csv").write_text((data / "f.csv").read_text().splitlines()[0] + "\n")
    assert tickerml(data, "markout", run, "--fills", "empty.csv", "-o", "none.csv")["table"] == []
    assert (data / "none.csv").read_text().count("\n") == 1
