//! The reader that streams and the scan that sees a whole file must say the same of any injured tape.
mod common;

use common::{config, noise, put_frames};
use std::path::{Path, PathBuf};
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::reader::{Damaged, TapeReader, scan_tape};
use tickerml_feed::recorder::Recorder;
use tickerml_feed::store::DataFolder;

/// A tape of three epochs; the second has several segments, the last is open or closed.
fn tape(data: &Path, closed: bool) -> PathBuf {
    let run = RunId::new(1_723_161_255_000_000_000, 3);
    for epoch in 0..3 {
        let mut recorder = Recorder::open(config(data, run)).unwrap();
        for block in 0..6 {
            put_frames(&mut recorder, 60);
            if epoch == 1 {
                let ts = recorder.next_pos() as i64 * 1000;
                recorder.append(RecordKind::Rest, 2, ts, ts, &noise(block, 300_000)).unwrap();
            }
            recorder.flush().unwrap();
        }
        if closed && epoch == 2 {
            recorder.stop(0, serde_json::Map::new()).unwrap();
        }
    }
    DataFolder::new(data).tape(run)
}

/// Everything that the streaming reader says: records, damage, bytes cut, records missing.
fn read(tape: &Path, from: u64) -> (u64, Vec<Damaged>, u64, u64) {
    let mut reader = TapeReader::open_at(tape, from).unwrap();
    let (mut records, mut last) = (0, None);
    while let Some(record) = reader.next().unwrap() {
        assert!(record.pos >= from && last < Some(record.pos), "pos goes up");
        last = Some(record.pos);
        records += 1;
    }
    (records, reader.damaged().to_vec(), reader.cut_bytes(), reader.missing())
}

fn segments(tape: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(tape).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn agree(tape: &Path, what: &str) -> (u64, usize, u64) {
    let scan = scan_tape(tape).unwrap();
    let (records, damaged, cut_bytes, missing) = read(tape, 0);
    assert_eq!((records, cut_bytes), (scan.records, scan.cut_bytes), "{what}");
    assert_eq!(damaged, scan.damaged, "{what}");
    // The reader counts from pos 0, the scan from the first block that is there.
    assert!(missing >= scan.missing_records, "{what}");
    (records, damaged.len(), cut_bytes)
}

#[test]
fn an_unhurt_tape_is_whole_from_any_pos() {
    for closed in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let tape = tape(data.path(), closed);
        assert!(segments(&tape).len() >= 4);
        assert_eq!(agree(&tape, "unhurt"), (1086, 0, 0));
        for from in (0..1086).step_by(13) {
            assert_eq!(read(&tape, from), (1086 - from, Vec::new(), 0, 0), "from {from}");
        }
        assert_eq!(read(&tape, 5000).0, 0);
    }
}

#[test]
fn flips_and_cuts_are_said_the_same_by_both() {
    let data = tempfile::tempdir().unwrap();
    let tape = tape(data.path(), true);
    let paths = segments(&tape);
    let chance = |n: u64, below: usize| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) as usize) % below;
    for seed in 1..150u64 {
        let path = &paths[chance(seed, paths.len())];
        let whole = std::fs::read(path).unwrap();
        let mut bytes = whole.clone();
        let at = chance(seed + 1000, bytes.len());
        match seed % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << (seed % 8),
            _ => bytes[at..].fill(0),
        }
        std::fs::write(path, &bytes).unwrap();
        let (records, damaged, cut) = agree(&tape, &format!("seed {seed} in {path:?} at {at}"));
        let hurt = bytes != whole;
        assert_eq!(damaged > 0 || cut > 0, hurt, "seed {seed}: every segment of this tape is recorded somewhere");
        assert!(records <= 1086 && (records < 1086 || at < 128 || !hurt));
        std::fs::write(path, &whole).unwrap();
    }
}

#[test]
fn the_last_segment_of_an_open_run_may_be_torn_anywhere() {
    let data = tempfile::tempdir().unwrap();
    let tape = tape(data.path(), false);
    let path = segments(&tape).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..end]).unwrap();
        let (_, damaged, _) = agree(&tape, &format!("cut at {end}"));
        assert_eq!(damaged, 0, "cut at {end}");
    }
}

#[test]
fn a_follower_sees_what_is_added() {
    let data = tempfile::tempdir().unwrap();
    let run = RunId::new(1_723_161_255_000_000_000, 4);
    let mut recorder = Recorder::open(config(data.path(), run)).unwrap();
    put_frames(&mut recorder, 10);
    recorder.flush().unwrap();
    let mut reader = TapeReader::follow(&DataFolder::new(data.path()).tape(run), 3).unwrap();
    let mut seen = 3;
    for round in 1..=20 {
        while let Some(record) = reader.next().unwrap() {
            assert_eq!(record.pos, seen);
            seen += 1;
        }
        assert_eq!(seen, recorder.next_pos(), "round {round}");
        let ts = seen as i64 * 1000;
        recorder.append(RecordKind::Rest, 2, ts, ts, &noise(round, 200_000)).unwrap();
        recorder.flush().unwrap();
    }
    assert_eq!((reader.damaged().len(), reader.cut_bytes()), (0, 0));
}
