"""Work spread over processes that are forked off: they share what was in memory before, and send back small results.

Forking, not spawning, because the events are there once and never change: the workers read the same pages. Nothing that
holds a thread or a lock may be in use at that moment, so the pool is made before any bar, screen or signal thread.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Final, NamedTuple

from tickerml import progress
from tickerml.errors import ConfigError, DeadlineError, NotFoundError, TickerError, UnsoundDataError
from tickerml.signals import HEARD, Stopping

__all__ = ["Done", "Pool", "Spread", "Tell", "cores", "spread"]

Tell = Callable[[float], None]
"""Takes how much of a task is done, 0 to 1."""

LINE_S: Final = 5.0
"""Time between two lines of progress where no bar is drawn."""


class Done:
    """A sink that tells how far through the events a session is; asked when something happens and once a minute of
    tape time.
    """

    def __init__(self, span: tuple[int, int], tell: Tell) -> None:
        self._first_ns, self._long_ns = span[0], max(span[1] - span[0], 1)
        self._tell = tell

    def write(self, view: Any, *_: Any) -> None:
        """Tells."""
        self._tell((view.ts_ns - self._first_ns) / self._long_ns)

    def close(self) -> None:
        """Nothing to close."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Spread(NamedTuple):
    """How spread work ended: the results by task, the error that ended it and its task, and whether a signal did."""

    results: dict[int, Any]
    error: TickerError | None
    failed: int
    stopped: bool


def spread(work: Callable[[int, Tell], Any], count: int, workers: int, *, what: str, quiet: bool) -> Spread:
    """Runs tasks 0 to `count` in workers, with a bar on a terminal and a line every few seconds elsewhere.

    The first signal, or the first task that fails, ends what is under way; the results until then are kept.

    Parameters
    ----------
    what : what the tasks are, for people: "settings".
    """
    results: dict[int, Any] = {}
    error = None
    with Pool(work, min(workers, count)) as pool, Stopping(lambda _: pool.stop()):

        def done() -> float:
            return (pool.finished + pool.running()) / count

        bar = nullcontext() if quiet or not progress.shown() else progress.bar(f"{count} {what}", done)
        say = _lines(pool, f"{count} {what}", done) if not quiet and not progress.shown() else lambda: None
        with bar:
            try:
                for task, result in pool.results(range(count), LINE_S, say):
                    results[task] = result
            except TickerError as raised:
                error = raised
        return Spread(results, error, pool.failed, pool.stopped)


def _lines(pool: Pool, what: str, done: Callable[[], float]) -> Callable[[], None]:
    """A line of progress on stderr, every few seconds at most."""
    begin = last = time.monotonic()

    def say() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_S:
            return
        last, part = now, done()
        left = f", {(now - begin) * (1 - part) / part:.0f} s left" if part > 0 else ""
        print(f"{pool.finished} of {what}, {part * 100:.0f} %{left}", file=sys.stderr, flush=True)

    return say


class _Failed(NamedTuple):
    """What went wrong with a task."""

    exit_code: int
    text: str


@dataclass
class _Worker:
    """One process: our end of its pipe, and its task."""

    process: Any
    ours: Connection
    task: int | None = None


class Pool:
    """Workers that wait for tasks; a context that leaves none behind.

    Parameters
    ----------
    work : called in a worker with a task's number and what takes its progress; its result is pickled.
    workers : how many processes.

    Attributes
    ----------
    finished : tasks that are done.
    failed : the task that failed; -1 for none.
    stopped : whether `stop` was called.
    """

    def __init__(self, work: Callable[[int, Tell], Any], workers: int) -> None:
        self.finished, self.failed = 0, -1
        self.stopped = False
        self._work = work
        self._shared = mmap.mmap(-1, 8 * workers)
        self._done = memoryview(self._shared).cast("d")
        self._wake_read, self._wake_write = os.pipe()
        self._workers: list[_Worker] = []
        # A signal that comes between a fork and the worker's own handlers waits for these.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            for n in range(workers):
                self._fork(n)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.ours.close()
            if worker.task is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.process.close()
        for end in (self._wake_read, self._wake_write):
            os.close(end)
        self._done.release()
        self._shared.close()

    def stop(self) -> None:
        """No task is handed out any more and none is waited for; from any thread."""
        self.stopped = True
        os.write(self._wake_write, b"x")

    def running(self) -> float:
        """How much of the tasks that are under way is done, in tasks."""
        return sum(self._done[n] for n, worker in enumerate(self._workers) if worker.task is not None)

    def results(self, tasks: Iterable[int], tick_s: float, on_tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Each task and its result, in the order in which they end.

        Parameters
        ----------
        on_tick : called every `tick_s` or earlier.

        Raises
        ------
        TickerError
            Of the first task that failed, with its exit code; what has ended before has been given.
        """
        left = deque(tasks)
        for n, worker in enumerate(self._workers):
            self._hand(n, worker, left)
        while not self.stopped and (busy := [w for w in self._workers if w.task is not None]):
            ready = wait([self._wake_read, *(worker.ours for worker in busy)], tick_s)
            for n, worker in enumerate(self._workers):
                if worker.ours in ready and worker.task is not None:
                    task, worker.task = worker.task, None
                    value = self._take(worker, task)
                    self.finished += 1
                    self._hand(n, worker, left)
                    yield task, value
            on_tick()

    def _hand(self, n: int, worker: _Worker, left: deque[int]) -> None:
        if not left or self.stopped:
            return
        self._done[n] = 0.0
        worker.task = left.popleft()
        worker.ours.send(worker.task)

    def _take(self, worker: _Worker, task: int) -> Any:
        try:
            value = worker.ours.recv()
        except EOFError:
            self.failed = task
            worker.process.join()
            code = worker.process.exitcode
            how = f"was killed by signal {-code} (is memory full?)" if code < 0 else f"ended with {code}"
            raise TickerError(f"its worker {how}") from None
        if isinstance(value, _Failed):
            self.failed = task
            kinds = {kind.exit_code: kind for kind in (NotFoundError, DeadlineError, UnsoundDataError)}
            if value.exit_code == ConfigError.exit_code:
                raise ConfigError(value.text.splitlines())
            raise kinds.get(value.exit_code, TickerError)(value.text)
        return value

    def _fork(self, n: int) -> None:
        ours, theirs = get_context("fork").Pipe()
        args = (n, theirs, [ours, *(worker.ours for worker in self._workers)], os.getpid())
        process = get_context("fork").Process(target=self._serve, args=args, daemon=True)
        with warnings.catch_warnings():
            # NumPy's BLAS may keep threads from its import on (the command line asks for none): no worker calls it.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    # ---- in a worker ---------------------------------------------------------------------------------------------

    def _serve(self, n: int, pipe: Connection, others: list[Connection], parent: int) -> None:
        """Takes tasks until the parent's end of the pipe is closed. What a terminal sends to all of its group (Ctrl-C,
        a hang-up) is the parent's alone.
        """
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        for end in others:
            end.close()

        def tell(done: float) -> None:
            self._done[n] = done
            if os.getppid() != parent:
                os._exit(1)  # nobody waits for the result

        try:
            while True:
                pipe.send(self._answer(pipe.recv(), tell))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return

    def _answer(self, task: int, tell: Tell) -> Any:
        try:
            return self._work(task, tell)
        except Exception as error:
            if os.environ.get("TICKERML_DEBUG"):
                traceback.print_exc(file=sys.stderr)
            text = str(error) if isinstance(error, TickerError) else f"{type(error).__name__}: {error}"
            return _Failed(int(getattr(error, "exit_code", 1)), text)
