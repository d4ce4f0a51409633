//! What can go wrong with the files of a tape.
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Errors of recorder, reader and import. Callers branch on the variant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process writes in this data folder.
    #[error("{path}: in use by process {pid}; stop it, or choose another folder with --data")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Process that holds it; 0 where it does not say.
        pid: u32,
    },
    /// No space is left. Nothing is torn; recording goes on when space returns.
    #[error("{path}: disk full; free space or lower retention")]
    DiskFull {
        /// Folder on the full disk.
        path: PathBuf,
    },
    /// The disk does not keep up: the queue to the writer holds its maximum. Read no more from the sockets for now.
    #[error("the disk does not keep up: {bytes} bytes wait to be written")]
    Backlog {
        /// Bytes that wait.
        bytes: usize,
    },
    /// The recorder has stopped: a second failure of the disk.
    #[error("recording stopped: {reason}")]
    Stopped {
        /// What failed.
        reason: String,
    },
    /// What is being recorded is not where it was written to: nothing that is written on would be found.
    #[error("{path}: removed or replaced while it was recorded; what came since the last sync is lost")]
    Vanished {
        /// The segment, or the tape's folder.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{path}: {what}: {reason}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// No such run, tape or file.
    #[error("{path}: {what} not found")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// An import that accepted nothing, or that gives no tick and lot.
    #[error("nothing imported: {reason}")]
    NothingImported {
        /// Why; the first rejected line where there is one.
        reason: String,
    },
    /// An error of core: a newer tape, a bad setting, bytes that are no record.
    #[error(transparent)]
    Core(#[from] tickerml_core::error::Error),
}

/// Result of everything that touches the files of a tape.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// An error of the system, told apart: a full disk, a missing file, anything else.
    pub fn io(what: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
        use std::io::ErrorKind::{FileTooLarge, NotFound, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => StoreError::DiskFull { path },
            NotFound => StoreError::NotFound { what, path },
            _ => StoreError::Io { what, path, reason: error.to_string() },
        }
    }

    /// Whether freeing space mends it.
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::DiskFull { .. })
    }

    /// The command's exit code (contract.md).
    pub const fn exit_code(&self) -> u8 {
        match self {
            StoreError::NotFound { .. } => 3,
            StoreError::NothingImported { .. } => 6,
            StoreError::Core(tickerml_core::error::Error::BadSetting { .. }) => 4,
            StoreError::Core(tickerml_core::error::Error::UnknownInstrument(_)) => 3,
            StoreError::Core(_) => 6,
            _ => 1,
        }
    }
}
