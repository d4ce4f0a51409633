"""Books order by order: true places in the queues, against recordings and against another program."""

import gzip
import json
import lzma
import os
from pathlib import Path

import pytest
from tickerml import _native
from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.sources.l3 import CANCEL, FILL, OPEN, bitstamp_columns, bitstamp_rows

E8 = 10**8
Event = tuple[int, int, int, int, bytes, bytes]
HERE = Path(__file__).resolve().parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))


def recording(name: str) -> Path:
    """A real recording; without it the test is skipped."""
    if not (RECORDINGS / name).exists():
        pytest.skip(f"no recordings at {RECORDINGS}: set TICKERML_RECORDINGS")
    return RECORDINGS / name


def test_every_fill_of_bitstamp_meets_the_head_of_its_queue() -> None:
    """All 1,154 of orders that the recording saw begin, 48 of them in company; 28 more of older ones, by their ids."""
    book = _native.L3Book()
    known, crowded, older = [], 0, []
    for row in bitstamp_rows(recording("bitstamp_l3/2015-05-01.log.xz")):
        if row.kind == OPEN:
            book.open(row.order_id, row.side, row.px, row.qty)
            continue
        if not row.known:
            book.open(row.order_id, row.side, row.px, 1, before=True)
        if row.kind == FILL:
            (known if row.known else older).append(book.ahead(row.order_id))
            crowded += row.known and (book.beside(row.order_id) or 0) > 1
        book.reduce(row.order_id, row.qty if row.known else 1)
    assert (known, crowded, older) == ([0] * 1154, 48, [0] * 28)


def test_coinbase_matches_meet_the_head_and_the_book_is_the_golden_one() -> None:
    book = _native.L3Book()
    heads = []
    sides = {"buy": 1, "sell": -1}
    with gzip.open(recording("coinbase_exchange_full/replay_coinbase_2.in.gz"), "rt") as file:
        for line in file:
            message = json.loads(line.split(" ", 2)[2])
            kind = message["type"]
            if kind == "open":
                price, size = (round(float(message[key]) * E8) for key in ("price", "remaining_size"))
                book.open(_number(message["order_id"]), sides[message["side"]], price, size)
            elif kind == "match":
                heads.append(book.reduce(_number(message["maker_order_id"]), round(float(message["size"]) * E8)))
            elif kind == "done":
                order = _number(message["order_id"])
                book.reduce(order, book.qty(order) or 0)
    assert heads == [0] * 12
    golden = json.loads(recording("coinbase_exchange_full/replay_coinbase_2.out").read_text())
    for side, key in ((1, "bids"), (-1, "asks")):
        assert [(px / E8, qty / E8) for px, qty in book.levels(side)[:50]] == [tuple(level) for level in golden[key]]


def _number(order_id: str) -> int:
    return int(order_id.replace("-", "")[:16], 16)


@pytest.mark.parametrize("mode", ["volume", "tail", "front", "order"])
def test_places_are_those_of_mbo_queue(mode: str) -> None:
    synthetic, reference = pytest.importorskip("mboq.synthetic"), pytest.importorskip("mboq.reference")
    records, times, _, _ = synthetic.generate(3_000, sample_every=20, seed=3, cancel_mode=mode)
    rows = reference.Reference(10_000_000).run(records, queue_times=times, queue_levels=8)["queue"]
    wanted: dict[int, list[tuple[int, int]]] = {}
    for time_index, order_id, *_, ahead, _orders, _total in rows.tolist():
        wanted.setdefault(time_index, []).append((order_id, ahead))
    book, prices = _native.L3Book(), {}
    columns = [records[key].tolist() for key in ("ts_event", "order_id", "price", "size", "action", "side")]
    events = list(zip(*columns, strict=True))
    at = compared = 0
    for index, time_ns in enumerate(times.tolist()):
        while at < len(events) and events[at][0] <= time_ns:
            _mbo(book, prices, events[at])
            at += 1
        for order_id, ahead in wanted[index]:
            assert book.ahead(order_id) == ahead, (index, order_id)
            compared += 1
    assert compared > 4_000


def _mbo(book: _native.L3Book, prices: dict[int, int], event: Event) -> None:
    """As CME sends it: a fill is told by the cancel or modify behind it; a larger size or another price goes last."""
    _, order, px, size, action, side = event
    sign = 1 if side == b"B" else -1
    left = book.qty(order) or 0
    if action == b"C":
        book.reduce(order, size)
    elif action == b"M" and px == prices[order] and size <= left:
        book.reduce(order, left - size)
    elif action in (b"A", b"M"):
        book.reduce(order, left)
        book.open(order, sign, px, size)
        prices[order] = px


def test_mistakes_name_their_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        bitstamp_columns(tmp_path / "none.log")
    for name, text in (("a.log", "1 order_created {"), ("b.log", "1 trade {}\n"), ("c.log.xz", "no xz")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UnsoundDataError, match=name):
            bitstamp_columns(tmp_path / name)


def test_an_order_that_ends_with_something_left_was_cancelled(tmp_path: Path) -> None:
    lines = [
        '1 order_created {"price": "2.5", "amount": "3.0", "id": 1, "order_type": 0}',
        '2 order_changed {"price": "2.5", "amount": "1.0", "id": 1, "order_type": 0}',
        '3 order_deleted {"price": "2.5", "amount": "1.0", "id": 1, "order_type": 0}',
        '4 order_deleted {"price": "2.5", "amount": "1.0", "id": 9, "order_type": 1}',
    ]
    with lzma.open(tmp_path / "x.log.xz", "wt") as file:
        file.write("\n".join(lines))
    rows = list(bitstamp_rows(tmp_path / "x.log.xz"))
    assert [(r.kind, r.side, r.qty, r.known) for r in rows] == [
        (OPEN, 1, 3 * E8, True), (FILL, 1, 2 * E8, True), (CANCEL, 1, E8, True), (CANCEL, -1, 0, False),
    ]  # fmt: skip
