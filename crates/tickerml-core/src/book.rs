//! The book of one instrument: two sides of price levels, full depth, integers only.
mod levels;
mod tree;

use crate::event::{Row, RowKind, flag};
use crate::units::UNDEF_PX;
use levels::Levels;
use serde::{Deserialize, Serialize};

/// Bids and asks. Equality is that of every level.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    bids: Levels,
    asks: Levels,
}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Book::default()
    }

    /// Applies a row of kind Bid, Ask or Clear and returns the quantity that stood there; other kinds change nothing.
    #[inline]
    pub fn apply(&mut self, row: Row) -> i64 {
        match row.kind() {
            // Both sides keep their best as the greatest key: asks are stored under the negative price.
            RowKind::Bid => self.bids.set(row.px(), row.qty),
            RowKind::Ask => self.asks.set(-row.px(), row.qty),
            RowKind::Clear => {
                if row.flags() & flag::ASK_SIDE == 0 {
                    self.bids.clear()
                } else {
                    self.asks.clear()
                }
                0
            }
            _ => 0,
        }
    }

    /// Empties both sides.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Best bid price, or [`UNDEF_PX`].
    #[inline]
    pub fn best_bid(&self) -> i64 {
        self.bids.best().unwrap_or(UNDEF_PX)
    }

    /// Best ask price, or [`UNDEF_PX`].
    #[inline]
    pub fn best_ask(&self) -> i64 {
        self.asks.best().map_or(UNDEF_PX, |key| -key)
    }

    /// Best bid strictly below `px`, or [`UNDEF_PX`].
    #[inline]
    pub fn bid_below(&self, px: i64) -> i64 {
        self.bids.below(px).unwrap_or(UNDEF_PX)
    }

    /// Best ask strictly above `px`, or [`UNDEF_PX`].
    #[inline]
    pub fn ask_above(&self, px: i64) -> i64 {
        self.asks.below(-px).map_or(UNDEF_PX, |key| -key)
    }

    /// Quantity at a bid price, 0 where there is none.
    #[inline]
    pub fn bid_qty(&self, px: i64) -> i64 {
        self.bids.get(px)
    }

    /// Quantity at an ask price, 0 where there is none.
    #[inline]
    pub fn ask_qty(&self, px: i64) -> i64 {
        self.asks.get(-px)
    }

    /// Best bid at or above best ask: impossible on a venue that matches, so the book is wrong.
    #[inline]
    pub fn is_crossed(&self) -> bool {
        matches!((self.bids.best(), self.asks.best()), (Some(bid), Some(ask)) if bid >= -ask)
    }

    /// Bids from the best down, as (price, quantity).
    pub fn bids(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.bids.descending()
    }

    /// Asks from the best up, as (price, quantity).
    pub fn asks(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.asks.descending().map(|(key, qty)| (-key, qty))
    }

    /// Number of levels of both sides.
    pub fn len(&self) -> usize {
        self.bids.len() + self.asks.len()
    }

    /// True without any level.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(ops: &[(bool, i64, i64)]) {
        let mut book = Book::new();
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        for &(is_bid, px, qty) in ops {
            let (kind, side) = if is_bid { (RowKind::Bid, &mut bids) } else { (RowKind::Ask, &mut asks) };
            let before = if qty == 0 { side.remove(&px) } else { side.insert(px, qty) };
            assert_eq!(book.apply(Row::new(kind, px, qty, 0).unwrap()), before.unwrap_or(0));
            assert_eq!(book.best_bid(), bids.last_key_value().map_or(UNDEF_PX, |(&p, _)| p));
            assert_eq!(book.best_ask(), asks.first_key_value().map_or(UNDEF_PX, |(&p, _)| p));
        }
        assert_eq!(book.bids().collect::<Vec<_>>(), bids.iter().rev().map(|(&p, &q)| (p, q)).collect::<Vec<_>>());
        assert_eq!(book.asks().collect::<Vec<_>>(), asks.iter().map(|(&p, &q)| (p, q)).collect::<Vec<_>>());
        assert_eq!(book.len(), bids.len() + asks.len());
        let copy: Book = serde_json::from_slice(&serde_json::to_vec(&book).unwrap()).unwrap();
        assert_eq!(copy, book);
    }

    proptest! {
        #[test]
        fn equals_two_sorted_maps(ops in prop::collection::vec((any::<bool>(), 990i64..1100, 0i64..4), 1..400)) {
            check(&ops);
        }

        #[test]
        fn far_prices_too(ops in prop::collection::vec(
            (any::<bool>(), prop_oneof![0i64..10, 1_000_000i64..1_000_100, 0i64..(1 << 50)], 0i64..3), 1..200)) {
            check(&ops);
        }
    }

    #[test]
    fn touching_is_crossed() {
        let mut book = Book::new();
        book.apply(Row::new(RowKind::Bid, 100, 1, 0).unwrap());
        assert!(!book.is_crossed());
        book.apply(Row::new(RowKind::Ask, 101, 1, 0).unwrap());
        assert!(!book.is_crossed());
        book.apply(Row::new(RowKind::Ask, 100, 1, 0).unwrap());
        assert!(book.is_crossed());
        book.apply(Row::new(RowKind::Clear, 0, 0, flag::ASK_SIDE).unwrap());
        assert_eq!((book.best_ask(), book.best_bid()), (UNDEF_PX, 100));
    }
}
