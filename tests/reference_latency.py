"""The ways to the venue and back in plain Python, for `reference_shared.py`: an entry is (ns, whether it arrives).

`venue` draws from xoshiro256++ seeded through splitmix64, a generator for each venue and direction; `feed` follows the
latest stamped diff or print, but no diff that waited for a snapshot; `file` interpolates as hftbacktest does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

ALL64 = 2**64 - 1


def random64(seed: int, label: str) -> Iterator[int]:
    """The numbers of `Rng::of`."""
    name = 0xCBF29CE484222325
    for byte in label.encode():
        name = (name ^ byte) * 0x100000001B3 & ALL64
    x, state = seed ^ _rotate(name, 17), []
    for _ in range(4):
        x = (x + 0x9E3779B97F4A7C15) & ALL64
        z = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & ALL64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & ALL64
        state.append(z ^ (z >> 31))
    a, b, c, d = state
    while True:
        yield (_rotate((a + d) & ALL64, 23) + a) & ALL64
        t = (b << 17) & ALL64
        c, d = c ^ a, d ^ b
        b, a = b ^ c, a ^ d
        c, d = c ^ t, _rotate(d, 45)


class Ways:
    """Entry and response of one instrument."""

    def __init__(self, venue: str, settings: dict[str, Any], entry: int, response: int, base_latency: int) -> None:
        self.kind = settings.get("latency", "constant").partition(":")[0]
        self.medians, self.gateway = (entry, response), base_latency
        self.heard: int | None = None
        ways = ("entry", "response")
        self.draws = [random64(settings.get("seed", 0), f"latency/{venue}/{way}") for way in ways]
        rows = list(zip(*(column.tolist() for column in settings.get("latencies", ())), strict=True))
        self.requests = [(req, exch - req if exch > 0 else None, resp - req) for req, exch, resp in rows]
        self.answers = [(exch, resp - exch) for _, exch, resp in rows if exch > 0]

    def entry(self, sent: int) -> tuple[int, bool]:
        if self.kind != "file":
            return self._one_way(0), True
        (t1, *first), (t2, *second) = _around(self.requests, sent)
        refused = first[0] is None or second[0] is None
        return _between(sent, (t1, first[refused]), (t2, second[refused])), not refused

    def response(self, at: int) -> int:
        return self._one_way(1) if self.kind != "file" else _between(at, *_around(self.answers, at))

    def _one_way(self, way: int) -> int:
        median = self.medians[way]
        if self.kind == "venue":
            return self._by_chance(way)
        return median if self.kind == "constant" or self.heard is None else max(self.heard, 0) + self.gateway

    def _by_chance(self, way: int) -> int:
        u1, u2, spike, longer = ((next(self.draws[way]) >> 11) / 2**53 for _ in range(4))
        normal = math.sqrt(-2.0 * math.log(1.0 - u1)) * math.cos(math.tau * u2)
        usual = self.medians[way] * math.exp(0.2 * normal)
        ns = usual * (1.0 - 3.0 * math.log(1.0 - longer)) if spike < 0.01 else usual
        return math.floor(min(ns, 60e9) + 0.5)


def _around(rows: Sequence[Any], x: int) -> tuple[Any, Any]:
    """The rows before and behind x; at an end the same one twice."""
    before = [row for row in rows if row[0] <= x] or rows[:1]
    after = [row for row in rows if row[0] > x] or rows[-1:]
    return (before[-1], after[0]) if before[-1][0] <= x else (before[-1], before[-1])


def _between(x: int, first: Sequence[int], second: Sequence[int]) -> int:
    (x1, y1), (x2, y2) = first, second
    return y1 if x2 <= x1 else int((y2 - y1) / (x2 - x1) * (x - x1)) + y1


def _rotate(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & ALL64
