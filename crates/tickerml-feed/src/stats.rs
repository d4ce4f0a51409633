//! What the feed counts, as the JSON that a screen or a script reads.
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Errors kept for the screen; the tape has all of them.
const ERRORS_MAX: usize = 20;
/// Length of one error text.
const ERROR_CHARS_MAX: usize = 400;

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Text frames written.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that are no message of their venue.
    pub bad_frames: u64,
    /// Messages of no configured stream (acks, errors, unknown types).
    pub other_frames: u64,
    /// Connection attempts.
    pub connects: u64,
    /// Connections that failed or were given up.
    pub reconnects: u64,
    /// Completed hand-overs from one slot to the other.
    pub handovers: u64,
    /// Interruptions of a Live book: lost diffs, disconnects, resyncs.
    pub gaps: u64,
    /// Books started over because they were found wrong.
    pub resyncs: u64,
    /// Snapshots that fitted.
    pub snapshots: u64,
    /// Snapshots that were too old.
    pub snapshots_old: u64,
    /// REST requests sent.
    pub requests: u64,
    /// REST requests that failed.
    pub rest_errors: u64,
    /// Streams that went stale.
    pub stale: u64,
    /// Steps of the wall clock.
    pub clock_steps: u64,
    /// `pos` of the last record.
    pub pos: u64,
}

/// The last errors, newest last, equal ones in a row once.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    kept: VecDeque<String>,
    count: u64,
}

impl Errors {
    /// Adds one.
    pub fn push(&mut self, mut text: String) {
        if let Some((at, _)) = text.char_indices().nth(ERROR_CHARS_MAX) {
            text.truncate(at);
        }
        self.count += 1;
        if self.kept.back() == Some(&text) {
            return;
        }
        if self.kept.len() >= ERRORS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(text);
    }

    /// All kept ones.
    pub fn list(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }

    /// How many there were since the start.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// One stream, for the screen.
#[derive(Debug, Clone, Serialize)]
pub struct StreamStats {
    /// Name on the wire.
    pub stream: String,
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// Slot that carries it.
    pub slot: String,
    /// Frames since the start.
    pub frames: u64,
    /// Since the last frame; none without a connection.
    pub age_ms: Option<i64>,
    /// Silent beyond its limit.
    pub stale: bool,
}

/// One book, for the screen.
#[derive(Debug, Clone, Serialize)]
pub struct BookStats {
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// connecting, buffering, syncing, live, stale or gap.
    pub state: String,
    /// Update id while it is live or stale.
    pub update_id: Option<u64>,
}

/// Everything.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    /// Counts since the start.
    #[serde(flatten)]
    pub counters: Counters,
    /// Frames a second over the last second.
    pub frames_per_s: f64,
    /// Records before this `pos` are on disk.
    pub durable_pos: u64,
    /// Records that are not on disk yet.
    pub tape_lag: u64,
    /// REST weight used in the last minute, by venue.
    pub weight_used: Vec<(String, u32)>,
    /// Open connections.
    pub open: Vec<String>,
    /// Streams.
    pub streams: Vec<StreamStats>,
    /// Books.
    pub books: Vec<BookStats>,
    /// Last errors, newest last.
    pub errors: Vec<String>,
    /// Errors since the start.
    pub error_count: u64,
    /// Venues that refuse this host for good, in words.
    pub blocked: Vec<String>,
    /// Venues that were never reached within the budget, in words; they are tried on.
    pub unreachable: Vec<String>,
    /// Why the feed cannot go on.
    pub fatal: Option<String>,
    /// Runs begun since the start, after the first one: a long recording is cut into runs.
    pub runs: Vec<String>,
    /// Counts of the present run, for its `run.json`.
    #[serde(skip)]
    pub run_counts: Map<String, Value>,
}
