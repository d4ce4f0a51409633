//! Profile `shared`: what an order meets by our own rules (simulation.md 3).
//!
//! A print is one budget: it is spent on own better-priced orders, then on the queue ahead, then on own orders at its price. A
//! book-through fills at most what is displayed on the other side at or through our price, and takes it from the book. So fills
//! never exceed what was printed or shown.
use super::check::refusal;
use super::desk::{Desk, Met, Moment};
use super::order::{OrderKind, Side};
use super::queue::Place;
use super::report::{Reason, ReportKind};
use super::stand::{Stand, is_snapshot};
use crate::event::{Row, RowKind};
use crate::instrument::{Instrument, Kind};
use crate::units::{UNDEF_PX, to_f64};

impl Stand {
    /// Level rows of one message.
    pub(super) fn levels(&mut self, rows: &[Row], desk: &mut Desk, moment: Moment, i: &Instrument) {
        let mut snapshot = false;
        for &row in rows {
            let before = self.book.apply(row);
            snapshot = is_snapshot(row);
            if !snapshot && row.kind() != RowKind::Clear {
                self.moved(row, before, desk, i);
            }
        }
        if !snapshot && self.live {
            self.book_through(desk, moment, i);
        }
    }

    /// A print of the market. Callers have asked [`super::stand::Own::is_reached`].
    pub(super) fn print(&mut self, taker: Side, row: Row, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let (px, side) = (row.px(), taker.opposite());
        let mut budget = row.qty;
        let mut met = false;
        for at in desk.resting(self.index, side, |own| own * taker.sign() <= px * taker.sign()) {
            let room = desk.room(at);
            let (queue, order) = (&desk.rules.queue, &mut desk.orders[at]);
            order.ahead_at_fill = order.ahead();
            let reached = if order.venue_px == px {
                let (precision, lot) = (i.qty_precision, to_f64(i.lot, i.qty_precision));
                queue.on_trade(&mut order.place, to_f64(budget, precision), to_f64(row.qty, precision));
                order.place.shadows.note_reached(lot, moment.at_ns);
                order.place.reached(lot).saturating_mul(i.lot)
            } else {
                budget
            };
            let (px, qty) = (order.venue_px, reached.min(budget).min(room));
            if qty > 0 {
                budget -= qty;
                met = true;
                self.fill(Met { at, px, qty, maker: true }, desk, moment, i);
            }
        }
        if met {
            self.settle(desk, moment, i);
        }
    }

    /// The other side's best stands at or through our price without a print: we were met, by at most what is displayed there.
    fn book_through(&mut self, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let mut met = false;
        for taker in [Side::Buy, Side::Sell] {
            let side = taker.opposite();
            let best = if taker == Side::Buy { self.book.best_bid() } else { self.book.best_ask() };
            if best == UNDEF_PX || !self.own[usize::from(side == Side::Sell)].is_reached(side, best) {
                continue;
            }
            for at in desk.resting(self.index, side, |own| own * taker.sign() <= best * taker.sign()) {
                let (px, want) = (desk.orders[at].venue_px, desk.room(at));
                let qty: i64 = self.take(taker, Some(px), want, moment, i).iter().map(|level| level.1).sum();
                if qty > 0 {
                    desk.orders[at].ahead_at_fill = desk.orders[at].ahead();
                    met = true;
                    self.fill(Met { at, px, qty, maker: true }, desk, moment, i);
                }
            }
        }
        if met {
            self.settle(desk, moment, i);
        }
    }

    /// Takes up to `want` of the displayed levels of side `of`, no worse than `limit` for somebody of the other side.
    fn take(&mut self, of: Side, limit: Option<i64>, want: i64, moment: Moment, i: &Instrument) -> Vec<(i64, i64)> {
        let good = |px: i64| limit.is_none_or(|l| px * of.sign() >= l * of.sign());
        match of {
            Side::Buy => self.consumed.walk(of, self.book.bids().take_while(|l| good(l.0)), want, moment.at_ns, i.lot),
            Side::Sell => self.consumed.walk(of, self.book.asks().take_while(|l| good(l.0)), want, moment.at_ns, i.lot),
        }
    }

