//! Self-trade prevention: an order that would meet our own on the other side.
//!
//! Binance expires the maker by default (`defaultSelfTradePreventionMode` EXPIRE_MAKER in spot's exchangeInfo; its futures are taken
//! to do the same): what the newcomer reaches of ours expires, and it goes on. At the price of its last fill we are taken to stand
//! behind the others. A fill-or-kill that does not fill reaches nobody.
use super::desk::{Desk, Moment};
use super::order::{OrderKind, Side};
use super::report::{Reason, ReportKind};
use super::stand::Stand;
use crate::instrument::Instrument;

impl Stand {
    /// Whether an order of ours on the other side is at or through the price of this one.
    pub(super) fn meets_own(&self, side: Side, kind: OrderKind, px: i64) -> bool {
        let limit = if kind == OrderKind::Market { worst(side) } else { px };
        self.own[usize::from(side == Side::Buy)].is_reached(side.opposite(), limit)
    }

    /// What the order reaches of ours expires: all within its limit, or only what is better than `last`, the price of the fill that
    /// made it whole.
    pub(super) fn expire_own(&mut self, at: usize, last: Option<i64>, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let (side, kind, px) = (desk.orders[at].side, desk.orders[at].kind, desk.orders[at].venue_px);
        if !self.meets_own(side, kind, px) {
            return;
        }
        let limit = if kind == OrderKind::Market { worst(side) } else { px };
        let reached = |own: i64| match last {
            Some(last) => (last - own) * side.sign() > 0,
            None => own * side.sign() <= limit * side.sign(),
        };
        for own in desk.resting(self.index, side.opposite(), reached) {
            self.end(own, ReportKind::Expired, Reason::SelfTrade, desk, moment, i);
        }
    }
}

/// The price at which an order takes whatever there is.
const fn worst(side: Side) -> i64 {
    match side {
        Side::Buy => i64::MAX,
        Side::Sell => -i64::MAX,
    }
}
