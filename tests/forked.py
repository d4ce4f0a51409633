"""Commands in children of a process that has loaded what they need: interpreter and numpy start once for all of them.

What depends on how a process starts (hash seeds, signals, terminals, kills) is tested with processes of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Final

__all__ = ["run"]

LOADED: Final = (
    "numpy", "pyarrow.parquet", "yaml", "rich.console", "tickerml.cli.root", "tickerml.config", "tickerml.runner",
)  # fmt: skip
_context = get_context("forkserver")
_context.set_forkserver_preload(list(LOADED))


def run(words: list[str], cwd: Path, environment: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """`tickerml` with these words; what it said and its exit code."""
    with tempfile.TemporaryDirectory() as place:
        said = [Path(place) / name for name in ("stdout", "stderr")]
        process = _context.Process(target=_command, args=(words, cwd, environment, said))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout_s)
        code = process.exitcode
        process.close()
        stdout, stderr = (path.read_text(encoding="utf-8") for path in said)
        return subprocess.CompletedProcess(words, code, stdout, stderr)


def _command(words: list[str], cwd: Path, environment: dict[str, str], said: list[Path]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(said, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["tickerml", *words]
    from tickerml.cli import main

    main()
