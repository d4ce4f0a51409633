"""A run that goes on from a checkpoint ends as one that was folded whole: digest, money, ledger (rules.md 3)."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from test_paper import POLICIES, RUN, SETTINGS
from tickerml import checkpoint, engine
from tickerml.checkpoint import Checkpointer
from tickerml.cost import USUAL
from tickerml.policy import make_policy
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk
from tickerml.sinks import Sinks
from tickerml.sinks.costs import CostTally
from tickerml.sinks.ledger import Ledger

native = pytest.importorskip("tickerml._native", reason="the native module is not built")

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
PINNED = {"config_hash": "a", "policy": "imbalance"}
DURABLE = 2**62


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tickerml.sources.tapes import import_files

    none = dict.fromkeys(("tick", "lot", "min_notional"))
    data = tmp_path_factory.mktemp("data")
    made = import_files(data, "hftbacktest-raw", [CAPTURE], "binance_usdm:DEMOUSDT", events=False, steps=none)
    return Path(made["tape"])


def fold(
    tape: Path, folder: Path, kept: checkpoint.Checkpoint | None, every: int = 2**62
) -> tuple[str, bytes, list[Any]]:
    """Replays a tape with a ledger and checkpoints in `folder`; digest, portfolio and the ledger's rows."""
    state = kept.parts["session"] if kept else None
    session = native.Session.replay(tape, json.dumps(SETTINGS), checkpoint=state)
    infos = session.instruments
    portfolio, risk = Portfolio({"USDT": "10000"}, infos), Risk(Limits(), infos)
    policy = make_policy("imbalance", POLICIES["imbalance"], infos)
    first_view = kept.next_view if kept else 0
    ledger = Ledger(folder / "ledger.sqlite", RUN, infos, lambda: DURABLE, first_view=first_view, interval_s=0.0)
    keeper = Checkpointer(folder, PINNED, session, ledger, lambda: DURABLE, events_every=every)
    costs = CostTally(infos, USUAL)
    keeper.trader = SimpleNamespace(portfolio=portfolio, risk=risk, policy=policy, costs=costs)
    if kept:
        kept.restore(keeper.trader, ledger)
    sinks = Sinks([costs, ledger, keeper, Patient(keeper, ledger)])
    engine.run(session, policy, risk, portfolio, sinks)
    sinks.close()
    return session.digest, portfolio.state_bytes(), [*rows_of(folder / "ledger.sqlite"), costs.rows()]


class Patient:
    """Waits until the ledger has committed what a checkpoint rests on: a replay is quicker than its disk."""

    def __init__(self, keeper: Checkpointer, ledger: Ledger) -> None:
        self._keeper, self._ledger = keeper, ledger

    def write(self, view: Any, approved: Any, refused: Any, portfolio: Any) -> None:
        deadline = monotonic() + 30.0
        while self._keeper._waiting and self._ledger.committed_view < self._keeper._waiting.view:
            assert monotonic() < deadline, "the ledger commits nothing"

    def close(self) -> None:
        """Nothing to close."""


def rows_of(path: Path) -> list[Any]:
    import sqlite3

    db = sqlite3.connect(path)
    try:
        tables = ("orders", "fills", "refusals", "portfolio", "gaps")
        return [db.execute(f"SELECT * FROM {table} ORDER BY view, kind, n").fetchall() for table in tables]
    finally:
        db.close()


def test_from_each_checkpoint_the_run_ends_the_same(tape: Path, tmp_path: Path) -> None:
    whole = fold(tape, tmp_path, None, every=500)
    assert whole[2][1], "the capture must give fills, or this shows nothing"
    files = sorted(tmp_path.glob("checkpoint-*.bin"))
    assert len(files) == checkpoint.KEEP
    for _ in files:
        kept = checkpoint.newest(tmp_path, tape, PINNED, RUN)
        assert kept is not None
        assert kept.next_view > 0
        assert fold(tape, tmp_path, kept) == whole
        max(tmp_path.glob("checkpoint-*.bin"), key=checkpoint._pos_of).unlink()
    assert checkpoint.newest(tmp_path, tape, PINNED, RUN) is None


