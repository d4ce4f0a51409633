//! Orders, fills and reports: what passes between a policy and the simulated venue.
use super::marks::{Marks, Way};
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

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ReportKind {
    /// It waits in the book.
    Accepted = 1,
    /// The venue refused it.
    Rejected = 2,
    /// It was cancelled.
    Cancelled = 3,
    /// The cancel came too late.
    CancelRejected = 4,
    /// What did not fill at once is gone.
    Expired = 5,
    /// Filled in part.
    PartiallyFilled = 6,
    /// Filled.
    Filled = 7,
    /// It has another price or quantity now.
    Amended = 8,
    /// The amendment came too late or was refused.
    AmendRejected = 9,
}

impl ReportKind {
    /// Name in ledgers and views.
    pub const fn name(self) -> &'static str {
        match self {
            ReportKind::Accepted => "accepted",
            ReportKind::Rejected => "rejected",
            ReportKind::Cancelled => "cancelled",
            ReportKind::CancelRejected => "cancel_rejected",
            ReportKind::Expired => "expired",
            ReportKind::PartiallyFilled => "partially_filled",
            ReportKind::Filled => "filled",
            ReportKind::Amended => "amended",
            ReportKind::AmendRejected => "amend_rejected",
        }
    }
}

/// Why an order was refused or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// Nothing to say.
    None = 0,
    /// Price is no multiple of the tick.
    Tick = 1,
    /// Quantity is no multiple of the lot, or not above zero.
    Lot = 2,
    /// Price x quantity below the instrument's minimum.
    MinNotional = 3,
    /// Post-only that would take.
    WouldTake = 4,
    /// Nothing to take.
    NoLiquidity = 5,
    /// The book is not true: a taker's fill cannot be known.
    NoBook = 6,
    /// No such order, or it has ended.
    UnknownOrder = 7,
    /// The process started again.
    Restart = 8,
    /// The rest of an IOC or market order.
    Remainder = 9,
    /// The venue has no such order: reduce-only on spot, or at all in hftbacktest.
    Unsupported = 10,
    /// Price not above zero.
    Price = 11,
    /// The venue took no requests at that moment: a row of a latency file says so.
    Overload = 12,
    /// Reduce-only with nothing to reduce.
    ReduceOnly = 13,
    /// The venue amends to a smaller quantity only.
    AmendOnlyLess = 14,
    /// Amended to no more than was filled.
    AmendBelowFilled = 15,
    /// More orders than the venue takes in a span.
    OrderRate = 16,
    /// It would have traded with another order of ours.
    SelfTrade = 17,
    /// Margin below maintenance: the venue closes the position and cancels what is open.
    Liquidation = 18,
    /// Price too far from what the market pays.
    PriceBand = 19,
    /// More than what is free of the currency that it gives.
    InsufficientBalance = 20,
}

impl Reason {
    /// Name in ledgers and views; empty for none.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::None => "",
            Reason::Tick => "tick",
            Reason::Lot => "lot",
            Reason::MinNotional => "min_notional",
            Reason::WouldTake => "post_only_would_take",
            Reason::NoLiquidity => "no_liquidity",
            Reason::NoBook => "no_book",
            Reason::UnknownOrder => "unknown_order",
            Reason::Restart => "restart",
            Reason::Remainder => "remainder",
            Reason::Unsupported => "unsupported",
            Reason::Price => "price",
            Reason::Overload => "overload",
            Reason::ReduceOnly => "reduce_only",
            Reason::AmendOnlyLess => "amend_only_less",
            Reason::AmendBelowFilled => "amend_below_filled",
            Reason::OrderRate => "order_rate",
            Reason::SelfTrade => "self_trade",
            Reason::Liquidation => "liquidation",
            Reason::PriceBand => "price_band",
            Reason::InsufficientBalance => "insufficient_balance",
        }
    }
}

/// A fill of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The order.
    pub order_id: u64,
    /// Its tag.
    pub tag: i64,
    /// Index of the instrument.
    pub instrument: u16,
    /// Buy or sell.
    pub side: Side,
    /// Price, scaled.
    pub px: i64,
    /// Quantity, scaled.
    pub qty: i64,
    /// True where we waited.
    pub maker: bool,
    /// Amount of the asset in which the fee is taken x 10^18; above zero is paid.
    pub fee_e18: i128,
    /// That is the base currency, else the quote.
    pub fee_in_base: bool,
    /// When it happened at the venue, corrected to our clock, ns.
    pub ts_event_ns: i64,
    /// When its report reached us, ns.
    pub ts_recv_ns: i64,
    /// Quantity ahead just before, scaled; 0 for a taker, [`AHEAD_UNKNOWN`] where the book was not true.
    pub ahead_qty: i64,
    /// Record that caused it.
    pub cause_pos: u64,
    /// What it is measured against.
    pub marks: Marks,
}

/// News of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The order.
    pub order_id: u64,
    /// Its tag.
    pub tag: i64,
    /// Index of the instrument.
    pub instrument: u16,
    /// Buy or sell.
    pub side: Side,
    /// Price, scaled.
    pub px: i64,
    /// Quantity, scaled.
    pub qty: i64,
    /// Not yet filled after this.
    pub leaves: i64,
    /// What happened.
    pub kind: ReportKind,
    /// Why.
    pub reason: Reason,
    /// When it reached us, ns.
    pub ts_ns: i64,
    /// Last record consumed when it happened at the venue.
    pub cause_pos: u64,
    /// The fill, where it is one.
    pub fill: Option<Fill>,
}

impl Report {
    /// Fills and rejects call for a view at once (rules.md 1).
    pub const fn is_urgent(&self) -> bool {
        matches!(self.kind, ReportKind::Rejected | ReportKind::PartiallyFilled | ReportKind::Filled)
    }
}
