"""The code version changes with the code that decides, and with nothing else."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from tickerml.version import DECIDING, code_version

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "tickerml"


def test_the_native_version_is_the_hash_of_its_sources() -> None:
    """The rule of build.rs, from its description alone. It fails where the module was not built since a change."""
    files = [ROOT / "Cargo.lock", *ROOT.glob("crates/*/src/**/*.rs")]
    found = hashlib.sha256()
    for name, path in sorted((file.relative_to(ROOT).as_posix(), file) for file in files):
        found.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    assert f"0.1.0+{found.hexdigest()[:12]}" == _native.CODE_VERSION


OTHERS = {
    "__init__.py": "names", "errors.py": "words", "notes.py": "words", "progress.py": "a bar", "layout.py": "lines",
    "screen.py": "the terminal", "signals.py": "STOP is on the tape", "recording.py": "the feed, all on the tape",
    "writing.py": "words", "resume.py": "which run goes on", "ending.py": "words", "summary.py": "words",
    "markout.py": "after the fills",
    "bootstrap.py": "after the fills", "roundtrip.py": "no orders", "execution.py": "measures models",
    "parity": "compares", "sweep": "runs backtests", "pool.py": "processes", "version.py": "this",
    "doctor.py": "this machine", "cli": "options",
    "config": "values, which have their own hash", "sources": "where files and venues are",
}  # fmt: skip
"""What cannot change a decision, and why: a new module must be judged before it goes to either list."""


def test_every_module_was_judged() -> None:
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    known = (*DECIDING, *OTHERS)
    assert [name for name in sorted(found) if not any(name == k or name.startswith(f"{k}/") for k in known)] == []
    assert [name for name in known if not (PACKAGE / name).exists()] == []


def test_each_module_that_decides_changes_the_version_and_no_other_does(tmp_path: Path) -> None:
    copy = tmp_path / "tickerml"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    before = code_version()
    assert re.fullmatch(r"0\.1\.0\+[0-9a-f]{12}", before)
    assert code_version(copy) == before, "where the package lies is of no account"
    (copy / "screen.py").write_text("")
    for name in DECIDING:
        code_version.cache_clear()
        assert code_version(copy) == before
        file = copy / name if name.endswith(".py") else copy / name / "__init__.py"
        text = file.read_text()
        file.write_text(text + "\n# changed\n")
        code_version.cache_clear()
        assert code_version(copy) != before, name
        file.write_text(text)
