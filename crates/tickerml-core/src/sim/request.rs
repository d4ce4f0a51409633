//! What passes from us to a venue, as it is asked for and as it is on its way.
use super::order::{OrderKind, Side};
use super::report::Report;
use serde::{Deserialize, Serialize};

/// Numbers among intents of what is no new order; orders use the numbers of [`OrderKind`].
pub const CANCEL: u8 = 5;
/// See [`Request::Amend`].
pub const AMEND: u8 = 7;
/// See [`Request::CancelAll`].
pub const CANCEL_ALL: u8 = 8;

/// What is wanted of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new order.
    New {
        /// Index of the instrument.
        instrument: u16,
        /// How it meets the book.
        kind: OrderKind,
        /// Buy or sell.
        side: Side,
        /// Price, scaled; ignored by a market order.
        px: i64,
        /// Quantity, scaled.
        qty: i64,
        /// The policy's own mark, given back with every report.
        tag: i64,
        /// It may only bring the position nearer to zero.
        reduce_only: bool,
    },
    /// Cancels an order by id.
    Cancel {
        /// The order.
        order_id: u64,
    },
    /// Cancels every order that rests at the instrument when this arrives.
    CancelAll {
        /// Index of the instrument.
        instrument: u16,
    },
    /// Gives a resting order another price or quantity.
    Amend {
        /// The order.
        order_id: u64,
        /// Price, scaled.
        px: i64,
        /// The whole quantity, what was filled included, scaled.
        qty: i64,
    },
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    /// When it arrives.
    pub at_ns: i64,
    /// The order; 0 for none.
    pub id: u64,
    pub asked: Asked,
    /// Beyond the venue's rate of orders.
    pub too_many: bool,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Asked {
    /// Place the order.
    New,
    /// Cancel it; and what is answered where it has ended.
    Cancel(Box<Report>),
    /// Cancel whatever rests.
    CancelAll,
    /// Give it another price or quantity; and what is answered where it has ended.
    Amend { px: i64, qty: i64, refusal: Box<Report> },
}
