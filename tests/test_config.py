"""Configuration: every key, every layer, every mistake at once with its line."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from tickerml.config import build, data_dir, load
from tickerml.config.env import FLAT
from tickerml.config.layers import DEFAULTS, FILES
from tickerml.config.values import VENUES
from tickerml.config.yaml_file import read_yaml
from tickerml.errors import ConfigError, NotFoundError

ROOT = Path(__file__).parents[1]
CANARY = "canary-5f1d9c-never-print-me"


def leaves(section: str) -> Iterator[tuple[str, ...]]:
    """Every key path of a packaged file that holds a value."""

    def walk(at: tuple[str, ...], data: dict[str, Any]) -> Iterator[tuple[str, ...]]:
        for key, value in data.items():
            if isinstance(value, dict) and value:
                yield from walk((*at, key), value)
            else:
                yield (*at, key)

    return walk((), yaml.safe_load((DEFAULTS / FILES[section]).read_text()))


KEYS = [(section, key) for section in FILES for key in leaves(section)]


def nested(key: tuple[str, ...], value: Any) -> Any:
    return {key[0]: nested(key[1:], value)} if key else value


def problems(tmp_path: Path, files: dict[str, str], **more: Any) -> list[str]:
    """Writes files by section, loads them, and gives what is wrong."""
    folder = tmp_path / "given"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / FILES.get(name, name)).write_text(text)
    with pytest.raises(ConfigError) as e:
        load(folder, environ=more.pop("environ", {}), cwd=tmp_path, **more)
    return list(e.value.problems)


def test_the_packaged_files_are_those_of_the_repository() -> None:
    for name in FILES.values():
        assert (DEFAULTS / name).read_bytes() == (ROOT / "config" / name).read_bytes()


def test_defaults_load_and_carry_their_lines(tmp_path: Path) -> None:
    loaded = load(environ={}, cwd=tmp_path)
    assert loaded.config.execution.step_ms == 100
    line = (
        (DEFAULTS / FILES["execution"])
        .read_text()
        .splitlines()
        .index(
            "step_ms: 100            # milliseconds between two decisions; boundaries are its multiples since 1970 UTC"
        )
    )
    assert loaded.origin(("execution", "step_ms")) == f"packaged execution_config.yaml:{line + 1}"


@pytest.mark.parametrize("section", FILES)
def test_every_key_has_a_comment(section: str) -> None:
    for line in (DEFAULTS / FILES[section]).read_text().splitlines():
        if line.strip() and not line.strip().startswith("#") and not line.rstrip().endswith(":"):
            assert "#" in line, f"{FILES[section]}: {line!r} does not say its unit"


@pytest.mark.parametrize(("section", "key"), KEYS, ids=lambda part: ".".join(part) if isinstance(part, tuple) else part)
def test_every_key_refuses_a_wrong_value_and_a_wrong_name(section: str, key: tuple[str, ...], tmp_path: Path) -> None:
    wrong: Any = [[]] if key[-1] != "hold" else 3
    text = "\n".join("  " * n + f"{name}:" for n, name in enumerate(key))
    found = problems(tmp_path, {section: f"# first line\n{text} {json.dumps(wrong)}\n"})
    assert len(found) == 1, found
    assert found[0].startswith(f"{tmp_path}/given/{FILES[section]}:{1 + len(key)} {'.'.join(key)}"), found
    misspelt = (*key[:-1], key[-1] + "x")
    if key[-2:-1] not in (("balance",), ("book_age_ms_max",)):
        found = problems(tmp_path, {section: yaml.safe_dump(nested(misspelt, 1))})
        assert found == [f for f in found if "unknown key" in f], found
        assert f"did you mean {key[-1]}?" in found[0], found


OUT_OF_RANGE = [
    ("risk", ("position_frac_max",), 25, "a fraction: 0.25 means 25 %"),
    ("risk", ("position_frac_max",), 0, "greater than 0"),
    ("risk", ("drawdown_frac_max",), 1.01, "less than or equal to 1"),
    ("risk", ("order_quote_min",), "-1", "greater than or equal to 0"),
    ("risk", ("leverage_max",), 500, "less than or equal to 125"),
    ("risk", ("book_age_ms_max", "default"), 0, "milliseconds"),
    ("risk", ("book_age_ms_max", "kraken_spot:XBT/USD"), 5, "names no venue of this version"),
    ("execution", ("step_ms",), 0, "milliseconds"),
    ("execution", ("step_ms",), 2.5, "a whole number"),
    ("execution", ("step_ms",), True, "a whole number"),
    ("execution", ("maker_bps", "binance_spot"), 100_000, "basis points: 10 means 0.1 %"),
    ("execution", ("entry_ms", "binance_us"), -1, "greater than or equal to 0"),
    ("execution", ("taker_bps", "binance_us"), 7.55555, "at most 4 decimals (basis points"),
    ("execution", ("depth",), 10, "known here: 20"),
    ("execution", ("clock",), "fixed:soon", "fixed: and a number of nanoseconds"),
    ("execution", ("queue",), "risk_avers", "did you mean risk_averse?"),
    ("execution", ("balance", "usdt"), "1", "write it in capitals"),
    ("execution", ("balance", "USDT"), "ten", "a number"),
    ("exchanges", ("venues", "binance_spot", "instruments"), ["btcusdt"], "write it in capitals"),
    ("exchanges", ("venues", "binance_spot", "ws_url"), "http://x", "start it with wss://"),
    ("exchanges", ("venues", "binance_spot", "rest_url"), "https://x/", "leave it out"),
    ("exchanges", ("venues", "binance_spot", "channels"), ["depth at 100"], "like depth@100ms"),
    ("exchanges", ("venues", "binance_usdm", "market_ws_url"), "", "give one or empty the list"),
    ("exchanges", ("demo", "instruments"), ["BTCUSDT"], "write it like binance_spot:BTCUSDT"),
    ("exchanges", ("recording", "segment_bytes"), 1000, "1048576"),
    ("exchanges", ("recording", "retention_bytes"), 5, "0 to keep everything"),
    ("exchanges", ("recording", "profile"), "hdd", "known here: ssd, sd"),
    ("model", ("policy",), "imbalanc", "did you mean imbalance?"),
    ("model", ("grid", "levels"), 0, "must lie between 1 and 100"),
    ("model", ("imbalance", "pull"), 2, "must lie between 0 and 1"),
    ("kafka", ("enabled",), True, "this version has no such sink"),
    ("kafka", ("brokers",), "localhost", "host:port"),
    ("timescale", ("enabled",), True, "this version has no such sink"),
    ("timescale", ("port",), 70_000, "65535"),
    ("monitoring", ("status_interval_s",), 0, "seconds"),
]


@pytest.mark.parametrize(("section", "key", "value", "hint"), OUT_OF_RANGE, ids=str)
def test_ranges_and_units(section: str, key: tuple[str, ...], value: Any, hint: str, tmp_path: Path) -> None:
    found = problems(tmp_path, {section: yaml.safe_dump(nested(key, value))})
    assert len(found) == 1, found
    assert hint in found[0]


def test_typos_of_every_layer_come_all_at_once(tmp_path: Path) -> None:
    files = {"risk": "position_frac_maxx: 1\ndrawdown_frac_max: 25\n", "execution": "step_ms: 1\nstep_ms: 2\n",
             "kafka": "\tenabled: true\n", "monitoring": "- a\n", "timescale": "port: [\n", "risk_limit.yaml": "a: 1\n",
             "model": "grid: {level: 3}\n"}  # fmt: skip
    environ = {"TICKERML_DATE": "/x", "MAX_POSITION_SIZE": "abc", "TICKERML__RISKS__X": "1"}
    found = problems(tmp_path, files, environ=environ, sets=[("stepms", "3"), ("risk.max_drawdwn", "1")])
    at = f"{tmp_path}/given/"
    for start, hint in [
        (f"{at}risk_limits.yaml:1 position_frac_maxx", "did you mean position_frac_max?"),
        (f"{at}risk_limits.yaml:2 drawdown_frac_max", "a fraction"),
        (f"{at}execution_config.yaml:2 step_ms", "stands here and on line 1"),
        (f"{at}kafka_config.yaml:1", "use spaces"),
        (f"{at}monitoring_config.yaml:1", "mapping"),
        (f"{at}timescale_config.yaml:2", "is not YAML"),
        (f"{at}risk_limit.yaml", "did you mean risk_limits.yaml?"),
        (f"{at}model_config.yaml:1 grid.level", "did you mean levels?"),
        ("environment TICKERML_DATE", "did you mean TICKERML_DATA?"),
        ("environment MAX_POSITION_SIZE position_frac_max", "a number"),
        ("environment TICKERML__RISKS__X risks", "did you mean risk?"),
        ("--set stepms", "did you mean step_ms?"),
        ("--set risk.max_drawdwn", "unknown key"),
    ]:
        assert [p for p in found if p.startswith(start) and hint in p], (start, hint, found)
    assert len(found) == 13
    assert all("\n" not in p and "Traceback" not in p for p in found)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: &x 1\nb: *x", "anchors"), ("a: b: c", "is not YAML"), ("? [a]\n: 1", "one word"), ("--- 1\n--- 2", "YAML"),
        ("enabled: !!python/object:os.system x\n", "true or false"), ("a: \x00\n", "YAML"), ("just words\n", "mapping"),
        ("{" * 3000, "YAML"), ("enabled: no\n", "'no' does not fit"), ("enabled:\n", "is empty"),
    ],
)  # fmt: skip
def test_hostile_files_get_one_line_each(text: str, hint: str, tmp_path: Path) -> None:
    found = problems(tmp_path, {"kafka": text})
    assert any(hint in p for p in found), found
    assert all(p.startswith(f"{tmp_path}/given/kafka_config.yaml") and "\n" not in p for p in found)


def test_the_quick_loader_reads_what_the_strict_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of the packaged files with characters of YAML strewn in."""
    chance, file = random.Random(7), tmp_path / "piece.yaml"
    texts = [path.read_text() for path in sorted(DEFAULTS.glob("*.yaml"))]
    strewn = [*" \t\n:#'\"{}[]|>?%@`,~\r", "- ", "&a", "*a", "!x", "---", "...", "\ufeff", "\u2028", "\x85"]
    read = 0
    for _ in range(400):
        text = chance.choice(texts)
        at = text.find("\n", chance.randrange(len(text))) + 1
        piece = text[at : at + 300]
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(piece) + 1)
            piece = piece[:at] + chance.choice(strewn) + piece[at + chance.randrange(2) :]
        file.write_text(piece, encoding="utf-8", newline="")
        quick = read_yaml(file)
        with monkeypatch.context() as patch:
            patch.setattr("tickerml.config.yaml_file._LOADERS", (yaml.SafeLoader, yaml.SafeLoader))
            strict = read_yaml(file)
        if strict.data:
            assert quick == strict, piece
            read += 1
    assert read > 100


