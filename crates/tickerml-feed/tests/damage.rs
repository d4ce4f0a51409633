//! Whether a run that was left behind may be gone on with.
mod common;

use common::{config, put_frames};
use std::path::Path;
use tickerml_core::tape::RunId;
use tickerml_feed::recorder::{Recorder, end_damaged};
use tickerml_feed::store::{DataFolder, RunInfo, RunState, StoreError};

fn run() -> RunId {
    RunId::new(1_723_161_255_000_000_000, 1)
}

/// A run of 200 records in two epochs that was left behind.
fn left() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
        put_frames(&mut recorder, 100);
        recorder.flush().unwrap();
    }
    data
}

fn segment(data: &Path, name: &str) -> std::path::PathBuf {
    DataFolder::new(data).tape(run()).join(name)
}

fn state(data: &Path) -> RunState {
    RunInfo::read(&DataFolder::new(data).run(run())).unwrap().state
}

#[test]
fn a_whole_tape_and_a_torn_one_are_gone_on_with() {
    let data = left();
    assert_eq!(end_damaged(data.path(), run(), 0, 200, 9), Ok(None));
    let path = segment(data.path(), "0001-000000.tape");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..150]).unwrap();
    assert_eq!(end_damaged(data.path(), run(), 0, 100, 9), Ok(None), "a cut tail that nothing was derived from");
    assert_eq!(state(data.path()), RunState::Running);
    let lost = end_damaged(data.path(), run(), 0, 101, 9).unwrap().unwrap();
    assert!(lost.reason.contains("ends at record 100"), "{}", lost.reason);
}

#[test]
fn a_flipped_bit_ends_the_run_and_is_placed() {
    let data = left();
    let path = segment(data.path(), "0000-000000.tape");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(end_damaged(data.path(), run(), 150, 200, 9), Ok(None), "behind the damage everything is whole");
    let damage = end_damaged(data.path(), run(), 0, 200, 9).unwrap().unwrap();
    assert_eq!((damage.segment.as_str(), damage.offset), ("0000-000000.tape", 128));
    let info = RunInfo::read(&DataFolder::new(data.path()).run(run())).unwrap();
    assert_eq!((info.state, info.ended_ts_ns), (RunState::Ended, Some(9)));
    assert_eq!(info.other["damaged"]["offset"], 128);
}

#[test]
fn a_tape_that_is_gone_ends_its_run_only_where_something_was_on_it() {
    let data = left();
    std::fs::remove_dir_all(DataFolder::new(data.path()).tape(run())).unwrap();
    assert_eq!(end_damaged(data.path(), run(), 0, 0, 9), Ok(None));
    assert!(end_damaged(data.path(), run(), 0, 1, 9).unwrap().unwrap().reason.contains("gone"));
    assert_eq!(state(data.path()), RunState::Ended);
}

#[test]
fn a_run_that_is_being_recorded_is_not_judged() {
    let data = left();
    let _recorder = Recorder::open(config(data.path(), run())).unwrap();
    assert!(matches!(end_damaged(data.path(), run(), 0, 0, 9), Err(StoreError::Locked { .. })));
}
