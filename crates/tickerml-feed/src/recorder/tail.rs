//! The engine's end of a recorder: every record in `pos` order. It may lag, never skip (rules.md 1).
use super::FromEngine;
use super::queue::{Queue, Shared};
use crate::reader::TapeReader;
use crate::store::{StoreError, StoreResult};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tickerml_core::tape::{Cursor, RawBlock, Record, RecordKind};

/// Time that an engine without a record sleeps before it asks to be woken: single records then come in one batch, and a
/// busy feed never pays for a wake-up. The tape's clock is not touched by it.
const BATCH: Duration = Duration::from_millis(5);

/// What [`EngineTail::fill`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// [`EngineTail::next`] has a record.
    Records,
    /// Nothing came in time.
    TimedOut,
    /// The run is over and everything was read.
    Ended,
}

/// Where the records at hand lie.
enum At {
    /// Nowhere: nothing is at hand.
    Nothing,
    /// In the files, up to this pos: what follows is in memory.
    File(Box<TapeReader>, u64),
    /// In a closed block of the ring.
    Block(Arc<RawBlock>, Cursor),
    /// In a copy of what the block being filled held: its bytes from `from` on.
    Copy { from: usize, cursor: Cursor },
}

/// Reads a run that is being recorded: from files while it lags, from memory when it has caught up.
pub struct EngineTail {
    shared: Arc<Shared>,
    folder: PathBuf,
    to_feed: SyncSender<FromEngine>,
    pos: u64,
    at: At,
    copy: Vec<u8>,
    /// Place in the block being filled, while that is still the same: its first pos, and the cursor in it.
    place: Option<(u64, Cursor)>,
    /// Damaged ranges and missing records met in files that are read no more.
    losses: (usize, u64),
}

impl EngineTail {
    pub(super) fn new(
        shared: Arc<Shared>,
        folder: PathBuf,
        pos: u64,
        to_feed: SyncSender<FromEngine>,
    ) -> StoreResult<Self> {
        if !folder.is_dir() {
            return Err(StoreError::NotFound { what: "tape", path: folder });
        }
        Ok(EngineTail { shared, folder, to_feed, pos, at: At::Nothing, copy: Vec::new(), place: None, losses: (0, 0) })
    }

    /// Pos of the record that comes next.
    pub const fn pos(&self) -> u64 {
        self.pos
    }

    /// Records that are on disk: every pos below this is durable.
    pub fn durable_pos(&self) -> u64 {
        self.shared.durable_pos()
    }

    /// Makes records available, waiting up to `timeout`. Call it when [`EngineTail::next`] gives none.
    ///
    /// # Errors
    /// As [`TapeReader::next`]; [`StoreError::Stopped`] when the recorder failed and everything it had was read.
    pub fn fill(&mut self, timeout: Duration) -> StoreResult<Fill> {
        if self.has_next()? {
            return Ok(Fill::Records);
        }
        self.leave();
        let caught_up = self.shared.next_pos() <= self.pos;
        if caught_up && timeout > BATCH {
            std::thread::sleep(BATCH);
        }
        let shared = Arc::clone(&self.shared);
        let queue = shared.wait_for(self.pos, timeout.saturating_sub(BATCH));
        if queue.filling.next_pos() <= self.pos {
            return match (&queue.failure, queue.done) {
                (Some(reason), _) => Err(StoreError::Stopped { reason: reason.clone() }),
                (None, true) => Ok(Fill::Ended),
                (None, false) => Ok(Fill::TimedOut),
            };
        }
        let first_pos = queue.first_pos();
        if first_pos > self.pos {
            drop(queue);
            return self.read_files(first_pos);
        }
        self.take(&queue);
        Ok(Fill::Records)
    }