def test_what_is_not_utf8_in_a_flag_or_the_environment_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="balance"):
        load(environ={}, cwd=tmp_path, sets=[("balance", "{USDT: \udcff}")])
    with pytest.raises(ConfigError, match="balance"):
        load(environ={"TICKERML__EXECUTION__BALANCE": "{USDT: \udcff}"}, cwd=tmp_path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "kafka_config.yaml").write_bytes(b"brokers: ok\n\xff\xfe\n")
    (folder / "model_config.yaml").write_bytes(b"#" * ((1 << 20) + 1))
    (folder / "risk_limits.yaml").mkdir()
    found = problems(tmp_path, {})
    assert [p.partition("given/")[2].split(" ")[0] for p in found] == [
        "risk_limits.yaml:", "model_config.yaml:", "kafka_config.yaml:2",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="config init"):
        load(tmp_path / "nowhere", environ={}, cwd=tmp_path)


def test_the_strongest_layer_wins_key_by_key(tmp_path: Path) -> None:
    xdg, local, given = tmp_path / "xdg" / "tickerml", tmp_path / "config", tmp_path / "given"
    for folder, value in ((xdg, 1), (local, 2), (given, 3)):
        folder.mkdir(parents=True)
        keys = ["step_ms", "base_latency_ms", "reorder_ms"][: 4 - value]
        (folder / "execution_config.yaml").write_text("".join(f"{key}: {value}\n" for key in keys))
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}

    def got(folder: Path | None, **more: Any) -> tuple[int, int, int, int]:
        e = load(folder, environ={**environ, **more.pop("environ", {})}, cwd=tmp_path, **more).config.execution
        return e.step_ms, int(e.base_latency_ms), e.reorder_ms, e.seed

    assert got(None) == (2, 2, 1, 1)
    assert got(given) == (3, 2, 1, 1)
    env = {"TICKERML__EXECUTION__STEP_MS": "4"}
    assert got(given, environ=env) == (4, 2, 1, 1)
    assert got(given, environ=env, sets=[("step_ms", "5"), ("seed", "9")]) == (5, 2, 1, 9)
    loaded = load(given, environ={**environ, **env}, cwd=tmp_path)
    assert loaded.origin(("execution", "step_ms")) == "environment TICKERML__EXECUTION__STEP_MS"
    assert loaded.origin(("execution", "base_latency_ms")) == f"{local}/execution_config.yaml:2"


