"""`tickerml parity RUN`: what a run decided live against its replay, a backtest of its event files, and other models.

Live, replay and backtest must be equal. Another queue model or hftbacktest's rules are something else by design: how
far they part, and where first, says how much of a result is the model's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.parity.compare import Difference, differences, strict_differences
from tickerml.parity.fold import Folded, fold
from tickerml.parity.live import Live, live_run, money, readable
from tickerml.pool import Done, Tell, cores, spread
from tickerml.profiles import PROFILES
from tickerml.sinks.committed import read_only
from tickerml.sources import BATCH_EVENTS
from tickerml.version import code_version

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.config.models import Config
    from tickerml.sources.recorded import EventRows

__all__ = ["parity", "summary_text"]

MUST = ("replay", "backtest")
"""What has to equal the live run."""


@dataclass(frozen=True)
class Side:
    """What a live run is held against: a session, and in which words it differs by design."""

    name: str
    config: Config
    setting: str = ""
    profile: str | None = None


def parity(
    data: Path,
    tape: Path,
    load: Callable[..., Loaded],
    *,
    others: bool,
    workers: int | None,
    quiet: bool,
    allow_damage: bool = False,
) -> tuple[dict[str, Any], int]:
    """Compares; the result and the exit code: 6 where replay or backtest differs from the live run.

    Parameters
    ----------
    load : `config.load` with the user's folder already given.
    others : other models and profiles, too.

    Raises
    ------
    NotFoundError
        For a run that decided nothing.
    UnsoundDataError
        For a ledger or a `run.json` that cannot be read, and for a damaged tape unless that is allowed.
    """
    from tickerml.sources.damage import scanned
    from tickerml.sources.recorded import load_events, recorded_config, tape_session

    begin = time.perf_counter()
    recorded = recorded_config(tape)
    with tempfile.TemporaryDirectory(prefix="tickerml-parity-") as place:
        live = live_run(tape, Path(place))
        config = load(recorded=recorded).config
        damage = scanned(tape, allow=allow_damage)
        first = tape_session(tape, config, batch_events=1, allow_damage=allow_damage)
        ids, carry = [info.id for info in first.instruments], first.carry
        events = load_events(_event_files(data, tape, ids, Path(place)))
        sides = [Side("replay", config), Side("backtest", config)]
        sides += _others(partial(load, recorded=recorded), config) if others else []
        work = _Work(sides, tape, live, events, carry, Path(place), allow_damage)
        done = spread(work, len(sides), workers or cores(), what="comparisons", quiet=quiet)
        if done.error is not None:
            raise done.error
        if done.stopped:
            raise KeyboardInterrupt
        folded: dict[int, Folded] = done.results
        restarted_ns = folded[0].restarted_ns
        # Event files hold no restart: from there on a backtest still has the orders that the process forgot.
        whole_ns = folded[0].before_restart_ns if restarted_ns else live.last_ns
        with readable(live.run, live.ledger, live.source):
            rows = [_row(side, folded[n], live, whole_ns) for n, side in enumerate(sides)]
            shown = money(live.ledger, live.last_ns)
    equal = all(row["equal"] for row in rows if row["name"] in MUST)
    head = {"run": live.run, "equal": equal, "live": {"digest": live.digest or None, "views": live.last_view + 1,
            "last_ts_ns": live.last_ns, **shown}, "restarted_ts_ns": restarted_ns or None, "against": rows}  # fmt: skip
    cpu_s = round(time.process_time() + sum(row["cpu_s"] for row in rows), 6)
    return {
        **head,
        "allowed_damage": damage,
        "cpu_s": cpu_s,
        "wall_s": round(time.perf_counter() - begin, 6),
    }, 0 if equal else UnsoundDataError.exit_code


def summary_text(result: dict[str, Any]) -> str:
    """The comparison for people."""
    from tickerml.sources.damage import allowed_text

    live = result["live"]
    lines = [f"run {result['run']}: live {live['fills']} fills, P&L {live['pnl_quote']}", *allowed_text(result)]
    for row in result["against"]:
        what = "equal" if row["equal"] else f"differs: {row['fills']} fills, P&L {row['pnl_quote']}"
        lines.append(f"{row['name']:24} {what}")
        lines += [_difference_text(row["differences"][0])] if row["differences"] else []
    return "\n".join(lines)


def _difference_text(found: Mapping[str, Any]) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(found["ts_ns"] // 10**9)) + f".{found['ts_ns'] % 10**9:09d}"
    sides = [_row_text(found[side], found["fields"]) for side in ("live", "other")]
    return (
        f"  first at {at} UTC {found['instrument']}, {found['what']} row {found['n']}\n"
        f"    live  {sides[0]}\n    here  {sides[1]}\n    cause {found['cause']}"
    )


def _row_text(row: Mapping[str, Any] | None, fields: Sequence[str]) -> str:
    if row is None:
        return "nothing more"
    kept = [key for key in row if key in fields or (key in ("event", "side", "px", "qty", "reason") and row[key] != "")]
    return " ".join(f"{key}={row[key]}" for key in kept)


def _event_files(data: Path, tape: Path, instruments: Sequence[str], place: Path) -> list[Path]:
    """The run's event files, in the order of the session's instruments; made in the temporary folder where none are."""
    from tickerml.sinks.events import EventFile
    from tickerml.sources.lookup import find_events
    from tickerml.sources.tapes import convert_into

    try:
        files = find_events([tape.name], data)
    except NotFoundError:
        files = sorted(Path(place).glob("events/**/*.parquet")) if convert_into(place, tape) else []
    ids = {}
    for path in files:
        file = EventFile(path)
        ids[path] = file.instrument_id
        file.close()
    # An instrument that came after the first decision is on the tape, and for the next run.
    decided = [path for path in files if ids[path] in instruments]
    return sorted(decided, key=lambda path: (instruments.index(ids[path]), path.name))


def _others(load: Callable[..., Loaded], config: Config) -> Iterator[Side]:
    """Every other queue model, and every profile."""
    from tickerml.config.values import QUEUES

    for queue in QUEUES:
        if queue != config.execution.queue:
            setting = f"queue is {config.execution.queue} live, {queue} here"
            yield Side(f"queue={queue}", load(sets=[("queue", queue)]).config, setting)
    for profile, sets in PROFILES.items():
        setting = f"profile {profile}: {', '.join('='.join(pair) for pair in sets)}"
        yield Side(f"profile={profile}", load(sets=sets).config, setting, profile)


@dataclass(frozen=True)
class _Work:
    """What a worker does with the number of a side."""

    sides: Sequence[Side]
    tape: Path
    live: Live
    events: EventRows
    carry: str | None
    place: Path
    allow_damage: bool

    def __call__(self, n: int, tell: Tell) -> Folded:
        """Folds one side."""
        from tickerml.sources.recorded import event_session, tape_session

        side, begin = self.sides[n], time.process_time()
        if side.name == "replay":
            session = tape_session(self.tape, side.config, batch_events=BATCH_EVENTS, allow_damage=self.allow_damage)
        else:
            session = event_session(self.events, side.config, batch_events=BATCH_EVENTS, carry=self.carry)
        made = fold(
            session, side.config, self.live.run, self.place / f"{n}.sqlite", carry=self.carry,
            unbound=side.profile is not None, digest_view=self.live.digest_view,
            sinks=[Done(self.events.rows.span or (0, 0), tell)],
        )  # fmt: skip
        return replace(made, result={**made.result, "cpu_s": round(time.process_time() - begin, 6)})


def _row(side: Side, folded: Folded, live: Live, whole_ns: int) -> dict[str, Any]:
    """One comparison in the keys of the result.

    Parameters
    ----------
    whole_ns : how far event files say all that the tape says.
    """
    until_ns = min(live.last_ns, folded.last_ns)
    if side.name == "replay":
        found = strict_differences(live.ledger, folded.ledger, live.last_view)
        if not found and live.digest and folded.digest_at != live.digest:
            sides = {"digest": live.digest}, {"digest": folded.digest_at}
            found = [Difference("digest", live.digest_view, live.last_ns, "", *sides)]
    else:
        until_ns = min(until_ns, whole_ns)
        found = differences(live.ledger, folded.ledger, until_ns)
    told = [_told(difference, side, folded, live) for difference in found]
    return {
        "name": side.name, "equal": not found, "until_ts_ns": until_ns,
        "digest": folded.result["digest"], "late_rows": folded.result["late_rows"],
        **money(folded.ledger, until_ns), "differences": told, "cpu_s": folded.result["cpu_s"],
    }  # fmt: skip


def _told(found: Difference, side: Side, folded: Folded, live: Live) -> dict[str, Any]:
    return {**found._asdict(), "fields": found.fields, "cause": _cause(found, side, folded, live)}


def _cause(found: Difference, side: Side, folded: Folded, live: Live) -> str:
    """The likeliest reason for a first difference."""
    if side.setting:
        return side.setting
    if live.info.get("code_version", "") != code_version():
        return f"other code: recorded by {live.info.get('code_version', '?')}, this is {code_version()}"
    if folded.result["late_rows"]:
        return f"late rows: {folded.result['late_rows']} came after their moment was told; a larger reorder_ms waits"
    with closing(read_only(live.ledger)) as db:
        query = "SELECT from_ts_ns, to_ts_ns, cause FROM gaps WHERE instrument=? AND from_ts_ns<=? ORDER BY 1 DESC"
        gap = db.execute(query, (found.instrument, found.ts_ns)).fetchone()
    if gap:
        return f"gap: no true book from {gap[0]} to {gap[1]} ({gap[2]})"
    if side.name == "replay":
        return "the ledger's row is not what the tape gives: the file was changed, or this is a defect of tickerml"
    return (
        "none found: a defect of tickerml, or event files of another conversion (`tickerml data convert` renews them)"
    )
