"""Sessions over what was recorded: a tape, or event files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.config.build import settings_json
from tickerml.errors import UnsoundDataError

if TYPE_CHECKING:
    from tickerml.config.models import Config

__all__ = ["event_session", "recorded_config", "tape_session"]


def recorded_config(tape: Path) -> dict[str, Any]:
    """The CONFIG record of a tape; numbers with a point stay exact."""
    from tickerml import _native

    return dict(json.loads(_native.tape_config(tape), parse_float=Decimal))


def tape_session(tape: Path, config: Config, *, batch_events: int, allow_damage: bool) -> Any:
    """A session over a tape."""
    from tickerml import _native

    return _native.Session.replay(tape, settings_json(config), batch_events=batch_events, allow_damage=allow_damage)


def event_session(files: Sequence[Path], config: Config, *, batch_events: int) -> Any:
    """A session over event files; its order is (ts_recv, argument, pos)."""
    from tickerml import _native
    from tickerml.sinks.events import EventChunks

    chunks = EventChunks(files)
    try:
        return _native.Session.backtest(chunks, settings_json(config), batch_events=batch_events)
    except UnsoundDataError as error:
        if chunks.path is None or str(error).startswith(str(chunks.path)):
            raise
        raise UnsoundDataError(f"{chunks.path}: {error}") from error
    finally:
        chunks.close()
