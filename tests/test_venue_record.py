"""`tickerml venue record`: a generated market as a recording, in virtual time."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from commands import run, tickerml

pytest.importorskip("tickerml._native", reason="the native module is not built")

MARKET = "venues:\n  - venue: binance_spot\n    symbols: [{symbol: BIGUSDT, price: '50', tick: '0.01', lot: '1'}]\n"


def test_the_same_seed_gives_the_same_file_and_the_import_takes_it(tmp_path: Path) -> None:
    (tmp_path / "market.yaml").write_text(MARKET)
    words = ("venue", "record", "--market", "market.yaml", "--duration", "5s")
    done = tickerml(tmp_path, *words, "-o", "one.gz")
    tickerml(tmp_path, *words, "-o", "other.gz")
    one = (tmp_path / "one.gz").read_bytes()
    assert one == (tmp_path / "other.gz").read_bytes()
    lines = gzip.decompress(one).splitlines()
    assert done["frames"] == len(lines) > 100
    assert done["bytes"] == len(gzip.decompress(one))
    assert [done["first_ts_recv_ns"], done["last_ts_recv_ns"]] == [int(lines[n].split()[0]) for n in (0, -1)]
    steps = ("--instrument", "binance_spot:BIGUSDT", "--tick", "0.01", "--lot", "1")
    made = tickerml(tmp_path, "data", "import", "hftbacktest-raw", "one.gz", *steps)
    assert (made["gaps"], made["snapshots"], made["rejected"]) == ([], 1, [])
    assert made["trades"] > 20


def test_a_market_of_several_asks_which_and_nothing_is_written(tmp_path: Path) -> None:
    done = run(tmp_path, "venue", "record", "--duration", "5s", "-o", "out.gz")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "give one of binance_spot:BTCUSDT" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_market_file_of_the_readme_is_one(tmp_path: Path) -> None:
    """What the README describes is taken as it stands there, and it names every key that there is."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "market.yaml").write_text(text)
    words = ("venue", "record", "--market", "market.yaml", "--duration", "2s", "-o", "x.gz")
    assert tickerml(tmp_path, *words, "--instrument", "binance_usdm:BTCUSDT")["frames"] > 0
    (tmp_path / "market.yaml").write_text("prot: 1\n")
    keys = re.findall(r"`(\w+)`", tickerml(tmp_path, *words, code=4).partition("expected one of")[2])
    assert "venues" in keys
    for key in keys:
        assert re.search(rf"^{key}:", text, re.MULTILINE) or key == "recording", key
