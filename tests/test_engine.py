"""The loop: its order, the restart, the stop, and what a quiet step may ask."""

from __future__ import annotations

import time
from typing import Any

import pytest
from engine_fakes import ApproveAll, FakeFill, FakeReport, FakeSession, FakeView, Info, view
from tickerml import engine, schema
from tickerml.policy import make_policy
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk
from tickerml.schema import CANCEL, LIMIT, POST_ONLY, Intent
from tickerml.sinks import Sinks, Tally


class Log:
    """Writes down who was called."""

    name = "log"
    params: dict[str, str] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def decide(self, shown: Any, portfolio: Any) -> list[Intent]:
        self.calls.append(("decide", shown.index))
        return [Intent(LIMIT, 0, 1, 100_000, 10)]

    def reset(self) -> None:
        self.calls.append(("reset", None))

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass

    def write(self, shown: Any, approved: Any, refused: Any, portfolio: Any) -> None:
        self.calls.append(("write", (shown.index, len(approved), len(refused))))

    def close(self) -> None:
        self.calls.append(("close", None))


def test_each_view_is_submitted_once_with_the_portfolio_after_its_fills() -> None:
    log = Log()
    session = FakeSession([view(index=0), view(index=1, fills=(FakeFill(1, 100_000, 5),))])
    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    first = portfolio.state_bytes()
    engine.run(session, log, ApproveAll(), portfolio, log)
    assert [state for *_, state in session.submitted] == [first, portfolio.state_bytes()]
    assert portfolio.positions == [5]
    assert log.calls == [("decide", 0), ("write", (0, 1, 0)), ("decide", 1), ("write", (1, 1, 0))]


def test_a_restart_resets_the_policy_and_the_stop_gets_no_intents() -> None:
    log = Log()
    session = FakeSession([view(index=3, restarted=True), view(index=4, cause="stop")])
    engine.run(session, log, ApproveAll(), Portfolio({"USDT": "1"}, [Info()]), log)
    assert log.calls == [("reset", None), ("decide", 3), ("write", (3, 1, 0)), ("write", (4, 0, 0))]
    assert [len(approved) for approved, *_ in session.submitted] == [1, 0]


def test_a_refused_intent_reaches_session_and_sinks() -> None:
    log = Log()
    session = FakeSession([view(state=[5])])
    engine.run(session, log, Risk(Limits(), [Info()]), Portfolio({"USDT": "10000"}, [Info()]), log)
    assert [r.reason for r in session.submitted[0][1]] == ["book_not_live"]
    assert log.calls[-1] == ("write", (0, 0, 1))


def test_sinks_are_asked_when_something_happened_or_is_due() -> None:
    log = Log()
    sinks = Sinks([log])
    minute = 60 * 10**9
    for shown in (
        view(index=0, ts_ns=minute + 5),
        view(index=1, ts_ns=minute + 9),
        view(index=2, ts_ns=minute + 9, reports=(FakeReport("accepted"),)),
        view(index=3, ts_ns=2 * minute - 1),
        view(index=4, ts_ns=2 * minute),
        view(index=5, ts_ns=2 * minute + 1, cause="stop"),
    ):
        sinks.write(shown, (), (), None)
    assert [call[1][0] for call in log.calls] == [0, 2, 4, 5]


def test_all_sinks_are_closed_before_the_first_error_is_raised() -> None:
    class Broken(Log):
        def close(self) -> None:
            raise OSError("disk")

    log = Log()
    with pytest.raises(OSError, match="disk"):
        Sinks([Broken(), log]).close()
    assert log.calls == [("close", None)]


def test_the_tally_counts() -> None:
    tally = Tally()
    intents = [Intent(POST_ONLY, 0, 1, 1, 1), Intent(CANCEL, 0, 1, 0, 0)]
    tally.write(view(fills=(FakeFill(1, 1, 1),)), intents, [None], None)  # type: ignore[list-item]
    tally.close()
    assert (tally.orders, tally.cancels, tally.fills, tally.refused, tally.gaps) == (1, 1, 1, 1, 0)


def test_an_idle_step_allocates_no_state_and_no_lists() -> None:
    """What keeps a hold step near 1 us: the same objects go round."""
    session = FakeSession([view(index=n) for n in range(3)])
    portfolio = Portfolio({"USDT": "10000"}, [Info()])
    engine.run(session, make_policy("hold", {}, [Info()]), Risk(Limits(), [Info()]), portfolio, Sinks([]))
    assert len({(id(a), id(r), id(s)) for a, r, s in session.submitted}) == 1


def test_tables_equal_the_native_ones() -> None:
    native = pytest.importorskip("tickerml._native", reason="the native module is not built")
    for name in ("FEATURE_NAMES", "STATES", "CAUSES", "KINDS", "FLAGS"):
        if hasattr(native, name):
            ours, theirs = getattr(schema, name), getattr(native, name)
            assert theirs == ours or tuple(theirs) == tuple(ours), name


def step_cost_ns(policy: str, shown: FakeView, rounds: int = 20_000) -> float:
    """Python's cost of one step over a loop that only iterates and submits; used by hand and by the bench, never
    timed here.
    """

    class Endless:
        def __iter__(self) -> Any:
            return iter([shown] * rounds)

        def submit(self, approved: Any, refused: Any, state: Any) -> None:
            pass

    parts = (make_policy(policy, {}, [Info()]), Risk(Limits(), [Info()]), Portfolio({"USDT": "10000"}, [Info()]))
    start = time.perf_counter_ns()
    engine.run(Endless(), *parts, Sinks([Tally()]))  # type: ignore[arg-type]
    return (time.perf_counter_ns() - start) / rounds


if __name__ == "__main__":
    for name in ("hold", "grid", "imbalance"):
        print(name, round(min(step_cost_ns(name, view(ts_ns=1)) for _ in range(5))), "ns a step")
