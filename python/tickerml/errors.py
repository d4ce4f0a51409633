"""Everything that may go wrong, as a tree a caller can branch on; each class carries its exit code (contract.md).

TickerError            1  a failure: a dependency unreachable, a safety stop, a second instance
├── NotFoundError      3  a file, run, instrument or policy that is not there
├── ConfigError        4  configuration; `problems` holds every one, each with file, line and key
├── DeadlineError      5  something took longer than it may
└── UnsoundDataError   6  damage, missing records, a broken invariant
"""

from collections.abc import Sequence
from typing import ClassVar

__all__ = ["ConfigError", "DeadlineError", "NotFoundError", "TickerError", "UnsoundDataError"]


class TickerError(Exception):
    """A failure with one line for the user: what happened, where, and how to mend it."""

    exit_code: ClassVar[int] = 1


class NotFoundError(TickerError):
    """A file, run, instrument or policy that does not exist."""

    exit_code = 3


class ConfigError(TickerError):
    """The configuration cannot be used.

    Parameters
    ----------
    problems : every problem found, each as ``file:line key: what, and how to mend it``.
    """

    exit_code = 4

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class DeadlineError(TickerError):
    """Something took longer than its named maximum."""

    exit_code = 5


class UnsoundDataError(TickerError):
    """Data that cannot be trusted: damage, missing records, an import that accepted nothing, a broken invariant."""

    exit_code = 6
