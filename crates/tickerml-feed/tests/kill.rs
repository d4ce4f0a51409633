//! `kill -9` of a recording process at seeded moments: everything behind the durable mark that it had printed is there,
//! epochs go on, pos is dense (rules.md 3, reliability.md 4 row 1).
mod common;

use common::{config, put_frames, read_all};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tickerml_core::tape::RunId;
use tickerml_feed::reader::scan_tape;
use tickerml_feed::recorder::Recorder;
use tickerml_feed::store::DataFolder;

const CHILD: &str = "TAPE_KILL_TEST_DATA";

fn run() -> RunId {
    RunId::new(1_723_161_255_000_000_000, 2)
}

/// Kills of one test run; `make soak` asks for more.
fn kills() -> u64 {
    std::env::var("TICKERML_SOAK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// Not a test of its own: the process that is killed. It records for ever and prints the durable mark.
#[test]
fn child() {
    let Ok(data) = std::env::var(CHILD) else { return };
    let mut recorder = Recorder::open(config(Path::new(&data), run())).unwrap();
    put_frames(&mut recorder, 1);
    recorder.flush().unwrap();
    let mut printed = 0;
    loop {
        if recorder.ready() {
            put_frames(&mut recorder, 37);
        }
        let durable = recorder.durable_pos();
        if durable != printed {
            println!("durable {durable} epoch {}", recorder.resumed().epoch);
            printed = durable;
        }
    }
}

fn spawn(data: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, data);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Reads the child's marks until it has printed `lines` of them, kills it, reads on to the end; gives the last mark.
fn kill_after(mut child: Child, lines: u64) -> (u64, u64) {
    let mut last = (0, 0);
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // A line that the kill cut in two counts for nothing.
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split(' ').collect();
        let at = words.iter().position(|&word| word.ends_with("durable"));
        let Some([mark, "epoch", epoch]) = at.and_then(|at| words.get(at + 1..at + 4)) else { continue };
        let (Ok(mark), Ok(epoch)) = (mark.parse(), epoch.parse()) else { continue };
        last = (mark, epoch);
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    last
}

#[test]
fn everything_behind_the_durable_mark_survives() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut before = 0;
    for seed in 0..kills() {
        let lines = 1 + seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) % 12;
        let (durable, epoch) = kill_after(spawn(data.path()), lines);
        assert_eq!(epoch, seed, "each start is the next epoch");
        let records = read_all(&tape);
        assert!(
            records >= durable && durable >= before,
            "seed {seed}: {records} records, durable {durable}, before {before}"
        );
        before = records;
        let scan = scan_tape(&tape).unwrap();
        assert_eq!((scan.damaged.len(), scan.records, scan.missing_records), (0, records, 0), "seed {seed}: {scan:?}");
    }
    let recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert_eq!((recorder.next_pos(), u64::from(recorder.resumed().epoch)), (before, kills()));
}
