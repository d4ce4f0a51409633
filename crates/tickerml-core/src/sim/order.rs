//! Orders, as their owner and as the venue has them.
use super::marks::Way;
use super::queue::Place;
use serde::{Deserialize, Serialize};

/// How an order meets the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum OrderKind {
    /// Takes what it can at its price or better, the rest waits.
    Limit = 1,
    /// Waits, and is refused if it would take.
    PostOnly = 2,
    /// Takes the best there is.
    Market = 3,
    /// Takes what it can at its price or better, the rest expires.
    Ioc = 4,
    /// Takes its whole quantity at its price or better, or expires.
    Fok = 6,
    /// The venue closes a position that its margin does not carry: what we have open there is cancelled, and the book is taken at any
    /// price, for the taker's fee and the liquidation fee. It is at the venue at once and only reduces.
    Liquidation = 9,
}

impl OrderKind {
    /// The kind with this number.
    pub const fn from_u8(n: u8) -> Option<OrderKind> {
        Some(match n {
            1 => OrderKind::Limit,
            2 => OrderKind::PostOnly,
            3 => OrderKind::Market,
            4 => OrderKind::Ioc,
            6 => OrderKind::Fok,
            9 => OrderKind::Liquidation,
            _ => return None,
        })
    }

    /// Takes at any price.
    pub const fn is_market(self) -> bool {
        matches!(self, OrderKind::Market | OrderKind::Liquidation)
    }
}

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i8)]
pub enum Side {
    /// +1.
    Buy = 1,
    /// -1.
    Sell = -1,
}

impl Side {
    /// The side with this sign.
    pub const fn from_i8(n: i8) -> Option<Side> {
        match n {
            1 => Some(Side::Buy),
            -1 => Some(Side::Sell),
            _ => None,
        }
    }

    /// +1 or -1.
    pub const fn sign(self) -> i64 {
        self as i64
    }

    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// What we know of an order here: the venue knows more, a response latency earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// Sent, not yet acknowledged.
    Pending,
    /// Acknowledged.
    Resting,
    /// A cancel is under way.
    Cancelling,
    /// An amendment is under way.
    Amending,
}

/// An order, with the venue's truth and our knowledge of it apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Dense in the run, from 1.
    pub id: u64,
    /// The policy's own mark.
    pub tag: i64,
    /// Index of the instrument.
    pub instrument: u16,
    /// How it meets the book.
    pub kind: OrderKind,
    /// Buy or sell.
    pub side: Side,
    /// It may only bring the position nearer to zero.
    pub reduce_only: bool,
    /// Price, scaled, as reported.
    pub px: i64,
    /// Quantity, scaled, as reported.
    pub qty: i64,
    /// Not yet filled, as reported.
    pub leaves: i64,
    /// State, as reported.
    pub known: Known,
    /// The venue's word that it waits has reached us.
    pub(super) accepted: bool,
    /// Amendments under way.
    pub(super) amends: u32,
    /// Price at the venue.
    pub(super) venue_px: i64,
    /// Quantity at the venue.
    pub(super) venue_qty: i64,
    /// Not yet filled, at the venue.
    pub venue_leaves: i64,
    /// Waiting in the venue's book.
    pub resting: bool,
    /// Where it stands in its level's queue, as estimated.
    pub place: Place,
    /// Quantity ahead just before the last print that reached it, scaled.
    pub(super) ahead_at_fill: i64,
    /// Scaled quantity of one base unit.
    pub(super) unit: f64,
    /// What its fills are measured against.
    pub(super) way: Way,
}

/// Quantity ahead of an order placed while the book was not true.
pub const AHEAD_UNKNOWN: i64 = i64::MAX;

impl Order {
    /// Estimate of the quantity ahead, scaled; [`AHEAD_UNKNOWN`] until a true book says, and until the venue's word that the order
    /// waits, and where, has reached us.
    pub fn ahead_known(&self) -> i64 {
        if self.accepted && self.amends == 0 { self.ahead() } else { AHEAD_UNKNOWN }
    }

    /// An amendment was answered.
    pub(super) fn amended(&mut self) {
        self.amends -= 1;
        if self.known == Known::Amending {
            self.known = self.idle();
        }
    }

    /// Its state once no cancel is under way.
    pub(super) const fn idle(&self) -> Known {
        match (self.amends, self.accepted) {
            (0, true) => Known::Resting,
            (0, false) => Known::Pending,
            _ => Known::Amending,
        }
    }

    /// The same as the venue has it.
    pub(super) fn ahead(&self) -> i64 {
        self.scaled(self.place.front)
    }

    /// The same as [`Order::ahead_known`] where no cancel was ahead, and where every cancel was: (late, early).
    pub fn shadows_known(&self) -> (i64, i64) {
        let shadows = &self.place.shadows;
        if self.accepted && self.amends == 0 {
            (self.scaled(shadows.late), self.scaled(shadows.early))
        } else {
            (AHEAD_UNKNOWN, AHEAD_UNKNOWN)
        }
    }

    fn scaled(&self, ahead: f64) -> i64 {
        if ahead.is_infinite() { AHEAD_UNKNOWN } else { (ahead.max(0.0) * self.unit).round() as i64 }
    }
}
