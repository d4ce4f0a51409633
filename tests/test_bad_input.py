"""Bad input through the real commands: one line that says what, where and how to mend it, exit 4 or 6 (contract.md; 3
for a file that is not there), and nothing written: every file is as it was, those named for output too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import import_capture, run
from test_npz import good, moved, save, with_
from tickerml.errors import UnsoundDataError
from tickerml.sinks.npz import DTYPE, LOCAL, SELL, TRADE
from tickerml.sources.arrays import read_array

pytest.importorskip("tickerml._native", reason="the native module is not built")

DEMO = "binance_usdm:DEMOUSDT"
ORDERS = np.dtype([(name, "i8") for name in ("req_ts", "exch_ts", "resp_ts", "_padding")])
NS = 1_760_000_000 * 10**9
FEES = "fees:\n  - {venue: binance_spot, tier: vip0, from: 2024-01-01, maker_bps: 2, taker_bps: 5}\n"
OUT = ("--fills", "kept.csv", "--orders", "new.parquet")
BACKTEST = ("backtest", "RUN", "--policy", "grid", *OUT)
REPLAY = ("replay", "RUN", *OUT)
LIVE = ("run", "--instrument", "binance_usdm:BTCUSDT", "--duration", "1s")
SWEEP = ("backtest", "RUN", "--policy", "hold", "-o", "new.parquet", "--sweep")
IMPORT = ("data", "import", "hftbacktest-npz", "--instrument", DEMO, "--tick", "0.1", "--lot", "0.001")
TRUTH = ("execution", "truth", "--law", "uniform", "--orders", "10", "--no-grid", "--curve", "seen.json")


@dataclass(frozen=True)
class Bad:
    """A command that must fail, and what its line must hold: what is wrong and where, then how to mend it."""

    words: tuple[str, ...]
    said: tuple[str, ...]
    code: int = 4


def queue(name: str, *said: str) -> Bad:
    return Bad((*BACKTEST, "--set", f"queue={name}"), ("--set queue", *said))


def exponent(text: str, family: str = "prob_power") -> Bad:
    return queue(f"{family}:{text}", f"{family}:{text}", "a number above 0 and below 1000", f"write {family}:3")


def latency(name: str, *said: str, code: int = 6, words: tuple[str, ...] = BACKTEST) -> Bad:
    return Bad((*words, "--set", f"latency=file:{name}"), (name, *said), code)


def npz(name: str, *said: str) -> Bad:
    return Bad((*IMPORT, name), (name, *said), 6)


NAMES = [
    queue("prob_cubic", "is no queue model", "known here: risk_averse, prob_log"),
    queue("risk_avers", "is no queue model", "did you mean risk_averse?"),
    queue("fited", "is no queue model", "did you mean fitted?"),
    queue("", "is empty", "write text"),
    queue("prob_log:3", "is no queue model", "did you mean prob_log?"),
    queue("fitted", "needs a curve", "queue_file=PATH"),
    queue("fifo", "names every order", "write fitted"),
    exponent("0"),
    exponent("-1"),
    exponent("nan"),
    exponent("1000"),
    exponent("x"),
    exponent("0.0000001", "prob_power3"),
    Bad((*REPLAY, "--set", "queue=prob_power:0"), ("--set queue", "above 0", "write prob_power:3")),
    Bad((*LIVE, "--set", "queue=prob_cubic"), ("--set queue", "is no queue model", "known here")),
    Bad((*BACKTEST, "--config", "queues"), ("execution_config.yaml:2 queue", "above 0", "write prob_power:3")),
    Bad((*SWEEP, "queues.yaml"), ("queues.yaml:2 queue", "'prob_cubic' is no queue model", "known here")),
]
LATENCIES = [
    latency("order.npz", "row 1: req_ts goes back", "sort the file by it"),
    latency("order.npz", "row 1: req_ts goes back", "sort the file by it", words=REPLAY),
    latency("overtaken.npz", "row 1: exch_ts goes back", "sort the file by it"),
    latency("below.npz", "row 0: a latency is below 0", "req_ts <= exch_ts <= resp_ts must hold"),
    latency("none.npz", "has no rows", "give one row an order"),
    latency("floats.npz", "'<f8'", "int64 fields req_ts, exch_ts, resp_ts"),
    latency("columns.npz", "its rows are", "int64 fields req_ts, exch_ts, resp_ts"),
    latency("plain.npz", "2 dimensions", "one row an order"),
    latency("named.npz", "has no array `data`, only rows", "numpy.savez"),
    latency("objects.npz", "cannot be read", "write it again"),
    latency("text.npz", "neither .npz nor .npy", "numpy.savez"),
    latency("cut.npy", "cannot be read", "write it again"),
    latency("packed.npz", "cannot be read", "write it again"),
    latency("vast.npy", "cannot be read", "write it again"),
    latency("absent.npz", "there is no such file", "give the path", code=3),
    latency("order.npz", "run takes constant, venue or feed", code=4, words=LIVE),
    Bad(
        (*BACKTEST, "--set", "latency=quick"), ("'quick' is no latency model", "write constant, venue, feed, or file:")
    ),
    Bad((*BACKTEST, "--set", "latency=file:"), ("'file:' is no latency model", "file:PATH")),
    Bad((*SWEEP, "latencies.yaml"), ("order.npz", "row 1: req_ts goes back", "sort the file by it"), 6),
]
ARRAYS = [
    npz("floats_of_rows.npz", "'<f8'", "hftbacktest 2's", "write it again by"),
    npz("words_of_rows.npz", "uint64", "hftbacktest 2's", "write it again by"),
    npz("local.npz", "row 7: local_ts goes back", "correct_event_order"),
    npz("exchange.npz", "row 8: the rows of the exchange's clock are not the local ones", "correct_event_order"),
    npz("earlier.npz", "row 0: the rows of the exchange's clock", "correct_event_order"),
    npz("local_only.npz", "row 7: the rows of the exchange's clock", "correct_event_order"),
    npz("packed_rows.npz", "cannot be read", "write it again"),
]
TABLES = [
    Bad((*words, "--config", "fees"), ("no row for binance_usdm with tier vip0", "add one"))
    for words in (BACKTEST, REPLAY, ("costs", DEMO, "RUN", "--qty", "0.01"), LIVE)
]
FITTED = ("--set", "queue=fitted", "--set", "queue_file=later.json")
CURVES = [
    Bad((*BACKTEST, *FITTED), ("later.json", "was fitted on data up to", "--allow-insample")),
    Bad((*REPLAY, *FITTED), ("later.json", "was fitted on data up to", "--allow-insample")),
    Bad((*BACKTEST, *FITTED, "--band"), ("later.json", "was fitted on data up to", "--allow-insample")),
    Bad((*SWEEP, "curves.yaml"), ("curves.yaml:", "later.json", "was fitted on data up to", "--allow-insample")),
    Bad((*TRUTH, "--seed", "5"), ("seen.json", "was measured on this market", "another --seed")),
]


def orders(*rows: tuple[int, int, int], dtype: np.dtype[Any] = ORDERS) -> np.ndarray:
    """Rows of a latency file; stamps are ms after `NS`."""
    stamps = [tuple(NS + ms * 10**6 for ms in row) for row in rows]
    return np.array([(*row, 0)[: len(dtype)] for row in stamps], dtype)


def damaged(path: Path, rows: np.ndarray) -> None:
    """A packed array with a wrong byte inside: what unpacks it fails, not the sum over it."""
    whole = bytearray(save(path, rows).read_bytes())
    whole[60] ^= 0x55
    path.write_bytes(whole)


def write_latencies(place: Path) -> None:
    fine = orders((0, 10, 20), (100, 110, 120))
    save(place / "order.npz", fine[::-1])
    save(place / "overtaken.npz", orders((0, 200, 210), (100, 110, 300)))
    save(place / "below.npz", orders((20, 10, 30)))
    save(place / "none.npz", fine[:0])
    save(place / "floats.npz", fine.astype([(name, "f8") for name in ORDERS.names or ()]))
    save(place / "columns.npz", orders((0, 10, 0), dtype=np.dtype([("req_ts", "i8"), ("exch_ts", "i8")])))
    save(place / "plain.npz", np.zeros((2, 3), "i8"))
    save(place / "named.npz", fine, "rows")
    save(place / "objects.npz", np.array([{}], dtype=object))
    (place / "text.npz").write_text("req_ts,exch_ts\n")
    np.save(place / "fine.npy", fine)
    whole = (place / "fine.npy").read_bytes()
    (place / "cut.npy").write_bytes(whole[:-1])
    # Of another length than its header says, which numpy's own parser of old headers stumbles over.
    (place / "vast.npy").write_bytes(whole.replace(b"(2,), }     ", b"(2000000000,"))
    damaged(place / "packed.npz", np.repeat(fine, 500))


def write_arrays(place: Path) -> None:
    save(place / "floats_of_rows.npz", good().astype([(name, "f8") for name in DTYPE.names or ()]))
    save(place / "words_of_rows.npz", good().view("u8").reshape(-1, 8))
    changes: dict[str, Callable[[Any], Any]] = {
        "local": with_("local_ts", 7, 1),
        "exchange": moved,
        "earlier": with_("exch_ts", 7, 1),
        "local_only": with_("ev", 7, LOCAL | TRADE | SELL),
    }
    for name, change in changes.items():
        save(place / f"{name}.npz", change(good()))
    damaged(place / "packed_rows.npz", np.repeat(good(), 500))


def write_settings(place: Path) -> None:
    curve = {"format": 1, "model": "fitted", "share": [1] * 17, "fit_end_ns": 1 << 62, "sources": []}
    (place / "later.json").write_text(json.dumps(curve))
    market = {"kind": "loopback", "law": "uniform", "regime": "calm", "seed": 5}
    (place / "seen.json").write_text(json.dumps({**curve, "sources": [market]}))
    (place / "curves.yaml").write_text("- {queue: risk_averse}\n- {queue: fitted, queue_file: later.json}\n")
    (place / "latencies.yaml").write_text("- {latency: constant}\n- {latency: 'file:order.npz'}\n")
    (place / "queues.yaml").write_text("- {queue: risk_averse}\n- {queue: prob_cubic}\n")
    for folder, name, text in (
        ("fees", "terms_config.yaml", FEES),
        ("queues", "execution_config.yaml", "step_ms: 100\nqueue: prob_power:0\n"),
    ):
        (place / folder).mkdir()
        (place / folder / name).write_text(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A working folder with everything bad in it, and a data folder below; the run of a capture."""
    made = tmp_path_factory.mktemp("bad")
    (made / "data").mkdir()
    name = import_capture(made / "data")
    write_latencies(made)
    write_arrays(made)
    write_settings(made)
    (made / "kept.csv").write_text("what was there\n")
    return made, name


