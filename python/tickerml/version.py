"""The version of the code that decides: what a run is pinned to (rules.md 3)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["DECIDING", "code_version"]

DECIDING: Final = (
    "engine.py", "trader.py", "runner.py", "live.py", "schema.py", "profiles.py", "carry.py", "checkpoint.py",
    "cost.py", "config/build.py", "sources/recorded.py", "sources/latency_file.py", "policy", "portfolio", "risk",
    "sinks",
)  # fmt: skip
"""Modules of this package whose change may change a decision, a row of the ledger, or what either rests on: the parts
and how they are put together, live and recorded, the account handed on, and what configuration becomes on its way into
the engine and onto the tape. What the configuration says is in its hash.
"""

DIGITS: Final = 12


@cache
def code_version(package: Path = Path(__file__).parent) -> str:
    """Version and 12 digits of a hash: of the Rust sources as they were built, and of the Python that decides."""
    from tickerml import _native

    version, _, built = _native.CODE_VERSION.partition("+")
    found = bytearray(built.encode())
    for path in _sources(package):
        text = path.read_bytes()
        found += f"{path.relative_to(package).as_posix()}\0{len(text)}\0".encode() + text
    return f"{version}+{_native.sha256_hex(bytes(found))[:DIGITS]}"


def _sources(package: Path) -> list[Path]:
    names = [package / name for name in DECIDING]
    return sorted(file for name in names for file in (name.rglob("*.py") if name.is_dir() else [name]))
