//! Reports and fills: what comes back from the simulated venue.
use super::marks::Marks;
use super::order::Side;
use serde::{Deserialize, Serialize};

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
