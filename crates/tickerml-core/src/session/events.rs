//! Events in memory as a session's input.
use super::{Input, Item, Peek};
use crate::error::Result;
use crate::event_set::EventSet;
use std::sync::Arc;

/// Reads an [`EventSet`] from its start.
#[derive(Debug)]
pub struct EventInput {
    set: Arc<EventSet>,
    next: usize,
    row: usize,
}

impl EventInput {
    /// At the first message.
    pub const fn new(set: Arc<EventSet>) -> Self {
        EventInput { set, next: 0, row: 0 }
    }
}

impl Input for EventInput {
    #[inline]
    fn peek(&mut self) -> Result<Peek<'_>> {
        Ok(match self.set.messages().get(self.next) {
            Some(message) => {
                let rows = &self.set.rows()[self.row..self.row + message.rows as usize];
                Peek::Item(Item::Message(message, rows))
            }
            None => Peek::End,
        })
    }

    #[inline]
    fn pop(&mut self) {
        self.row += self.set.messages()[self.next].rows as usize;
        self.next += 1;
    }
}
