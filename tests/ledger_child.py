"""A process that writes a ledger until it is killed: `ledger_child.py FILE`. Prints the committed view now and then.

Everything that a view holds follows from its number, so the test that kills it knows what must be on file.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from engine_fakes import FakeFill, FakeFunding, FakeGap, FakeReport, FakeView, Info, view
from tickerml.portfolio import Portfolio
from tickerml.schema import LIMIT, Intent, Refused
from tickerml.sinks import Sinks
from tickerml.sinks.ledger import Ledger

RUN = "20240808T235415Z-0001"


def scripted(k: int) -> FakeView:
    """View k: a step every 0.1 s, fills and reports now and then."""
    fills = (
        (FakeFill(1 if k % 14 else -1, 100_000 + k % 50, 5, 10**15 * k, n=0, cause_pos=3 * k - 1),)
        if k % 7 == 0
        else ()
    )
    reports = (FakeReport("accepted", order_id=k, px=100_000, qty=5, leaves=5, ts_ns=k),) if k % 5 == 0 else ()
    gaps = (FakeGap(k, k + 10),) if k % 31 == 0 else ()
    funding = (FakeFunding(5, 10_000 * 10**8, 10**8 if k % 2 else None, ts_ns=k),) if k % 203 == 0 else ()
    return view(index=k, pos=3 * k, ts_ns=k * 10**8, fills=fills, reports=reports, gaps=gaps, funding=funding)


def steps(portfolio: Portfolio, views: Iterator[int]) -> Iterator[tuple[FakeView, list[Intent], list[Refused]]]:
    for k in views:
        shown = scripted(k)
        portfolio.apply(shown)
        intent = Intent(LIMIT, 0, 1, 100_000, 5, k)
        refused = [Refused(intent, "position_limit" if k % 200 < 100 else "book_old", str(k))] if k % 3 == 0 else []
        yield shown, [intent] if k % 11 == 0 else [], refused


def main(path: str) -> None:
    portfolio = Portfolio({"USDT": Decimal(10_000)}, [Info()])
    now = 0
    ledger = Ledger(Path(path), RUN, [Info()], lambda: now - 50, interval_s=0.0)
    sinks = Sinks([ledger])
    said = ledger.committed_view
    for shown, approved, refused in steps(portfolio, itertools.count()):
        now = shown.pos
        sinks.write(shown, approved, refused, portfolio)
        if ledger.committed_view != said:
            said = ledger.committed_view
            print(said, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
