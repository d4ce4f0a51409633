"""The grid built into the engine is the policy `grid`: same views, requests, orders, reports and fills, by digest.

The digest chains all of these (rules.md 5), so equal digests leave nothing to compare but what it does not hold. Both
sides answer with the position as 8 bytes where a portfolio's state would be. `backtest --builtin` adds the portfolio,
which sees the views with fills only: its money must be that of the whole line in Python.
"""

from __future__ import annotations

import gzip
import os
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import tickerml as command
from tickerml import config
from tickerml.policy import make_policy
from tickerml.profiles import PROFILES

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

from tickerml.errors import ConfigError  # noqa: E402
from tickerml.sources.recorded import event_session, load_events  # noqa: E402

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
FEEDS = {
    "spot capture": ("binance_spot:DEMOUSDT", [HERE / "data" / "binance_spot_DEMOUSDT.raw.gz"], 100),
    "usdm capture": ("binance_usdm:DEMOUSDT", [HERE / "data" / "binance_usdm_DEMOUSDT.raw.gz"], 100),
    "usdm": ("binance_usdm:BTCUSDT", [RECORDINGS / "binance_usdm" / "usdm_btcusdt_20240808.gz"], 1),
    "spot": (
        "binance_spot:BTCUSDT",
        [RECORDINGS / "binance_spot" / f"spot_btcusdt_{day}.gz" for day in (20240808, 20240809)],
        100,
    ),
}
GAP = "spot capture, cut within a gap"
FEEDS[GAP] = ("binance_spot:DEMOUSDT", [HERE / "data" / "binance_spot_gap_DEMOUSDT.raw.gz"], 100)
GAP_NS = 1_760_000_016_950_000_000
"""The book of that recording is not Live here, and something is held."""
LADDERS = [(5, 1, 1, 4.5), (3, 2, 7, 1.5), (100, 0, 1, 0.5)]
"""Levels, half spread and interval in ticks, greatest position in orders."""


def cut(recording: Path, into: Path) -> Path:
    """The lines of a recording up to its gap."""
    lines = gzip.decompress(recording.read_bytes()).splitlines(keepends=True)
    into.write_bytes(gzip.compress(b"".join(line for line in lines if int(line.split(None, 1)[0]) <= GAP_NS)))
    return into


class Feed:
    """Event files of a recording, and sessions over them."""

    def __init__(self, name: str, data: Path) -> None:
        instrument, paths, self.lots = FEEDS[name]
        if any(not path.is_file() for path in paths):
            pytest.skip(f"no recording at {paths[0]}")
        if name == GAP:
            paths = [cut(paths[0], data / "cut.raw.gz")]
        command(data, "data", "import", "hftbacktest-raw", *map(str, paths), "--instrument", instrument)
        self.data = data
        self.events = load_events(sorted(data.glob("events/**/*.parquet")))

    def session(self, profile: str = "hftbacktest", *more: tuple[str, str]) -> Any:
        ways = (("entry_ms", "10"), ("response_ms", "10"))
        sets = [*PROFILES.get(profile, ()), *ways, *more]
        loaded = config.load(policy="hold", sets=sets, environ={}, cwd=self.data)
        return event_session(self.events, loaded.config, batch_events=65_536)


@pytest.fixture(scope="module", params=list(FEEDS))
def feed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return Feed(request.param, tmp_path_factory.mktemp("builtin"))


def rungs(levels: int, half: int, interval: int, qty: int, position_max: int) -> dict[str, int]:
    """The ladder as the engine's own grid takes it."""
    return {"levels": levels, "half_spread_ticks": half, "interval_ticks": interval, "qty": qty,
            "position_max": position_max}  # fmt: skip


def by_python(session: Any, ladder: tuple[int, int, int, float], qty: int) -> tuple[int, int]:
    """The policy `grid` without risk; position, and number of fills."""
    levels, half, interval, orders_max = ladder
    unit = 10 ** session.instruments[0].qty_precision
    params = {
        "levels": levels, "half_spread_ticks": half, "interval_ticks": interval, "qty": qty / unit,
        "position_max": orders_max * qty / unit,
    }  # fmt: skip
    policy = make_policy("grid", {key: f"{value:.12f}".rstrip("0").rstrip(".") for key, value in params.items()},
                         session.instruments)  # fmt: skip
    position = fills = 0
    for view in session:
        position += sum(fill.side * fill.qty for fill in view.fills)
        fills += len(view.fills)
        wanted = policy.decide(view, SimpleNamespace(positions=[position])) if view.cause != "stop" else ()
        session.submit(wanted, (), position.to_bytes(8, "little", signed=True))
    return position, fills


