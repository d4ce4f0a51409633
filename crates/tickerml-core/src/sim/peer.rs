//! hftbacktest's rules, so that fills can be compared one by one (simulation.md 2). Row by row, never message by message; fills
//! are whole where it fills whole, whatever was printed.
use super::desk::{Desk, Exchange, Met, Moment};
use super::order::{OrderKind, Side};
use super::queue::Place;
use super::report::{Reason, ReportKind};
use super::stand::Stand;
use super::touch::Touch;
use crate::event::{Row, RowKind, flag};
use crate::instrument::Instrument;
use crate::units::{UNDEF_PX, to_f64};

impl Stand {
    /// Level rows: store, move the queues, and where the best became better, fill whole what it reached.
    pub(super) fn peer_levels(&mut self, rows: &[Row], desk: &mut Desk, moment: Moment, i: &Instrument) {
        for &row in rows {
            if row.kind() == RowKind::Clear {
                self.clear(row);
                continue;
            }
            // A quantity that rounds to no lot removes the level.
            let row = if row.qty * 2 < i.lot { row.with_qty(0) } else { row };
            let before = self.book.apply(row);
            self.moved(row, before, desk, i);
            if self.touch.follow(&self.book, row.kind(), row.px(), row.qty) {
                let (best, side) = match row.kind() {
                    RowKind::Bid => (self.touch.bid, Side::Sell),
                    _ => (self.touch.ask, Side::Buy),
                };
                if self.own[usize::from(side == Side::Sell)].is_reached(side, best) {
                    self.fill_whole(side, best, desk, moment, i);
                }
            }
        }
    }

    fn clear(&mut self, row: Row) {
        self.book.apply(row);
        let side = if row.flags() & flag::ASK_SIDE == 0 { &mut self.touch.bid } else { &mut self.touch.ask };
        *side = UNDEF_PX;
        debug_assert!(self.touch == Touch::NONE || !self.book.is_empty());
    }

    fn fill_whole(&mut self, side: Side, best: i64, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let taker = side.opposite();
        for at in desk.resting(self.index, side, |own| own * taker.sign() <= best * taker.sign()) {
            let (px, leaves) = (desk.orders[at].venue_px, desk.orders[at].venue_leaves);
            desk.orders[at].ahead_at_fill = desk.orders[at].ahead();
            self.fill(Met { at, px, qty: leaves, maker: true }, desk, moment, i);
        }
        self.count_own(desk);
    }

    /// A print: better-priced orders fill whole; at the price each order sees the whole print.
    pub(super) fn peer_print(&mut self, taker: Side, row: Row, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let px = row.px();
        let (qty, lot) = (to_f64(row.qty, i.qty_precision), to_f64(i.lot, i.qty_precision));
        let mut done = false;
        for at in desk.resting(self.index, taker.opposite(), |own| own * taker.sign() <= px * taker.sign()) {
            let exchange = desk.rules.exchange;
            let (queue, order) = (&desk.rules.queue, &mut desk.orders[at]);
            order.ahead_at_fill = order.ahead();
            let leaves = order.venue_leaves;
            let filled = if order.venue_px == px {
                queue.on_trade(&mut order.place, qty, qty);
                order.place.shadows.note_reached(lot, moment.at_ns);
                let lots = order.place.reached(lot);
                if lots > 0 && exchange == Exchange::NoPartial {
                    leaves
                } else {
                    lots.saturating_mul(i.lot).min(leaves)
                }
            } else {
                leaves
            };
            if filled > 0 {
                let px = order.venue_px;
                done |= self.fill(Met { at, px, qty: filled, maker: true }, desk, moment, i);
            }
        }
        if done {
            self.count_own(desk);
        }
    }

    /// A new order arrives. Nothing is checked but whether it would take.
    pub(super) fn peer_place(&mut self, at: usize, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let order = &desk.orders[at];
        if order.reduce_only && order.kind != OrderKind::Liquidation {
            // hftbacktest has no such order.
            return self.end(at, ReportKind::Rejected, Reason::Unsupported, desk, moment, i);
        }
        let best = if order.side == Side::Buy { self.touch.ask } else { self.touch.bid };
        let sign = order.side.sign();
        let takes = best != UNDEF_PX && (order.kind.is_market() || order.venue_px * sign >= best * sign);
        match (order.kind, takes) {
            (OrderKind::PostOnly, true) => self.end(at, ReportKind::Expired, Reason::WouldTake, desk, moment, i),
            (_, true) => self.peer_take(at, best, desk, moment, i),
            (OrderKind::Limit | OrderKind::PostOnly, false) => {
                let place = Place::behind(self.displayed(order, i));
                self.rest(at, place, desk, moment, i);
            }
            (_, false) => self.end(at, ReportKind::Expired, Reason::NoLiquidity, desk, moment, i),
        }
    }

    /// Without partial fills whole at the best; with them level by level, and a limit's rest waits.
    fn peer_take(&mut self, at: usize, best: i64, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let order = &desk.orders[at];
        if desk.rules.exchange == Exchange::NoPartial {
            self.fill(Met { at, px: best, qty: order.venue_leaves, maker: false }, desk, moment, i);
            return;
        }
        let (kind, sign, limit) = (order.kind, order.side.sign(), order.venue_px);
        let good = |px: i64| kind.is_market() || px * sign <= limit * sign;
        let levels: Vec<(i64, i64)> = match order.side {
            Side::Buy => self.book.asks().take_while(|l| good(l.0)).collect(),
            Side::Sell => self.book.bids().take_while(|l| good(l.0)).collect(),
        };
        if kind == OrderKind::Fok && levels.iter().map(|l| l.1).sum::<i64>() < order.venue_leaves {
            return self.end(at, ReportKind::Expired, Reason::NoLiquidity, desk, moment, i);
        }
        for (px, displayed) in levels {
            let qty = displayed.min(desk.orders[at].venue_leaves);
            if qty > 0 && self.fill(Met { at, px, qty, maker: false }, desk, moment, i) {
                return;
            }
        }
        if kind == OrderKind::Limit {
            // What is left waits at its own price, where nothing is displayed on its side.
            let place = Place::behind(self.displayed(&desk.orders[at], i));
            return self.rest(at, place, desk, moment, i);
        }
        self.end(at, ReportKind::Expired, Reason::Remainder, desk, moment, i);
    }
}