def test_what_does_not_fit_is_passed_over(tape: Path, tmp_path: Path) -> None:
    fold(tape, tmp_path, None, every=500)
    assert checkpoint.newest(tmp_path, tape, {**PINNED, "config_hash": "b"}, RUN) is None
    assert checkpoint.newest(tmp_path, tape, PINNED, "20250101T000000Z-ffff") is None, "no ledger cursor for that run"
    newest = max(tmp_path.glob("checkpoint-*.bin"), key=checkpoint._pos_of)
    sound = checkpoint.newest(tmp_path, tape, PINNED, RUN)
    torn = bytearray(newest.read_bytes())
    torn[-1] ^= 1
    newest.write_bytes(torn)
    older = checkpoint.newest(tmp_path, tape, PINNED, RUN)
    assert sound is not None
    assert older is not None
    assert older.pos < sound.pos
    beyond = tmp_path / f"checkpoint-{10**9}.bin"
    beyond.write_bytes(newest.read_bytes())
    assert checkpoint.newest(tmp_path, tape, PINNED, RUN) == older


def test_one_that_is_not_durable_yet_waits(tape: Path, tmp_path: Path) -> None:
    session = native.Session.replay(tape, json.dumps(SETTINGS))
    infos = session.instruments
    durable = [-1]
    ledger = SimpleNamespace(committed_view=2**62, mark=lambda view: None, state=lambda: b"[]")
    portfolio, risk = Portfolio({"USDT": "10000"}, infos), Risk(Limits(), infos)
    policy = make_policy("hold", {}, infos)
    keeper = Checkpointer(tmp_path, PINNED, session, ledger, lambda: durable[0], events_every=1)
    keeper.trader = SimpleNamespace(portfolio=portfolio, risk=risk, policy=policy, costs=CostTally(infos, USUAL))
    for view in session:
        session.submit((), (), b"")
        keeper.write(view, (), (), portfolio)
        assert not list(tmp_path.glob("*.bin"))
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    durable[0] = 2**62
    keeper.close()
    assert len(list(tmp_path.glob("*.bin"))) == 1


def test_the_ledger_is_asked_for_the_view_because_two_views_may_share_a_record(tape: Path, tmp_path: Path) -> None:
    """A report and the boundary behind it may both have consumed the same record: the record alone proves nothing."""
    session = native.Session.replay(tape, json.dumps(SETTINGS))
    infos = session.instruments
    ledger = SimpleNamespace(committed_view=-1, committed_pos=-1, mark=lambda view: None, state=lambda: b"[]")
    portfolio, risk = Portfolio({"USDT": "10000"}, infos), Risk(Limits(), infos)
    keeper = Checkpointer(tmp_path, PINNED, session, ledger, lambda: DURABLE, events_every=1)
    policy, costs = make_policy("hold", {}, infos), CostTally(infos, USUAL)
    keeper.trader = SimpleNamespace(portfolio=portfolio, risk=risk, policy=policy, costs=costs)
    view = next(view for view in session if session.submit((), (), b"") is not None and session.events)
    keeper.write(view, (), (), portfolio)
    ledger.committed_view, ledger.committed_pos = view.index - 1, view.pos
    keeper._promote()
    assert not list(tmp_path.glob("*.bin")), "the view before it has the same record"
    ledger.committed_view = view.index
    keeper._promote()
    assert len(list(tmp_path.glob("*.bin"))) == 1


def test_at_load_the_ledgers_cursor_must_have_the_view(tape: Path, tmp_path: Path) -> None:
    import sqlite3

    fold(tape, tmp_path, None, every=500)
    kept = checkpoint.newest(tmp_path, tape, PINNED, RUN)
    assert kept is not None
    for view, found in ((kept.next_view - 1, kept.pos), (kept.next_view - 2, None)):
        with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
            db.execute("UPDATE cursor SET view=?, pos=?", (view, kept.pos))
        db.close()
        newest = checkpoint.newest(tmp_path, tape, PINNED, RUN)
        assert (newest.pos if newest and newest.pos == kept.pos else None) == found
