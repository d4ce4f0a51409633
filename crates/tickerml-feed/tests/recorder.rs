//! The recorder against a disk that fails, fills and lies, and against its own restart (reliability.md 4 rows 1, 6, 7, 37).
mod common;

use common::{FaultyDisk, config, frame, noise, put_frames, read_all};
use std::time::Duration;
use tickerml_core::session::{Input, Item, Peek};
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::reader::{TapeInput, TapeReader, scan_tape};
use tickerml_feed::recorder::{Fill, Recorder, TailInput};
use tickerml_feed::store::{DataFolder, RunInfo, RunState, StoreError};

fn run() -> RunId {
    RunId::new(1_723_161_255_000_000_000, 1)
}

fn stop(recorder: Recorder) -> RunInfo {
    recorder.stop(9, serde_json::Map::new()).unwrap()
}

/// A folder for data, a faulty disk, and a recorder on it.
fn faulty() -> (tempfile::TempDir, FaultyDisk, Recorder) {
    let (data, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let recorder = Recorder::open_on(Box::new(disk.clone()), config(data.path(), run())).unwrap();
    (data, disk, recorder)
}

#[test]
fn what_is_appended_is_read_back_and_a_restart_is_a_new_epoch() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    for epoch in 0..3 {
        let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
        assert_eq!((recorder.resumed().epoch, recorder.next_pos()), (epoch, u64::from(epoch) * 500));
        put_frames(&mut recorder, 500);
        assert_eq!(recorder.flush(), Ok(u64::from(epoch + 1) * 500));
        assert_eq!(recorder.durable_pos(), recorder.next_pos());
    }
    assert_eq!(read_all(&tape), 1500);
    let info = stop(Recorder::open(config(data.path(), run())).unwrap());
    assert_eq!((info.state, info.epochs, info.records), (RunState::Ended, 4, 1500));
}

#[test]
fn stop_records_the_last_segment_and_any_mismatch_is_damage_then() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    put_frames(&mut recorder, 100);
    let last = stop(recorder).segment_last.unwrap();
    let path = tape.join("0000-000000.tape");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, last.length, "padding is trimmed");
    assert_eq!(scan_tape(&tape).unwrap().damaged, []);
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(!scan_tape(&tape).unwrap().damaged.is_empty(), "a recorded segment that is shorter is damaged, not cut");
    let mut reader = TapeReader::open(&tape).unwrap();
    while reader.next().unwrap().is_some() {}
    assert!(!reader.damaged().is_empty());
}

#[test]
fn a_second_instance_is_refused_with_the_first_ones_pid() {
    let data = tempfile::tempdir().unwrap();
    let _first = Recorder::open(config(data.path(), run())).unwrap();
    let second = Recorder::open(config(data.path(), RunId::new(5, 5))).err().unwrap();
    assert!(matches!(second, StoreError::Locked { pid, .. } if pid == std::process::id()), "{second:?}");
}

#[test]
fn segments_rotate_by_size_and_by_day_and_chain_their_hashes() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    for n in 0..40 {
        recorder.append(RecordKind::Frame, 1, n, n, &noise(n as u64, 90_000)).unwrap();
    }
    recorder.append(RecordKind::Frame, 1, 86_400_000_000_000, 40, b"next day").unwrap();
    stop(recorder);
    let scan = scan_tape(&tape).unwrap();
    assert_eq!((scan.records, scan.missing_records, scan.damaged.len(), scan.cut_bytes), (41, 0, 0, 0));
    assert!(scan.segments >= 4, "3.6 MB in segments of 1 MiB, and a new day: {}", scan.segments);
    let first = std::fs::read(tape.join("0000-000000.tape")).unwrap();
    std::fs::write(tape.join("0000-000000.tape"), &first[..first.len() - 1]).unwrap();
    assert!(!scan_tape(&tape).unwrap().damaged.is_empty(), "the header behind proves the segment before");
}

#[test]
fn a_failed_sync_poisons_the_segment_and_nothing_acknowledged_is_lost() {
    let (data, disk, mut recorder) = faulty();
    let tape = DataFolder::new(data.path()).tape(run());
    put_frames(&mut recorder, 100);
    recorder.flush().unwrap();
    disk.fail_next_sync();
    put_frames(&mut recorder, 100);
    assert_eq!(recorder.flush(), Ok(200), "written again into a new segment");
    put_frames(&mut recorder, 100);
    stop(recorder);
    assert_eq!(read_all(&tape), 300);
    let scan = scan_tape(&tape).unwrap();
    assert_eq!((scan.segments, scan.records, scan.damaged.len()), (2, 300, 0), "{scan:?}");
    assert!(scan.cut_bytes > 0, "the unsynced block is cut where it was written first");
}

