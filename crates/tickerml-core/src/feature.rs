//! The feature row of one instrument: what a policy sees of a Live book besides its levels.
use crate::book::Book;
use crate::units::to_f64;
use crate::wire::Scale;

/// Names of the columns of a feature row, in order. Prices in quote, quantities in base, imbalances in -1..1.
pub const FEATURE_NAMES: [&str; FEATURES] =
    ["mid", "spread", "microprice", "imbalance_1", "imbalance_5", "imbalance_10", "imbalance_20", "trade_flow"];

/// Number of features.
pub const FEATURES: usize = 8;

/// Levels a side that the row is made of; views carry the same number.
pub const DEPTH: usize = 20;

/// Depths of the imbalances.
const IMBALANCE_DEPTHS: [usize; 4] = [1, 5, 10, 20];

/// Best levels of both sides: `[side][rank] = (price, quantity)`, bids first; missing ones have quantity 0.
pub type Top = [[(i64, i64); DEPTH]; 2];

/// Fills `top` from the book; missing levels get price [`crate::units::UNDEF_PX`] and quantity 0.
pub fn read_top(book: &Book, top: &mut Top) {
    let missing = (crate::units::UNDEF_PX, 0);
    let mut bids = book.bids();
    top[0].fill_with(|| bids.next().unwrap_or(missing));
    let mut asks = book.asks();
    top[1].fill_with(|| asks.next().unwrap_or(missing));
}

/// The row of a Live book; all NaN without a bid or an ask.
///
/// mid = (bid + ask) / 2; spread = ask - bid; microprice = (bid x ask quantity + ask x bid quantity) / sum of both (Gatheral and
/// Oomen 2010, "Zero-intelligence realized variance estimation"); imbalance at n = (bids - asks) / (bids + asks) over the best n
/// levels; trade_flow = taker buys minus taker sells since the step before.
pub fn feature_row(top: &Top, trade_flow_lots: i64, scale: Scale) -> [f64; FEATURES] {
    let mut row = [f64::NAN; FEATURES];
    let ((bid, bid_qty), (ask, ask_qty)) = (top[0][0], top[1][0]);
    if bid_qty == 0 || ask_qty == 0 {
        return row;
    }
    let (bid_px, ask_px) = (to_f64(bid, scale.price_precision), to_f64(ask, scale.price_precision));
    let (b, a) = (bid_qty as f64, ask_qty as f64);
    row[0] = (bid_px + ask_px) * 0.5;
    row[1] = to_f64(ask - bid, scale.price_precision);
    row[2] = (bid_px * a + ask_px * b) / (a + b);
    let (mut bids, mut asks) = (0i64, 0i64);
    let mut rank = 0;
    for (column, depth) in IMBALANCE_DEPTHS.into_iter().enumerate() {
        while rank < depth {
            bids = bids.saturating_add(top[0][rank].1);
            asks = asks.saturating_add(top[1][rank].1);
            rank += 1;
        }
        row[3 + column] = (bids as f64 - asks as f64) / (bids as f64 + asks as f64);
    }
    row[7] = to_f64(trade_flow_lots, scale.qty_precision);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Row, RowKind};

    #[test]
    fn a_small_book_by_hand() {
        let mut book = Book::new();
        for (kind, px, qty) in [(RowKind::Bid, 1000, 30), (RowKind::Bid, 999, 10), (RowKind::Ask, 1002, 10)] {
            book.apply(Row::new(kind, px, qty, 0).unwrap());
        }
        let mut top = [[(0, 0); DEPTH]; 2];
        read_top(&book, &mut top);
        assert_eq!((top[0][0], top[0][1], top[0][2].1, top[1][0]), ((1000, 30), (999, 10), 0, (1002, 10)));
        let row = feature_row(&top, -5, Scale { price_precision: 1, qty_precision: 1 });
        assert_eq!(row[..4], [100.1, 0.2, (100.0 * 10.0 + 100.2 * 30.0) / 40.0, 0.5]);
        assert_eq!(row[4], 0.6);
        assert_eq!(row[7], -0.5);
        let empty = feature_row(&[[(0, 0); DEPTH]; 2], 0, Scale { price_precision: 1, qty_precision: 1 });
        assert!(empty.iter().all(|f| f.is_nan()));
    }
}
