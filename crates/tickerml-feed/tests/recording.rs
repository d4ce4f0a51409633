//! The end of a recording while the disk takes nothing: STOP and what was held reach the tape, or the run has not ended.
mod common;

use common::{FaultyDisk, config, noise};
use serde_json::json;
use std::time::Duration;
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::clock::Stamp;
use tickerml_feed::config::FeedConfig;
use tickerml_feed::feed::Feed;
use tickerml_feed::reader::{TapeReader, scan_tape};
use tickerml_feed::recorder::{Recorder, RecorderConfig};
use tickerml_feed::recording::RecorderTape;
use tickerml_feed::store::{DataFolder, RunInfo, RunState, tape_bytes};
use tickerml_feed::supervisor::Start;
use tickerml_feed::tape_port::Tape;

fn run() -> RunId {
    RunId::new(1_723_161_255_000_000_000, 6)
}

/// A feed without a venue: its tape has EPOCH, CONFIG, failed connections and TICKs, and STOP.
fn feed(disk: &FaultyDisk, data: &std::path::Path) -> Feed<RecorderTape> {
    let recorder = Recorder::open_on(Box::new(disk.clone()), config(data, run())).unwrap();
    let venue = json!({"venue": "binance_spot", "ws_url": "ws://127.0.0.1:1", "rest_url": "http://127.0.0.1:1",
        "symbols": ["BTCUSDT"], "channels": ["depth@100ms"], "snapshot_limit": 5000, "weight_per_min": 6000,
        "snapshot_weight": 250});
    let config = FeedConfig::from_json(&json!({"venues": [venue]}).to_string()).unwrap();
    Feed::start(&config, RecorderTape::new(recorder, 0), Start::default(), None).unwrap()
}

/// Lets it record, fills the disk, lets records gather, and asks for the end.
fn stopped_on_a_full_disk(disk: &FaultyDisk, data: &std::path::Path) -> Feed<RecorderTape> {
    let feed = feed(disk, data);
    std::thread::sleep(Duration::from_millis(200));
    disk.set_full(true);
    std::thread::sleep(Duration::from_millis(300));
    feed.stop("test");
    feed
}

fn last_record(data: &std::path::Path) -> RecordKind {
    let mut reader = TapeReader::open(&DataFolder::new(data).tape(run())).unwrap();
    let mut last = RecordKind::Tick;
    while let Some(record) = reader.next().unwrap() {
        last = record.kind;
    }
    assert_eq!((reader.damaged().len(), reader.missing()), (0, 0));
    last
}

#[test]
fn a_stop_on_a_full_disk_waits_for_room() {
    let (data, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let mut feed = stopped_on_a_full_disk(&disk, data.path());
    assert!(!feed.join(Duration::from_millis(500)), "STOP has no place yet");
    disk.set_full(false);
    assert!(feed.join(Duration::from_secs(60)));
    assert_eq!(feed.error(), None);
    let info = feed.into_tape().unwrap().into_recorder().stop(1, serde_json::Map::new()).unwrap();
    assert_eq!((info.state, last_record(data.path())), (RunState::Ended, RecordKind::Stop));
}

#[test]
fn a_stop_that_finds_no_room_does_not_end_the_run() {
    let (data, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let mut feed = stopped_on_a_full_disk(&disk, data.path());
    assert!(feed.join(Duration::from_secs(60)), "it gives up in time");
    let error = feed.error().unwrap();
    assert!(
        error.contains("disk full") && error.contains("not on the tape") && error.contains(run().as_str()),
        "{error}"
    );
    assert!(feed.into_tape().is_none());
    let info = RunInfo::read(&DataFolder::new(data.path()).run(run())).unwrap();
    assert_eq!((info.state, info.segment_last), (RunState::Running, None));
    disk.set_full(false);
    let recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert_eq!(recorder.resumed().epoch, 1, "the next start goes on with it");
    drop(recorder);
    assert_ne!(last_record(data.path()), RecordKind::Stop);
}

/// A recording that goes on for ever is cut into runs, and retention removes the oldest: what is kept has a bound.
#[test]
fn retention_holds_while_one_recording_goes_on() {
    const KEPT: u64 = 4 << 20;
    let data = tempfile::tempdir().unwrap();
    let folder = DataFolder::new(data.path());
    let recorder = Recorder::open(RecorderConfig { retention_bytes: KEPT, ..config(data.path(), run()) }).unwrap();
    let mut tape = RecorderTape::new(recorder, 1 << 20);
    let mut runs = vec![run().to_string()];
    for n in 0..80 {
        let stamp = Stamp { recv_ns: 1_723_161_256_000_000_000 + n * 1_000_000_000, mono_ns: n };
        let pos = tape.append(RecordKind::Frame, 1, stamp, &noise(n as u64, 200_000)).unwrap();
        while tape.durable_pos() <= pos {
            std::thread::sleep(Duration::from_millis(1));
        }
        if tape.is_long() && tape.ready() {
            tape.append(RecordKind::Stop, 0, stamp, b"{}").unwrap();
            runs.push(tape.begin_next(stamp, serde_json::Map::new()).unwrap());
        }
        while !tape.ready() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    tape.into_recorder().stop(1, serde_json::Map::new()).unwrap();
    assert!(runs.len() > 8, "{runs:?}");
    let infos: Vec<RunInfo> = runs.iter().map(|r| RunInfo::read(&folder.run(r.parse().unwrap())).unwrap()).collect();
    let kept: Vec<bool> = runs.iter().map(|r| folder.tape(r.parse().unwrap()).exists()).collect();
    assert!(kept.is_sorted() && !kept[0] && kept[runs.len() - 1], "the oldest went: {kept:?}");
    let bytes: u64 = runs.iter().map(|r| tape_bytes(&folder.tape(r.parse().unwrap()))).sum();
    assert!(bytes <= KEPT + (2 << 20), "{bytes} bytes: beyond the bound there is the segment being written, no more");
    for (info, kept) in infos.iter().zip(kept) {
        assert_eq!((info.state, info.pruned), (RunState::Ended, !kept), "{info:?}");
        if kept {
            let scan = scan_tape(&folder.tape(info.run.parse().unwrap())).unwrap();
            assert_eq!((scan.damaged.len(), scan.missing_records, scan.records), (0, 0, info.records));
        }
    }
}