#[test]
fn a_second_failure_stops_the_run() {
    let (_data, disk, mut recorder) = faulty();
    let mut tail = recorder.tail(0).unwrap();
    put_frames(&mut recorder, 10);
    recorder.flush().unwrap();
    disk.fail_next_sync();
    put_frames(&mut recorder, 10);
    recorder.flush().unwrap();
    disk.fail_next_sync();
    put_frames(&mut recorder, 10);
    let error = recorder.flush().unwrap_err();
    assert!(matches!(&error, StoreError::Stopped { reason } if reason.contains("fdatasync")), "{error:?}");
    assert_eq!(recorder.durable_pos(), 20);
    assert!(matches!(recorder.append(RecordKind::Tick, 0, 0, 0, b""), Err(StoreError::Stopped { .. })));
    assert!(recorder.stop(0, serde_json::Map::new()).is_err());
    let mut seen = 0;
    while tail.fill(Duration::from_secs(10)) == Ok(Fill::Records) {
        while tail.next().unwrap().is_some() {
            seen += 1;
        }
    }
    assert_eq!(seen, 30, "what was handed over is read; then the engine learns of the failure");
    assert!(matches!(tail.fill(Duration::ZERO), Err(StoreError::Stopped { .. })));
}

#[test]
fn a_full_disk_tears_nothing_and_recording_goes_on_when_space_returns() {
    let (data, disk, mut recorder) = faulty();
    let tape = DataFolder::new(data.path()).tape(run());
    put_frames(&mut recorder, 50);
    recorder.flush().unwrap();
    disk.set_full(true);
    let refused = loop {
        let pos = recorder.next_pos();
        match recorder.append(RecordKind::Frame, 1, pos as i64 * 1000, 1, &frame(pos)) {
            Err(error) => break error,
            Ok(_) => std::thread::yield_now(),
        }
    };
    assert!(refused.is_disk_full(), "{refused:?}");
    let taken = recorder.next_pos();
    assert!(!recorder.ready() && recorder.durable_pos() < taken);
    disk.set_full(false);
    assert_eq!(recorder.flush(), Ok(taken), "everything taken before is written once there is space");
    while !recorder.ready() {
        std::thread::yield_now();
    }
    put_frames(&mut recorder, 50);
    stop(recorder);
    assert_eq!(read_all(&tape), taken + 50);
    assert_eq!(scan_tape(&tape).unwrap().damaged, []);
}

#[test]
fn hand_over_stops_before_the_space_runs_out() {
    let (_data, disk, mut recorder) = faulty();
    let big = noise(3, 200_000);
    recorder.append(RecordKind::Frame, 1, 1, 1, &big).unwrap();
    recorder.flush().unwrap();
    disk.refuse_new_files(true);
    let mut taken = 1;
    while recorder.append(RecordKind::Frame, 1, 1, 1, &big).is_ok() {
        taken += 1;
        recorder.flush().unwrap();
    }
    assert!((4..=5).contains(&taken), "0.75 MiB of a segment of 1 MiB: {taken}");
    assert_eq!(recorder.durable_pos(), taken, "what was taken found its place in the current segment");
    disk.refuse_new_files(false);
    while !recorder.ready() {
        std::thread::yield_now();
    }
    recorder.append(RecordKind::Frame, 1, 1, 1, &big).unwrap();
    assert_eq!(recorder.flush(), Ok(taken + 1));
}

#[test]
fn a_disk_that_stalls_bounds_the_queue() {
    let (_data, disk, mut recorder) = faulty();
    let stalled = disk.stall();
    let big = vec![7; 1 << 20];
    let error = loop {
        if let Err(error) = recorder.append(RecordKind::Frame, 1, 1, 1, &big) {
            break error;
        }
    };
    assert!(matches!(error, StoreError::Backlog { bytes } if bytes <= 10 << 20), "{error:?}");
    drop(stalled);
    recorder.flush().unwrap();
    assert!(recorder.ready());
}

/// Reads a tail to its end and gives how many records it had, each the right one.
fn drain(mut tail: tickerml_feed::recorder::EngineTail) -> u64 {
    let mut next = 0;
    loop {
        match tail.fill(Duration::from_secs(30)).unwrap() {
            Fill::TimedOut => {}
            Fill::Ended => return next,
            Fill::Records => {
                while let Some(record) = tail.next().unwrap() {
                    assert_eq!((record.pos, record.bytes), (next, &frame(next)[..]));
                    next += 1;
                }
            }
        }
    }
}

