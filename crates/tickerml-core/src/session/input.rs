//! What a session reads: items in their order, from a tape, from event files, or from a feed that goes on.
use crate::error::Result;
use crate::event::{Message, Row};
use crate::tape::{Record, RecordKind};

/// One thing that the input has next.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A record of a tape.
    Record(Record<'a>),
    /// A normalized message of an event file.
    Message(&'a Message, &'a [Row]),
    /// Blocks were lost before what comes next, which has this stamp.
    Damage(i64),
}

/// What an input answers.
#[derive(Debug)]
pub enum Peek<'a> {
    /// This is next.
    Item(Item<'a>),
    /// Nothing now; more may come.
    Wait,
    /// Nothing more will come.
    End,
}

/// Where a session's items come from, in order.
pub trait Input {
    /// The next item, not consumed.
    ///
    /// # Errors
    /// Whatever makes the input unreadable.
    fn peek(&mut self) -> Result<Peek<'_>>;
    /// Consumes it.
    fn pop(&mut self);
}

impl Item<'_> {
    /// Its stamp, ns.
    pub(super) const fn ts_ns(&self) -> i64 {
        match self {
            Item::Record(record) => record.ts_recv_ns,
            Item::Message(message, _) => message.ts_recv_ns,
            Item::Damage(ts_ns) => *ts_ns,
        }
    }

    /// Whether it is a record of this kind.
    pub(super) fn is(&self, kind: RecordKind) -> bool {
        matches!(self, Item::Record(record) if record.kind == kind)
    }
}
