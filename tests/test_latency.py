"""The ways to the venue and back: one digest however a tape is read, latencies of files, and nothing that
overtakes.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import tickerml
from fold import fold
from random_markets import Draws
from simulated import Intent, Kind, View
from test_determinism import in_threads
from test_reference_shared import by_hand, limit
from tickerml import config, live, recording
from tickerml.config.values import QUEUES
from tickerml.schema import UNDEF_I64

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
FILE_DTYPE = np.dtype([("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")])
SETTINGS = {
    "step_ms": 50, "queue": "risk_averse", "decision_ms": 1, "entry_ms": 40, "response_ms": 40, "maker_bps": 2,
    "taker_bps": 5, "reorder_ms": 250, "base_latency_ms": 5, "seed": 3,
}  # fmt: skip
KINDS = ("constant", "venue", "feed", "file")
NS, MS = 10**18, 1_000_000


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tickerml.sources.tapes import import_files

    data = tmp_path_factory.mktemp("data")
    none = dict.fromkeys(("tick", "lot", "min_notional"))
    return Path(
        import_files(data, "hftbacktest-raw", [CAPTURE], "binance_usdm:DEMOUSDT", events=False, steps=none)["tape"]
    )


def latencies(first_ns: int, last_ns: int, every_ns: int = 200 * MS) -> tuple[Any, Any, Any]:
    """Measured every 200 ms: 10 to 90 ms each way, and a refusal now and then."""
    req = np.arange(first_ns, last_ns, every_ns, dtype=np.int64)
    draw = np.random.default_rng(5)
    exch = np.maximum.accumulate(req + draw.integers(10 * MS, 90 * MS, len(req)))
    resp = np.maximum.accumulate(exch + draw.integers(10 * MS, 90 * MS, len(req)))
    return req, np.where(draw.random(len(req)) < 0.05, 0, exch), resp


def wanted(view: Any, instrument: Any) -> list[Intent]:
    """Some of everything, drawn from the view's number alone: a restart goes on with the same."""
    draw = Draws(11, view.index)
    bid, ask = (int(px) for px in view.book_px[0, :, 0])
    if view.cause == "stop" or UNDEF_I64 in (bid, ask):
        return []
    made: list[Intent] = [(Kind.CANCEL, 0, 1, 0, 0, 0, o.order_id) for o in view.orders if draw.chance(0.2)]
    changed = [o for o in view.orders if draw.chance(0.1)]
    made += [(Kind.AMEND, 0, o.side, o.px - o.side * instrument.tick, o.qty, 0, o.order_id) for o in changed]
    if draw.chance(0.02):
        made.append((Kind.CANCEL_ALL, 0, 1, 0, 0, 0, 0))
    for _ in range(draw.whole(0, 2)):
        side = draw.pick((1, -1))
        kind = draw.pick((Kind.POST_ONLY, Kind.POST_ONLY, Kind.LIMIT, Kind.IOC))
        px = (bid if side > 0 else ask) + side * instrument.tick * draw.whole(-2, 3 if kind == Kind.IOC else 0)
        made.append((kind, 0, side, px, instrument.lot * draw.whole(1, 200), 0, 0, draw.chance(0.1)))
    return made


def digest(tape: Path, settings: dict[str, Any], batch: int = 65_536, cut: int = -1) -> tuple[str, dict[str, int]]:
    """The digest of a replay; at view `cut` the session is thrown away and made again from its checkpoint."""
    span = _native.tape_span(tape)
    more = {"latencies": latencies(*span)} if settings["latency"].startswith("file:") else {}
    make = partial(_native.Session.replay, tape, json.dumps(settings), batch_events=batch, **more)
    session, checkpoint = make(), None
    while True:
        for view in session:
            session.submit(wanted(view, session.instruments[0]), (), b"")
            if view.index == cut:
                checkpoint = session.checkpoint()
                break
        else:
            return session.digest, session.stats()
        session = make(checkpoint=checkpoint)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("latency", KINDS)
