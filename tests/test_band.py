"""`backtest --band`, and fitted parameters on the data that they have seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import import_capture, tickerml

HERE = Path(__file__).parent
GRID = ("--policy", "grid", "--set", "half_spread_ticks=1", "--set", "interval_ticks=1", "--set", "entry_ms=5")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a capture's event files, and its run."""
    data = tmp_path_factory.mktemp("band")
    return data, import_capture(data)


def curve(folder: Path, fit_end_ns: int) -> str:
    """A curve by quantity, that has seen data up to a time."""
    path = folder / "curve.json"
    share = [n / 16 for n in range(17)]
    made: dict[str, Any] = {"format": 1, "model": "fitted", "share": share, "fit_end_ns": fit_end_ns, "sources": []}
    path.write_text(json.dumps(made))
    return str(path)


def test_the_ends_of_the_band_are_whole_runs(loaded: tuple[Path, str]) -> None:
    data, events = loaded
    model = tickerml(data, "backtest", events, *GRID, "--set", "queue=prob_log")
    banded = tickerml(data, "backtest", events, *GRID, "--set", "queue=prob_log", "--band")
    assert banded["digest"] == model["digest"]
    for name, queue in (("late", "risk_averse"), ("early", "early")):
        alone = tickerml(data, "backtest", events, *GRID, "--set", f"queue={queue}")
        assert {key: alone[key] for key in banded["band"][name]} == banded["band"][name]
    assert banded["band"]["late"]["digest"] != banded["band"]["early"]["digest"]
    tickerml(data, "backtest", events, *GRID, "--band", "--sweep", "x.yaml", code=2)


def test_a_curve_that_has_seen_the_events_marks_the_report(loaded: tuple[Path, str], tmp_path: Path) -> None:
    data, events = loaded
    later, earlier = 1 << 62, 1
    use = (*GRID, "--set", "queue=fitted", "--set")
    for command in (("backtest", events), ("replay", events)):
        marked = tickerml(data, *command, *use, f"queue_file={curve(tmp_path, later)}", "--allow-insample")
        assert marked["insample"] is True
        clean = tickerml(data, *command, *use, f"queue_file={curve(tmp_path, earlier)}", "--allow-insample")
        assert "insample" not in clean
        assert clean["digest"] == marked["digest"]
