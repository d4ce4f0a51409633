"""`tickerml` as processes: run to the end, or kept running and told to stop. Every wait has a deadline."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import forked

COMMAND = [sys.executable, "-c", "from tickerml.cli import main; main()"]
WAIT_S = 120.0
"""Longest wait for anything: the machine may be busy, and no test is about speed."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: nothing of ours but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKERML")}
    return {**kept, "HOME": "/nonexistent", **more}


def tickerml(data: Path, *words: str, code: int = 0, **more: str) -> Any:
    """Runs a command with `--json` in an empty place; gives its object, or its stderr where it must fail."""
    done = run(data, *words, **more)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def run(data: Path, *words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """The same, whatever the exit code; in the data folder, or in another."""
    words = ("--data", str(data), "--json", *words)
    if any(name.startswith("PYTHON") for name in more):
        # That is read when an interpreter starts.
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, check=False, cwd=cwd or data, env=environment(**more),
            timeout=WAIT_S,
        )  # fmt: skip
    return forked.run([*words], cwd or data, environment(**more), WAIT_S)


def import_capture(data: Path, venue: str = "binance_usdm") -> str:
    """Imports the small recording of a venue's DEMOUSDT into a data folder; its run."""
    file = Path(__file__).parent / "data" / f"{venue}_DEMOUSDT.raw.gz"
    made = tickerml(data, "data", "import", "hftbacktest-raw", str(file), "--instrument", f"{venue}:DEMOUSDT")
    return str(made["run"])


class Running:
    """A command that goes on until it is told to stop. Its stderr is read by a thread, so that it never blocks.

    Attributes
    ----------
    process : the process.
    said : lines of stderr so far.
    """

    def __init__(self, command: list[str], cwd: Path, **more: str) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment(**more)
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with contextlib.suppress(ValueError):
            for line in stream:
                self.said.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever went wrong, nothing is left running."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout and not self.process.stdout.closed:
            self._over()

    def line_with(self, word: str) -> str:
        """The next line of stderr that holds `word`."""
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            if word in line:
                return line
        raise AssertionError(f"the command ended without saying {word!r}: {''.join(self.said)}")

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself in that time."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and everything that it left in its pipes is dropped."""
        self.process.kill()
        self._over()

    def stop(self, number: int = signal.SIGTERM, code: int = 0) -> str:
        """A signal, then its stdout."""
        self.process.send_signal(number)
        return self.result(code)

    def result(self, code: int = 0) -> str:
        """Waits for the end; its stdout."""
        out = self._over()
        assert self.process.returncode == code, "".join(self.said)
        return out

    def _over(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out = self.process.stdout.read()
        self.process.wait(timeout=WAIT_S)
        self._reader.join(timeout=WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return out


@contextlib.contextmanager
def serving(place: Path, *words: str) -> Iterator[tuple[Running, str]]:
    """`tickerml venue serve` as a process of its own, and its control URL."""
    with Running([*COMMAND, "venue", "serve", "--json", *words], place) as venue:
        assert venue.process.stdout is not None
        yield venue, json.loads(venue.process.stdout.readline())["control_url"]
