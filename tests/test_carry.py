"""The account that one run hands on to the next: CARRY, first on the tape, read by the run and by its replays."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, run, tickerml
from engine_fakes import INVERSE, SPOT, FakeFill, Info, replace, view
from hypothesis import given
from hypothesis import strategies as st
from tape_reader import records
from tickerml.errors import ConfigError
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

CARRY = 12
START = {"USDT": Decimal(10_000)}
TOUCHES = [(100_000, 100_010), (1_000_000, 1_000_100), (100_000, 100_010)]
FILLS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([1, -1]), st.integers(1, 10**8), st.integers(1, 10**9),
              st.integers(-(10**15), 10**18)),
    max_size=20,
)  # fmt: skip


def traded(rows: list[tuple[int, int, int, int, int]]) -> Portfolio:
    portfolio = Portfolio(START, [Info(), SPOT, INVERSE])
    for i, side, px, qty, fee in rows:
        portfolio.apply(view(*TOUCHES, fills=(FakeFill(side, px, qty, fee, i),)))
    return portfolio


def handed_on(portfolio: Portfolio) -> Any:
    """As it comes back from a tape."""
    return json.loads(json.dumps(portfolio.carry()))


@given(FILLS, FILLS)
def test_an_account_goes_on_by_names_in_any_order(
    rows: list[tuple[int, int, int, int, int]], more: list[tuple[int, int, int, int, int]]
) -> None:
    """The same instruments in another order: worth, cash, costs and every later fill are the same to the last digit."""
    one = traded(rows)
    two = Portfolio({"USDT": Decimal(5)}, [INVERSE, Info(), SPOT], handed_on(one))
    assert (two.equity_e18, two.peak_e18, two.start_e18) == (one.equity_e18, one.peak_e18, one.start_e18)
    moved = (1, 2, 0)
    for i, side, px, qty, fee in more:
        one.apply(view(*TOUCHES, fills=(FakeFill(side, px, qty, fee, i),)))
        touches = [TOUCHES[2], TOUCHES[0], TOUCHES[1]]
        two.apply(view(*touches, fills=(FakeFill(side, px, qty, fee, moved[i]),)))
    assert [two.positions[moved[i]] for i in range(3)] == one.positions
    assert handed_on(two) | {"lots": None} == handed_on(one) | {"lots": None}
    assert sorted(handed_on(two)["lots"], key=str) == sorted(handed_on(one)["lots"], key=str)


def test_what_is_no_longer_listed_still_counts_and_is_handed_on() -> None:
    one = traded([(0, 1, 100_000, 500, 7), (1, 1, 1_000_000, 10, 3)])
    two = Portfolio({}, [SPOT], handed_on(one))
    assert two.unlisted == [Info().id]
    assert (two.equity_e18, two.positions) == (one.equity_e18, [10])
    two.apply(view(TOUCHES[1], fills=(FakeFill(-1, 1_000_000, 10, 3, 0),)))
    again = Portfolio({}, [SPOT], handed_on(one))
    again.restore(two.state_bytes())
    assert (again.equity_e18, again.state_bytes()) == (two.equity_e18, two.state_bytes())
    three = Portfolio({}, [Info(), SPOT], handed_on(two))
    assert (three.unlisted, three.positions, three.equity_e18) == ([], [500, 0], two.equity_e18)


def test_finer_steps_keep_the_quantity_and_coarser_ones_that_cannot_are_refused() -> None:
    info = Info()
    one = traded([(0, 1, 100_000, 501, 0)])
    finer = replace(info, qty_precision=info.qty_precision + 2, price_precision=info.price_precision + 1)
    assert Portfolio({}, [finer], handed_on(one)).positions == [50_100]
    assert Portfolio({}, [finer], handed_on(one)).equity_e18 == one.equity_e18
    with pytest.raises(ConfigError, match="are held"):
        Portfolio({}, [replace(info, qty_precision=info.qty_precision - 1)], handed_on(one))


def test_an_open_breaker_stays_open() -> None:
    one, two = Risk(Limits(), [Info()]), Risk(Limits(), [Info()])
    two.take(json.loads(json.dumps(one.carry())))
    assert not two.tripped
    one.tripped, one.tripped_ts_ns = True, 5
    two.take(json.loads(json.dumps(one.carry())))
    assert (two.tripped, two.tripped_ts_ns) == (True, 5)


# ---- whole commands --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def control_url() -> Iterator[str]:
    venue = _native.Venue(json.dumps({"seed": 3, "speed": 5}))
    yield json.loads(venue.start())["control_url"]
    venue.stop()


@pytest.fixture(scope="module")
def first(control_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data folder with a run that ended holding something."""
    data = tmp_path_factory.mktemp("first")
    for _ in range(5):
        result = tickerml(data, "run", "--at", control_url, "--policy", "grid", "--duration", "4s")
        if held(data, result["run"]):
            return data, result
    raise AssertionError("the grid never ends with a position")


