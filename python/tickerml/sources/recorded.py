"""Sessions over what was recorded: a tape, or event files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tickerml.config.build import check_fees, settings_json
from tickerml.errors import UnsoundDataError
from tickerml.sources.latency_file import recorded_latencies

if TYPE_CHECKING:
    from tickerml.config.models import Config

__all__ = ["event_session", "load_events", "recorded_config", "tape_session"]


def recorded_config(tape: Path) -> dict[str, Any]:
    """The CONFIG record of a tape; numbers with a point stay exact."""
    from tickerml import _native

    return dict(json.loads(_native.tape_config(tape), parse_float=Decimal))


def tape_session(tape: Path, config: Config, *, batch_events: int, allow_damage: bool) -> Any:
    """A session over a tape."""
    from tickerml import _native

    session = _native.Session.replay(
        tape,
        settings_json(config),
        batch_events=batch_events,
        allow_damage=allow_damage,
        latencies=recorded_latencies(config),
    )
    check_fees(config, [info.venue for info in session.instruments])
    return session


class EventRows(NamedTuple):
    """Event files in memory, for any number of sessions."""

    rows: Any
    """`_native.Events`; their order is (ts_recv, argument, pos)."""
    events: int
    """Levels of diffs, trades and best bid/asks (contract.md, `events`)."""


def load_events(files: Sequence[Path]) -> EventRows:
    """Reads event files into memory."""
    from tickerml import _native
    from tickerml.sinks.events import EventChunks

    chunks = EventChunks(files)
    try:
        return EventRows(_native.Events(chunks), chunks.events)
    except UnsoundDataError as error:
        if chunks.path is None or str(error).startswith(str(chunks.path)):
            raise
        raise UnsoundDataError(f"{chunks.path}: {error}") from error
    finally:
        chunks.close()


def event_session(events: EventRows, config: Config, *, batch_events: int, carry: str | None = None) -> Any:
    """A session over what `load_events` gave; `carry` is the account that it goes on with."""
    from tickerml import _native

    session = _native.Session.backtest(
        events.rows, settings_json(config), batch_events=batch_events, latencies=recorded_latencies(config), carry=carry
    )
    check_fees(config, [info.venue for info in session.instruments])
    return session
