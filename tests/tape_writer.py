"""An independent writer of small tapes, from the drawing of the format alone: one segment of one block."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from tape_reader import BLOCK_END, BLOCK_LEN, BLOCK_MAGIC, HEADER_LEN

RUN_LEN = 21


def write_tape(data: Path, run: str, records: Sequence[tuple[int, int, int, bytes | dict[str, Any]]]) -> Path:
    """The tape of an ended run in a data folder; a record is (kind, slot, ts_recv_ns, payload)."""
    raw, before, mono = bytearray(), records[0][2], 0
    for kind, slot, ts_ns, payload in records:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        raw += bytes([kind]) + _number(slot) + _number(len(body)) + _number(ts_ns - before)
        raw += _number(_zigzag(-ts_ns - mono)) + body
        before, mono = ts_ns, -ts_ns
    first, last = records[0][2], records[-1][2]
    segment = _header(run, first) + _block(run, bytes(raw), len(records), first, last)
    tape = data / "tapes" / run
    tape.mkdir(parents=True)
    (tape / "0000-000000.tape").write_bytes(segment)
    (data / "runs" / run).mkdir(parents=True)
    info = {"run": run, "command": "collect", "source": "loopback", "state": "ended", "records": len(records)}
    (data / "runs" / run / "run.json").write_text(json.dumps(info))
    return tape


def _header(run: str, ts_ns: int) -> bytes:
    head = struct.pack("<8sH21sxIIQqQ32s28x", b"TickTape", 1, run.encode(), 0, 0, 0, ts_ns, 0, bytes(32))
    assert len(head) == HEADER_LEN - 4
    return head + struct.pack("<I", _crc32c(head))


def _block(run: str, raw: bytes, count: int, first_ns: int, last_ns: int) -> bytes:
    payload = pa.compress(raw, codec="zstd", asbytes=True)
    salt = struct.pack(f"<{RUN_LEN}sIIQ", run.encode(), 0, 0, HEADER_LEN)
    tail = struct.pack("<IIIIqqQ", len(payload), len(raw), count, 0, first_ns, last_ns, 0)
    crc = struct.pack("<I", _crc32c(tail + salt + payload + bytes([BLOCK_END])))
    head_crc = struct.pack("<I", _crc32c(crc + tail + salt))
    head = BLOCK_MAGIC + head_crc + crc + tail
    assert len(head) == BLOCK_LEN
    return head + payload + bytes([BLOCK_END])


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
