"""How right the fills are: the commands, the measured curve, and what may not be judged by its own data."""

import json
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, WAIT_S, environment
from test_l3 import recording
from tickerml import execution

LAWS = ("uniform", "tail_heavy", "head_heavy", "size_proportional")


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    """A command run to its end."""
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, env=environment(), timeout=WAIT_S
    )


def test_the_measured_curve_is_no_worse_than_the_best_fixed_model_out_of_sample() -> None:
    """Row 8: within noise in every law and strictly better in two; the band is narrower than the naive pair."""
    better = 0
    for law in LAWS:
        table = execution.truth(law, "calm", orders=2000, seed=1, fit_orders=4000)
        fitted = next(row for row in table["models"] if row["model"] == "fitted")
        assert fitted["brier_over_best"] < 2 * fitted["brier_over_best_se"], law
        better += fitted["brier_over_best"] < 0
        assert table["band"]["width_s"] < table["naive"]["width_s"] / 2
        # Measured: 94 %, 98 %, 88 % and 95 %. What is missed is met between two diffs and seen by none.
        assert table["band"]["coverage_frac"] > 0.86, law
        assert table["band"]["after_frac"] < 0.01, law
    assert better >= 2


def test_one_seed_prints_one_table() -> None:
    asked = ("execution", "truth", "--law", "tail_heavy", "--orders", "200", "--fit-orders", "400", "--seed", "7")
    first, again = cli(*asked, "--json"), cli(*asked, "--json")
    assert first.returncode == 0
    assert first.stdout == again.stdout
    (table,) = json.loads(first.stdout)["tables"]
    assert [row["model"] for row in table["models"]][-2:] == ["prob_power3:3", "fitted"]
    assert table["orders"] + table["refused"] == 200
    assert {"model", "brier", "time_error_s", "calibration", "grid"} <= set(table["models"][0])
    shown = cli(*asked)
    assert "tail_heavy, calm, seed 7" in shown.stdout
    assert "early to late" in shown.stdout


def test_a_curve_is_written_whole_and_its_own_market_marks_the_report(tmp_path: Path) -> None:
    curve = tmp_path / "curve.json"
    made = cli("execution", "fit", "-o", str(curve), "--law", "uniform", "--orders", "300", "--seed", "5", "--json")
    assert made.returncode == 0
    written = json.loads(curve.read_text())
    assert written["share"] == sorted(written["share"])
    assert written["fit_end_ns"] > 0
    assert json.loads(made.stdout)["observations"] == written["observations"] > 100
    asked = ("execution", "truth", "--law", "uniform", "--orders", "100", "--no-grid", "--curve", str(curve))
    marked = cli(*asked, "--seed", "5", "--allow-insample", "--json")
    assert json.loads(marked.stdout)["tables"][0]["insample"] is True
    assert "insample" not in json.loads(cli(*asked, "--seed", "6", "--json").stdout)["tables"][0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "No such file"),
        ("[]", "is no curve"),
        ('{"format":1,"model":"fitted","share":[1],"fit_end_ns":1,"sources":[]}', "share is not 17 numbers"),
        ('{"format":1,"model":"fitted","share":[1],"fit_end_ns":"x","sources":[]}', "fit_end_ns"),
    ],
)
def test_a_curve_that_cannot_be_read_is_one_line(tmp_path: Path, text: str | None, what: str) -> None:
    curve = tmp_path / "curve.json"
    if text is not None:
        curve.write_text(text)
    for command, code in (
        (("execution", "truth", "--law", "uniform", "--orders", "10", "--curve", str(curve)), 4 if text else 3),
        (("config", "check", "--config", str(_config(tmp_path, curve))), 4),
    ):
        ended = cli(*command)
        assert ended.returncode == code
        assert what in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


def _config(folder: Path, curve: Path) -> Path:
    made = folder / "config"
    made.mkdir(exist_ok=True)
    (made / "execution_config.yaml").write_text(f"queue: fitted\nqueue_file: {curve}\n")
    return made


def test_a_curve_from_order_events(tmp_path: Path) -> None:
    curve = execution.fit_files([recording("bitstamp_l3/2015-05-01.log.xz")])
    assert curve["observations"] > 1_000
    assert all(0 <= share <= 4 for share in curve["share"])
    execution.write_curve(curve, tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "c.json"]


def test_every_market_of_a_curve_is_asked_for_before_the_first_is_made(tmp_path: Path) -> None:
    """The last of four laws: the three before would take hours."""
    curve = {
        "format": 1, "model": "fitted", "share": [1] * 17, "fit_end_ns": 1,
        "sources": [{"kind": "loopback", "law": "size_proportional", "regime": "calm", "seed": 7}],
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(curve))
    asked = ("execution", "truth", "--curve", str(tmp_path / "c.json"), "--orders", "1000000", "--seed", "7")
    done = cli(*asked)
    assert (done.returncode, "size_proportional, calm, seed 7" in done.stderr) == (4, True)


def test_options_that_do_not_belong_together(tmp_path: Path) -> None:
    for extra in (["--law", "uniform"], ["--seed", "3"]):
        assert cli("execution", "fit", "x.log", "-o", str(tmp_path / "c"), *extra).returncode == 2
    assert cli("execution", "fit", "x.log", "-o", "x.log").returncode == 2
    assert cli("execution", "fit", str(tmp_path / "none.log"), "-o", str(tmp_path / "c")).returncode == 3
    assert not (tmp_path / "c").exists()
