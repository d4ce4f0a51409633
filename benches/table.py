"""What a bench prints, and keeps under ``target``."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

__all__ = ["show"]

TARGET = Path(__file__).resolve().parent.parent / "target"


def show(file: str, how: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table and writes it as JSON.

    Parameters
    ----------
    file : name under ``target``.
    how : how it was measured, the line's begin.
    names : of the columns.
    """
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(f"\n{how}; {machine}; load {os.getloadavg()[0]:.1f}\n")
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    TARGET.mkdir(exist_ok=True)
    kept = [dict(zip(names, row, strict=True)) for row in rows]
    (TARGET / file).write_text(json.dumps({"how": how, "machine": machine, "rows": kept}, indent=1) + "\n")
