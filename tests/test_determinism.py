"""One tape, one digest: whatever the batch, the hash seed, the threads beside it, the build, or the way it was read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, environment, tickerml
from fold import fold
from tickerml import config, live, recording, runner
from tickerml.sources.lookup import find_events
from tickerml.sources.tapes import import_files

sys.path.append(str(Path(__file__).parent / "data"))
from make_captures import Market, capture

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
ROOT = HERE.parent
SAME = ("digest", "views", "orders", "fills", "refused", "pnl_quote", "fees_quote", "max_drawdown_frac")
POLICIES = ("hold", "imbalance", "grid")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data folder with a demo that traded, and what it said at its end."""
    data = tmp_path_factory.mktemp("demo")
    result = tickerml(data, "run", "--demo", "--duration", "5s", "--policy", "grid")
    assert result["fills"] > 0
    return data, result


def test_any_batch_and_any_hash_seed_give_the_digest_of_the_run(demo: tuple[Path, dict[str, Any]]) -> None:
    data, result = demo
    for batch, seed in (("1", "0"), ("7", "1"), ("100000", "random")):
        again = tickerml(data, "replay", result["run"], "--batch-events", batch, PYTHONHASHSEED=seed)
        same = ("digest", "views", "orders", "fills", "refused", "pnl_quote", "fees_quote", "funding_quote", "events")
        assert {key: again[key] for key in same} == {key: result[key] for key in same}, (batch, seed)


def test_replays_side_by_side_in_one_process_do_not_meet(
    demo: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Four threads over two data folders, with different batches, so that they take turns at other places."""
    data, result = demo
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(data / "demo", other / "demo")
    found: dict[int, str] = {}

    def work(n: int) -> None:
        tape = (data, other)[n % 2] / "demo" / "tapes" / result["run"]
        found[n] = fold(tape, other / f"{n}.sqlite", batch_events=(1, 13, 1000, 65_536)[n])

    in_threads(partial(work, n) for n in range(4))
    assert found == dict.fromkeys(range(4), result["digest"])


def test_two_live_runs_in_one_process_replay_to_their_own_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two venues, two feeds, two engines in two data folders; signals belong to the main thread and stay out."""
    monkeypatch.setattr(recording, "Stopping", lambda _: nullcontext())
    found: dict[str, dict[str, Any]] = {}

    def work(name: str, seed: int) -> None:
        loaded = config.load(policy="grid", sets=[("seed", str(seed))], environ={}, cwd=tmp_path)
        asked = live.Asked("run", duration_s=3.0, demo=True)
        found[name] = live.run(loaded, tmp_path / name, asked, quiet=True, color=False)

    in_threads(partial(work, name, seed) for seed, name in enumerate(("one", "two")))
    assert found["one"]["digest"] != found["two"]["digest"]
    for name, result in found.items():
        assert result["orders"] > 0
        assert fold(tmp_path / name / "demo" / "tapes" / result["run"], tmp_path / f"{name}.sqlite") == result["digest"]


def in_threads(works: Any) -> None:
    """Runs all of them at once; what one of them raises is raised here."""
    errors: list[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


class Busy(Market):
    """A market whose every diff has a level, so that every frame is rows of an event file."""

    def _churn(self) -> set[tuple[int, int]]:
        changed: set[tuple[int, int]] = set()
        while not changed:
            changed = super()._churn()
        return changed


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
def test_event_files_and_their_tape_give_one_digest(tmp_path: Path, venue: str) -> None:
    """A recording without a restart inside: its events say all that its tape says.

    The digest covers which record a view saw last and how old each connection's last frame was. A frame that makes no
    row (a diff without levels, or one that the splice throws away) is on the tape alone, so this market has none.
    """
    capture(str(tmp_path / "busy"), Busy("DEMOUSDT", venue == "binance_usdm", 5), 400, range(0), (0,))
    file = str(tmp_path / "busy.raw.gz")
    same_by_events(tmp_path, file, f"{venue}:DEMOUSDT", SAME)


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm", "binance_spot_gap", "binance_usdm_gap"])
def test_event_files_and_their_tape_give_the_same_fills(tmp_path: Path, name: str) -> None:
    """Empty diffs, late snapshots and gaps: the digests differ as said above, what is decided and filled does not."""
    venue = name.removesuffix("_gap")
    file = str(HERE / "data" / f"{name}_DEMOUSDT.raw.gz")
    same_by_events(tmp_path, file, f"{venue}:DEMOUSDT", tuple(key for key in SAME if key != "digest"))


def same_by_events(data: Path, file: str, instrument: str, keys: tuple[str, ...]) -> None:
    """Imports, then replays the tape and backtests the event files with every policy."""
    made = import_files(data, "hftbacktest-raw", [Path(file)], instrument, events=True, steps={})
    files, outputs = find_events([made["events"]], data), runner.Outputs()
    load = partial(config.load, environ={}, cwd=data)
    for policy in POLICIES:
        tape = runner.replay(
            Path(made["tape"]), load, policy=policy, sets=(), batch_events=65_536, allow_damage=False, outputs=outputs
        )
        events = runner.backtest(files, load(policy=policy), batch_events=11, outputs=outputs)
        assert {key: events[key] for key in keys} == {key: tape[key] for key in keys}, policy
        assert tape["orders"] > 0 or policy == "hold"


@pytest.mark.soak
def test_a_debug_build_gives_the_same_digest(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The module is built without optimization, with its checks of arithmetic on, beside the one in use.

    It is a soak test because the build takes minutes; `make test` runs the release build alone.
    """
    data, result = demo
    built = {"PYO3_PYTHON": sys.executable, **os.environ}
    words = ["cargo", "build", "--locked", "-p", "tickerml-py", "--features", "pyo3/abi3-py311"]
    subprocess.run(words, cwd=ROOT, env=built, check=True, capture_output=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    package = tmp_path / "tickerml"
    source = Path(str(_native.__file__)).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(target / "debug" / "lib_native.so", package / "_native.abi3.so")
    for batch in ("5", "65536"):
        words = [*COMMAND, "--data", str(data), "--json", "replay", result["run"], "--batch-events", batch]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=data,
                              env=environment(PYTHONPATH=str(tmp_path)))  # fmt: skip
        assert json.loads(done.stdout)["digest"] == result["digest"]
    profile = "from tickerml import _native; print(_native.BUILD_PROFILE, end='')"
    said = subprocess.run([sys.executable, "-c", profile], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env=environment(PYTHONPATH=str(tmp_path)))  # fmt: skip
    assert said.stdout == "debug"
