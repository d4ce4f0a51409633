//! A run whose tape is damaged is not gone on with: what the engine would make of it again is not what its ledger has.
use crate::reader::{Damaged, TapeReader};
use crate::store::{DataFolder, FolderLock, RunInfo, RunState, StoreError, StoreResult};
use serde_json::json;
use std::path::Path;
use tickerml_core::tape::RunId;

/// Key of `run.json` that says why a run was ended without STOP.
const KEY: &str = "damaged";

/// Reads the tape of a run that has not ended, from the record `from` on, as an engine that goes on with it would. Where it
/// is damaged, or does not hold the `records` first records that something was derived from, the run is ended, and
/// `run.json` and the answer say why.
///
/// # Errors
/// [`StoreError::Locked`] when another process records here: an open segment must not be judged. The system's.
pub fn end_damaged(data: &Path, run: RunId, from: u64, records: u64, now_ns: i64) -> StoreResult<Option<Damaged>> {
    let _lock = FolderLock::take(data)?;
    let folder = DataFolder::new(data);
    let Some(damage) = first_damage(&folder.tape(run), from, records)? else { return Ok(None) };
    let path = folder.run(run);
    let mut info = RunInfo::read(&path)?;
    info.state = RunState::Ended;
    info.ended_ts_ns = Some(now_ns);
    info.other.insert(KEY.to_owned(), json!(damage));
    info.write(&path)?;
    Ok(Some(damage))
}

fn first_damage(tape: &Path, from: u64, records: u64) -> StoreResult<Option<Damaged>> {
    let lost = |reason: String| {
        let segment = tape.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(Damaged { segment, offset: 0, bytes: 0, reason })
    };
    let mut reader = match TapeReader::open_at(tape, from) {
        Err(StoreError::NotFound { .. }) if records == 0 => return Ok(None),
        Err(StoreError::NotFound { .. }) => return Ok(lost("the tape is gone".to_owned())),
        reader => reader?,
    };
    while reader.next_block()? {}
    if let Some(damage) = reader.damaged().first() {
        return Ok(Some(damage.clone()));
    }
    let held = reader.next_pos().unwrap_or(0);
    Ok(match reader.missing() {
        0 if held >= records => None,
        0 => lost(format!("the tape ends at record {held}, {records} were on it")),
        missing => lost(format!("{missing} records are missing")),
    })
}
