"""Fuzzing of decoders and tape (issue 3, row 9): each target for `FUZZ_SECONDS` (default 600) with libFuzzer.

Needs a nightly toolchain and a C++ compiler; cargo-fuzz is installed where it is absent. The corpora stay in
`fuzz/corpus`, so a later run goes on where this one ended; a finding stays in `fuzz/artifacts`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent.parent / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))
LEN_MAX = 4096
"""Longest input in bytes: a long one is slow and holds nothing that a short one does not."""

TARGETS = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


@pytest.fixture(scope="module")
def cargo_fuzz() -> list[str]:
    """Give the command, installed if it must be; its absence is a failure, for a soak that checks nothing is none."""
    cargo = shutil.which("cargo")
    assert cargo, "cargo is not on the PATH"
    if not shutil.which("cargo-fuzz"):
        subprocess.run([cargo, "install", "cargo-fuzz", "--locked"], check=True)
    return [cargo, "+nightly", "fuzz", "run"]


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_fuzzing_finds_no_difference(target: str, cargo_fuzz: list[str]) -> None:
    corpus = FUZZ / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={SECONDS}", f"-max_len={LEN_MAX}", "-print_final_stats=1"]
    done = subprocess.run(
        [*cargo_fuzz, target, str(corpus), str(FUZZ / "seeds" / target), "--", *limits],
        cwd=FUZZ.parent,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    tail = "\n".join(lines[-30:])
    assert done.returncode == 0, tail
    print(f"\n{target}:", *[line for line in lines if "DONE" in line or "number_of_executed_units" in line], sep="\n  ")
    executed = [int(line.split()[-1]) for line in lines if "number_of_executed_units" in line]
    assert executed, tail
    assert executed[0] > SECONDS, f"{target} hardly ran: {executed[0]} executions in {SECONDS} s"


def test_every_target_has_seeds() -> None:
    """A target without seeds would start from nothing, and `cargo test` would not know of it."""
    assert {path.name for path in (FUZZ / "seeds").iterdir()} == set(TARGETS)
    assert len(TARGETS) >= 5
