//! A tape as the input of a session: records in order, and a sign where some were lost.
use super::TapeReader;
use crate::store::{StoreError, StoreResult};
use tickerml_core::error::{Error, Result};
use tickerml_core::session::{Input, Item, Peek};
use tickerml_core::tape::Cursor;

/// Reads a tape for a session.
pub struct TapeInput {
    reader: TapeReader,
    /// Behind the record that was peeked at.
    after: Option<Cursor>,
    /// Losses that the session has been told of.
    told: (usize, u64),
    telling: bool,
}

impl TapeInput {
    /// The rest of what `reader` reads.
    pub const fn new(reader: TapeReader) -> Self {
        TapeInput { reader, after: None, told: (0, 0), telling: false }
    }

    /// The reader, for what it says of damage and cuts.
    pub const fn reader(&self) -> &TapeReader {
        &self.reader
    }

    fn next_is_known(&mut self) -> StoreResult<bool> {
        while !self.reader.cursor.find(self.reader.unpacker.raw())? {
            if !self.reader.next_block()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Input for TapeInput {
    #[inline]
    fn peek(&mut self) -> Result<Peek<'_>> {
        if !self.next_is_known().map_err(unreadable)? {
            return Ok(if self.reader.follow { Peek::Wait } else { Peek::End });
        }
        let losses = (self.reader.damaged.len(), self.reader.missing);
        let mut cursor = self.reader.cursor;
        let Some(record) = cursor.next(self.reader.unpacker.raw())? else { return Ok(Peek::End) };
        if losses != self.told {
            self.told = losses;
            self.telling = true;
        }
        if self.telling {
            return Ok(Peek::Item(Item::Damage(record.ts_recv_ns)));
        }
        self.after = Some(cursor);
        Ok(Peek::Item(Item::Record(record)))
    }

    #[inline]
    fn pop(&mut self) {
        if std::mem::take(&mut self.telling) {
            return;
        }
        if let Some(cursor) = self.after.take() {
            self.reader.cursor = cursor;
        }
    }
}

/// An error of files as core's.
pub(crate) fn unreadable(error: StoreError) -> Error {
    match error {
        StoreError::Core(error) => error,
        other => Error::Unreadable(other.to_string()),
    }
}
