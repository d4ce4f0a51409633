//! Files that somebody removes or replaces while they are recorded: what is written then is nowhere, and must be told.
mod common;

use common::{config, put_frames};
use std::path::Path;
use tickerml_core::tape::RunId;
use tickerml_feed::recorder::Recorder;
use tickerml_feed::store::{DataFolder, RunInfo, RunState, StoreError};

fn run() -> RunId {
    RunId::new(1_723_161_255_000_000_000, 1)
}

/// What a recorder with an open segment says at its end when `harm` was done to the data folder meanwhile.
fn ended_after(harm: impl FnOnce(&Path, &Path)) -> String {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    put_frames(&mut recorder, 100);
    recorder.flush().unwrap();
    harm(data.path(), &tape);
    let error = recorder.stop(9, serde_json::Map::new()).unwrap_err();
    assert!(matches!(error, StoreError::Stopped { .. }), "{error:?}");
    let info = RunInfo::read(&DataFolder::new(data.path()).run(run()));
    assert!(info.is_err() || info.unwrap().state == RunState::Running, "no end is claimed");
    error.to_string()
}

#[test]
fn a_tape_that_is_removed_or_replaced_has_no_end() {
    let name = "0000-000000.tape";
    let gone = ended_after(|data, _| std::fs::remove_dir_all(data).unwrap());
    assert!(gone.contains(name) && gone.contains("removed or replaced"), "{gone}");
    assert!(ended_after(|_, tape| std::fs::remove_dir_all(tape).unwrap()).contains(name));
    assert!(ended_after(|_, tape| std::fs::remove_file(tape.join(name)).unwrap()).contains(name));
    assert!(ended_after(|_, tape| std::fs::rename(tape, tape.with_extension("moved")).unwrap()).contains(name));
    let replaced = ended_after(|_, tape| {
        std::fs::copy(tape.join(name), tape.join("copy")).unwrap();
        std::fs::rename(tape.join("copy"), tape.join(name)).unwrap();
    });
    assert!(replaced.contains(name), "{replaced}");
}

#[test]
fn the_writer_notices_while_it_writes_and_says_nothing_is_durable() {
    let data = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    put_frames(&mut recorder, 100);
    recorder.flush().unwrap();
    std::fs::remove_dir_all(DataFolder::new(data.path()).tape(run())).unwrap();
    put_frames(&mut recorder, 100);
    assert!(matches!(recorder.flush(), Err(StoreError::Stopped { .. })));
    assert_eq!(recorder.durable_pos(), 100, "the mark does not move over what is nowhere");
    assert!(recorder.failure().unwrap().contains("removed or replaced"));
}

#[test]
fn a_folder_that_is_gone_before_the_first_block_is_named() {
    let data = tempfile::tempdir().unwrap();
    let tape = DataFolder::new(data.path()).tape(run());
    let mut recorder = Recorder::open(config(data.path(), run())).unwrap();
    std::fs::remove_dir_all(&tape).unwrap();
    put_frames(&mut recorder, 1);
    assert!(recorder.flush().is_err());
    let reason = recorder.failure().unwrap();
    assert!(reason.contains(tape.to_str().unwrap()) && reason.contains("removed or replaced"), "{reason}");
}
