"""The command line. Commands, options, JSON and exit codes are in the contract and change only by addition.

The modules here import click and nothing else that is slow, so that ``tickerml --help`` answers at once; what a command
needs is imported when it runs.
"""

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script: runs a command and exits with the contract's code; a mistake gets one line, no traceback."""
    if argv is None:
        # The process is ours, and what is imported here stays to its end: garbage is not looked for in it.
        gc.disable()
        from tickerml.cli.root import execute

        gc.freeze()
        gc.enable()
        sys.exit(execute(sys.argv[1:]))
    from tickerml.cli.root import execute

    sys.exit(execute(list(argv)))