def tree(place: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file and folder: when it changed, and what it holds."""
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in sorted(place.rglob("*"))}


@pytest.mark.parametrize(
    "bad", [*NAMES, *LATENCIES, *ARRAYS, *TABLES, *CURVES], ids=lambda bad: f"{bad.words[0]} {' '.join(bad.words[-3:])}"
)
def test_bad_input_is_one_line_and_nothing_is_written(place: tuple[Path, str], bad: Bad) -> None:
    folder, name = place
    before = tree(folder)
    done = run(folder / "data", *(name if word == "RUN" else word for word in bad.words), cwd=folder)
    assert (done.returncode, done.stdout) == (bad.code, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert [text for text in bad.said if text not in done.stderr] == [], done.stderr
    assert tree(folder) == before


def test_no_byte_of_an_array_is_a_defect_of_ours(tmp_path: Path) -> None:
    """A file with any one byte changed is read, or it is one line of unsound data."""
    rows, draw = np.repeat(orders((0, 10, 20)), 3), np.random.default_rng(4)
    np.save(tmp_path / "plain.npy", rows)
    said, path = [], tmp_path / "changed"
    for whole in ((tmp_path / "plain.npy").read_bytes(), save(tmp_path / "packed.npz", rows).read_bytes()):
        for at in range(len(whole)):
            changed = bytearray(whole)
            changed[at] ^= int(draw.integers(1, 256))
            path.write_bytes(changed)
            try:
                read_array(path)
            except UnsoundDataError as error:
                said.append(str(error))
    assert len(said) > 200
    assert [text for text in said if "\n" in text or not text.startswith(f"{path}: ")] == []
