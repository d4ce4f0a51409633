"""The first SIGINT, SIGTERM or SIGHUP asks to drain; a SIGINT or SIGTERM after it leaves at once with 130 or 143
(contract.md). A terminal that is closed sends several SIGHUP, one itself and one through its shell: they are one.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["HEARD", "Stopping"]

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OUTPUTS = (1, 2)
"""stdout and stderr."""


class Stopping:
    """While entered, signals are ours; the interpreter hears them even when the main thread waits inside Rust.

    Parameters
    ----------
    on_stop : called once, with the name of the first signal, from a thread of its own.

    Attributes
    ----------
    asked : set when the first signal came.
    """

    def __init__(self, on_stop: Callable[[str], None]) -> None:
        self.asked = threading.Event()
        self._on_stop = on_stop
        # Under `nohup` a hang-up means nothing.
        self._old = {
            n: signal.getsignal(n) for n in HEARD if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN
        }
        self._terminals = [fd for fd in OUTPUTS if os.isatty(fd)]
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)

    def __enter__(self) -> "Stopping":
        for number in self._old:
            signal.signal(number, lambda *_: None)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._old_fd)
        for number, old in self._old.items():
            signal.signal(number, old)
        self._write.close()
        self._thread.join()
        self._read.close()

    def _listen(self) -> None:
        """The wake-up socket carries one byte a signal, written by the C handler itself; its end ends the thread."""
        while byte := self._read.recv(1):
            if byte[0] not in self._old:
                continue
            if byte[0] == signal.SIGHUP:
                self._leave_terminal()
            if self.asked.is_set():
                if byte[0] == signal.SIGHUP:
                    continue
                os._exit(128 + byte[0])
            self.asked.set()
            self._on_stop(signal.Signals(byte[0]).name)

    def _leave_terminal(self) -> None:
        """What is still said goes nowhere once the terminal is gone: writing to it would fail and be taken for a
        failure of the run.
        """
        for fd in [fd for fd in self._terminals if not os.isatty(fd)]:
            self._terminals.remove(fd)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, fd)
            os.close(nowhere)
