//! A run that is being recorded as the input of a session.
use super::tail::{EngineTail, Fill};
use crate::reader::unreadable;
use crate::store::StoreResult;
use std::time::Duration;
use tickerml_core::error::Result;
use tickerml_core::session::{Input, Item, Peek};

/// The engine's end of a recorder, for a session. [`Input::peek`] never waits: it says [`Peek::Wait`], and the caller
/// waits in [`TailInput::wait`] without the session.
pub struct TailInput {
    tail: EngineTail,
    /// Losses that the session has been told of.
    told: (usize, u64),
    telling: bool,
}

impl TailInput {
    /// The rest of what `tail` reads.
    pub const fn new(tail: EngineTail) -> Self {
        TailInput { tail, told: (0, 0), telling: false }
    }

    /// The tail, for its durable mark and for records that go back.
    pub const fn tail(&self) -> &EngineTail {
        &self.tail
    }

    /// Waits until there is something to read, the run is over, or `timeout` is past.
    ///
    /// # Errors
    /// As [`EngineTail::fill`].
    pub fn wait(&mut self, timeout: Duration) -> StoreResult<Fill> {
        self.tail.fill(timeout)
    }
}

impl Input for TailInput {
    #[inline]
    fn peek(&mut self) -> Result<Peek<'_>> {
        if !self.tail.has_next().map_err(unreadable)? {
            match self.tail.fill(Duration::ZERO).map_err(unreadable)? {
                Fill::Records => {}
                Fill::TimedOut => return Ok(Peek::Wait),
                Fill::Ended => return Ok(Peek::End),
            }
        }
        let losses = self.tail.losses();
        if losses != self.told {
            self.told = losses;
            self.telling = true;
        }
        let telling = self.telling;
        Ok(match self.tail.peek().map_err(unreadable)? {
            Some(record) if telling => Peek::Item(Item::Damage(record.ts_recv_ns)),
            Some(record) => Peek::Item(Item::Record(record)),
            None => Peek::Wait,
        })
    }

    #[inline]
    fn pop(&mut self) {
        if !std::mem::take(&mut self.telling) {
            // It was peeked at: it is there and right.
            let _ = self.tail.next();
        }
    }
}
