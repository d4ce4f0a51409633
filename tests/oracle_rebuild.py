"""An independent rebuild of a Binance recording: dicts, Decimal and its own splicing; nothing of TickerML is imported.

`python oracle_rebuild.py [--at TS_NS]... FILE...` reads `hftbacktest-raw` files (`<recv ns or us> <json>` lines, gzip
or not) of one instrument as one stream and prints JSON: counts, the final book, 20 levels a side at stamps.
Splicing as Binance writes it: spot drops u <= id, then U <= id + 1 <= u, then U = last u + 1; futures (diffs with `pu`)
drop u < id, then U <= id <= u, then pu = last u.
"""

from __future__ import annotations

import argparse
import gzip
import json
from decimal import Decimal
from typing import Any

Side = dict[Decimal, Decimal]


class Rebuild:
    def __init__(self) -> None:
        self.books: tuple[Side, Side] = ({}, {})
        self.best: list[Decimal | None] = [None, None]
        self.waiting: list[dict[str, Any]] = []
        self.last_id = self.last_trade = -1
        self.live = False
        names = "frames levels trades touches snapshots updates discarded_diffs gaps trade_id_gaps crossed"
        self.counts = dict.fromkeys(names.split(), 0)

    def line(self, message: dict[str, Any]) -> None:
        count = self.counts
        count["frames"] += "stream" in message
        if "stream" not in message:
            count["snapshots"] += 1
            return self.snapshot(message)
        data = message["data"]
        channel = message["stream"].split("@")[1]
        if channel == "depth":
            count["levels"] += len(data["b"]) + len(data["a"])
            return self.diff(data) if self.live else self.waiting.append(data)
        count["touches"] += channel == "bookTicker"
        if channel == "trade":
            count["trades"] += 1
            if self.last_trade >= 0:
                count["trade_id_gaps"] += max(0, data["t"] - self.last_trade - 1)
            self.last_trade = max(self.last_trade, data["t"])
        return None

    def snapshot(self, body: dict[str, Any]) -> None:
        last, diffs = body["lastUpdateId"], self.waiting
        if self.live:
            return
        rest = [d for d in diffs if (d["u"] >= last if "pu" in d else d["u"] > last)]
        if rest and rest[0]["U"] > last + 1:
            return
        self.counts["discarded_diffs"] += len(diffs) - len(rest)
        self.books = ({}, {})
        self.best = [None, None]
        self.store(body["bids"], body["asks"])
        self.live, self.last_id, self.waiting = True, last, []
        for n, diff in enumerate(rest):
            self.diff(diff, first=n == 0)

    def diff(self, d: dict[str, Any], first: bool | None = None) -> None:
        first = self.counts["updates"] == 0 if first is None else first
        futures = "pu" in d
        if first and futures:
            fits = d["U"] <= self.last_id <= d["u"] or d["pu"] == self.last_id
        elif first:
            fits = d["U"] <= self.last_id + 1 <= d["u"]
        else:
            fits = d["pu"] == self.last_id if futures else d["U"] == self.last_id + 1
        if not fits:
            self.counts["gaps"] += 1
            self.live, self.waiting = False, [d]
            return
        self.last_id = d["u"]
        self.counts["updates"] += 1
        self.store(d["b"], d["a"])
        bid, ask = self.best
        self.counts["crossed"] += bid is not None and ask is not None and bid >= ask

    def store(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, (book, levels, pick) in enumerate(zip(self.books, (bids, asks), (max, min), strict=True)):
            for px_text, qty_text in levels:
                px, qty = Decimal(px_text), Decimal(qty_text)
                if qty:
                    book[px] = qty
                else:
                    book.pop(px, None)
            self.best[side] = pick(book) if book else None

    def top(self, depth: int | None) -> dict[str, list[list[str]]]:
        def show(book: Side, high_first: bool) -> list[list[str]]:
            return [[text(px), text(book[px])] for px in sorted(book, reverse=high_first)[:depth]]

        return {"bids": show(self.books[0], True), "asks": show(self.books[1], False)}


def text(value: Decimal) -> str:
    return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"


def rebuild(files: list[str], stamps: list[int]) -> dict[str, Any]:
    """Counts, the final book, and 20 levels at each stamp (everything received up to it)."""
    state, due, shown = Rebuild(), sorted(stamps), {}
    for name in files:
        with gzip.open(name, "rt") if name.endswith(".gz") else open(name) as lines:
            for raw in lines:
                stamp, _, body = raw.partition(" ")
                ts_ns = int(stamp) * (1000 if len(stamp) == 16 else 1)
                while due and ts_ns > due[0]:
                    shown[str(due.pop(0))] = state.top(20)
                state.line(json.loads(body))
    shown.update({str(ts): state.top(20) for ts in due})
    return {**state.counts, "book": state.top(None), "at": shown}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int, action="append", default=[])
    parser.add_argument("files", nargs="+")
    asked = parser.parse_args()
    print(json.dumps(rebuild(asked.files, asked.at)))
