//! Amendments: what an order keeps of its place, and where it loses the order (simulation.md 3, "Amend and priority per venue").
//!
//! hftbacktest has one rule for all; where price and quantity change at once, 2.4.4 fills the old quantity, which is not followed.
//! A refused amendment leaves the order as it is. It ends the order where no more than the filled quantity would be left, and where
//! a post-only order would take at its new price (both as the venues have it).
use super::check::refusal;
use super::desk::{Desk, Exchange, Moment};
use super::order::{OrderKind, Side};
use super::queue::Place;
use super::report::{Reason, ReportKind};
use super::stand::Stand;
use crate::instrument::{Instrument, Venue};
use crate::units::UNDEF_PX;

/// A venue's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AmendRule {
    /// Only to a smaller quantity, in place.
    OnlyLess,
    /// A smaller quantity at the same price keeps the place, anything else goes to the end of the queue.
    LessKeeps,
    /// To the end of the queue in any case.
    Behind,
}

impl AmendRule {
    /// Binance spot: "Order Amend Keep Priority" reduces the quantity and nothing else
    /// (developers.binance.com/docs/binance-spot-api-docs/faqs/order_amend_keep_priority); Binance.US is taken to follow it. Binance
    /// futures: "modified orders will be reordered in the match queue" (.../derivatives/coin-margined-futures/trade/Modify-Order,
    /// the same for USD-M).
    const fn of(exchange: Exchange, venue: Venue) -> AmendRule {
        match (exchange, venue) {
            (Exchange::NoPartial | Exchange::Partial, _) => AmendRule::LessKeeps,
            (_, Venue::BinanceSpot | Venue::BinanceUs) => AmendRule::OnlyLess,
            (_, Venue::BinanceUsdm | Venue::BinanceCoinm) => AmendRule::Behind,
        }
    }
}

impl Stand {
    /// An amendment arrives and finds its order resting. `qty` counts what was filled.
    pub(super) fn amend(&mut self, at: usize, px: i64, qty: i64, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let (exchange, order) = (desk.rules.exchange, &desk.orders[at]);
        let shared = exchange == Exchange::Shared;
        let rule = AmendRule::of(exchange, i.venue);
        let less = px == order.venue_px && qty <= order.venue_qty;
        let opposite = self.opposite(order.side);
        let wanted = super::order::Order { venue_px: px, venue_qty: qty, ..order.clone() };
        let refused = if !shared {
            None
        } else if rule == AmendRule::OnlyLess && !(less && qty < order.venue_qty) {
            Some(Reason::AmendOnlyLess)
        } else {
            refusal(&wanted, opposite, i).or_else(|| self.beyond_band(&wanted, moment, i))
        };
        if let Some(reason) = refused {
            return desk.report(at, ReportKind::AmendRejected, reason, moment, i);
        }
        let filled = order.venue_qty - order.venue_leaves;
        if qty <= filled {
            return self.end(at, ReportKind::Cancelled, Reason::AmendBelowFilled, desk, moment, i);
        }
        let takes = shared && self.live && opposite != UNDEF_PX && (px - opposite) * order.side.sign() >= 0;
        let meets_own = shared && self.meets_own(order.side, order.kind, px);
        if (takes || meets_own) && order.kind == OrderKind::PostOnly {
            return self.end(at, ReportKind::Cancelled, Reason::WouldTake, desk, moment, i);
        }
        let order = &mut desk.orders[at];
        (order.venue_px, order.venue_qty, order.venue_leaves) = (px, qty, qty - filled);
        desk.report(at, ReportKind::Amended, Reason::None, moment, i);
        if less && rule != AmendRule::Behind {
            return;
        }
        if !shared {
            desk.orders[at].resting = false;
            self.count_own(desk);
            return self.peer_place(at, desk, moment, i);
        }
        if takes {
            desk.orders[at].resting = false;
            self.take_at_once(at, desk, moment, i);
        } else if meets_own {
            self.expire_own(at, None, desk, moment, i);
        }
        self.go_last(at, desk, i);
        self.settle(desk, moment, i);
    }

    /// The rest of an order goes to the end of its level.
    fn go_last(&mut self, at: usize, desk: &mut Desk, i: &Instrument) {
        let place = if self.live { Place::behind(self.displayed(&desk.orders[at], i)) } else { Place::UNKNOWN };
        let order = &mut desk.orders[at];
        (order.resting, order.place) = (order.venue_leaves > 0, place);
    }

    /// The best price on the other side, as displayed.
    pub(super) fn opposite(&self, side: Side) -> i64 {
        if side == Side::Buy { self.book.best_ask() } else { self.book.best_bid() }
    }
}
