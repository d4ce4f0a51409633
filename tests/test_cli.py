"""The command line: exit codes, JSON, where options may stand, one line for every mistake, and what is imported."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tickerml import errors
from tickerml.cli import main
from tickerml.config.layers import FILES

CANARY = "canary-5f1d9c-never-print-me"
HEAVY = {"numpy", "pyarrow", "pydantic", "rich", "yaml", "sqlite3", "tickerml._native", "tickerml.engine"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, home and data folder, and no environment of ours."""
    for name in [n for n in os.environ if n.startswith("TICKERML")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TICKERML_DATA", str(tmp_path / "data"))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as e:
        main(argv)
    out = capsys.readouterr()
    assert isinstance(e.value.code, int)
    return e.value.code, out.out, out.err


def call_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = call(capsys, *argv)
    assert code == 0, err
    assert out.count("\n") == 1, "one JSON object on one line"
    return json.loads(out)


def test_help_imports_click_only() -> None:
    script = "import sys\nfrom tickerml.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    script += "print(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "tickerml doctor" in done.stdout
    modules = set(done.stderr.split())
    assert "click" in modules
    assert modules & HEAVY == set()


def test_an_import_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """NumPy and pyarrow alone take as much CPU as the work on ten minutes of a busy feed."""
    capture = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
    words = ["data", "import", "hftbacktest-raw", str(capture), "--instrument", "binance_usdm:DEMOUSDT"]
    script = "import sys\nfrom tickerml.cli import main\ntry:\n    main()\nfinally:\n"
    script += "    print(*sys.modules, sep='\\n', file=sys.stderr)"
    command = [sys.executable, "-c", script, *words, "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert list(tmp_path.rglob("*.parquet"))
    assert set(done.stderr.split()) & (HEAVY | {"hashlib", "secrets"}) == {"tickerml._native"}


def test_a_command_that_nearly_exists_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "dat")
    assert (code, out) == (2, "")
    assert "'data'" in err


@pytest.mark.parametrize(
    "command",
    ["run", "collect", "replay", "backtest", "costs", "markout", "parity", "data", "venue", "doctor", "config"],
)
def test_every_command_of_the_contract_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, command, "--help")
    assert (code, out.startswith(f"Usage: tickerml {command}")) == (0, True)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", "--demo --duration --policy --set --instrument --new --resume --at"),
        ("collect", "--duration --instrument --new --resume --at"),
        ("replay", "--policy --set --allow-damage --fills --orders --batch-events"),
        ("backtest", "--policy --set --profile --allow-insample --fills --orders --batch-events"),
        ("backtest", "--sweep --output --workers"),
        ("parity", "--others --workers --allow-damage"),
        ("data import", "--instrument --no-events --tick --lot --min-notional"),
        ("data verify", "--strict"),
        ("data export", "--output --instrument --base-latency-ms"),
        ("data book", "--instrument --at --depth"),
        ("venue serve", "--market --recording --instrument --speed --port"),
        ("venue record", "--market --instrument --duration --seed --out"),
        ("config show", "--origin"),
        ("doctor", "--json"),
    ],
)
def test_every_option_of_the_contract_exists(command: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, *command.split(), "--help")
    for option in [*options.split(), "--config", "--data", "--json", "--verbose", "--quiet", "--no-color"]:
        assert option in out


@pytest.mark.parametrize(
    "argv",
    [
        ("nonsense",),
        ("run", "--nonsense"),
        ("run", "--duration", "soon"),
        ("run", "--new", "--resume", "x"),
        ("replay",),
        ("run", "--demo", "--at", "http://x"),
        ("run", "--set", "novalue"),
        ("run", "--instrument", "BTCUSDT"),
        ("collect", "--duration", "0s"),
        ("backtest", "x"),
        ("venue", "serve", "--recording", __file__),
        ("replay", "x", "--fills", "f.txt"),
        ("replay", "x", "--orders", "f"),
        ("replay", "x", "--fills", "f.csv", "--orders", "./f.csv"),
    ],
    ids=" ".join,
)
def test_usage_mistakes_exit_2_with_one_line(
    argv: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1, err
    assert "--help" in err


def test_an_input_is_not_written_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "x.parquet").write_bytes(b"PAR1")
    (place / "y.parquet").symlink_to("x.parquet")
    words = ("backtest", "x.parquet", "--policy", "hold")
    for option, name in (("--fills", "x.parquet"), ("--orders", "y.parquet")):
        code, _, err = call(capsys, *words, option, name)
        assert (code, err.count("\n")) == (2, 1), err
    assert (place / "x.parquet").read_bytes() == b"PAR1"