def test_one_digest_for_any_batch_and_from_a_checkpoint(tape: Path, latency: str, queue: str) -> None:
    settings = {**SETTINGS, "queue": queue, "latency": "file:given" if latency == "file" else latency}
    whole, stats = digest(tape, settings)
    assert stats["fills"] > 20
    assert stats["orders"] > 100
    assert digest(tape, settings, batch=1)[0] == whole
    for cut in (3, stats["views"] // 3, stats["views"] // 2):
        assert digest(tape, settings, batch=7, cut=cut)[0] == whole, f"from view {cut}"


def test_each_kind_and_each_seed_is_another_run(tape: Path) -> None:
    kinds = [{**SETTINGS, "latency": "file:given" if kind == "file" else kind} for kind in KINDS]
    digests = [digest(tape, settings)[0] for settings in (*kinds, {**SETTINGS, "latency": "venue", "seed": 4})]
    assert len(set(digests)) == len(digests)


def test_a_live_run_of_each_kind_replays_to_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with another model of the queue; signals belong to the main thread and stay out."""
    monkeypatch.setattr(recording, "Stopping", lambda _: nullcontext())
    found: dict[str, dict[str, Any]] = {}

    def work(kind: str, queue: str) -> None:
        loaded = config.load(policy="grid", sets=[("latency", kind), ("queue", queue)], environ={}, cwd=tmp_path)
        found[kind] = live.run(
            loaded, tmp_path / kind, live.Asked("run", duration_s=4.0, demo=True), quiet=True, color=False
        )

    in_threads(partial(work, kind, queue) for kind, queue in zip(KINDS[:3], QUEUES, strict=False))
    for kind, result in found.items():
        assert result["orders"] > 0
        tape = tmp_path / kind / "demo" / "tapes" / result["run"]
        for batch in (1, 65_536):
            assert fold(tape, tmp_path / f"{kind}{batch}.sqlite", batch_events=batch) == result["digest"], (kind, batch)


def sent(rows: list[tuple[int, int, int]], orders: dict[float, list[Intent]], **changed: Any) -> list[View]:
    """A native run whose latencies are these (ms; exch 0 is a refusal)."""
    found = [(NS + a * MS, NS + b * MS if b else 0, NS + c * MS) for a, b, c in rows]
    columns = tuple(np.array(column, np.int64) for column in zip(*found, strict=True))
    return by_hand([], orders, latency="file:given", latencies=columns, **changed)[0]


def times(views: list[View], kind: str) -> list[tuple[int, float]]:
    return [(r.order_id, (r.ts_ns - NS) / MS) for v in views for r in v.reports if r.kind == kind]


def test_latency_comes_from_the_file_interpolated() -> None:
    """Sent at 100, halfway between 10 and 30 ms there; back in 7 ms: known at 127, and not before its cause."""
    views = sent([(0, 10, 17), (200, 230, 237)], {100.0: [limit(1, 99)]}, reorder_ms=0)
    assert times(views, "accepted") == [(1, 127.0)]


def test_a_refused_order_and_a_refused_cancel() -> None:
    cancel = (Kind.CANCEL, 0, 1, 0, 0, 0, 1)
    rows = [(0, 10, 20), (290, 300, 310), (300, 0, 350), (600, 0, 650), (610, 620, 630), (700, 710, 720)]
    views = sent(rows, {100.0: [limit(1, 99)], 310.0: [limit(1, 99), cancel], 900.0: [cancel]}, reorder_ms=0)
    assert times(views, "rejected") == [(2, 360.0)]
    assert times(views, "cancel_rejected") == [(1, 360.0)]
    assert {r.reason for v in views for r in v.reports if "reject" in r.kind} == {"overload"}
    assert {o.state for v in views for o in v.orders if o.order_id == 1 and 370 < (v.ts_ns - NS) / MS < 900} == {
        "resting"
    }
    assert times(views, "cancelled") == [(1, 920.0)]


def test_an_outage_delays_what_is_under_way_and_loses_none() -> None:
    """What is sent at 500 needs 1,000 ms; the quick ones behind it wait for it, and so do the answers."""
    rows = [
        (0, 10, 20),
        (490, 500, 510),
        (500, 1_500, 1_510),
        (510, 1_510, 1_520),
        (520, 1_520, 1_525),
        (900, 1_526, 1_530),
    ]
    orders: dict[float, list[Intent]] = {float(at): [limit(1, 99)] for at in (480, 500, 520, 540, 700, 1_000)}
    views = sent(rows, orders, reorder_ms=0)
    accepted = times(views, "accepted")
    assert [order for order, _ in accepted] == [1, 2, 3, 4, 5, 6]
    assert accepted[0][1] == 500.0
    assert accepted[1][1] > 1_500.0
    assert all(before <= after for (_, before), (_, after) in pairwise(accepted))


def test_a_refusal_in_a_file_is_legal_and_a_replay_takes_it(tape: Path, tmp_path: Path) -> None:
    first, last = _native.tape_span(tape)
    rows = np.zeros(len(latencies(first, last)[0]), FILE_DTYPE)
    for name, values in zip(("req_ts", "exch_ts", "resp_ts"), latencies(first, last), strict=True):
        rows[name] = values
    for path in (tmp_path / "orders.npz", tmp_path / "orders.npy"):
        np.savez(path, data=rows) if path.suffix == ".npz" else np.save(path, rows)
        out = tmp_path / "orders.csv"
        done = tickerml(tape.parent.parent, "replay", str(tape), "--policy", "grid", "--set", f"latency=file:{path}",
                        "--orders", str(out))  # fmt: skip
        assert done["orders"] > 0
        assert ",overload\n" in out.read_text()
