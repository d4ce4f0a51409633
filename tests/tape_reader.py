"""An independent reader of tapes, from the drawing of the format alone: struct, zstd, nothing of TickerML.

It trusts no checksum (`data verify` does that): it walks the blocks, checks that `pos` is dense, and gives the records.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

HEADER_LEN, BLOCK_LEN = 128, 56
BLOCK_MAGIC = b"\xb7TkB\x8d\x0a\x1a\xe1"
BLOCK_END = 0xE5
FRAME, REST, CONNECT, DISCONNECT, TICK, CLOCK, HEALTH, COMMAND, CONFIG = range(1, 10)
INSTRUMENT, EPOCH, STOP = 10, 11, 14


class Record(NamedTuple):
    """One record; `epoch` is that of its file."""

    pos: int
    kind: int
    slot: int
    ts_ns: int
    epoch: int
    bytes: bytes


def records(tape: Path) -> Iterator[Record]:
    """Every record of a tape in order; a torn tail is passed over, and `pos` is dense."""
    paths = sorted(tape.glob("*.tape"))
    heads = [path.read_bytes()[:HEADER_LEN] for path in paths]
    due = 0
    for n, path in enumerate(paths):
        body = path.read_bytes()
        if n + 1 < len(paths):
            body = body[: struct.unpack_from("<Q", heads[n + 1], 56)[0]]
        for record in _segment(body, int(path.name[:4])):
            assert record.pos == due, f"{path.name}: record {record.pos}, {due} was due"
            due += 1
            yield record


def _segment(body: bytes, epoch: int) -> Iterator[Record]:
    at = HEADER_LEN
    while body[at : at + 8] == BLOCK_MAGIC and at + BLOCK_LEN <= len(body):
        length, raw_len, count = struct.unpack_from("<III", body, at + 16)
        first_ts, _last, first_pos = struct.unpack_from("<qqQ", body, at + 32)
        end = at + BLOCK_LEN + length
        if end >= len(body) or body[end] != BLOCK_END:
            return
        raw = pa.decompress(body[at + BLOCK_LEN : end], decompressed_size=raw_len, codec="zstd", asbytes=True)
        found = list(_block(raw, first_pos, first_ts, epoch))
        assert len(found) == count
        yield from found
        at = end + 1


def _block(raw: bytes, pos: int, ts_ns: int, epoch: int) -> Iterator[Record]:
    at = 0
    while at < len(raw):
        kind = raw[at]
        slot, at = _number(raw, at + 1)
        length, at = _number(raw, at)
        delta, at = _number(raw, at)
        _mono, at = _number(raw, at)
        ts_ns += delta
        yield Record(pos, kind, slot, ts_ns, epoch, raw[at : at + length])
        pos, at = pos + 1, at + length


def _number(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


class Trade(NamedTuple):
    """A trade as a frame carried it."""

    stream: str
    id: int
    record: Record


def trades(tape: Path) -> Iterator[Trade]:
    """Every trade of a tape, in order, with its stream qualified by the connection's venue."""
    slots: list[str] = []
    for record in records(tape):
        if record.kind == CONFIG:
            slots = json.loads(record.bytes)["slots"]
        elif record.kind == FRAME and b"@trade" in record.bytes[:80]:
            message: dict[str, Any] = json.loads(record.bytes)
            venue = slots[record.slot].partition("/")[0]
            yield Trade(f"{venue}/{message['stream']}", message["data"]["t"], record)
