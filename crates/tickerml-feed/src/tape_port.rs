//! What the feed asks of a tape: one producer that appends. The recorder is one; tests use a vector in memory.
use crate::clock::Stamp;
use serde_json::{Map, Value};
use tickerml_core::tape::RecordKind;

/// Where records go. One producer thread.
pub trait Tape {
    /// Appends a record and returns its `pos`.
    ///
    /// # Errors
    /// A text when the tape can take no record any more: the run stops.
    fn append(&mut self, kind: RecordKind, slot: u16, stamp: Stamp, bytes: &[u8]) -> Result<u64, String>;

    /// False while the tape cannot take more without growing beyond its bounds (slow or full disk): sockets are not
    /// read meanwhile.
    fn ready(&mut self) -> bool {
        true
    }

    /// Why the tape will take no record any more, if so; silence would hide it, because a tape that is not ready is not
    /// appended to.
    fn failed(&self) -> Option<String> {
        None
    }

    /// A record that the engine handed back, to be stamped and appended.
    fn take_from_engine(&mut self) -> Option<(RecordKind, Vec<u8>)> {
        None
    }

    /// Tries again to take what it did not take when that was handed over, and says what waits still, and why; none when
    /// everything is on the tape. A run must not end before.
    fn waits(&mut self) -> Option<String> {
        None
    }

    /// Whether the run is as long as one should be: see [`Tape::begin_next`].
    fn is_long(&self) -> bool {
        false
    }

    /// Ends the run and begins another one, whose name it gives: what is appended from now on is the new run's. STOP was
    /// appended last. `more` goes into the ended run's `run.json`.
    ///
    /// # Errors
    /// A text when the tape can take no record any more: the feed stops.
    fn begin_next(&mut self, stamp: Stamp, more: Map<String, Value>) -> Result<String, String> {
        let _ = (stamp, more);
        Err("this tape has one run".to_owned())
    }

    /// The last `pos` known to be on disk plus one; 0 for none.
    fn durable_pos(&self) -> u64;
}

/// A record in memory, as [`MemoryTape`] keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// What it holds.
    pub kind: RecordKind,
    /// Slot index.
    pub slot: u16,
    /// Both clocks.
    pub stamp: Stamp,
    /// Payload.
    pub bytes: Vec<u8>,
}

impl OwnedRecord {
    /// The payload as text, for assertions and messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A tape in memory, for tests and virtual time.
#[derive(Debug, Default)]
pub struct MemoryTape {
    /// Everything appended, in order: the index is the `pos`.
    pub records: Vec<OwnedRecord>,
    /// Set to act like a disk that does not keep up.
    pub stalled: bool,
    /// Set to act like a tape that has stopped.
    pub failed: Option<String>,
    /// Set to be as long as a run should be.
    pub long: bool,
    /// Runs that have ended, with what their `run.json` was to say.
    pub ended: Vec<(Vec<OwnedRecord>, Map<String, Value>)>,
    /// What the engine hands back.
    pub engine: std::collections::VecDeque<(RecordKind, Vec<u8>)>,
}

impl Tape for MemoryTape {
    fn append(&mut self, kind: RecordKind, slot: u16, stamp: Stamp, bytes: &[u8]) -> Result<u64, String> {
        if let Some(reason) = &self.failed {
            return Err(reason.clone());
        }
        self.records.push(OwnedRecord { kind, slot, stamp, bytes: bytes.to_vec() });
        Ok(self.records.len() as u64 - 1)
    }

    fn ready(&mut self) -> bool {
        !self.stalled
    }

    fn failed(&self) -> Option<String> {
        self.failed.clone()
    }

    fn take_from_engine(&mut self) -> Option<(RecordKind, Vec<u8>)> {
        self.engine.pop_front()
    }

    fn is_long(&self) -> bool {
        self.long
    }

    fn begin_next(&mut self, _stamp: Stamp, more: Map<String, Value>) -> Result<String, String> {
        self.long = false;
        self.ended.push((std::mem::take(&mut self.records), more));
        Ok(format!("20260101T000000Z-{:04x}", self.ended.len()))
    }

    fn durable_pos(&self) -> u64 {
        self.records.len() as u64
    }
}
