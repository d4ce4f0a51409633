"""The command line. Commands, options, JSON and exit codes are in the contract and change only by addition.

The modules here import click and nothing else that is slow, so that ``tickerml --help`` answers at once; what a command
needs is imported when it runs.
"""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

GC_THRESHOLD = 50_000
"""Objects made before the young ones are looked through; Python's own 700 cost a backtest an eighth of its time."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script: runs a command and exits with the contract's code; a mistake gets one line, no traceback."""
    if argv is None:
        # The process is ours: what it imports stays to its end, and its steps make no cycles.
        gc.set_threshold(GC_THRESHOLD)
        # numpy starts a thread of linear algebra for each core, and they spin while it loads; nothing here uses them.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        argv = sys.argv[1:]
    from tickerml.cli.root import execute

    sys.exit(execute(list(argv)))
