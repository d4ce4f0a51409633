"""Makes the small captures of this folder: `python make_captures.py`. Invented data in Binance's wire format, seeded.

Each capture is text as `hftbacktest-raw` knows it: `<recv_ns> <json>` a line, the REST depth answer as the line without
a stream. Snapshots come after a few diffs, as they do in life; the `gap` ones lose diffs and get a second snapshot.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

START_NS = 1_760_000_000_000_000_000
STEP_NS = 100_000_000


class Market:
    """A book of integer ticks that never crosses, its update ids, and the messages it gives."""

    def __init__(self, symbol: str, futures: bool, seed: int) -> None:
        self.symbol, self.futures, self.random = symbol, futures, random.Random(seed)
        self.mid, self.id, self.trade_id, self.last_u = 50_000, 1_000_000, 5_000, 999_999
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for n in range(1, 60):
            self.sides[0][self.mid - n] = self.random.randrange(1, 900)
            self.sides[1][self.mid + n] = self.random.randrange(1, 900)

    def diff(self, now_ns: int) -> dict[str, Any]:
        """Moves the market and gives what changed."""
        first = self.id + 1
        self.id += self.random.randrange(1, 40)
        changed = self._churn() | self._move()
        ms = now_ns // 1_000_000
        data = {"e": "depthUpdate", "E": ms - 3, "s": self.symbol, "U": first, "u": self.id}
        if self.futures:
            data |= {"T": ms - 4, "pu": self.last_u}
        self.last_u = self.id
        for key, side in (("b", 0), ("a", 1)):
            ticks = sorted(t for s, t in changed if s == side)
            data[key] = [[self._px(t), self._qty(self.sides[side].get(t, 0))] for t in ticks]
        return {"stream": f"{self.symbol.lower()}@depth@100ms", "data": data}

    def _churn(self) -> set[tuple[int, int]]:
        changed = set()
        for _ in range(self.random.randrange(0, 12)):
            side = self.random.randrange(2)
            off = 1 + int(self.random.expovariate(0.15))
            tick = self.mid - off if side == 0 else self.mid + off
            self.sides[side][tick] = self.random.randrange(1, 900)
            if self.random.random() < 0.3:
                del self.sides[side][tick]
            changed.add((side, tick))
        return changed

    def _move(self) -> set[tuple[int, int]]:
        """The mid walks; what would cross is removed and the touch filled."""
        self.mid += self.random.choice((-2, -1, 0, 0, 0, 0, 1, 2))
        changed = {(0, t) for t in self.sides[0] if t >= self.mid} | {(1, t) for t in self.sides[1] if t <= self.mid}
        for side, tick in changed:
            del self.sides[side][tick]
        for side, tick in ((0, self.mid - 1), (1, self.mid + 1)):
            if tick not in self.sides[side]:
                self.sides[side][tick] = self.random.randrange(1, 900)
                changed.add((side, tick))
        return changed

    def trade(self, now_ns: int) -> dict[str, Any]:
        """A trade at the touch."""
        self.trade_id += 1
        maker_buys = self.random.random() < 0.5
        tick = max(self.sides[0]) if maker_buys else min(self.sides[1])
        ms = now_ns // 1_000_000
        data = {"e": "trade", "E": ms - 2, "T": ms - 3, "s": self.symbol, "t": self.trade_id, "p": self._px(tick)}
        data |= {"q": self._qty(self.random.randrange(1, 300)), "m": maker_buys}
        data |= {"X": "MARKET"} if self.futures else {"M": True}
        return {"stream": f"{self.symbol.lower()}@trade", "data": data}

    def touch(self, now_ns: int) -> dict[str, Any]:
        """The venue's own best bid and ask."""
        bid, ask = max(self.sides[0]), min(self.sides[1])
        data: dict[str, Any] = {"u": self.id, "s": self.symbol, "b": self._px(bid), "B": self._qty(self.sides[0][bid])}
        data |= {"a": self._px(ask), "A": self._qty(self.sides[1][ask])}
        if self.futures:
            ms = now_ns // 1_000_000
            data |= {"e": "bookTicker", "T": ms - 3, "E": ms - 3}
        return {"stream": f"{self.symbol.lower()}@bookTicker", "data": data}

    def snapshot(self, now_ns: int) -> dict[str, Any]:
        """The REST depth answer."""
        ms = now_ns // 1_000_000
        body: dict[str, Any] = {"lastUpdateId": self.id}
        if self.futures:
            body |= {"E": ms - 5, "T": ms - 6}
        for key, side, back in (("bids", 0, True), ("asks", 1, False)):
            levels = sorted(self.sides[side].items(), reverse=back)
            body[key] = [[self._px(tick), self._qty(lots)] for tick, lots in levels]
        return body

    def _px(self, tick: int) -> str:
        return f"{tick / 10:.2f}" if self.futures else f"{tick / 100:.8f}"

    def _qty(self, lots: int) -> str:
        return f"{lots / 1000:.3f}" if self.futures else f"{lots / 100_000:.8f}"


def capture(name: str, market: Market, steps: int, lost: range, snapshots: tuple[int, ...]) -> None:
    """Writes one capture: a diff every step (but the lost), trades and touches between, some snapshots."""
    lines = []
    for k in range(steps):
        now = START_NS + k * STEP_NS + market.random.randrange(0, 20_000_000)
        diff = market.diff(now)
        if k not in lost:
            lines.append((now, diff))
        if k in snapshots:
            lines.append((now + 1_000_000, market.snapshot(now)))
        for n in range(market.random.randrange(0, 4)):
            kind = market.trade if market.random.random() < 0.4 else market.touch
            lines.append((now + 2_000_000 * (n + 1), kind(now)))
    text = "".join(f"{ns} {json.dumps(message, separators=(',', ':'))}\n" for ns, message in lines)
    path = Path(__file__).parent / f"{name}.raw.gz"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    capture("binance_spot_DEMOUSDT", Market("DEMOUSDT", False, 1), 600, range(0), (3,))
    capture("binance_usdm_DEMOUSDT", Market("DEMOUSDT", True, 2), 600, range(0), (6,))
    capture("binance_spot_gap_DEMOUSDT", Market("DEMOUSDT", False, 3), 400, range(150, 153), (3, 170))
    capture("binance_usdm_gap_DEMOUSDT", Market("DEMOUSDT", True, 4), 400, range(200, 201), (4, 230))
