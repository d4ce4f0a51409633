//! What the supervisor asks of its shell, and how a connection ended.
use super::ConnId;

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a socket and answer with `opened` or `closed`.
    Open {
        /// Names the connection in all answers.
        conn: ConnId,
        /// Where.
        url: String,
    },
    /// Send a ping frame.
    Ping {
        /// On which connection.
        conn: ConnId,
    },
    /// Close and forget a socket; no answer is expected.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// GET a URL and answer with `answered`.
    Request {
        /// Names the request in its answer.
        id: u64,
        /// Where.
        url: String,
    },
}

/// How a connection ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// In words, for the DISCONNECT record.
    pub reason: String,
    /// HTTP status of a refused handshake; 0 otherwise.
    pub status: u16,
    /// Seconds of a `Retry-After`.
    pub retry_after_s: Option<i64>,
}

impl Closed {
    /// An end without an HTTP status.
    pub fn because(reason: impl Into<String>) -> Self {
        Closed { reason: reason.into(), ..Closed::default() }
    }
}
