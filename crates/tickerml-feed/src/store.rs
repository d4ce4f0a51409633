//! Tapes as files: folders, the lock, `run.json`, and the few file operations that the recorder needs.
//!
//! ```text
//! DATA/lock                                  pid and boot id of the one writer
//! DATA/tapes/<run>/<epoch>-<segment>.tape    DATA/runs/<run>/run.json
//! ```
mod disk;
mod error;
mod folder;
mod lock;
mod run;

pub(crate) use disk::read_data;
pub use disk::{Disk, Store, StoreFile, file_sha256};
pub use error::{StoreError, StoreResult};
pub(crate) use folder::read_header;
pub use folder::{DataFolder, SegmentPath, TapeFolder};
pub use lock::FolderLock;
pub use run::{LastSegment, RunInfo, RunState, find_runs, newest_unfinished, prune, tape_bytes};
