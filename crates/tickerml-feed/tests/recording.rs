//! The end of a recording while the disk takes nothing: STOP and what was held reach the tape, or the run has not ended.
mod common;

use common::{FaultyDisk, config};
use serde_json::json;
use std::time::Duration;
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::config::FeedConfig;
use tickerml_feed::feed::Feed;
use tickerml_feed::reader::TapeReader;
use tickerml_feed::recorder::Recorder;
use tickerml_feed::recording::RecorderTape;
use tickerml_feed::store::{DataFolder, RunInfo, RunState};
use tickerml_feed::supervisor::Start;

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
    Feed::start(&config, RecorderTape::new(recorder), Start::default(), None).unwrap()
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
    assert!(error.contains("disk full") && error.contains("STOP") && error.contains(run().as_str()), "{error}");
    assert!(feed.into_tape().is_none());
    let info = RunInfo::read(&DataFolder::new(data.path()).run(run())).unwrap();
    assert_eq!((info.state, info.segment_last), (RunState::Running, None));
    disk.set_full(false);
    let recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert_eq!(recorder.resumed().epoch, 1, "the next start goes on with it");
    drop(recorder);
    assert_ne!(last_record(data.path()), RecordKind::Stop);
}