@pytest.mark.parametrize("name", FLAT)
def test_flat_names_of_the_environment(name: str, tmp_path: Path) -> None:
    value = {"MAX_DRAWDOWN": "0.125", "MAX_POSITION_SIZE": "0.125", "TIMESCALE_PORT": "1234",
             "KAFKA_BROKERS": "a:1,b:2"}.get(name, "77")  # fmt: skip
    config = load(environ={name: value}, cwd=tmp_path).config
    section, key = FLAT[name]
    got = getattr(getattr(config, section), key)
    assert str(got.get_secret_value() if section == "secrets" else got) == value
    assert load(environ={name: ""}, cwd=tmp_path).config == load(environ={}, cwd=tmp_path).config


def test_nested_names_of_the_environment(tmp_path: Path) -> None:
    environ = {"TICKERML__RISK__MAX_DRAWDOWN": "0.2", "MAX_DRAWDOWN": "0.1", "TICKERML__EXECUTION__BALANCE__EUR": "5",
               "TICKERML__EXCHANGES__DEMO__INSTRUMENTS": "[binance_spot:NEXOUSDT]",
               "TICKERML__EXECUTION__ENTRY_MS": "25"}  # fmt: skip
    config = load(environ=environ, cwd=tmp_path).config
    assert str(config.risk.drawdown_frac_max) == "0.2"
    assert config.execution.balance.keys() == {"USDT", "EUR"}
    assert config.exchanges.demo.instruments == ["binance_spot:NEXOUSDT"]
    assert config.execution.entry_ms.binance_usdm == 25


