"""What a live run shows: a table that is redrawn on a terminal, a line every few seconds elsewhere. It shows what is
happening now, not yet what is durable, and it changes no decision.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickerml.layout import flow
from tickerml.schema import LIVE, STATES, UNDEF_I64, InstrumentInfo, Intent, Refused, View, decimal_text

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Latest", "Screen", "rows", "status_line"]

MONEY_PLACES = 10**16
"""Money is shown to the cent."""


ERROR_CHARS_MAX = 120
"""Of an error in the status line: what and where; the whole of it ends the run or is on the tape."""


BORDER, GAP = 1, 2
"""Characters that the table's frame takes, and that stand between two columns."""


class Latest:
    """A sink that remembers the last step for the screen and passes everything on."""

    def __init__(self) -> None:
        self._inner: Any = None
        self.view: View | None = None
        self.portfolio: Any = None

    def over(self, inner: Any) -> Latest:
        """Itself, in front of another sink."""
        self._inner = inner
        return self

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Remembers and passes on."""
        self.view, self.portfolio = view, portfolio
        self._inner.write(view, approved, refused, portfolio)

    def close(self) -> None:
        """Closes what is behind."""
        self._inner.close()


class Screen:
    """Draws from a thread of its own until it is left.

    Parameters
    ----------
    draw : gives what there is to show: (rows, status line, title); called from the screen's thread.
    refresh_hz : how often on a terminal.
    interval_s : seconds between lines elsewhere.
    """

    def __init__(
        self, draw: Callable[[], tuple[list[list[str]], str, str]], *, refresh_hz: int, interval_s: int, color: bool
    ) -> None:
        self._draw = draw
        self._color = color
        self._terminal = sys.stderr.isatty()
        self._wait_s = 1 / refresh_hz if self._terminal else float(interval_s)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="screen", daemon=True)

    def __enter__(self) -> Screen:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.set()
        self._thread.join()

    def _work(self) -> None:
        if self._terminal:
            self._redraw()
            return
        while not self._left.wait(self._wait_s):
            print(self._draw()[1], file=sys.stderr, flush=True)

    def _redraw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, no_color=not self._color)
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while not self._left.wait(self._wait_s):
                live.update(_table(*self._draw(), console.width), refresh=True)


def rows(view: View | None, instruments: Sequence[InstrumentInfo], portfolio: Any) -> list[list[str]]:
    """One row an instrument: name, state, bid, ask, spread, age, position."""
    if view is None:
        return [[info.id, "waiting", "", "", "", "", ""] for info in instruments]
    return [_row(i, info, view, portfolio) for i, info in enumerate(instruments)]


def _row(i: int, info: InstrumentInfo, view: View, portfolio: Any) -> list[str]:
    bid, ask = int(view.book_px[i, 0, 0]), int(view.book_px[i, 1, 0])
    state = int(view.state[i])
    known = state == LIVE and UNDEF_I64 not in (bid, ask)
    px = info.price_precision
    return [
        info.id,
        STATES[state],
        decimal_text(bid, px) if known else "",
        decimal_text(ask, px) if known else "",
        f"{(ask - bid) / (ask + bid) * 2e4:.2f} bps" if known else "",
        f"{int(view.age_ns[i]) / 1e6:.0f} ms" if int(view.age_ns[i]) >= 0 else "",
        decimal_text(portfolio.positions[i], info.qty_precision),
    ]


def status_line(stats: Mapping[str, Any], view: View | None, portfolio: Any, counts: Mapping[str, int]) -> str:
    """Everything that matters in one line."""
    parts = [
        f"{datetime.now(UTC):%H:%M:%S}",
        f"frames {stats.get('frames', 0)} ({stats.get('frames_per_s', 0.0):.0f}/s)",
        f"gaps {stats.get('gaps', 0)}",
        f"reconnects {stats.get('reconnects', 0)}",
        f"tape lag {stats.get('tape_lag', 0)}",
    ]
    if view is not None:
        live = view.state.tolist().count(LIVE)
        pnl = decimal_text((portfolio.equity_e18 - portfolio.start_e18) // MONEY_PLACES, 2)
        parts[1:1] = [f"live {live}/{len(view.state)}", f"P&L {pnl}"]
        parts += [f"{name} {number}" for name, number in counts.items()]
    if errors := stats.get("errors"):
        parts.append(f"errors {stats.get('error_count', len(errors))}, the last: {_short(errors[-1])}")
    return "  ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= ERROR_CHARS_MAX else text[: ERROR_CHARS_MAX - 3] + "..."


COLUMNS = ("instrument", "book", "bid", "ask", "spread", "age", "position")
LEFT_OUT = ("age", "spread", "ask", "bid", "position")
"""What a narrow terminal goes without, the least missed first."""


def shown_columns(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns of a table that fit side by side, by their places; instrument and state of the book always stay."""
    widths = {name: max([len(name), *(len(line[n]) for line in lines)]) + GAP for n, name in enumerate(COLUMNS)}
    for name in LEFT_OUT:
        if sum(widths.values()) <= width:
            break
        del widths[name]
    return [COLUMNS.index(name) for name in widths]


def _table(lines: list[list[str]], status: str, title: str, width: int) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = shown_columns(lines, width - BORDER)
    for name in (COLUMNS[n] for n in shown):
        table.add_column(name, justify="left" if name in ("instrument", "book") else "right", overflow="fold")
    for line in lines:
        style = "green" if line[1] == STATES[LIVE] else "yellow"
        table.add_row(*(Text(line[n], style=style if n == 1 else "") for n in shown))
    return Group(table, Text(flow(status, width, gap="  ")), "Ctrl-C drains and stops")
