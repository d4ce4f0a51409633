//! What a reader of the tape wants of its recorder (rules.md 2): with HEALTH, COMMAND and MODEL_OUTPUT all that goes back.
use crate::event::Cause;
use crate::tape::RecordKind;

/// A wish. Recorders grant it; replays have nobody to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A new snapshot of a book that was found wrong though no id is missing: crossed, a number beyond its scale, damage.
    Resync {
        /// Which book, `venue:SYMBOL`.
        instrument: String,
        /// What was wrong.
        cause: Cause,
        /// The record that showed it. A recorder whose book started over there or later need do nothing.
        pos: u64,
    },
}

impl Want {
    /// The record that carries it to the recorder, which appends what it grants.
    pub fn record(&self) -> (RecordKind, Vec<u8>) {
        let Want::Resync { instrument, cause, pos } = self;
        let health = serde_json::json!({"name": "resync", "state": cause.name(), "detail": instrument, "pos": pos});
        (RecordKind::Health, health.to_string().into_bytes())
    }
}