#[test]
fn the_engine_reads_every_record_once_from_files_and_memory() {
    let data = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    put_frames(&mut recorder, 2000);
    recorder.flush().unwrap();
    let tail = recorder.tail(0).unwrap();
    let engine = std::thread::spawn(move || drain(tail));
    for _ in 0..200 {
        put_frames(&mut recorder, 300);
    }
    stop(recorder);
    assert_eq!(engine.join().unwrap(), 62_000);
}

#[test]
fn an_engine_that_lags_beyond_the_memory_reads_the_files() {
    let data = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    let mut tail = recorder.tail(0).unwrap();
    let big = vec![9; 300_000];
    for n in 0..30 {
        recorder.append(RecordKind::Frame, 1, n, n, &big).unwrap();
        recorder.flush().unwrap();
    }
    let mut next = 0;
    while next < 30 {
        assert_eq!(tail.fill(Duration::from_secs(30)), Ok(Fill::Records));
        while let Some(record) = tail.next().unwrap() {
            assert_eq!((record.pos, record.bytes.len()), (next, 300_000));
            next += 1;
        }
    }
    assert_eq!(tail.fill(Duration::ZERO), Ok(Fill::TimedOut));
    tail.append_from_engine(RecordKind::Health, b"{}".to_vec()).unwrap();
    assert_eq!(recorder.take_from_engine().unwrap().kind, RecordKind::Health);
}

#[test]
fn a_torn_tail_is_cut_and_nothing_is_overwritten() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    put_frames(&mut recorder, 100);
    recorder.flush().unwrap();
    put_frames(&mut recorder, 100);
    drop(recorder);
    let path = tape.join("0000-000000.tape");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert_eq!((recorder.next_pos(), recorder.resumed().epoch), (100, 1));
    assert!(recorder.resumed().cut_bytes > 0);
    put_frames(&mut recorder, 50);
    stop(recorder);
    assert_eq!(std::fs::read(&path).unwrap(), &bytes[..bytes.len() - 10], "nothing is truncated or overwritten");
    assert_eq!(read_all(&tape), 150);
    let scan = scan_tape(&tape).unwrap();
    assert_eq!((scan.damaged.len(), scan.records), (0, 150));
    assert!(scan.cut_bytes > 0, "the cut stays visible");
}

/// What a killed process wrote and did not sync is made durable before its records count as that.
#[test]
fn a_restart_syncs_before_it_trusts() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    for _ in 0..2 {
        let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
        put_frames(&mut recorder, 100);
    }
    // The second epoch came as far as a header.
    let bytes = std::fs::read(tape.join("0001-000000.tape")).unwrap();
    std::fs::write(tape.join("0001-000000.tape"), &bytes[..128]).unwrap();
    let disk = FaultyDisk::default();
    disk.fail_next_sync();
    let error = Recorder::open_on(Box::new(disk.clone()), config(data.path(), run())).err().unwrap();
    assert!(matches!(&error, StoreError::Io { path, .. } if path.ends_with("0001-000000.tape")), "{error:?}");
    let disk = FaultyDisk::default();
    let recorder = Recorder::open_on(Box::new(disk.clone()), config(data.path(), run())).unwrap();
    assert_eq!((recorder.next_pos(), recorder.durable_pos()), (100, 100));
    let data_name = data.path().file_name().unwrap().to_str().unwrap();
    let names =
        ["0001-000000.tape", "0000-000000.tape", run().as_str(), "tapes", data_name].map(|n| format!("sync {n}"));
    assert_eq!(disk.calls(), names, "the segments that were read, then every folder down to them");
}

/// A session that reads behind a recorder is told of damage at the same place as one that replays the tape.
#[test]
fn live_and_replay_are_told_of_the_same_losses() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    for _ in 0..4 {
        put_frames(&mut recorder, 50);
        recorder.flush().unwrap();
    }
    drop(recorder);
    let path = tape.join("0000-000000.tape");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() * 3 / 8;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert_eq!((recorder.next_pos(), recorder.resumed().cut_bytes), (200, 0));
    put_frames(&mut recorder, 50);
    let live = inputs(&mut TailInput::new(recorder.tail(0).unwrap()));
    stop(recorder);
    let replay = inputs(&mut TapeInput::new(TapeReader::open(&tape).unwrap()));
    assert_eq!(live, replay);
    assert_eq!(live.iter().filter(|item| item.is_none()).count(), 1);
    assert_eq!(live.len(), 201, "one block of 50 is lost, and that is said once");
}

/// The pos of each record, none where damage is told.
fn inputs<I: Input>(input: &mut I) -> Vec<Option<u64>> {
    let mut seen = Vec::new();
    loop {
        match input.peek().unwrap() {
            Peek::Item(Item::Record(record)) => seen.push(Some(record.pos)),
            Peek::Item(_) => seen.push(None),
            Peek::Wait | Peek::End => return seen,
        }
        input.pop();
    }
}
