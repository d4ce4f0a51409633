"""A terminal that goes away: SIGHUP, possibly several, and nothing to write to any more. The run ends in order."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import COMMAND, WAIT_S, Running, environment, serving
from tape_reader import STOP, records

pytest.importorskip("tickerml._native", reason="the native module is not built")

SIGNALS = """
import os, signal, sys, threading
from tickerml.signals import Stopping
heard, for_ever = sys.argv[1] == "heard", threading.Event()
with Stopping(lambda name: print(name, flush=True)) as stopping:
    for number in sys.argv[2:]:
        os.kill(os.getpid(), int(number))
        if heard:
            stopping.asked.wait(30)
    if heard and len(sys.argv) > 3 and number != str(int(signal.SIGHUP)):
        for_ever.wait(30)
print("drained")
"""
HUP, INT, TERM = (str(int(n)) for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))


@pytest.mark.parametrize(
    ("sent", "code", "out"),
    [
        ((HUP,), 0, "SIGHUP\ndrained\n"),
        ((HUP, HUP, HUP), 0, "SIGHUP\ndrained\n"),
        ((TERM, HUP), 0, "SIGTERM\ndrained\n"),
        ((HUP, INT), 130, "SIGHUP\n"),
        ((HUP, TERM), 143, "SIGHUP\n"),
    ],
)
def test_hang_ups_drain_and_never_leave_at_once(sent: tuple[str, ...], code: int, out: str) -> None:
    """A shell passes on the hang-up that its job got already: two of them are one."""
    done = subprocess.run([sys.executable, "-c", SIGNALS, "heard", *sent], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, out), done.stderr


def test_nohup_stays_nohup() -> None:
    command = ["nohup", sys.executable, "-c", SIGNALS, "ignored", HUP]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "drained\n"), done.stderr


def on_terminal(place: Path, words: list[str]) -> tuple[int, int]:
    """Starts a command as the leader of a session with a terminal of its own; its process and the terminal's end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        os.execve(sys.executable, [*COMMAND, *words], {**environment(), "TERM": "xterm"})
    return pid, terminal


def exit_code(pid: int) -> int:
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], WAIT_S)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(handle)


def read_until(terminal: int, word: bytes) -> None:
    seen, deadline = b"", time.monotonic() + WAIT_S
    while word not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 65_536)


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_terminal_that_is_closed_ends_the_run_in_order(command: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--speed", "5") as (_, url):
        pid, terminal = on_terminal(tmp_path, ["--data", str(tmp_path), command, "--at", url])
        read_until(terminal, b"Live")
        os.close(terminal)
        assert exit_code(pid) == 0
    (path,) = (tmp_path / "demo" / "runs").glob("*/run.json")
    assert json.loads(path.read_text())["state"] == "ended"
    assert sum(record.kind == STOP for record in records(tmp_path / "demo" / "tapes" / path.parent.name)) == 1


def test_venue_serve_hears_a_hang_up(tmp_path: Path) -> None:
    with serving(tmp_path) as (venue, _):
        assert isinstance(venue, Running)
        venue.stop(signal.SIGHUP)