    /// The next record at hand; none when [`EngineTail::fill`] must be called.
    ///
    /// # Errors
    /// As [`TapeReader::next`].
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> StoreResult<Option<Record<'_>>> {
        if !self.has_next()? {
            return Ok(None);
        }
        let record = match &mut self.at {
            At::Nothing => None,
            At::File(reader, _) => reader.next()?,
            At::Block(block, cursor) => cursor.next(&block.raw)?,
            At::Copy { cursor, .. } => cursor.next(&self.copy)?,
        };
        if let Some(record) = &record {
            self.pos = record.pos + 1;
        }
        Ok(record)
    }

    /// Hands a HEALTH, COMMAND or MODEL_OUTPUT record to the feed thread, which stamps and appends it.
    ///
    /// # Errors
    /// [`StoreError::Backlog`] when the feed thread has not taken the ones before, [`StoreError::Stopped`] when it is gone.
    pub fn append_from_engine(&self, kind: RecordKind, bytes: Vec<u8>) -> StoreResult<()> {
        use std::sync::mpsc::TrySendError::{Disconnected, Full};
        self.to_feed.try_send(FromEngine { kind, bytes }).map_err(|error| match error {
            Full(record) => StoreError::Backlog { bytes: record.bytes.len() },
            Disconnected(_) => StoreError::Stopped { reason: "the feed has ended".to_owned() },
        })
    }

    /// The next record at hand, not consumed.
    #[inline]
    pub(super) fn peek(&mut self) -> StoreResult<Option<Record<'_>>> {
        Ok(match &mut self.at {
            At::Nothing => None,
            At::File(reader, _) => reader.peek()?,
            At::Block(block, cursor) => { *cursor }.next(&block.raw)?,
            At::Copy { cursor, .. } => { *cursor }.next(&self.copy)?,
        })
    }

    /// Damaged ranges and missing records met so far: the session is told before the record that follows them.
    pub(super) fn losses(&self) -> (usize, u64) {
        let (damaged, missing) = self.losses;
        match &self.at {
            At::File(reader, _) => (damaged + reader.damaged().len(), missing + reader.missing()),
            _ => (damaged, missing),
        }
    }

    /// Whether [`EngineTail::next`] has a record.
    pub(super) fn has_next(&mut self) -> StoreResult<bool> {
        Ok(match &mut self.at {
            At::Nothing => false,
            At::File(reader, until) => reader.pos() < *until && reader.has_next()? && reader.pos() < *until,
            At::Block(block, cursor) => cursor.find(&block.raw)?,
            At::Copy { cursor, .. } => cursor.find(&self.copy)?,
        })
    }

    /// Leaves what was read to its end, keeping the place. Records of unknown kinds are passed here.
    fn leave(&mut self) {
        self.losses = self.losses();
        match std::mem::replace(&mut self.at, At::Nothing) {
            At::Nothing => {}
            At::File(reader, until) => {
                // The files hold everything before `until`: what they did not give is lost.
                self.losses.1 += until.saturating_sub(reader.next_pos().unwrap_or(self.pos).max(self.pos));
                self.pos = until;
            }
            At::Block(_, cursor) => self.pos = cursor.pos(),
            At::Copy { from, cursor } => {
                self.pos = cursor.pos();
                self.place = self.place.map(|(first, _)| (first, cursor.moved_to(from + cursor.at())));
            }
        }
    }

    /// Takes the block that holds `pos`: a closed one as it is, the one being filled as a copy of what is new.
    fn take(&mut self, queue: &Queue) {
        let at = queue.ring.partition_point(|block| block.next_pos() <= self.pos);
        if let Some(block) = queue.ring.get(at) {
            let cursor = self.cursor_in(block);
            self.place = None;
            self.at = At::Block(Arc::clone(block), cursor);
            return;
        }
        let block = queue.filling.block();
        let cursor = self.cursor_in(block);
        self.copy.clear();
        self.copy.extend_from_slice(&block.raw[cursor.at()..]);
        self.place = Some((block.first_pos, cursor));
        self.at = At::Copy { from: cursor.at(), cursor: cursor.moved_to(0) };
    }

    /// The place of `pos` in `block`: known where reading goes on in it, found from its start otherwise.
    fn cursor_in(&self, block: &RawBlock) -> Cursor {
        match self.place {
            Some((first, cursor)) if first == block.first_pos && cursor.pos() == self.pos => cursor,
            _ => {
                let mut cursor = block.start();
                while cursor.pos() < self.pos && cursor.pass(&block.raw).is_ok() {}
                cursor
            }
        }
    }

    /// Lags behind the memory: reads on from the files, which hold everything before `until`.
    fn read_files(&mut self, until: u64) -> StoreResult<Fill> {
        let reader = match TapeReader::open_at(&self.folder, self.pos) {
            Ok(reader) => reader,
            // Retention, or somebody's hand: nothing is left of the run's beginning.
            Err(StoreError::NotFound { .. }) => {
                self.losses.1 += until - self.pos;
                self.pos = until;
                return Ok(Fill::TimedOut);
            }
            Err(error) => return Err(error),
        };
        self.place = None;
        self.at = At::File(Box::new(reader), until);
        if self.has_next()? {
            return Ok(Fill::Records);
        }
        self.leave();
        Ok(Fill::TimedOut)
    }
}
