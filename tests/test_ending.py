"""What a live command says of itself at its end, after it was killed and started again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, environment, run, serving, tickerml

pytest.importorskip("tickerml._native", reason="the native module is not built")

EACH_SECOND = {"TICKERML__MONITORING__STATUS_INTERVAL_S": "1"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A venue in a process of its own."""
    with serving(tmp_path_factory.mktemp("venue"), "--speed", "5") as (_, control_url):
        yield control_url


def killed(data: Path, *words: str) -> str:
    """Starts a live command and kills it when every book was alive for a second; its run."""
    with Running([*COMMAND, "--data", str(data), *words], data, **EACH_SECOND) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 4/4")
        process.line_with("live 4/4")
        process.kill()
    return name


def text(data: Path, *words: str) -> str:
    """The summary for people."""
    done = subprocess.run(
        [*COMMAND, "--data", str(data), *words], capture_output=True, text=True, check=True, cwd=data,
        env=environment(),
    )  # fmt: skip
    return done.stdout


def again(data: Path, name: str, *words: str) -> dict[str, Any]:
    done = run(data, *words)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert (result["run"], result["resumed"]) == (name, True)
    return result


def test_a_run_that_went_on_counts_as_a_whole(url: str, tmp_path: Path) -> None:
    words = ("run", "--policy", "grid", "--at", url)
    name = killed(tmp_path, *words)
    result = again(tmp_path, name, *words, "--duration", "1s")
    replayed, verified = tickerml(tmp_path, "replay", name), tickerml(tmp_path, "data", "verify", name)
    assert (result["fills"], result["frames"]) == (replayed["fills"], verified["frames"])
    assert result["gaps"] == sum(len(row["gaps"]) for row in verified["instruments"]) == 4
    assert result["of_process"] == ["reconnects"]


def test_a_recording_that_went_on_says_what_is_of_this_start(url: str, tmp_path: Path) -> None:
    words = ("collect", "--at", url)
    name = killed(tmp_path, *words)
    result = again(tmp_path, name, *words, "--duration", "1s")
    assert result["frames"] < tickerml(tmp_path, "data", "verify", name)["frames"]
    assert result["of_process"] == ["frames", "bytes", "gaps", "reconnects"]


@pytest.mark.parametrize(("words", "said"), [
    (("run", "--policy", "grid"), "   since this start: reconnects 0"), (("collect",), "   since this start: frames "),
])  # fmt: skip
def test_the_text_names_what_is_of_this_start(words: tuple[str, ...], said: str, url: str, tmp_path: Path) -> None:
    name = killed(tmp_path, *words, "--at", url)
    first = text(tmp_path, *words, "--at", url, "--duration", "1s").splitlines()[0]
    assert (name in first, said in first) == (True, True), first
    fresh = text(tmp_path, *words, "--at", url, "--duration", "1s").splitlines()[0]
    assert "since this start" not in fresh


def test_a_fresh_run_has_nothing_of_another_process(url: str, tmp_path: Path) -> None:
    for command in ("run", "collect"):
        result = tickerml(tmp_path, command, "--at", url, "--duration", "1s")
        verified = tickerml(tmp_path, "data", "verify", result["run"])
        assert (result["resumed"], result["of_process"], result["frames"]) == (False, [], verified["frames"])


# ---- whose account ---------------------------------------------------------------------------------------------------

BOUGHT = ("run", "--policy", "grid", "--set", "qty=0.01", "--set", "position_max=1")


def test_the_demo_and_the_venue_at_a_url_have_an_account_each(url: str, tmp_path: Path) -> None:
    """What is held at one need not be listed at the other."""
    ether = (*BOUGHT, "--at", url, "--instrument", "binance_usdm:ETHUSDT", "--instrument", "binance_usdm:BTCUSDT")
    at = tickerml(tmp_path, *ether, "--duration", "3s")
    assert at["fills"] > 0
    demo = (*BOUGHT, "--demo", "--instrument", "binance_spot:BTCUSDT", "--duration", "2s")
    first = run(tmp_path, *demo)
    assert (first.returncode, "with the account" in first.stderr) == (0, False), first.stderr
    again = run(tmp_path, *demo)
    assert (again.returncode, f"with the account of run {json.loads(first.stdout)['run']}" in again.stderr) == (0, True)
    back = run(tmp_path, *ether, "--duration", "1s")
    assert (back.returncode, f"with the account of run {at['run']}" in back.stderr) == (0, True), back.stderr


def test_a_killed_demo_is_not_gone_on_with_elsewhere(url: str, tmp_path: Path) -> None:
    with Running([*COMMAND, "--data", str(tmp_path), "run", "--demo"], tmp_path, **EACH_SECOND) as process:
        name = process.line_with("starting run ").split()[2]
        process.line_with("live 2/2")
        process.kill()
    same = ("--instrument", "binance_spot:BTCUSDT", "--instrument", "binance_usdm:BTCUSDT")
    assert tickerml(tmp_path, "run", "--at", url, *same, "--duration", "1s")["run"] != name
    assert tickerml(tmp_path, "run", "--demo", "--duration", "1s")["run"] == name


# ---- what came with the account --------------------------------------------------------------------------------------


def test_the_profit_of_a_run_stands_beside_that_of_its_account(url: str, tmp_path: Path) -> None:
    words = (*BOUGHT, "--at", url, "--duration")
    first = tickerml(tmp_path, *words, "3s")
    assert (first["carried_run"], first["fills"] > 0) == (None, True)
    for name in ("pnl", "fees", "funding"):
        assert first[f"run_{name}_quote"] == first[f"{name}_quote"]
    second = tickerml(tmp_path, *words, "2s")
    assert (second["carried_run"], second["run"] != first["run"]) == (first["run"], True)
    fees = Decimal(second["fees_quote"]) - Decimal(first["fees_quote"])
    assert Decimal(second["run_fees_quote"]) == fees
    # What was held is worth in the second run's first moment what it was in the first run's last.
    assert Decimal(second["run_pnl_quote"]) == Decimal(second["pnl_quote"]) - Decimal(first["pnl_quote"])
    replayed = tickerml(tmp_path, "replay", second["run"])
    for key in ("carried_run", "run_pnl_quote", "run_fees_quote", "run_funding_quote"):
        assert replayed[key] == second[key]
    shown = text(tmp_path, "replay", second["run"]).splitlines()
    (line,) = [line for line in shown if line.startswith("this run ")]
    assert (f"P&L {second['run_pnl_quote']}" in line, f"of run {first['run']}" in line) == (True, True), line
    assert not any(line.startswith("this run ") for line in text(tmp_path, "replay", first["run"]).splitlines())
