"""The whole matrix against hftbacktest 2.4.4: four markets, six queue models, both exponents, four round trips.

Slow: `make soak`, or `pytest -s -m soak tests/test_parity_matrix.py`. Takers are in `test_parity_takers.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

from parity_rows import IN_PARTS, QUEUES, ROUND_TRIPS_MS, WHOLE, Feed  # noqa: E402


@pytest.mark.parametrize("round_trip_ms", ROUND_TRIPS_MS)
@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize(
    ("feed", "exchange"),
    [*((feed, "no_partial") for feed in WHOLE), *((feed, "partial") for feed in IN_PARTS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_grid_orders_and_fills_alike(
    feeds: Any,
    feed: Feed,
    exchange: str,
    queue: str,
    round_trip_ms: float,
) -> None:
    rows = feeds(feed)
    met = rows.compare(rows.case(queue, round_trip_ms, exchange))
    parts = f" ({met.parts} in part)" if exchange == "partial" else ""
    where = f"{feed.name}, {exchange}, {queue}, {round_trip_ms} ms"
    print(f"{where}: {met.orders} orders and {met.fills} fills{parts}, all equal")
    assert met.fills > 20
