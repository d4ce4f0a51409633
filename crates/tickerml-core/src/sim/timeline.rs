//! What happened at a venue and when we may know it: messages of one instrument, put into the order of venue time
//! (simulation.md 1, "release").
//!
//! Venue time x is released when a message with a later venue time has arrived on the depth stream and on the trade stream, or
//! when x + `reorder_ms` has passed here, whichever is first. Nothing about x is computed before.
use super::stand::VenueRows;
use crate::book::Book;
use crate::event::{Message, Row, RowKind};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Rows that have been taken are dropped from memory once there are this many, and as many as the rest.
const DEAD_ROWS_MAX: usize = 4096;

/// A stream that must have gone further before a time is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Level changes.
    Depth = 0,
    /// Prints.
    Trade = 1,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    at_ns: i64,
    message: Message,
    /// Index of its first row.
    row: usize,
    /// It cannot be undone from the quantities before it: no plain diff, or one out of its stream's order.
    awkward: bool,
}

/// Messages that wait for their release, in venue time; those of one time in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    waiting: VecDeque<Waiting>,
    rows: Vec<Row>,
    /// What stood at each row's level before it arrived.
    befores: Vec<i64>,
    awkward: u32,
    /// A diff has left the order of its stream, or a snapshot has gone behind one: since then our book and the venue's may hold
    /// other quantities for good. The next snapshot in order ends it.
    disordered: bool,
    /// The latest time of what changed the book: a diff or a snapshot.
    book_ns: i64,
    /// How far each stream has gone.
    heard_ns: [i64; 2],
    /// Everything before this has been released.
    taken_ns: i64,
    late_rows: u64,
}

impl Timeline {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Timeline {
            waiting: VecDeque::new(),
            rows: Vec::new(),
            befores: Vec::new(),
            awkward: 0,
            disordered: false,
            book_ns: i64::MIN,
            heard_ns: [i64::MIN; 2],
            taken_ns: i64::MIN,
            late_rows: 0,
        }
    }

    /// Rows that came after their time had been released: they act at the watermark.
    pub const fn late_rows(&self) -> u64 {
        self.late_rows
    }

    /// Before a message arrives: what the streams and the time to reorder have released by then cannot be changed by it.
    #[inline]
    pub fn settle(&mut self, before_ns: i64) {
        self.taken_ns = self.taken_ns.max(self.released_ns()).max(before_ns);
    }

    /// Whether a message would leave the order in which its rows change our own book.
    #[inline]
    pub fn is_awkward(&self, at_ns: i64, stream: Option<Stream>) -> bool {
        match stream {
            Some(Stream::Trade) => false,
            Some(Stream::Depth) => at_ns < self.book_ns || at_ns < self.taken_ns,
            None => true,
        }
    }

    /// A message of venue time `at_ns` has arrived, on a stream or beside both. Its rows have changed our own book; `befores` is
    /// what stood there.
    #[inline]
    pub fn push(&mut self, mut at_ns: i64, stream: Option<Stream>, message: &Message, rows: &[Row], befores: &[i64]) {
        let awkward = self.is_awkward(at_ns, stream);
        self.awkward += u32::from(awkward);
        if rows[0].kind() == RowKind::Clear {
            self.disordered = at_ns < self.book_ns;
            self.book_ns = self.book_ns.max(at_ns);
        } else if stream == Some(Stream::Depth) {
            self.disordered |= awkward;
            self.book_ns = self.book_ns.max(at_ns);
        }
        if let Some(stream) = stream {
            let heard = &mut self.heard_ns[stream as usize];
            *heard = (*heard).max(at_ns);
        }
        if at_ns < self.taken_ns {
            // What no stream carried is never late: it takes its place behind what there is.
            self.late_rows += if stream.is_some() { rows.len() as u64 } else { 0 };
            at_ns = self.taken_ns;
        }
        let waiting = Waiting { at_ns, message: *message, row: self.rows.len(), awkward };
        self.rows.extend_from_slice(rows);
        self.befores.extend_from_slice(befores);
        if self.waiting.back().is_none_or(|last| last.at_ns <= at_ns) {
            self.waiting.push_back(waiting);
        } else {
            let place = self.waiting.partition_point(|w| w.at_ns <= at_ns);
            self.waiting.insert(place, waiting);
        }
    }

    /// Whether [`Timeline::undo`] gives the venue's book.
    #[inline]
    pub const fn can_undo(&self) -> bool {
        self.awkward == 0 && !self.disordered
    }

    /// Takes what waits out of a copy of our own book: what is left is the venue's.
    pub fn undo(&self, book: &mut Book) {
        debug_assert!(self.can_undo());
        for waiting in self.waiting.iter().rev() {
            for at in (waiting.row..waiting.row + waiting.message.rows as usize).rev() {
                book.apply(self.rows[at].with_qty(self.befores[at]));
            }
        }
    }

    /// All venue times before this are released by what has arrived.
    #[inline]
    pub fn released_ns(&self) -> i64 {
        self.heard_ns[0].min(self.heard_ns[1])
    }

    /// Everything before `limit_ns` has been taken; frees what nobody waits for.
    #[inline]
    pub fn taken(&mut self, limit_ns: i64) {
        self.taken_ns = self.taken_ns.max(limit_ns);
        if self.waiting.is_empty() {
            self.rows.clear();
            self.befores.clear();
        } else if self.rows.len() > DEAD_ROWS_MAX {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let first = self.waiting.iter().map(|w| w.row).min().unwrap_or(self.rows.len());
        if first > DEAD_ROWS_MAX && first * 2 > self.rows.len() {
            self.rows.drain(..first);
            self.befores.drain(..first);
            for waiting in &mut self.waiting {
                waiting.row -= first;
            }
        }
    }

    /// The process started again: what waited is forgotten.
    pub fn clear(&mut self) {
        *self = Timeline { late_rows: self.late_rows, ..Timeline::new() };
    }
}

