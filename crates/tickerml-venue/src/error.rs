//! What can go wrong with a venue on loopback.
use thiserror::Error;

/// Errors of this crate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be served.
    #[error("{key}: {reason}")]
    BadConfig {
        /// Key, with dots.
        key: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// A recording that cannot be read or holds nothing to serve.
    #[error("{file}: {reason}")]
    BadRecording {
        /// The file as given.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The listener could not be opened, or a thread could not be started.
    #[error("cannot serve on 127.0.0.1: {0}")]
    Io(#[from] std::io::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A [`Error::BadConfig`].
pub(crate) fn bad(key: &str, reason: impl Into<String>) -> Error {
    Error::BadConfig { key: key.to_owned(), reason: reason.into() }
}
