"""Text for a terminal that may be narrow: a line is broken where its parts end, never within one."""

from __future__ import annotations

__all__ = ["flow"]


def flow(text: str, columns: int, *, gap: str, indent: int = 0) -> str:
    """One line as several of at most `columns`, broken at `gap`; what follows the first is indented.

    A part that is longer than a line by itself stays whole.
    """
    lines: list[str] = []
    for part in text.split(gap):
        if lines and len(lines[-1]) + len(gap) + len(part) <= columns:
            lines[-1] += gap + part
        else:
            lines.append(" " * indent + part.lstrip() if lines else part)
    return "\n".join(lines)
