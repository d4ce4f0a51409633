//! Best bid and ask as hftbacktest keeps them, row by row: a new best that crosses the other side pushes it to the next stored
//! level beyond (simulation.md 2, "Row by row"). Between whole messages of a true book it is the book's own touch.
use crate::book::Book;
use crate::event::RowKind;
use crate::units::UNDEF_PX;
use serde::{Deserialize, Serialize};

/// Best bid and ask, [`UNDEF_PX`] where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    pub bid: i64,
    pub ask: i64,
}

impl Touch {
    pub const NONE: Touch = Touch { bid: UNDEF_PX, ask: UNDEF_PX };

    /// Follows a level row that `book` has taken; true when the row's side became better.
    #[inline]
    pub fn follow(&mut self, book: &Book, kind: RowKind, px: i64, qty: i64) -> bool {
        if kind == RowKind::Bid { self.bid_row(book, px, qty) } else { self.ask_row(book, px, qty) }
    }

    fn bid_row(&mut self, book: &Book, px: i64, qty: i64) -> bool {
        if qty == 0 {
            if px == self.bid {
                self.bid = book.bid_below(px);
            }
            return false;
        }
        if self.bid != UNDEF_PX && px <= self.bid {
            return false;
        }
        self.bid = px;
        if self.ask != UNDEF_PX && self.bid >= self.ask {
            self.ask = book.ask_above(px);
        }
        true
    }

    fn ask_row(&mut self, book: &Book, px: i64, qty: i64) -> bool {
        if qty == 0 {
            if px == self.ask {
                self.ask = book.ask_above(px);
            }
            return false;
        }
        if self.ask != UNDEF_PX && px >= self.ask {
            return false;
        }
        self.ask = px;
        if self.bid != UNDEF_PX && self.bid >= self.ask {
            self.bid = book.bid_below(px);
        }
        true
    }
}
