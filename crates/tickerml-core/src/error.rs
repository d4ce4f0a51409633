//! The one error type of core. Callers branch on the variant; each carries the fields needed to act.
use thiserror::Error;

/// What can go wrong between bytes and fills.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A number that is not a plain decimal, is too large for 63 bits, or has digits beyond the instrument's scale.
    #[error("bad number {text:?} at precision {precision}: {reason}")]
    BadNumber {
        /// The text as the venue sent it, cut at 40 bytes.
        text: String,
        /// Decimals that the instrument allows.
        precision: u8,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message that is not what the venue's protocol says.
    #[error("bad {what} at byte {offset}: {reason}")]
    BadMessage {
        /// Which message or field.
        what: &'static str,
        /// Offset in the payload where reading stopped.
        offset: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An instrument that the configuration does not name.
    #[error("unknown instrument {0:?}")]
    UnknownInstrument(String),
    /// Bytes of a tape that do not prove themselves.
    #[error("damaged tape at offset {offset}: {reason}")]
    BadTape {
        /// Byte offset in the segment.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A tape written by a newer program.
    #[error("tape version {found} is newer than this program's {known}")]
    TapeVersion {
        /// Version in the header.
        found: u16,
        /// The newest version that this program reads.
        known: u16,
    },
    /// The venue's tick or lot became finer than a run's integers, in which orders and positions are held.
    #[error(
        "{instrument}: the venue has a finer tick or lot now than this run's numbers can hold; the run ends here: start \
         again, a new run goes on with the new scale"
    )]
    ScaleChanged {
        /// `venue:SYMBOL`.
        instrument: String,
    },
    /// Rows of an event file that no tape gives.
    #[error("row {row}: {reason}")]
    BadEvents {
        /// Row in the columns given, from 0.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting out of its range.
    #[error("{key}: {reason}")]
    BadSetting {
        /// Name as in `contract.md`.
        key: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// A latency file that cannot be true.
    #[error("{file}: row {row}: {reason}")]
    BadLatency {
        /// Its path, as the setting names it.
        file: String,
        /// The row, from 0.
        row: usize,
        /// What is wrong with it, and how to mend it.
        reason: &'static str,
    },
    /// Input that cannot be read: a file, a folder.
    #[error("{0}")]
    Unreadable(String),
    /// State that must hold and does not: a bug of ours or unsound data, never a user's mistake.
    #[error("invariant broken: {0}")]
    Invariant(String),
}

/// Result of everything in core.
pub type Result<T> = std::result::Result<T, Error>;
