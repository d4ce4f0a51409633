"""The ledger: orders, fills, refusals, portfolio and gaps of a run, in SQLite (rules.md 8).

A row leaves the process only when the tape record that it rests on is durable: `gate_pos` is the last record consumed
when it was made, and it is committed when the durable mark reaches it. Rows and cursor go in one transaction, at most
one a second. A restart folds the tape again and meets its own rows: an equal one is skipped, a different or missing
one stops the run.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

from tickerml import cost
from tickerml.errors import TickerError, UnsoundDataError
from tickerml.schema import (
    INTENT_KINDS,
    MARK_PRECISION,
    RATE_PRECISION,
    InstrumentInfo,
    Intent,
    Refused,
    View,
    decimal_text,
    order_ids,
)
from tickerml.sinks.base import TIMED_NS, sent_with
from tickerml.sinks.store import Step, Store, disk_full

QUEUE_MAX: Final = 4096
"""Steps between the engine and the ledger's thread; when it is full the engine waits: time is the tape's."""

PENDING_MAX: Final = 65_536
"""Steps that may wait for the durable mark; beyond it the thread takes no more, so the queue fills and the engine
waits.
"""

POLL_S: Final = 0.05
"""How often the thread looks at the durable mark when it can do nothing else: another thread moves it and tells
nobody.
"""


class Close(NamedTuple):
    """The end of the queue."""

    deadline: float


class Ledger:
    """A sink that writes `ledger.sqlite` of a run in a thread of its own.

    Parameters
    ----------
    path : the file; it is made when it is not there.
    run : name of the run.
    instruments : the session's, in its order.
    durable_pos : the tape's durable mark: the last record that is on disk. Called from the ledger's thread.
    gauge : how fills are judged.
    first_view : the first view that this process will make: 0, or the one after a checkpoint.
    interval_s : least time between two commits.
    mark_moves : whether the durable mark may still move: false when recording has failed, and nobody waits for it then.

    Attributes
    ----------
    committed_pos, committed_view : the cursor on disk; a checkpoint waits for it. -1 before the first commit.
    account : gives the account at a view as text, where a later run may go on from it; kept with each portfolio row.
    """

    def __init__(
        self,
        path: Path,
        run: str,
        instruments: Sequence[InstrumentInfo],
        durable_pos: Callable[[], int],
        *,
        gauge: cost.Gauge = cost.USUAL,
        first_view: int = 0,
        interval_s: float = 1.0,
        mark_moves: Callable[[], bool] = lambda: True,
    ) -> None:
        self.account: Callable[[View], str] | None = None
        self._infos = tuple(instruments)
        self._gauge = gauge
        self._durable_pos = durable_pos
        self._interval_s = interval_s
        self._mark_moves = mark_moves
        self._queue: Queue[Step | Close] = Queue(QUEUE_MAX)
        self._error: BaseException | None = None
        self._full: sqlite3.Error | None = None
        self._spans: dict[tuple[int, int], list[Any]] = {}
        self._version = -1
        self._bucket = -1
        self._closed = self._ended = False
        self._store = Store(path, run, first_view)
        self.committed_view, self.committed_pos = self._store.cursor
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    # ---- engine's thread -----------------------------------------------------------------------------------------

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Takes one step's rows. Raises what went wrong in the ledger's thread."""
        self._raise()
        rows = [*self._orders(view, approved), *self._fills(view), *self._funding(view), *self._gaps(view)]
        rows += self._refusals(view, refused)
        changed = list(self._portfolio(view, portfolio))
        rows += changed
        if rows:
            account = self.account(view) if changed and self.account else ""
            self._queue.put(Step(view.index, view.pos, view.ts_ns, rows, account))

    def mark(self, view: View) -> None:
        """Moves the cursor to this view when it is durable, rows or none: what a checkpoint at this view waits for."""
        self._raise()
        self._queue.put(Step(view.index, view.pos, view.ts_ns, []))

    def close(self, deadline_s: float = 30.0) -> None:
        """Commits what the durable mark allows, waiting for it until the deadline; the rest is made again by a
        restart.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(Close(monotonic() + deadline_s))
            self._thread.join()
        self._raise()

    def state(self) -> bytes:
        """What a checkpoint must keep: open refusal spans and what the last portfolio row was made for."""
        spans = [[*key, *span] for key, span in sorted(self._spans.items())]
        return json.dumps([self._version, self._bucket, spans], separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Takes back what `state` gave."""
        self._version, self._bucket, spans = json.loads(state)
        self._spans = {(span[0], span[1]): span[2:] for span in spans}

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _orders(self, view: View, approved: Sequence[Intent]) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        n = -1
        for report in view.reports:
            n += 1
            yield "orders", n, (
                report.cause_pos, view.pos, report.ts_ns, report.kind, report.order_id, report.tag,
                *self._what(report.instrument, report.side, report.px, report.qty),
                self._qty(report.instrument, report.leaves), report.reason,
            )  # fmt: skip
        for intent, order_id in zip(approved, order_ids(approved), strict=True):
            n += 1
            yield "orders", n, (
                view.pos, view.pos, view.ts_ns, "sent_" + INTENT_KINDS[intent.kind], order_id, intent.tag,
                *self._what(intent.instrument, intent.side, intent.px, intent.qty),
                self._qty(intent.instrument, intent.qty), sent_with(intent),
            )  # fmt: skip

    def _fills(self, view: View) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        for n, fill in enumerate(view.fills):
            info = self._infos[fill.instrument]
            yield "fills", n, (
                fill.cause_pos, view.pos, fill.ts_event_ns, fill.ts_recv_ns, fill.order_id, fill.tag,
                *self._what(fill.instrument, fill.side, fill.px, fill.qty), int(fill.maker),
                decimal_text(cost.fee_quote_e18(fill, info), 18), self._qty(fill.instrument, fill.ahead_qty),
                *cost.measure(fill, info, self._gauge), *cost.fee_taken(fill, info),
            )  # fmt: skip

    def _funding(self, view: View) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        for n, one in enumerate(view.funding):
            rate = None if one.rate_e12 is None else decimal_text(one.rate_e12, RATE_PRECISION)
            mark = decimal_text(one.mark_e8, MARK_PRECISION) if one.mark_e8 else None
            what = (self._infos[one.instrument].id, self._qty(one.instrument, one.qty), mark, rate)
            yield "funding", n, (view.pos, view.pos, one.ts_ns, *what, int(one.correction))

    def _gaps(self, view: View) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        for n, gap in enumerate(view.gaps):
            name = self._infos[gap.instrument].id
            yield "gaps", n, (view.pos, view.pos, name, gap.from_ts_ns, gap.to_ts_ns, gap.cause)

    def _refusals(self, view: View, refused: Sequence[Refused]) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        """A row when (instrument, side) is refused for another reason than before, and the count when that ends."""
        n = -1
        for (i, side), reason, detail in ((r.intent[1:3], str(r.reason), r.detail) for r in refused):
            span = self._spans.get((i, side))
            if span is not None and span[0] == reason:
                span[1] += 1
                continue
            if span is not None:
                n += 1
                yield "refusals", n, self._refusal(view, i, side, (span[0], "until here", span[1]))
            self._spans[i, side] = [reason, 1]
            n += 1
            yield "refusals", n, self._refusal(view, i, side, (reason, detail, 1))
        if view.cause == "stop":
            for (i, side), span in sorted(self._spans.items()):
                n += 1
                yield "refusals", n, self._refusal(view, i, side, (span[0], "until here", span[1]))
            self._spans.clear()

    def _refusal(self, view: View, i: int, side: int, what: tuple[str, str, int]) -> tuple[Any, ...]:
        known = 0 <= i < len(self._infos)
        return (view.pos, view.pos, view.ts_ns, self._infos[i].id if known else f"#{i}", side, *what)

    def _portfolio(self, view: View, portfolio: Any) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
        """A row on a fill or a settlement, every 60 s of tape time, and at the end."""
        bucket = view.ts_ns // TIMED_NS
        if portfolio.version == self._version and bucket == self._bucket and view.cause != "stop":
            return
        self._version, self._bucket = portfolio.version, bucket
        shot = portfolio.snapshot(view)
        cash = {currency: decimal_text(amount, 18) for currency, amount in shot.cash_e18.items()}
        held = {info.id: self._qty(i, shot.positions[i]) for i, info in enumerate(self._infos) if shot.positions[i]}
        money = (shot.equity_e18, shot.pnl_e18, shot.realised_e18, shot.fees_e18, shot.funding_e18)
        yield "portfolio", 0, (
            view.pos, view.pos, view.ts_ns, *(decimal_text(amount, 18) for amount in money),
            shot.drawdown_frac, shot.max_drawdown_frac, json.dumps(cash), json.dumps(held),
        )  # fmt: skip

    def _what(self, i: int, side: int, px: int, qty: int) -> tuple[str, int, str, str]:
        info = self._infos[i]
        return info.id, side, decimal_text(px, info.price_precision), decimal_text(qty, info.qty_precision)

    def _qty(self, i: int, qty: int) -> str:
        return decimal_text(qty, self._infos[i].qty_precision)

    # ---- ledger's thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._loop()
        except sqlite3.IntegrityError as error:
            self._fail(UnsoundDataError(f"ledger: a row is there already: {error}"))
        except sqlite3.Error as error:
            what = "disk full; free some space, then the same command goes on" if disk_full(error) else error
            self._fail(TickerError(f"ledger: {what}"))
        except BaseException as error:
            self._fail(error)
        finally:
            self._store.close()

    def _loop(self) -> None:
        pending: list[Step] = []
        due = monotonic() + self._interval_s
        while True:
            item = self._next(pending, due)
            if isinstance(item, Close):
                self._ended = True
                self._finish(pending, item.deadline)
                return
            if item is not None:
                pending.append(item)
            if pending and monotonic() >= due:
                self._commit(pending)
                due = monotonic() + self._interval_s

    def _next(self, pending: list[Step], due: float) -> Step | Close | None:
        """The next item; None when a commit is due or too much waits for the durable mark."""
        if not pending:
            return self._queue.get()
        wait = max(due - monotonic(), 0.0)
        if len(pending) >= PENDING_MAX:
            sleep(wait or POLL_S)
            return None
        try:
            return self._queue.get(timeout=wait) if wait else self._queue.get_nowait()
        except Empty:
            return None

    def _finish(self, pending: list[Step], deadline: float) -> None:
        while True:
            self._commit(pending)
            if self._full:
                raise self._full
            if not pending or monotonic() >= deadline or not self._mark_moves():
                self._store.check_all_met(self._store.last_view)
                return
            sleep(POLL_S)

    def _commit(self, pending: list[Step]) -> None:
        mark = self._durable_pos()
        count = next((k for k, step in enumerate(pending) if step.gate_pos > mark), len(pending))
        if not count:
            return
        try:
            self._store.commit(pending[:count])
        except sqlite3.OperationalError as error:
            if not disk_full(error):
                raise
            self._full = error  # the rows wait: the tape has stopped for the same reason and goes on with room
            return
        self._full = None
        del pending[:count]
        self.committed_view, self.committed_pos = self._store.cursor

    def _fail(self, error: BaseException) -> None:
        """Keeps the error for the engine, then takes and drops: the engine meets it at its next write, not a full
        queue.
        """
        self._error = error
        while not self._ended:
            self._ended = isinstance(self._queue.get(), Close)
