//! The tape: encode, decode and scan over byte slices (design.md 5, rules.md 4). Files live in feed's recorder.
mod record;

pub use record::{Record, RecordKind, RestHead};
