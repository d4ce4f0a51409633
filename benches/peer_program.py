"""NautilusTrader as a case of `bench_peer.py`: a program of the Python that ``NAUTILUS_PYTHON`` names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from peer_feed import Feed
from peer_grid import Done

__all__ = ["Nautilus", "nautilus"]

NAME = "NAUTILUS_PYTHON"
"""Without our prefix: the commands that the bench starts refuse a TICKERML_* that is no setting of theirs."""
SCRIPT = Path(__file__).with_name("peer_nautilus.py")


class Nautilus:
    """A process that has the feed's rows in memory and goes over them as often as it is asked to."""

    def __init__(self, version: str, feed: Feed, process: subprocess.Popen[str]) -> None:
        self.version, self.feed, self.process = version, feed, process

    def run(self) -> Done:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answer.pop("rows") == self.feed.count
        return Done(**answer)


@contextmanager
def nautilus(feed: Feed) -> Iterator[Nautilus | None]:
    """Nautilus with the feed; None, and a line on stderr, where there is none."""
    python = os.environ.get(NAME, "")
    version = version_of(python)
    if version is None:
        print(f"Nautilus left out: {NAME}={python} names no Python with nautilus_trader", file=sys.stderr)
        yield None
        return
    np.save(feed.data / "rows.npy", feed.rows)
    asked = {"ladder": asdict(feed.ladder), "tick": feed.tick, "lot": feed.lot}
    (feed.data / "nautilus.json").write_text(json.dumps(asked))
    words = [python, str(SCRIPT), str(feed.data)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Nautilus(version, feed, process)  # its stdin closes behind this, and that ends it


def version_of(python: str) -> str | None:
    """What that Python imports as `nautilus_trader`."""
    words = [python, "-c", "import nautilus_trader; print(nautilus_trader.__version__)"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
