//! Where a tape goes on after its process ended, however that was.
use crate::store::{Store, StoreError, StoreResult, TapeFolder, read_data};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use tickerml_core::tape::scan;

/// What the next epoch needs to know of the tape so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// Number of the next epoch.
    pub epoch: u32,
    /// Pos of the next record.
    pub next_pos: u64,
    /// Stamp of the last record; no later one may be below it. `i64::MIN` on an empty tape.
    pub last_ts_ns: i64,
    /// Valid bytes of the last segment.
    pub prev_len: u64,
    /// SHA-256 of them.
    pub prev_sha256: [u8; 32],
    /// Bytes of its torn tail, cut logically.
    pub cut_bytes: u64,
}

/// Reads the end of the tape in `folder`; a missing or empty folder is an empty tape.
///
/// What a killed process wrote last may be in the system's memory only, and everything before [`Resume::next_pos`] counts
/// as durable from now on: so each segment that is read here is synced first. The folders' names are the caller's.
///
/// # Errors
/// [`StoreError::Core`] for a tape of a newer program, the system's otherwise.
pub fn resume(store: &dyn Store, folder: &Path) -> StoreResult<Resume> {
    let mut found = Resume { last_ts_ns: i64::MIN, ..Resume::default() };
    let tape = match TapeFolder::open(folder) {
        Err(StoreError::NotFound { .. }) => return Ok(found),
        tape => tape?,
    };
    for (n, segment) in tape.segments().iter().rev().enumerate() {
        store.sync(&segment.path).map_err(|e| StoreError::io("segment", &segment.path, &e))?;
        let file = File::open(&segment.path).and_then(|file| read_data(&file, 0, file.metadata()?.len()));
        let bytes = file.map_err(|e| StoreError::io("segment", &segment.path, &e))?;
        let scan = scan(&bytes, &segment.id, None)?;
        if n == 0 {
            found.epoch = segment.id.epoch + 1;
            found.prev_len = scan.valid_len;
            found.prev_sha256 = Sha256::digest(&bytes[..scan.valid_len as usize]).into();
            found.cut_bytes = scan.cut.map_or(0, |cut| cut.bytes);
        }
        let begins = scan.header.map_or(0, |header| header.first_pos);
        found.next_pos = found.next_pos.max(scan.next_pos.unwrap_or(begins));
        if let Some(block) = scan.blocks.last() {
            found.last_ts_ns = block.last_ts_ns;
            break;
        }
    }
    Ok(found)
}
