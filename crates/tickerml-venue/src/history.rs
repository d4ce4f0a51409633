//! The truth: the venue's own L2 book at any recent update id, for tests that compare what a client believes.
//!
//! The book of now and a ring of the latest changes; an older book is the present one with the changes since undone.
use crate::engine::Side;
use std::collections::{BTreeMap, VecDeque};

/// Changes remembered: at the busiest profile about two minutes.
pub const CHANGES_MAX: usize = 131_072;

/// Displayed quantities by price (ticks to lots), one map a side: bids, asks.
pub type Levels = [BTreeMap<i64, i64>; 2];

/// One change of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Update id that the change took.
    pub id: u64,
    /// Side of the level.
    pub side: Side,
    /// Ticks.
    pub px: i64,
    /// Lots before.
    pub before: i64,
    /// Lots after.
    pub after: i64,
}

/// Present book and recent changes of one instrument.
#[derive(Debug, Default)]
pub struct History {
    levels: Levels,
    changes: VecDeque<Change>,
    last_id: u64,
    /// Oldest id whose book can still be told.
    oldest_id: u64,
}

impl History {
    /// Adds a change; ids must grow.
    pub fn push(&mut self, change: Change) {
        debug_assert!(change.id > self.last_id, "update ids grow");
        if self.last_id == 0 {
            self.oldest_id = change.id;
        }
        self.last_id = change.id;
        set(&mut self.levels, change.side, change.px, change.after);
        self.changes.push_back(change);
        if self.changes.len() > CHANGES_MAX {
            self.oldest_id = self.changes.pop_front().map_or(0, |c| c.id);
        }
    }

    /// Id of the latest change.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The present book.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The book after all changes up to and including `id`; none where that lies ahead or is forgotten.
    pub fn at(&self, id: u64) -> Option<Levels> {
        if id > self.last_id || id < self.oldest_id {
            return None;
        }
        let mut levels = self.levels.clone();
        for change in self.changes.iter().rev().take_while(|c| c.id > id) {
            set(&mut levels, change.side, change.px, change.before);
        }
        Some(levels)
    }

    /// Id of the latest change at least `back` changes ago; none where fewer are known.
    pub fn id_before(&self, back: usize) -> Option<u64> {
        let at = self.changes.len().checked_sub(back + 1)?;
        self.changes.get(at).map(|c| c.id)
    }
}

fn set(levels: &mut Levels, side: Side, px: i64, qty: i64) {
    let side = &mut levels[side.index()];
    if qty == 0 {
        side.remove(&px);
    } else {
        side.insert(px, qty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoing_reaches_every_book_on_the_way() {
        let mut history = History::default();
        let mut books = vec![Levels::default()];
        for (id, (px, before, after)) in [(5, 0, 3), (6, 0, 1), (5, 3, 0), (5, 0, 9), (6, 1, 4)].into_iter().enumerate()
        {
            history.push(Change { id: 10 + 2 * id as u64, side: Side::Ask, px, before, after });
            books.push(history.levels().clone());
        }
        for (n, book) in books.iter().enumerate().skip(1) {
            assert_eq!(history.at(8 + 2 * n as u64).as_ref(), Some(book));
            assert_eq!(history.at(9 + 2 * n as u64).is_some(), n < 5, "an id ahead is unknown");
        }
        assert_eq!(history.id_before(1), Some(16));
        assert_eq!(history.id_before(5), None);
    }
}