    /// The book is true again: nobody can be ahead who is not displayed, and what it proves crossed was met.
    pub(super) fn resynced(&mut self, desk: &mut Desk, moment: Moment, i: &Instrument) {
        for at in 0..desk.orders.len() {
            if desk.orders[at].resting && desk.orders[at].instrument == self.index {
                let displayed = self.displayed(&desk.orders[at], i);
                desk.orders[at].place.cap(displayed);
            }
        }
        self.book_through(desk, moment, i);
    }

    /// A new order arrives.
    pub(super) fn place(&mut self, at: usize, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let order = &desk.orders[at];
        let opposite = self.opposite(order.side);
        let waits = matches!(order.kind, OrderKind::Limit | OrderKind::PostOnly);
        let sign = order.side.sign();
        let takes = opposite != UNDEF_PX && (order.kind.is_market() || order.px * sign >= opposite * sign);
        let meets_own = self.meets_own(order.side, order.kind, order.venue_px);
        let refused = refusal(order, opposite, i)
            .or_else(|| self.beyond_band(order, moment, i))
            .or((order.reduce_only && i.kind == Kind::Spot).then_some(Reason::Unsupported))
            .or((desk.room(at) == 0).then_some(Reason::ReduceOnly))
            .or((!self.live && !waits).then_some(Reason::NoBook))
            .or_else(|| self.lacks_balance(at, desk, moment, i))
            .or((order.kind == OrderKind::PostOnly && (self.live && takes || meets_own)).then_some(Reason::WouldTake));
        if let Some(reason) = refused {
            return self.end(at, ReportKind::Rejected, reason, desk, moment, i);
        }
        if self.live && takes {
            self.take_at_once(at, desk, moment, i);
            self.settle(desk, moment, i);
        } else if meets_own && desk.orders[at].kind != OrderKind::Fok {
            self.expire_own(at, None, desk, moment, i);
        }
        let order = &desk.orders[at];
        if order.venue_leaves == 0 {
            return;
        }
        if desk.room(at) == 0 {
            return self.end(at, ReportKind::Expired, Reason::ReduceOnly, desk, moment, i);
        }
        if !waits {
            let reason = if order.venue_leaves == order.venue_qty { Reason::NoLiquidity } else { Reason::Remainder };
            return self.end(at, ReportKind::Expired, reason, desk, moment, i);
        }
        let place = if self.live { Place::behind(self.displayed(order, i)) } else { Place::UNKNOWN };
        self.rest(at, place, desk, moment, i);
    }

    /// A marketable order walks the displayed book, level by level; a fill-or-kill all or nothing.
    pub(super) fn take_at_once(&mut self, at: usize, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let Some(met) = self.meet(at, desk, moment, i) else { return };
        let whole = met.iter().map(|level| level.1).sum::<i64>() == desk.room(at);
        self.expire_own(at, met.last().filter(|_| whole).map(|level| level.0), desk, moment, i);
        for (px, qty) in met {
            self.fill(Met { at, px, qty, maker: false }, desk, moment, i);
        }
    }

    /// What an order takes of the displayed book; none where a fill-or-kill does not get all.
    fn meet(&mut self, at: usize, desk: &Desk, moment: Moment, i: &Instrument) -> Option<Vec<(i64, i64)>> {
        let order = &desk.orders[at];
        let limit = (!order.kind.is_market()).then_some(order.venue_px);
        let all = (order.kind == OrderKind::Fok).then_some(order.venue_leaves);
        let before = all.map(|all| (all, self.consumed.clone()));
        let met = self.take(order.side.opposite(), limit, desk.room(at), moment, i);
        if let Some((all, before)) = before
            && met.iter().map(|level| level.1).sum::<i64>() < all
        {
            self.consumed = before;
            return None;
        }
        Some(met)
    }

    /// What it would take, without taking it.
    pub(super) fn would_meet(&mut self, at: usize, desk: &Desk, moment: Moment, i: &Instrument) -> Vec<(i64, i64)> {
        let before = self.consumed.clone();
        let met = self.meet(at, desk, moment, i).unwrap_or_default();
        self.consumed = before;
        met
    }
}
