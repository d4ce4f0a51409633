"""The parity suite must tell: each of eight mistakes, planted in a copy of the sources, must part from hftbacktest.

Slow: the module is built once for each. `make soak`, or `pytest -s -m soak tests/test_parity_mutants.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")

from parity_rows import USDM_FEED

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "target" / "mutants"
"""Shared by all builds: what the copies depend on is compiled once."""

QUICK_BUILD = {"LTO": "off", "CODEGEN_UNITS": "16", "OPT_LEVEL": "1", "INCREMENTAL": "true", "DEBUG": "false"}
"""The release profile without what only makes it fast: mutants run for seconds, and their builds would take minutes."""

CARGO = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "tickerml-py"]
SUITE = "tests/test_parity_hftbacktest.py"
CASES = (
    "test_a_capture_fills_alike[usdm capture-risk_averse]",
    "test_a_capture_fills_alike[usdm capture-prob_log]",
    "test_a_recording_fills_alike[risk_averse-0]",
    "test_a_recording_fills_alike[prob_log2-140]",
    "test_requests_that_arrive_with_a_row_are_alike[usdm]",
)
SIM, STEPS = "crates/tickerml-core/src/sim", "crates/tickerml-core/src/session/due.rs"


@dataclass(frozen=True)
class Mutant:
    """One mistake: the text that a file must hold exactly once, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str

    def planted(self, text: str) -> str:
        """The file's text with the mistake in it."""
        assert text.count(self.old) == 1, f"{self.file} holds {self.old!r} {text.count(self.old)} times, not once"
        return text.replace(self.old, self.new)


MUTANTS = [
    Mutant(
        "the grid's limit counts open orders",
        "python/tickerml/policy/rules.py",
        "if position >= cap:",
        "if position + sum(order.leaves for order in orders if order.side > 0) >= cap:",
    ),
    Mutant(
        "a request goes before a row of the same time",
        f"{SIM}/stand.rs",
        "if row_ns <= request_ns {",
        "if row_ns < request_ns {",
    ),
    Mutant(
        "more may stand ahead than is displayed",
        f"{SIM}/queue.rs",
        "QueueModel::RiskAverse => place.front.min(now),",
        "QueueModel::RiskAverse => place.front,",
    ),
    Mutant(
        "a decrease forgets what was printed",
        f"{SIM}/queue.rs",
        "place.traded += printed;",
        "let _ = printed;",
    ),
    Mutant(
        "steps are counted from the first row",
        STEPS,
        "over => ts_ns.saturating_add(step - over),",
        "_ => ts_ns,",
    ),
    Mutant(
        "a print that just reaches us fills: >= for >",
        f"{SIM}/queue.rs",
        "if lots > 0.0 {",
        "if lots >= 0.0 {\n            let lots = lots.max(1.0);",
    ),
    Mutant(
        "a best price that goes through us fills nothing",
        f"{SIM}/peer.rs",
        "if self.own[usize::from(side == Side::Sell)].is_reached(side, best) {",
        "if false && best == 0 {",
    ),
    Mutant(
        "rows act in the order of arrival",
        f"{SIM}/sorted.rs",
        "lane.order.sort_by_key(|place| place.0);",
        "let _ = lane;",
    ),
]


class Copy:
    """A copy of the sources that is built and tested with one mistake at a time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.broken: list[str] = []
        """Cases that failed, but not over the fills: they tell nothing about a mutant."""
        for name in ("crates", "python", "config"):
            shutil.copytree(
                ROOT / name, place / name, symlinks=True, ignore=shutil.ignore_patterns("*.so", "__pycache__")
            )
        for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, place / name)

    def plant(self, mutant: Mutant) -> None:
        file = self.place / mutant.file
        file.write_text(mutant.planted(file.read_text()))

    def heal(self, mutant: Mutant) -> None:
        # A new stamp, so that cargo sees it.
        (self.place / mutant.file).write_bytes((ROOT / mutant.file).read_bytes())

    def build(self) -> None:
        profile = {f"CARGO_PROFILE_RELEASE_{key}": value for key, value in QUICK_BUILD.items()}
        where = {"CARGO_TARGET_DIR": str(TARGET), "PYO3_PYTHON": sys.executable}
        subprocess.run(
            [*CARGO, "--features", "pyo3/abi3-py311"], cwd=self.place, env={**os.environ, **profile, **where},
            check=True, capture_output=True, timeout=1800,
        )  # fmt: skip
        shutil.copy(TARGET / "release" / "lib_native.so", self.place / "python" / "tickerml" / "_native.abi3.so")

    def differing(self) -> list[str]:
        """The cases whose fills part from hftbacktest's."""
        self.broken.clear()
        report, env = self.place / "report.xml", {**os.environ, "PYTHONPATH": str(self.place / "python")}
        used = "import tickerml._native as n; print(n.__file__)"
        where = subprocess.run([sys.executable, "-c", used], env=env, check=True, capture_output=True, text=True).stdout
        assert where.startswith(str(self.place)), f"the build to test is at {self.place}, but {where} was imported"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"--junitxml={report}", *(f"{SUITE}::{case}" for case in CASES)],
            cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stdout + done.stderr
        found, cases = [], list(ET.parse(report).iter("testcase"))
        assert len(cases) == len(CASES)
        for case in cases:
            assert case.find("error") is None, done.stdout
            assert case.find("skipped") is None, done.stdout
            if (failure := case.find("failure")) is not None:
                over_fills = "assert Counter(" in failure.get("message", "")
                (found if over_fills else self.broken).append(str(case.get("name")))
        return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    if not all(file.is_file() for file in USDM_FEED.files):
        pytest.skip(f"no recording at {USDM_FEED.files[0]}")
    made = Copy(tmp_path_factory.mktemp("mutants"))
    yield made
    shutil.rmtree(made.place)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_has_its_place(mutant: Mutant) -> None:
    """Where sources move, the mistakes move with them: not only the next soak says so."""
    text = (ROOT / mutant.file).read_text()
    assert mutant.planted(text) != text


@pytest.mark.soak
def test_the_sources_as_they_are_agree(copy: Copy) -> None:
    copy.build()
    assert (copy.differing(), copy.broken) == ([], [])


@pytest.mark.soak
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_mistake_is_found(copy: Copy, mutant: Mutant) -> None:
    copy.plant(mutant)
    try:
        copy.build()
        found = copy.differing()
    finally:
        copy.heal(mutant)
    print(f"\n{mutant.name}: {len(found)} of {len(CASES)} cases differ: {', '.join(found)}")
    assert found, "nothing noticed"