def rows(data: Path, name: str) -> list[tuple[str, str]]:
    """Cash and positions of each portfolio row."""
    with closing(sqlite3.connect(data / "demo" / "runs" / name / "ledger.sqlite")) as db:
        found: list[tuple[str, str]] = db.execute("SELECT cash, positions FROM portfolio ORDER BY view").fetchall()
        return found


def held(data: Path, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(rows(data, name)[-1][1])
    return found


def test_a_new_run_starts_with_the_account_of_the_one_before(
    first: tuple[Path, dict[str, Any]], control_url: str
) -> None:
    data, before = first
    words = ("run", "--at", control_url, "--policy", "imbalance")
    with Running([*COMMAND, "--data", str(data), *words], data, TICKERML__MONITORING__STATUS_INTERVAL_S="1") as process:
        line = process.line_with("starting run ")
        assert f"with the account of run {before['run']}" in line
        name = line.split()[2]
        process.line_with("live 4/4")
        process.kill()
    result = tickerml(data, *words, "--duration", "2s")
    assert result["run"] == name, "a killed one is gone on with, not handed on"
    record = next(records(data / "demo" / "tapes" / name))
    carried = json.loads(record.bytes)
    assert (record.pos, record.kind) == (0, CARRY)
    assert (carried["source_run"], carried["digest"]) == (before["run"], before["digest"])
    assert rows(data, name)[0] == rows(data, before["run"])[-1], "cash and positions go on"
    for batch in ("1", "65536"):
        again = tickerml(data, "replay", name, "--batch-events", batch)
        assert [again[key] for key in ("digest", "pnl_quote")] == [result[key] for key in ("digest", "pnl_quote")]


def test_what_is_held_must_still_be_recorded(first: tuple[Path, dict[str, Any]], control_url: str) -> None:
    data, before = first
    name = max(path.name for path in (data / "demo" / "runs").iterdir())
    missing = next(iter(held(data, name) or held(data, before["run"])))
    other = next(i for i in ("binance_spot:ETHUSDT", "binance_usdm:BTCUSDT") if i != missing)
    done = run(data, "run", "--at", control_url, "--policy", "hold", "--instrument", other, "--duration", "1s")
    if held(data, name):
        assert done.returncode == 4, done.stderr
        (line,) = done.stderr.splitlines()
        assert missing in line
        assert "--new" in line
        assert max(path.name for path in (data / "demo" / "runs").iterdir()) == name, "nothing was begun"


def test_new_starts_afresh(first: tuple[Path, dict[str, Any]], control_url: str) -> None:
    data, _ = first
    result = tickerml(data, "run", "--at", control_url, "--policy", "hold", "--new", "--duration", "1s")
    assert all(record.kind != CARRY for record in records(data / "demo" / "tapes" / result["run"]))
    cash, positions = rows(data, result["run"])[0]
    assert (json.loads(cash)["USDT"], json.loads(positions)) == ("10000", {})