@pytest.mark.parametrize(("option", "value"), [("--tick", "0"), ("--lot", "tiny"), ("--min-notional", "-1")])
def test_a_number_that_is_none_names_its_option(
    option: str, value: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data", "import", "jsonl", "x", "--instrument", "binance_spot:X")
    code, _, err = call(capsys, *words, option, value)
    assert (code, option in err, repr(value) in err) == (2, True, True), err


@pytest.mark.parametrize(
    "argv",
    [
        ("replay", "20260101T000000Z-abcd"),
        ("replay", "nowhere"),
        ("replay", "."),
        ("backtest", "nowhere", "--policy", "hold"),
        ("backtest", "20260101T000000Z-abcd", "--policy", "hold"),
        ("run", "--instrument", "kraken:BTC/USD"),
        ("data", "verify", "nowhere"),
        ("data", "convert", "nowhere"),
        ("data", "book", "nowhere", "--instrument", "binance_spot:X"),
        ("venue", "serve", "--market", "nowhere.yaml"),
        ("venue", "serve", "--recording", "nowhere.gz", "--instrument", "binance_spot:X"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_exits_3_with_one_line(
    argv: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *argv)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    "argv", [("config", "check"), ("config", "show"), ("run", "--demo"), ("collect",)], ids=" ".join
)
def test_configuration_mistakes_exit_4_with_every_line(
    argv: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "risk_limits.yaml").write_text("position_frac_max: 25\ndrawdown_frac_maxx: 1\n")
    code, out, err = call(capsys, *argv, "--config", "conf")
    assert (code, out) == (4, "")
    first, second = err.splitlines()
    assert first.startswith("conf/risk_limits.yaml:1 position_frac_max: 25 does not fit")
    assert second == "conf/risk_limits.yaml:2 drawdown_frac_maxx: unknown key; did you mean drawdown_frac_max?"
    assert call(capsys, *argv, "--config", "nowhere")[0] == 4


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("venues: []\n", 1, "names no symbol"),
        ("# mine\nnonsense: 1\n", 2, "unknown field `nonsense`"),
        (
            "venues:\n  - venue: binance_spot\n    symbols: [{symbol: BTCUSDT, price: '0', tick: '0.01', lot: '1'}]\n",
            3,
            "price",
        ),
        ("venues: [\n", 2, "YAML"),
    ],
)
def test_a_market_that_cannot_be_served_is_the_users_mistake(
    text: str, line: int, what: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "market.yaml").write_text(text)
    code, _, err = call(capsys, "venue", "serve", "--market", "market.yaml")
    assert (code, err.count("\n")) == (4, 1), err
    assert err.startswith(f"market.yaml:{line} "), err
    assert what in err


def test_global_options_stand_before_or_after(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = call_json(capsys, "--json", "--data", "d", "data", "list")
    after = call_json(capsys, "data", "list", "--json", "--data", "d")
    between = call_json(capsys, "data", "--json", "list", "--data", "d")
    assert before == after == between == {"runs": [], "tapes": [], "events": []}


def test_config_show_says_where_from_and_hides_secrets(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", CANARY)
    monkeypatch.setenv("MAX_DRAWDOWN", "0.125")
    shown = call_json(capsys, "config", "show", "--origin", "--json")
    assert shown["config"]["risk"]["drawdown_frac_max"] == 0.125
    assert shown["origins"]["risk.drawdown_frac_max"] == "environment MAX_DRAWDOWN"
    assert shown["secrets"]["binance_api_key"] == "set"
    text = call(capsys, "config", "show", "--origin")[1] + json.dumps(shown)
    for argv in (("doctor", "--json"), ("config", "check", "-v"), ("run", "--demo", "--set", "a=b")):
        _, out, err = call(capsys, *argv)
        text += out + err
    assert CANARY not in text


def test_config_init_makes_a_folder_that_checks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = call_json(capsys, "config", "init", "conf", "--json")
    assert made["written"] == list(FILES.values())
    (place / "conf" / "risk_limits.yaml").write_text("drawdown_frac_max: 0.1\n")
    assert call_json(capsys, "config", "init", "conf", "--json")["kept"] == list(FILES.values())
    assert call_json(capsys, "--json", "config", "check", "--config", "conf")["ok"] is True
    shown = call_json(capsys, "--json", "config", "show", "--config", "conf")
    assert shown["config"]["risk"]["drawdown_frac_max"] == 0.1


def test_doctor_reports_and_never_raises(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "exchanges_config.yaml").write_text(
        "venues: {binance_spot: {rest_url: 'http://127.0.0.1:9'}, binance_usdm: {enabled: false}}\n"
    )
    code, out, _ = call(capsys, "doctor", "--json", "--config", "conf")
    found = json.loads(out)
    checks = {check["name"]: check for check in found["checks"]}
    assert {
        "python",
        "native",
        "config",
        "data_folder",
        "disk_free",
        "disk_sync",
        "clock",
        "open_files",
    } <= checks.keys()
    assert checks["venue:binance_spot"]["state"] == "warn"
    assert all(check.keys() == {"name", "state", "fact", "fix"} for check in found["checks"])
    assert all(bool(check["fix"]) == (check["state"] != "ok") for check in found["checks"])
    assert code == (0 if found["ok"] else 1)
    assert call(capsys, "doctor", "--strict", "--config", "conf")[0] == 1
    (place / "conf" / "kafka_config.yaml").write_text("brokerz: x\n")
    found = json.loads(call(capsys, "doctor", "--json", "--config", "conf")[1])
    assert [c["state"] for c in found["checks"] if c["name"] == "config"] == ["fail"]


RAISED: list[tuple[BaseException, int, str]] = [
    (errors.TickerError("no"), 1, "no"),
    (errors.NotFoundError("x: none"), 3, "x: none"),
    (errors.ConfigError(["a.yaml:1 k: bad", "a.yaml:2 l: bad"]), 4, "a.yaml:1 k: bad\na.yaml:2 l: bad"),
    (errors.DeadlineError("late"), 5, "late"),
    (errors.UnsoundDataError("torn"), 6, "torn"),
    (FileNotFoundError(2, "No such file or directory", "/x"), 3, "/x: No such file or directory"),
    (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (BrokenPipeError(), 0, ""),
]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("error", "code", "line"), RAISED, ids=lambda part: type(part).__name__)
def test_every_error_has_its_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr("tickerml.sources.catalog.catalog", broken)
    monkeypatch.setattr("sys.stdout", sys.stdout)
    got, out, err = call(capsys, "data", "list")
    assert (got, out, err.strip()) == (code, "", line)


def test_every_error_of_the_tree_was_raised_here() -> None:
    assert {getattr(errors, name) for name in errors.__all__} <= {type(error) for error, _, _ in RAISED}


def test_a_defect_is_one_line_unless_debugging(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("tickerml.sources.catalog.catalog", broken)
    code, _, err = call(capsys, "data", "list")
    assert (code, err.count("\n")) == (1, 1)
    assert "boom" in err
    monkeypatch.setenv("TICKERML_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["data", "list"])


def test_a_panic_of_the_rust_side_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def broken(_: object) -> None:
        raise panic("attempt to add with overflow")

    monkeypatch.setattr("tickerml.sources.catalog.catalog", broken)
    code, out, err = call(capsys, "data", "list")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "attempt to add with overflow (a defect of tickerml" in err
    monkeypatch.setenv("TICKERML_DEBUG", "1")
    with pytest.raises(panic):
        main(["data", "list"])


def test_what_cannot_be_read_is_listed_all_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = "20240808T235415Z-0001"
    for folder in ("tapes", "runs"):
        (place / "data" / folder / run).mkdir(parents=True)
    (place / "data" / "tapes" / run / "0000-000000.tape").symlink_to("nowhere")
    (place / "data" / "runs" / run / "ledger.sqlite").symlink_to("nowhere")
    info = place / "data" / "runs" / run / "run.json"
    info.write_text("{")
    (row,) = call_json(capsys, "data", "list", "--json")["runs"]
    assert (row["run"], row["state"], row["disk_bytes"]) == (run, "unreadable", 1)
    code, out, _ = call(capsys, "data", "list")
    assert (code, str(info) in out) == (0, True)
    code, _, err = call(capsys, "collect", "--resume", run)
    assert (code, err.count("\n")) == (6, 1)
    assert str(info) in err


def test_a_data_folder_that_is_a_file_is_a_usage_mistake(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "file").write_text("")
    for words in (("data", "list"), ("data", "verify", "x"), ("run", "--demo")):
        code, _, err = call(capsys, *words, "--data", "file")
        assert (code, err.count("\n")) == (2, 1)
        assert "file" in err


SIGNALS = """
import os, signal, sys, threading
from tickerml.signals import Stopping
done = threading.Event()
with Stopping(lambda name: (print(name, flush=True), sys.argv[1] == "drain" and done.set())) as stopping:
    os.kill(os.getpid(), signal.SIGTERM)
    stopping.asked.wait(30)
    if sys.argv[1] == "twice":
        os.kill(os.getpid(), signal.SIGINT)
    done.wait(30)
print("drained")
"""


@pytest.mark.parametrize(("how", "code", "out"), [("drain", 0, "SIGTERM\ndrained\n"), ("twice", 130, "SIGTERM\n")])
def test_one_signal_drains_and_a_second_leaves(how: str, code: int, out: str) -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALS, how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, out), done.stderr
    assert signal.getsignal(signal.SIGINT) is not None


def test_a_flag_is_named_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (("--policy", "nope"), "--policy: 'nope' does"), (("--set", "step_ms=x"), "--set step_ms: 'x' does not"),
        (("--policy", "grid", "--set", "qty=x"), "--set qty: 'x'"),
    ):  # fmt: skip
        code, _, err = call(capsys, "run", "--demo", *words)
        assert (code, err.startswith(said), err.count("\n")) == (4, True, 1), err