def test_set_reaches_settings_parameters_and_whole_paths(tmp_path: Path) -> None:
    sets = [("entry_ms.binance_spot", "7.5"), ("levels", "3"), ("balance.USDT", "50"), ("risk.leverage_max", "2")]
    config = load(environ={}, cwd=tmp_path, policy="grid", sets=sets).config
    assert (config.model.policy, config.model.params("grid")["levels"]) == ("grid", "3")
    plain = build.settings(config)
    assert plain["entry_ms"] == {"binance_spot": 7.5, "binance_us": 40, "binance_usdm": 40, "binance_coinm": 40}
    assert (plain["balance"], build.effective(config)["risk"]["leverage_max"]) == ({"USDT": "50"}, 2)


def test_a_replay_takes_the_maps_of_its_tape_whole(tmp_path: Path) -> None:
    """Currencies and instruments that only today's files name are none of the run's; venues stay one by one."""
    sets = [("balance.USDT", "50"), ("entry_ms.binance_spot", "7")]
    made = build.record(load(environ={}, cwd=tmp_path, sets=sets).config, {}, [])
    recorded = json.loads(build.canonical(made), parse_float=Decimal)
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / FILES["execution"]).write_text("balance: {USDT: 1, BTC: 3}\nentry_ms: {binance_spot: 1}\n")
    (folder / FILES["risk"]).write_text('book_age_ms_max: {default: 5, "binance_spot:BTCUSDT": 6}\n')
    again = load(folder, environ={}, cwd=tmp_path, recorded=recorded).config
    assert build.record(again, {}, []) == made
    assert again.execution.balance == {"USDT": 50}
    del recorded["settings"]["balance"], recorded["settings"]["entry_ms"]["binance_us"], recorded["risk"]
    older = load(folder, environ={}, cwd=tmp_path, recorded=recorded, sets=[("balance.ETH", "2")]).config
    assert older.execution.balance == {"USDT": 1, "BTC": 3, "ETH": 2}
    assert (older.execution.entry_ms.binance_spot, older.execution.entry_ms.binance_us) == (7, 40)
    assert older.risk.book_age_ms_max == {"default": 5, "binance_spot:BTCUSDT": 6} | {
        key: age for key, age in load(environ={}, cwd=tmp_path).config.risk.book_age_ms_max.items() if key != "default"
    }