impl VenueRows for Timeline {
    #[inline]
    fn next_ns(&self) -> i64 {
        self.waiting.front().map_or(i64::MAX, |w| w.at_ns)
    }

    #[inline]
    fn pop(&mut self) -> Option<(i64, Message, usize)> {
        let Waiting { at_ns, message, row, awkward } = self.waiting.pop_front()?;
        self.awkward -= u32::from(awkward);
        Some((at_ns, message, row))
    }

    #[inline]
    fn rows(&self, first: usize, count: u32) -> &[Row] {
        &self.rows[first..first + count as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(t: &mut Timeline, at: i64, stream: Stream, qty: i64) {
        let message = Message { pos: 0, ts_recv_ns: 0, ts_event_ns: at, instrument: 0, rows: 1 };
        t.push(at, Some(stream), &message, &[Row::new(RowKind::Bid, 1, qty, 0).unwrap()], &[0]);
    }

    fn take(t: &mut Timeline, limit: i64) -> Vec<(i64, i64)> {
        let mut taken = Vec::new();
        while t.next_ns() < limit {
            let (at, _, row) = t.pop().unwrap();
            taken.push((at, t.rows(row, 1)[0].qty));
        }
        t.taken(limit);
        taken
    }

    #[test]
    fn both_streams_must_have_gone_further() {
        let mut t = Timeline::new();
        push(&mut t, 10, Stream::Depth, 1);
        push(&mut t, 30, Stream::Depth, 2);
        assert_eq!(t.released_ns(), i64::MIN);
        push(&mut t, 20, Stream::Trade, 3);
        push(&mut t, 20, Stream::Trade, 4);
        assert_eq!(t.released_ns(), 20);
        let released = t.released_ns();
        assert_eq!(take(&mut t, released), [(10, 1)], "20 itself is not released: a row of the same time may come");
        assert_eq!(take(&mut t, 100), [(20, 3), (20, 4), (30, 2)]);
    }

    #[test]
    fn a_late_row_acts_at_the_watermark_and_is_counted() {
        let mut t = Timeline::new();
        push(&mut t, 10, Stream::Depth, 1);
        take(&mut t, 50);
        push(&mut t, 20, Stream::Trade, 2);
        assert_eq!((take(&mut t, 51), t.late_rows()), (vec![(50, 2)], 1));
    }

    #[test]
    fn memory_does_not_grow() {
        let mut t = Timeline::new();
        for n in 0..100_000 {
            push(&mut t, n, Stream::Depth, n);
            assert_eq!(take(&mut t, n - 5), if n >= 6 { vec![(n - 6, n - 6)] } else { vec![] });
            assert!(t.rows.len() < 4 * DEAD_ROWS_MAX);
        }
    }
}
