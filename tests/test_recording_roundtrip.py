"""`venue serve --recording` and `collect` against it: the tape holds the recording, byte for byte, and its book."""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest
from commands import COMMAND, WAIT_S, Running, serving, tickerml
from oracle_rebuild import rebuild
from tape_reader import FRAME, records

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
SPOT = [RECORDINGS / "binance_spot" / f"spot_btcusdt_2024080{day}.gz" for day in (8, 9)]
USDM = [RECORDINGS / "binance_usdm" / "usdm_btcusdt_20240808.gz"]
Streams = dict[str, list[bytes]]


def recorded(files: list[Path]) -> Streams:
    """The raw text of every line that names a stream, by stream, in order."""
    found: Streams = defaultdict(list)
    for path in files:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            text = line.partition(b" ")[2]
            if stream := json.loads(text).get("stream"):
                found[stream].append(text)
    return dict(found)


def taped(tape: Path) -> tuple[Streams, int]:
    """The same of a tape's frames, and the stamp of the last one."""
    found: Streams = defaultdict(list)
    last_ns = 0
    for record in records(tape):
        if record.kind == FRAME and (stream := json.loads(record.bytes).get("stream")):
            found[stream].append(record.bytes)
            last_ns = record.ts_ns
    return dict(found), last_ns


def roundtrip(place: Path, files: list[Path], instrument: str, speed: str) -> None:
    """Serves, collects until the venue has ended by itself, compares."""
    assert all(path.is_file() for path in files)
    words = [word for path in files for word in ("--recording", str(path))]
    with (
        serving(place, *words, "--instrument", instrument, "--speed", speed) as (venue, url),
        Running([*COMMAND, "--data", str(place), "--json", "collect", "--at", url], place) as collect,
    ):
        assert venue.ends_within(2 * WAIT_S)
        result = json.loads(collect.stop())
    run = result["run"]
    ours, last_ns = taped(place / "demo" / "tapes" / run)
    theirs = recorded(files)
    assert {stream: len(found) for stream, found in ours.items()} == {s: len(f) for s, f in theirs.items()}
    for stream, found in theirs.items():
        assert ours[stream] == found, stream
    verified = tickerml(place, "data", "verify", run)
    (row,) = verified["instruments"]
    truth = rebuild([str(path) for path in files], [])
    assert (verified["ok"], row["crossed"], row["trade_id_gaps"]) == (True, 0, truth["trade_id_gaps"])
    assert (row["levels"], row["trades"]) == (truth["levels"], truth["trades"])
    where = ["--instrument", instrument, "--at", str(last_ns), "--depth", "1000000"]
    book = tickerml(place, "data", "book", run, *where)
    assert (book["state"], book["bids"], book["asks"]) == ("Live", truth["book"]["bids"], truth["book"]["asks"])


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
def test_our_captures_come_back_byte_for_byte(tmp_path: Path, venue: str) -> None:
    roundtrip(tmp_path, [HERE / "data" / f"{venue}_DEMOUSDT.raw.gz"], f"{venue}:DEMOUSDT", "20")


@pytest.mark.soak
@pytest.mark.skipif(not SPOT[0].exists(), reason=f"no recordings at {RECORDINGS}: set TICKERML_RECORDINGS")
@pytest.mark.parametrize(("files", "instrument"), [(SPOT, "binance_spot:BTCUSDT"), (USDM, "binance_usdm:BTCUSDT")])
def test_real_recordings_at_speed_20(tmp_path: Path, files: list[Path], instrument: str) -> None:
    roundtrip(tmp_path, files, instrument, "20")
