"""`backtest --sweep FILE`: many settings over one set of events, on all cores.

The events are read once; the workers are forked off afterwards and share them, so memory grows by a session for each
core and not by a copy of the market. A setting's digest is that of a single backtest with the same `--set`s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tickerml import runner
from tickerml.config.build import settings_json
from tickerml.errors import ConfigError, TickerError
from tickerml.pool import Done, Tell, cores, spread
from tickerml.profiles import is_insample
from tickerml.sources.latency_file import recorded_latencies
from tickerml.sources.recorded import EventRows, load_events
from tickerml.sweep.plan import Setting, check, place, read_settings
from tickerml.sweep.table import check_place, write_result
from tickerml.trader import make_trader
from tickerml.version import code_version

if TYPE_CHECKING:
    from tickerml.config import Below
    from tickerml.config.models import Config

__all__ = ["Asked", "run", "summary_text"]

BEST_SHOWN: Final = 3


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a sweep.

    Attributes
    ----------
    sets : the profile's settings and those of ``--set``; `fixed` names the latter.
    """

    file: Path
    output: Path
    policy: str
    profile: str | None
    sets: Sequence[tuple[str, str]]
    fixed: Sequence[str]
    batch_events: int
    workers: int | None = None
    allow_insample: bool = False
    builtin: bool = False


def run(files: Sequence[Path], below: Below, asked: Asked, *, quiet: bool) -> dict[str, Any]:
    """Runs every setting and writes the result.

    A first signal ends what is under way and keeps what is finished. So does a setting that fails: its error is raised.

    Parameters
    ----------
    below : the configuration without flags.
    """
    begin = time.perf_counter()
    settings, text = read_settings(asked.file), asked.file.read_text(encoding="utf-8")
    configs = [loaded.config for loaded in check(settings, below, asked.policy, asked.sets, asked.fixed)]
    check_place(asked.output)
    events = load_events(files)
    _check_policies(settings, configs, events, asked)
    workers = min(asked.workers or cores(), len(settings))
    work = _work(events, configs, asked)
    results, error, failed, stopped = spread(work, len(settings), workers, what="settings", quiet=quiet)
    head = {"policy": asked.policy, "profile": asked.profile, "sets": dict(asked.sets), "stopped": stopped,
            **({"builtin": True} if asked.builtin else {}),
            "settings_given": len(settings), "sweep": text,
            "events": [str(path) for path in files], "rows": len(events.rows),
            "code_version": code_version()}  # fmt: skip
    size = write_result(asked.output, settings, results, head) if results else 0
    if error is not None:
        raise _named(error, settings[failed])
    ranked = sorted(results, key=lambda n: (-float(results[n]["pnl_quote"]), n))
    return {
        "sweep": str(asked.file), "output": str(asked.output) if results else None, "bytes": size,
        "settings": len(settings), "settings_tried": len(results), "stopped": stopped, "workers": workers,
        "rows": len(events.rows), "event_bytes": events.rows.bytes,
        "best": [{"setting": n, "set": settings[n].texts, **results[n]} for n in ranked[:BEST_SHOWN]],
        "cpu_s": round(sum(row["cpu_s"] for row in results.values()), 6),
        "wall_s": round(time.perf_counter() - begin, 6),
    }  # fmt: skip


def summary_text(result: dict[str, Any]) -> str:
    """The last screen of a sweep, for people."""
    tried = f"{result['settings_tried']} of {result['settings']} settings"
    lines = [f"{tried} over {result['rows']} rows in {result['wall_s']:.1f} s on {result['workers']} workers"]
    for row in result["best"]:
        chosen = " ".join(f"{key}={text}" for key, text in row["set"].items())
        lines.append(f"  {row['pnl_quote']:>24}  fills {row['fills']:<8} {chosen}")
    lines.append(
        str(result["output"]) if result["output"] else "stopped before a setting was finished: nothing written"
    )
    return "\n".join(lines)


def _named(error: TickerError, setting: Setting) -> TickerError:
    """The same error with the setting that it belongs to."""
    where = f"{setting.where} ({' '.join(f'{key}={text}' for key, text in setting.sets)}): "
    if isinstance(error, ConfigError):
        return ConfigError([where + problem for problem in error.problems])
    return type(error)(where + str(error))


def _check_policies(settings: Sequence[Setting], configs: Sequence[Config], events: EventRows, asked: Asked) -> None:
    """What only shows when policy, instruments and simulator meet; before anything starts."""
    from tickerml import _native

    problems: dict[str, None] = {}
    # A file of latencies may be long, and it is the same for most settings.
    latencies = {config.execution.latency: config for config in configs}
    read = {name: recorded_latencies(config) for name, config in latencies.items()}
    first = read[configs[0].execution.latency]
    instruments = _native.Session.backtest(events.rows, settings_json(configs[0]), latencies=first).instruments
    for setting, config in zip(settings, configs, strict=True):
        try:
            is_insample(config, events.rows.span, allowed=asked.allow_insample)
            _native.Session.backtest([], settings_json(config), latencies=read[config.execution.latency])
            with make_trader(config, instruments) as made:
                if asked.builtin:
                    made.ladder(config.execution.exchange)
        except ConfigError as error:
            problems.update((place(problem, setting), None) for problem in error.problems)
    if problems:
        raise ConfigError(list(problems))


def _work(events: EventRows, configs: Sequence[Config], asked: Asked) -> Callable[[int, Tell], dict[str, Any]]:
    """What a worker does with the number of a setting."""
    import numpy  # noqa: F401 - loaded once here instead of once a worker

    span = events.rows.span or (0, 0)

    def work(n: int, tell: Tell) -> dict[str, Any]:
        begin = time.process_time()
        sinks = [Done(span, tell)]
        result = runner.backtest_events(
            events,
            configs[n],
            batch_events=asked.batch_events,
            sinks=lambda _: sinks,
            profile=asked.profile,
            allow_insample=asked.allow_insample,
            builtin=asked.builtin,
        )
        return {**result, "cpu_s": round(time.process_time() - begin, 6)}

    return work
