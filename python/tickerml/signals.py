"""The first SIGINT or SIGTERM asks to drain; a second one leaves at once with 130 or 143 (contract.md)."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["Stopping"]

HEARD = (signal.SIGINT, signal.SIGTERM)


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
        self._old = [signal.getsignal(number) for number in HEARD]
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)

    def __enter__(self) -> "Stopping":
        for number in HEARD:
            signal.signal(number, lambda *_: None)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._old_fd)
        for number, old in zip(HEARD, self._old, strict=True):
            signal.signal(number, old)
        self._write.close()
        self._thread.join()
        self._read.close()

    def _listen(self) -> None:
        """The wake-up socket carries one byte a signal, written by the C handler itself; its end ends the thread."""
        while byte := self._read.recv(1):
            if byte[0] not in HEARD:
                continue
            if self.asked.is_set():
                os._exit(128 + byte[0])
            self.asked.set()
            self._on_stop(signal.Signals(byte[0]).name)
