"""Every number that a user may give: odd ones get one line and the right code, whatever the option or the key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from test_cli import call, place
from test_config import KEYS
from tickerml.cli.options import I64_MAX
from tickerml.cli.root import MODULES, root
from tickerml.config.flags import setting_keys
from tickerml.sources.venue import market_config

pytest.importorskip("tickerml._native", reason="the native module is not built")

__all__ = ["place"]

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
ODD = ("nan", "inf", "-inf", "1e400", "1e999999", "-1", "", " ", "1e-30", "1e30", "9" * 40, "9" * 5000, "0x10", "1_000",
       "٣", "[1]", "{a: 1}", "true", "null", "--")  # fmt: skip


def options() -> Iterator[tuple[str, click.Parameter]]:
    """Every option of every command, with the command's words."""

    def walk(words: str, command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                assert found is not None
                yield from walk(f"{words} {name}".strip(), found)
        for parameter in command.params:
            yield words, parameter

    assert set(MODULES) <= set(root.list_commands(click.Context(root)))
    yield from walk("", root)


NUMERIC = [
    (words, option)
    for words, option in options()
    if isinstance(option.type, (type(click.INT), type(click.FLOAT))) or option.type.name in ("duration", "decimal")
    if not getattr(option, "count", False)
]


def test_numeric_options_are_found() -> None:
    names = {(words, option.name) for words, option in NUMERIC}
    assert names >= {
        ("run", "duration"), ("data book", "at"), ("data book", "depth"), ("data export", "base_latency_ms"),
        ("venue serve", "speed"), ("venue serve", "port"), ("venue serve", "seed"), ("replay", "batch_events"),
        ("data import", "tick"),
    }  # fmt: skip


@pytest.mark.parametrize(("words", "option"), NUMERIC, ids=lambda part: getattr(part, "name", part))
def test_a_numeric_option_refuses_what_it_cannot_hold(words: str, option: click.Parameter) -> None:
    for text in ODD:
        try:
            value = option.type.convert(text, option, click.Context(root))
        except click.UsageError:
            continue
        assert math.isfinite(float(value)), (words, option.name, text)
        assert abs(float(value)) <= I64_MAX, (words, option.name, text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a small tape and its events; the run."""
    from tickerml.sources.tapes import import_files

    folder = tmp_path_factory.mktemp("data")
    none = dict.fromkeys(("tick", "lot", "min_notional"))
    made = import_files(folder, "hftbacktest-raw", [CAPTURE], "binance_usdm:DEMOUSDT", events=True, steps=none)
    return folder, made["run"]


def keys(policy: str) -> list[str]:
    whole = [f"{section}.{'.'.join(key)}" for section, key in KEYS if section not in ("model", "execution")]
    return [*setting_keys(policy), *whole, "balance.USDT", "entry_ms.binance_usdm", "maker_bps.binance_usdm"]


@pytest.mark.parametrize("policy", ["grid", "imbalance"])
def test_every_key_of_set_takes_a_value_or_refuses_it_in_one_line(
    policy: str, data: tuple[Path, str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = data
    known = keys(policy) if policy == "grid" else setting_keys(policy)[-9:]
    assert len(known) == len(set(known))
    for key in known:
        for text in ODD if "." not in key else ODD[::3]:
            words = ("replay", run, "--policy", policy, "--set", f"{key}={text}", "--data", str(folder), "--json")
            code, _, err = call(capsys, *words)
            assert (code, err.count("\n")) in ((0, 0), (4, 1)), (key, text[:50], code, err[:500])
            assert not any(word in err for word in ("defect", "Traceback", "Decimal(")), (key, text[:50], err[:500])


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ("replay RUN --set balance.USDT=1e-30", 4, "at most 18 decimals"),
        ("replay RUN --policy grid --set qty=1e400", 4, "at most 1,000,000,000,000"),
        ("backtest RUN --policy grid --profile hftbacktest --set qty=1e12 --set position_max=1e12", 0, ""),
        ("data book RUN --instrument binance_usdm:DEMOUSDT --at 9223372036854775808", 2, "--at"),
        ("data book RUN --instrument binance_usdm:DEMOUSDT --at 9223372036854775807", 0, ""),
        ("data book RUN --instrument binance_usdm:DEMOUSDT --at -1", 2, "--at"),
        ("data export hftbacktest-npz RUN -o x.npz --base-latency-ms nan", 2, "--base-latency-ms"),
        ("replay RUN --set base_latency_ms=nan", 4, "write a number (milliseconds)"),
        ("run --demo --duration 300000d", 2, "more than 36500d"),
        ("collect --duration 1e9999d", 2, "no duration"),
        ("venue serve --speed nan", 2, "--speed"),
        ("venue serve --speed inf", 2, "--speed"),
        ("venue serve --seed 18446744073709551616", 2, "--seed"),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_was_found(
    words: str, code: int, hint: str, data: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = data
    got, _, err = call(capsys, *words.replace("RUN", run).split(), "--data", str(folder))
    assert (got, err.count("\n") == (code > 0)) == (code, True), err
    assert hint in err


def test_a_number_for_every_venue_is_one_mistake(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "run", "--demo", "--set", "entry_ms=-1", "--set", "maker_bps=many")
    assert (code, [line.partition(" does")[0] for line in err.splitlines()]) == (
        4, ["--set entry_ms: -1", "--set maker_bps: 'many'"],
    )  # fmt: skip


class Never:
    """Instead of serving."""

    def __init__(self, _: object) -> None:
        raise AssertionError("it serves")


@pytest.mark.parametrize("text", ["speed: .nan", "speed: 1e400", "speed: -1", "seed: -1", "port: 70000", "port: 1e400"])
def test_numbers_of_a_market_file(
    text: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "market.yaml").write_text(text + "\n")
    monkeypatch.setattr("tickerml.sources.venue.Stopping", Never)
    code, _, err = call(capsys, "venue", "serve", "--market", "market.yaml")
    assert (code, err.count("\n")) == (4, 1), err
    assert err.startswith("market.yaml:1 "), err
    assert text.partition(":")[0] in err


def test_what_is_not_on_the_command_line_stays_as_the_file_has_it(place: Path) -> None:
    (place / "market.yaml").write_text("port: 1234\nseed: 7\nspeed: 2.5\n")
    none = {"speed": None, "port": None, "seed": None}
    made = market_config(place / "market.yaml", (), None, **none)
    assert made == {"port": 1234, "seed": 7, "speed": 2.5}
    made = market_config(place / "market.yaml", (), None, speed=3.0, port=0, seed=0)
    assert made == {"port": 0, "seed": 0, "speed": 3.0}
    (place / "a.raw").write_text("")
    made = market_config(None, (place / "a.raw",), "binance_spot:X", **none)
    assert made == {"recording": {"files": [str(place / "a.raw")], "instrument": "binance_spot:X"}}
    made = market_config(None, (place / "a.raw",), "binance_spot:X", speed=3.0, port=5, seed=None)
    assert (made["recording"]["speed"], made["port"]) == (3.0, 5)


def test_venue_serve_gives_the_file_what_was_given(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("tickerml.sources.venue.serve", lambda config, *_, **__: seen.append(config))
    (place / "market.yaml").write_text("port: 1234\nseed: 7\nspeed: 2.5\n")
    assert call(capsys, "venue", "serve", "--market", "market.yaml", "--seed", "8")[0] == 0
    assert call(capsys, "venue", "serve")[0] == 0
    assert seen == [{"port": 1234, "seed": 8, "speed": 2.5}, {}]
