"""A bar for long work, on a terminal only: elsewhere nothing is drawn and nothing is started."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["bar", "shown"]

REFRESH_S = 0.2


def shown() -> bool:
    """Whether a bar would be drawn."""
    return sys.stderr.isatty()


@contextmanager
def bar(what: str, done_frac: Callable[[], float | None]) -> Iterator[None]:
    """Draws while entered.

    Parameters
    ----------
    what : what goes on, in a few words.
    done_frac : how much of it is done, 0 to 1, or None where that cannot be known; called from the bar's thread.
    """
    if not shown():
        yield
        return
    left = threading.Event()
    thread = threading.Thread(target=_draw, args=(what, done_frac, left), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _draw(what: str, done_frac: Callable[[], float | None], left: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None)
        while not left.wait(REFRESH_S):
            done = done_frac()
            drawn.update(task, total=None if done is None else 1.0, completed=done or 0.0)