def test_instruments_switch_the_other_venues_off(tmp_path: Path) -> None:
    config = load(environ={}, cwd=tmp_path, instruments=["binance_us:SOLUSDT", "binance_us:BTCUSDT"]).config
    feeds = build.venue_feeds(config, {"binance_us": {"ws_url": "ws://127.0.0.1:1", "rest_url": "http://127.0.0.1:1"}})
    assert [(f["venue"], f["symbols"], f["ws_url"]) for f in feeds] == [
        ("binance_us", ["SOLUSDT", "BTCUSDT"], "ws://127.0.0.1:1")
    ]
    with pytest.raises(NotFoundError, match="did you mean binance_us"):
        load(environ={}, cwd=tmp_path, instruments=["binance_u:SOLUSDT"])


def test_the_hash_follows_what_decides_and_nothing_else(tmp_path: Path) -> None:
    def got(*sets: tuple[str, str], **environ: str) -> str:
        return build.config_hash(load(environ=environ, cwd=tmp_path, sets=sets).config)

    base = got()
    assert got(("monitoring.screen_refresh_hz", "9")) == base
    assert got(BINANCE_API_KEY=CANARY) == base
    hashes = {base, got(("step_ms", "50")), got(("risk.leverage_max", "2")), got(("edge", "0.75")), got(("seed", "2"))}
    assert len(hashes) == 5
    assert got(("balance.USDT", "10000.0")) == base


def day_ns(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def test_settings_have_the_names_of_the_contract(tmp_path: Path) -> None:
    config = load(environ={}, cwd=tmp_path).config
    assert json.loads(build.settings_json(config)) == {
        "step_ms": 100, "queue": "risk_averse", "exchange": "shared", "report_rule": "causal", "reorder_ms": 250,
        "clock": "causal", "base_latency_ms": 5, "decision_ms": 1, "latency": "constant", "short_spot": False,
        "seed": 1,
        "entry_ms": dict.fromkeys(VENUES, 40),
        "response_ms": dict.fromkeys(VENUES, 40),
        "maker_bps": dict.fromkeys(VENUES), "taker_bps": dict.fromkeys(VENUES),
        "fees": {
            "binance_spot": [[day_ns("2017-07-01"), 10, 10]], "binance_us": [[day_ns("2019-09-01"), 40, 60]],
            "binance_usdm": [[day_ns("2019-09-01"), 2, 5]], "binance_coinm": [[day_ns("2020-08-01"), 2, 5]],
        },
        "liquidation_bps": {"binance_spot": 0, "binance_us": 0, "binance_usdm": 125, "binance_coinm": 150},
        "queue_file": "", "queue_share": [], "queue_fit_end_ns": 0,
        "toxic_ahead_ratio": 10, "impact_bps": 10, "participation_frac_max": 0.05,
        "balance": {"USDT": "10000"}, "depth": 20,
    }  # fmt: skip
    assert build.settings_json(config) == build.canonical(json.loads(build.settings_json(config)))


def test_policy_parameters_in_the_file_are_the_policies_own_defaults() -> None:
    from tickerml.policy.base import policy_names, policy_parameters

    file = yaml.safe_load((DEFAULTS / FILES["model"]).read_text())
    for name in policy_names():
        assert {k: str(v) for k, v in file[name].items()} == {p.name: p.default for p in policy_parameters(name)}


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    environ = dict.fromkeys(("BINANCE_API_KEY", "BINANCE_API_SECRET", "TIMESCALE_PASSWORD"), CANARY)
    loaded = load(environ=environ, cwd=tmp_path)
    plain = build.effective(loaded.config)
    shown = [repr(loaded), str(loaded.config), loaded.config.model_dump_json(), json.dumps(plain),
             json.dumps(build.venue_feeds(loaded.config))]  # fmt: skip
    shown += problems(tmp_path, {"exchanges": f"venues: {{binance_spot: {{api_key: {CANARY}}}}}\n"},
                      environ={**environ, "TICKERML__SECRETS__OTHER": CANARY})  # fmt: skip
    assert CANARY not in "\n".join(shown)
    assert "set the environment variable instead" in shown[-1] + shown[-2]


def test_the_data_folder(tmp_path: Path) -> None:
    home = {"HOME": "/h"}
    assert data_dir(tmp_path, {"TICKERML_DATA": "/d"}) == tmp_path
    assert data_dir(None, {"TICKERML_DATA": "/d", **home}) == Path("/d")
    assert data_dir(None, {"XDG_DATA_HOME": "/x", **home}) == Path("/x/tickerml")
    assert data_dir(None, home) == Path("/h/.local/share/tickerml")
