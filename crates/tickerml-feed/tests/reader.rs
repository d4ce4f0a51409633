//! The reader that streams and the scan that sees a whole file must say the same of any injured tape.
mod common;

use common::{config, noise, put_frames};
use std::path::{Path, PathBuf};
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::reader::{Damaged, TapeReader, scan_tape, tape_span};
use tickerml_feed::recorder::Recorder;
use tickerml_feed::store::{DataFolder, RunInfo};

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
    // What is missing behind the last block is known to the scan alone, from run.json.
    assert!(missing <= scan.missing_records, "{what}");
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
        let scan = scan_tape(&tape).unwrap();
        assert_eq!(tape_span(&tape).unwrap(), scan.first_ts_recv_ns.zip(scan.last_ts_recv_ns), "cut at {end}");
    }
}

/// Each segment in turn is taken away: it is named, and what it held is counted as missing.
#[test]
fn a_segment_that_is_not_there_is_told() {
    let data = tempfile::tempdir().unwrap();
    let tape = tape(data.path(), true);
    let whole = scan_tape(&tape).unwrap();
    assert_eq!((whole.missing_records, whole.unchecked.len()), (0, 0));
    assert_eq!(tape_span(&tape).unwrap(), whole.first_ts_recv_ns.zip(whole.last_ts_recv_ns));
    let paths = segments(&tape);
    for (n, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        let (records, damaged, _) = agree(&tape, &format!("without {path:?}"));
        let scan = scan_tape(&tape).unwrap();
        assert_eq!(scan.missing_records, 1086 - records, "without {path:?}: {scan:?}");
        assert!(records < 1086 && damaged > 0, "without {path:?}: {scan:?}");
        // Where the one after it begins an epoch, its own numbers do not give the hole away: the recorded length does.
        let ends_epoch = paths.get(n + 1).is_some_and(|next| next.to_str().unwrap().ends_with("-000000.tape"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let named = scan.damaged.iter().any(|d| d.segment == name && d.reason == "segment is missing");
        assert_eq!(named, !ends_epoch || n == 0, "without {path:?}: {scan:?}");
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn retention_excuses_only_what_lay_before_the_first_segment() {
    let data = tempfile::tempdir().unwrap();
    let tape = tape(data.path(), true);
    let folder = DataFolder::new(data.path()).run(RunId::new(1_723_161_255_000_000_000, 3));
    let paths = segments(&tape);
    std::fs::remove_file(&paths[0]).unwrap();
    let scan = scan_tape(&tape).unwrap();
    assert!(!scan.pruned && scan.missing_records == 360, "a first segment that is gone was not pruned: {scan:?}");
    let mut info = RunInfo::read(&folder).unwrap();
    info.pruned = true;
    info.write(&folder).unwrap();
    let scan = scan_tape(&tape).unwrap();
    assert_eq!((scan.pruned, scan.missing_records, scan.damaged.len()), (true, 0, 0), "{scan:?}");
    agree(&tape, "pruned");
    std::fs::remove_file(paths.last().unwrap()).unwrap();
    let scan = scan_tape(&tape).unwrap();
    assert!(scan.missing_records > 0 && scan.damaged.len() == 1, "{scan:?}");
    std::fs::remove_file(folder.join("run.json")).unwrap();
    let scan = scan_tape(&tape).unwrap();
    assert!(scan.unchecked[0].contains("run.json"), "{scan:?}");
    assert_eq!(scan.missing_records, 360, "nobody says that it was pruned");
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

#[test]
fn what_is_written_while_a_tape_is_read_is_no_damage() {
    let data = tempfile::tempdir().unwrap();
    let run = RunId::new(1_723_161_255_000_000_000, 5);
    let mut recorder = Recorder::open(config(data.path(), run)).unwrap();
    put_frames(&mut recorder, 10);
    recorder.flush().unwrap();
    // Not a follower: it has read far beyond the block that it gives, and where zeros stood blocks stand now.
    let mut reader = TapeReader::open(&DataFolder::new(data.path()).tape(run)).unwrap();
    assert!(reader.next().unwrap().is_some());
    for _ in 0..3 {
        put_frames(&mut recorder, 10);
        recorder.flush().unwrap();
    }
    let mut seen = 1;
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.pos, seen);
        seen += 1;
    }
    assert_eq!((reader.damaged(), reader.cut_bytes(), reader.missing()), (&[][..], 0, 0));
    assert_eq!(seen, recorder.next_pos());
}
