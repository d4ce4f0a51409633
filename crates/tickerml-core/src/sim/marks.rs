//! What a fill is measured against: the book when its order was decided, when it arrived, and when it was met (simulation.md 3,
//! "Cost of a fill"). Mids are kept doubled, so that they are integers: half units of the price scale.
use super::order::AHEAD_UNKNOWN;
use crate::book::Book;
use crate::units::UNDEF_PX;
use serde::{Deserialize, Serialize};

/// Best prices, scaled, and what stands there; [`UNDEF_PX`] and 0 where nothing does or the book is not true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Best bid.
    pub bid_px: i64,
    /// Best ask.
    pub ask_px: i64,
    /// Quantity at the best bid.
    pub bid_qty: i64,
    /// Quantity at the best ask.
    pub ask_qty: i64,
}

impl Quote {
    /// Nothing is known.
    pub const NONE: Quote = Quote { bid_px: UNDEF_PX, ask_px: UNDEF_PX, bid_qty: 0, ask_qty: 0 };

    /// The best of a true book.
    pub fn of(book: &Book) -> Quote {
        Quote::at(book, book.best_bid(), book.best_ask())
    }

    /// The quote at these best prices of a book.
    pub(super) fn at(book: &Book, bid_px: i64, ask_px: i64) -> Quote {
        let bid_qty = if bid_px == UNDEF_PX { 0 } else { book.bid_qty(bid_px) };
        let ask_qty = if ask_px == UNDEF_PX { 0 } else { book.ask_qty(ask_px) };
        Quote { bid_px, ask_px, bid_qty, ask_qty }
    }

    /// Twice the mid, [`UNDEF_PX`] without one of the sides.
    pub const fn mid2(self) -> i64 {
        if self.bid_px == UNDEF_PX || self.ask_px == UNDEF_PX { UNDEF_PX } else { self.bid_px + self.ask_px }
    }
}

/// What an order remembers of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Way {
    /// Twice the mid of our own book when it was decided.
    decision_mid2: i64,
    /// Twice the mid of the venue's book when it arrived, and when that was.
    arrival_mid2: i64,
    arrived_ns: i64,
    /// Quantity ahead when it began to rest.
    placed_ahead_qty: i64,
    /// Printed in the five minutes before it arrived.
    volume_qty: i64,
}

impl Way {
    /// Decided upon this quote.
    pub const fn decided(quote: Quote) -> Way {
        Way {
            decision_mid2: quote.mid2(),
            arrival_mid2: UNDEF_PX,
            arrived_ns: 0,
            placed_ahead_qty: AHEAD_UNKNOWN,
            volume_qty: 0,
        }
    }

    /// It reaches the venue.
    pub const fn arrived(&mut self, quote: Quote, at_ns: i64, volume_qty: i64) {
        (self.arrival_mid2, self.arrived_ns, self.volume_qty) = (quote.mid2(), at_ns, volume_qty);
    }

    /// It begins to rest.
    pub const fn rested(&mut self, ahead_qty: i64) {
        self.placed_ahead_qty = ahead_qty;
    }

    /// It is met at `at_ns`.
    pub const fn met(&self, quote: Quote, at_ns: i64, order_qty: i64, print_median_qty: i64) -> Marks {
        Marks {
            decision_mid2: self.decision_mid2,
            arrival_mid2: self.arrival_mid2,
            quote,
            age_ns: at_ns.saturating_sub(self.arrived_ns),
            order_qty,
            placed_ahead_qty: self.placed_ahead_qty,
            print_median_qty,
            volume_qty: self.volume_qty,
        }
    }
}

/// What a fill is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Twice the mid of our own book at the view that decided the order; [`UNDEF_PX`] where it was not true.
    pub decision_mid2: i64,
    /// Twice the mid of the venue's book when the order arrived.
    pub arrival_mid2: i64,
    /// The venue's best at the fill, before it.
    pub quote: Quote,
    /// Venue time since the order arrived, ns.
    pub age_ns: i64,
    /// Quantity of the whole order, scaled.
    pub order_qty: i64,
    /// Quantity ahead when the order began to rest; [`AHEAD_UNKNOWN`] where it never did or nobody knew.
    pub placed_ahead_qty: i64,
    /// Median size of the prints of the five minutes before, scaled; 0 without a print.
    pub print_median_qty: i64,
    /// Printed in the five minutes before the order arrived, scaled.
    pub volume_qty: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Row, RowKind};

    #[test]
    fn half_a_book_has_no_mid() {
        let mut book = Book::new();
        assert_eq!(Quote::of(&book), Quote::NONE);
        book.apply(Row::new(RowKind::Ask, 11, 5, 0).unwrap());
        assert_eq!(Quote::of(&book), Quote { ask_px: 11, ask_qty: 5, ..Quote::NONE });
        assert_eq!(Quote::of(&book).mid2(), UNDEF_PX);
        book.apply(Row::new(RowKind::Bid, 8, 2, 0).unwrap());
        assert_eq!(Quote::of(&book).mid2(), 19);
    }
}