@pytest.mark.parametrize("queue", ["risk_averse", "prob_power3:3"])
@pytest.mark.parametrize("ladder", LADDERS, ids=str)
def test_it_is_the_policy(feed: Feed, ladder: tuple[int, int, int, float], queue: str) -> None:
    levels, half, interval, orders_max = ladder
    python, builtin = (feed.session("hftbacktest", ("queue", queue)) for _ in range(2))
    qty = feed.lots * python.instruments[0].lot
    position, fills = by_python(python, ladder, qty)
    # The position is whole: below 4.5 orders and below the next whole number are the same.
    mine, _ = _native.run_grid(builtin, rungs(levels, half, interval, qty, -int(-orders_max * qty // 1)))
    assert fills > 5, "too few fills to tell anything"
    assert (mine, builtin.stats(), builtin.digest) == (position, python.stats(), python.digest)


def test_it_is_the_policy_in_our_own_profile(feed: Feed) -> None:
    python, builtin = (feed.session("", ("short_spot", "true")) for _ in range(2))
    qty = feed.lots * python.instruments[0].lot
    position, fills = by_python(python, (5, 1, 1, 5.0), qty)
    assert fills > 5, "too few fills to tell anything"
    seen: list[int] = []

    def look(view: Any, _: int | None) -> bytes:
        seen.append(sum(fill.side * fill.qty for fill in view.fills))
        return sum(seen).to_bytes(8, "little", signed=True)

    mine, last = _native.run_grid(builtin, rungs(5, 1, 1, qty, 5 * qty), look)
    assert (mine, builtin.stats(), builtin.digest) == (position, python.stats(), python.digest)
    assert sum(seen) == position
    assert len(seen) < builtin.stats()["views"]
    assert last is None or (not last[0].fills and last[0].index == builtin.stats()["views"] - 1)


def test_an_error_of_what_looks_on_ends_the_run(feed: Feed) -> None:
    def look(*_: Any) -> bytes:
        raise ArithmeticError("does not balance")

    with pytest.raises(ArithmeticError, match="does not balance"):
        _native.run_grid(feed.session(), rungs(5, 1, 1, 1, 5), look)


def backtest(feed: Feed, *words: str, code: int = 0) -> Any:
    info = feed.session().instruments[0]
    qty = Decimal(feed.lots * info.lot).scaleb(-info.qty_precision)
    sets = ("levels=5", "half_spread_ticks=1", "interval_ticks=1", f"qty={qty:f}")
    return command(feed.data, "backtest", "events", "--policy", "grid", "--profile", "hftbacktest",
                   *(word for one in sets for word in ("--set", one)), *words, code=code)  # fmt: skip


def test_the_command_says_what_python_says(feed: Feed, tmp_path: Path) -> None:
    files = tmp_path / "builtin.csv", tmp_path / "python.csv"
    mine = backtest(feed, "--builtin", "--fills", str(files[0]))
    python = backtest(feed, "--fills", str(files[1]))
    assert mine["fills"] > 5
    assert files[0].read_text() == files[1].read_text()
    assert (mine.pop("builtin"), mine["max_drawdown_frac"]) == (True, None)
    apart = {"digest", "max_drawdown_frac", "cpu_s", "engine_cpu_s", "rows_per_cpu_s"}
    assert {key: mine[key] for key in python.keys() - apart} == {key: python[key] for key in python.keys() - apart}


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--policy", "hold"), "--policy grid with --profile hftbacktest", 2),
        (("--orders", "rows.csv"), "fills only", 2),
        (("--set", "qty=auto"), "qty: auto", 4),
        (("--set", "exchange=shared"), "exchange: the built-in grid", 4),
    ],
)
def test_what_it_cannot_do_is_one_line(feed: Feed, words: tuple[str, ...], said: str, code: int) -> None:
    assert said in backtest(feed, "--builtin", *words, code=code)


def test_a_quantity_beyond_its_integers_is_refused(tmp_path: Path) -> None:
    feed = Feed("spot capture", tmp_path)
    assert "qty: too large" in backtest(feed, "--builtin", "--set", "qty=1000000000000", code=4)


def test_any_limit_of_position_and_what_cannot_run_leaves_files_alone(feed: Feed, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("as it was")
    backtest(feed, "--builtin", "--set", "qty=auto", "--fills", str(kept), code=4)
    assert kept.read_text() == "as it was"
    most = ("--set", "position_max=1000000000000")
    assert backtest(feed, "--builtin", *most)["pnl_quote"] == backtest(feed, *most)["pnl_quote"]


def test_a_sweep_of_it_is_the_same_table(feed: Feed, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("queue: [risk_averse, prob_log]\n")
    tables = []
    for name, words in (("builtin", ("--builtin",)), ("python", ())):
        backtest(feed, *words, "--sweep", str(file), "-o", str(tmp_path / f"{name}.parquet"))
        tables.append(pq.read_table(tmp_path / f"{name}.parquet"))
    mine, python = tables
    assert [field.type for field in python.schema] == [mine.schema.field(name).type for name in python.schema.names]
    for name in ("setting", "queue", "pnl_quote", "fills", "orders"):
        assert mine[name].to_pylist() == python[name].to_pylist()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [({"levels": 0}, "levels"), ({"levels": 101}, "levels"), ({"half_spread_ticks": -1}, "half_spread"),
     ({"interval_ticks": 0}, "interval"), ({"qty": 0}, "qty")],
)  # fmt: skip
def test_what_makes_no_ladder_is_named(tmp_path: Path, wrong: dict[str, int], key: str) -> None:
    session = Feed("usdm capture", tmp_path).session()
    with pytest.raises(ConfigError, match=key):
        _native.run_grid(session, rungs(5, 1, 1, 1, 5) | wrong)
