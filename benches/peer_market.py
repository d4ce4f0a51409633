"""A market of any length for the comparison with hftbacktest: seeded, with a book that is never crossed.

It is made a message at a time by compiled Python and handed on as columns of an event file, a part at a time, so that
neither program's memory holds what the making needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["INSTRUMENT", "TICKS", "parts"]

TICKS = 4096
"""Prices that there are, in ticks; the mid begins in the middle and is turned back at the ends."""

INSTRUMENT = "binance_usdm:SYNTHUSDT"
"""Tick 0.1, lot 0.001, as those of BTCUSDT."""

FIRST_NS = 1_700_000_000_000_000_000 - 1_700_000_000_000_000_000 % 86_400_000_000_000
"""A midnight: the longest market that is asked for ends on the same day."""

MESSAGE_NS = 5_000_000
ROWS = 8
"""Level rows of a message: 1,600 a second, as BTCUSDT's (1,290)."""

BASE_NS, SLOW_NS = 5_000_000, 2_000_000
"""One way of the fastest message, and how much longer others take on average."""

PART_MESSAGES = 1 << 17
DEPTH = 200
"""How far from the touch levels change, in ticks."""

BID, ASK, BUY_TRADE, SELL_TRADE, STATE, CLEAR = 1, 2, 3, 4, 5, 6
LAST, SNAPSHOT, DERIVED, ASK_SIDE = 1, 2, 4, 8
LIVE, CAUSE_SNAPSHOT = 3, 4

Columns = dict[str, npt.NDArray[Any]]


def parts(rows: int, seed: int) -> Iterator[Columns]:
    """Columns of event files with at least `rows` rows together."""
    np_random = np.random.default_rng(seed)
    book = np.zeros(TICKS, np.int64)
    middle = TICKS // 2
    for away in range(1, DEPTH + 1):
        # Bids below zero, asks above.
        book[middle - away], book[middle + away] = -100 - 7 * away % 300, 100 + 11 * away % 300
    yield _snapshot(book, middle)
    touch = np.array([middle - 1, middle + 1])
    given, n, last_ns = 0, 0, FIRST_NS + BASE_NS
    while given < rows:
        chance = np_random.integers(0, 1 << 62, (PART_MESSAGES, ROWS + 1))
        room = np.zeros((PART_MESSAGES * (ROWS + 1), 5), np.int64)
        count = _messages(chance, book, touch, room)
        made = room[:count]
        slow = np.minimum(np_random.exponential(SLOW_NS, PART_MESSAGES), 50 * SLOW_NS).astype(np.int64)
        event = FIRST_NS + (n + 1 + np.arange(PART_MESSAGES)) * MESSAGE_NS
        recv = np.maximum.accumulate(np.maximum(event + BASE_NS + np.where(slow % 16 == 0, 0, slow), last_ns))
        last_ns = int(recv[-1])
        message = made[:, 0]
        yield {
            "pos": 2 + 2 * n + made[:, 4],
            "ts_recv_ns": recv[message],
            "ts_event_ns": event[message],
            "kind": made[:, 1].astype("u1"),
            "px": np.ascontiguousarray(made[:, 2]),
            "qty": np.ascontiguousarray(made[:, 3]),
            "flags": np.append(made[1:, 4] != made[:-1, 4], True).astype("u1") * np.uint8(LAST),
        }
        n += PART_MESSAGES
        given += count


def _snapshot(book: npt.NDArray[np.int64], middle: int) -> Columns:
    """Both sides cleared and filled, and the state that makes the book true."""
    rows = [(CLEAR, 0, 0, SNAPSHOT), (CLEAR, 0, 0, SNAPSHOT | ASK_SIDE)]
    rows += [(BID, px, -int(book[px]), SNAPSHOT) for px in range(middle - 1, 0, -1) if book[px] < 0]
    rows += [(ASK, px, int(book[px]), SNAPSHOT) for px in range(middle + 1, TICKS) if book[px] > 0]
    kind, px, qty, flags = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    flags[-1] |= LAST
    count = len(kind) + 1
    event = np.full(count, FIRST_NS)
    event[-1] = np.iinfo(np.int64).min
    return {
        "pos": np.append(np.zeros(count - 1, np.int64), 1),
        "ts_recv_ns": np.full(count, FIRST_NS + BASE_NS),
        "ts_event_ns": event,
        "kind": np.append(kind, STATE).astype("u1"),
        "px": np.append(px, LIVE),
        "qty": np.append(qty, CAUSE_SNAPSHOT),
        "flags": np.append(flags, LAST | DERIVED).astype("u1"),
    }


@njit(cache=False)
def _messages(chance: Any, book: Any, touch: Any, made: Any) -> int:
    """Rows (message, kind, price, quantity, frame); a print is a frame of its own before the levels'."""
    count = 0
    for m in range(chance.shape[0]):
        x = chance[m, 0]
        if x % 8 == 0:
            # A taker; what it took of the touch is told by the levels after it.
            buys = (x >> 4) % 2 == 0
            best = touch[1] if buys else touch[0]
            qty = 1 + (x >> 8) % abs(book[best])
            made[count] = (m, BUY_TRADE if buys else SELL_TRADE, best, qty, 2 * m)
            rest = abs(book[best]) - qty
            count = _level(book, touch, best, rest if buys else -rest, buys, made, count + 1, m)
        for k in range(1, ROWS):
            x = chance[m, k]
            ask = x % 2 == 0
            # Half of all changes are within two ticks, a quarter within four, ..
            bits = (x >> 1) % 64
            reach = 2
            while bits % 2 == 1 and reach < DEPTH:
                bits >>= 1
                reach *= 2
            away = (x >> 8) % min(reach, DEPTH)
            if touch[1] - touch[0] > 1 and (x >> 20) % 4 == 0:
                px = touch[1] - 1 if ask else touch[0] + 1
            else:
                px = touch[1] + away if ask else touch[0] - away
            # The touch is left only by the side whose leaving brings the mid back from an end.
            if px < DEPTH or px >= TICKS - DEPTH:
                continue
            gone = (x >> 24) % 4 == 0
            if (px == touch[1] and px > TICKS - 4 * DEPTH) or (px == touch[0] and px < 4 * DEPTH):
                gone = False
            qty = 0 if gone else 1 + (x >> 30) % 400
            count = _level(book, touch, px, qty if ask else -qty, ask, made, count, m)
    return count


@njit(cache=False)
def _level(book: Any, touch: Any, px: int, qty: int, ask: bool, made: Any, count: int, m: int) -> int:  # noqa: PLR0917
    """Sets a level and keeps the touch; a side that would be empty keeps its last level."""
    if qty == 0 and px == touch[1 if ask else 0]:
        step = 1 if ask else -1
        at = px + step
        while 0 < at < TICKS - 1 and book[at] * step <= 0:
            at += step
        if book[at] * step <= 0:
            return count
        touch[1 if ask else 0] = at
    elif ask and qty != 0 and px < touch[1]:
        touch[1] = px
    elif not ask and qty != 0 and px > touch[0]:
        touch[0] = px
    if book[px] == qty:
        return count
    book[px] = qty
    made[count] = (m, ASK if ask else BID, px, abs(qty), 2 * m + 1)
    return count + 1
