//! Reduce-only: an order that may bring a position nearer to zero, and never beyond.
//!
//! The venue looks at the position when the order arrives (nothing to reduce: it is rejected) and whenever something of ours is
//! executed: a fill never exceeds the position, and an order with nothing left to reduce expires (Binance: "reduce-only orders").
use super::desk::{Desk, Moment};
use super::report::{Reason, ReportKind};
use super::stand::Stand;
use crate::instrument::Instrument;

impl Desk {
    /// What is held at the venue, scaled: executions count when they happen, not when we hear of them.
    pub fn position(&self, instrument: u16) -> i64 {
        self.positions.get(usize::from(instrument)).copied().unwrap_or(0)
    }

    /// Something was bought (above zero) or sold at the venue.
    pub fn moved(&mut self, instrument: u16, qty: i64) {
        let at = usize::from(instrument);
        if self.positions.len() <= at {
            self.positions.resize(at + 1, 0);
        }
        self.positions[at] += qty;
    }

    /// How much of an order may be filled now.
    pub fn room(&self, at: usize) -> i64 {
        let order = &self.orders[at];
        if !order.reduce_only {
            return order.venue_leaves;
        }
        (-self.position(order.instrument) * order.side.sign()).max(0).min(order.venue_leaves)
    }
}

impl Stand {
    /// After executions: an order that may only reduce and cannot any more expires. Then counts which prices may be met.
    pub(super) fn settle(&mut self, desk: &mut Desk, moment: Moment, i: &Instrument) {
        for at in 0..desk.orders.len() {
            let order = &desk.orders[at];
            if order.resting && order.reduce_only && order.instrument == self.index && desk.room(at) == 0 {
                desk.report(at, ReportKind::Expired, Reason::ReduceOnly, moment, i);
                desk.orders[at].resting = false;
            }
        }
        self.count_own(desk);
    }
}
