"""Files of fills and orders."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from engine_fakes import FakeFill, FakeReport, Info, view
from tickerml.cost import USUAL
from tickerml.errors import TickerError
from tickerml.schema import CANCEL, POST_ONLY, Intent, Sent
from tickerml.sinks.files import FILLS, ORDERS, FillsFile, OrdersFile


def test_fills_and_orders_as_csv_and_parquet(tmp_path: Path) -> None:
    fill = FakeFill(-1, 100_005, 12, -5 * 10**15, order_id=4, ts_event_ns=1, ts_recv_ns=2, ahead_qty=3)
    shown = view(
        ts_ns=9, fills=(fill,), reports=(FakeReport("accepted", 4, 8, px=100_005, qty=12, leaves=12, ts_ns=5),)
    )
    sent = [Intent(POST_ONLY, 0, 1, 100_000, 10, 7), Intent(CANCEL, 0, -1, 0, 0, 8, 4)]
    for ending in ("csv", "parquet"):
        fills_file = FillsFile(tmp_path / f"f.{ending}", [Info()], USUAL)
        for sink in (fills_file, OrdersFile(tmp_path / f"o.{ending}", [Info()])):
            sink.write(shown, sent, (), None)
            sink.close()
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.reader(file))
    row = ["1", "2", Info().id, "4", "sell", "10000.5", "0.012", "true", "-0.005", "0.003"]
    assert (rows[0], rows[1][: len(row)]) == (list(FILLS), row)
    costs = dict(zip(FILLS, rows[1], strict=True))
    assert {costs[f"{part}_quote"] for part in ("delay", "wait", "spread", "depth")} == {""}, "no book was told"
    with (tmp_path / "o.csv").open() as file:
        orders = list(csv.reader(file))
    assert orders[0] == list(ORDERS)
    assert [r[4] for r in orders[1:]] == ["accepted", "sent_post_only", "sent_cancel"]
    kept = pq.read_table(tmp_path / "f.parquet").to_pylist()
    told = [str(v).lower() if k == "maker" else str(v) for k, v in kept[0].items()]
    assert told[: len(row)] == row
    assert len(pq.read_table(tmp_path / "o.parquet")) == 3
    with pytest.raises(TickerError, match=r"\.csv or \.parquet"):
        FillsFile(tmp_path / "f.txt", [Info()], USUAL)
    assert json.dumps(kept)


def test_what_was_sent_has_the_order_that_it_makes(tmp_path: Path) -> None:
    sink = OrdersFile(tmp_path / "orders.csv", [Info()])
    approved = Sent([Intent(POST_ONLY, 0, 1, 99_000, 5), Intent(CANCEL, 0, 1, 0, 0, 7, 3)], (12, 3))
    sink.write(view(), approved, (), None)
    sink.close()
    assert [row["order_id"] for row in csv.DictReader((tmp_path / "orders.csv").read_text().splitlines())] == [
        "12",
        "3",
    ]
