//! The simulated venue: what an order meets (simulation.md 3; for now in arrival order, without the venue-time watermark).
//!
//! A print is one budget: it is spent on own better-priced orders, then on the queue ahead, then on own orders at the price. A
//! book-through (the opposite best at or through our price without a print) fills at most the opposite size displayed there.
//! So fills never exceed what was printed or shown.
mod fee;
mod latency;
mod order;
mod queue;

pub use fee::Fees;
pub use latency::{Latency, Wire};
pub use order::{AHEAD_UNKNOWN, CANCEL, Fill, Known, Order, OrderKind, Reason, Report, ReportKind, Request, Side};
pub use queue::QueueModel;

use crate::book::Book;
use crate::event::{Message, Row, RowKind, flag};
use crate::instrument::{Instrument, Kind};
use crate::market::{Line, Visitor};
use crate::units::{UNDEF_PX, UNDEF_TS_NS, notional, parse_money};
use serde::{Deserialize, Serialize};

/// All simulated venues of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sim {
    /// Every order that has not ended for us, by id.
    pub orders: Vec<Order>,
    /// Reports under way to us.
    pub reports: Wire<Report>,
    latency: Latency,
    fees: Fees,
    queue: QueueModel,
    next_order_id: u64,
    /// Number of orders that wait in the book of each instrument.
    resting: Vec<u32>,
    /// Requests under way to the venue.
    requests: Wire<(u64, Request)>,
}

impl Sim {
    /// A venue without orders.
    pub const fn new(latency: Latency, fees: Fees, queue: QueueModel) -> Self {
        Sim {
            orders: Vec::new(),
            reports: Wire::new(),
            latency,
            fees,
            queue,
            next_order_id: 1,
            resting: Vec::new(),
            requests: Wire::new(),
        }
    }

    /// When the next request reaches a venue.
    pub const fn next_request_ns(&self) -> i64 {
        self.requests.next_ns()
    }

    /// Sends a request at `sent_ns`. Returns the id of the order that it makes or names.
    pub fn send(&mut self, request: Request, sent_ns: i64, lines: &[Line]) -> u64 {
        let (id, instrument) = match request {
            Request::New { instrument, kind, side, px, qty, tag } => {
                let id = self.next_order_id;
                self.next_order_id += 1;
                self.orders.push(Order {
                    id,
                    tag,
                    instrument,
                    kind,
                    side,
                    px,
                    qty,
                    leaves: qty,
                    known: Known::Pending,
                    venue_leaves: qty,
                    resting: false,
                    ahead: 0,
                });
                (id, instrument)
            }
            Request::Cancel { order_id } => match self.find(order_id) {
                Some(at) => {
                    self.orders[at].known = Known::Cancelling;
                    (order_id, self.orders[at].instrument)
                }
                // Nothing to cancel here: the venue will say so.
                None => (order_id, 0),
            },
        };
        let Some(line) = lines.get(usize::from(instrument)) else { return id };
        let venue = line.instrument.venue;
        self.requests.send(venue, sent_ns + self.latency.entry_ns(venue), (id, request));
        id
    }

    /// The next request reaches its venue.
    pub fn arrive(&mut self, lines: &[Line], pos: u64) {
        let Some((now_ns, (id, request))) = self.requests.take() else { return };
        match request {
            Request::New { .. } => self.place(id, now_ns, lines, pos),
            Request::Cancel { .. } => self.cancel(id, now_ns, lines, pos),
        }
    }

    /// The next report reaches us.
    pub fn deliver(&mut self) -> Option<Report> {
        let (ts_ns, mut report) = self.reports.take()?;
        report.ts_ns = ts_ns;
        self.learn(&report);
        Some(report)
    }

    /// The process started again: reports in flight are delivered, requests dropped, open orders cancelled (rules.md 3).
    pub fn restart(&mut self, ts_ns: i64, pos: u64) -> Vec<Report> {
        self.requests.clear();
        let mut reports = self.reports.clear();
        for report in &mut reports {
            report.ts_ns = ts_ns;
        }
        for report in &reports {
            self.learn(report);
        }
        self.resting.fill(0);
        for order in std::mem::take(&mut self.orders) {
            let mut report = news(&order, ReportKind::Cancelled, Reason::Restart, pos);
            report.ts_ns = ts_ns;
            reports.push(report);
        }
        reports
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.orders.binary_search_by_key(&id, |o| o.id).ok()
    }

    /// Our knowledge after a report.
    fn learn(&mut self, report: &Report) {
        let Some(at) = self.find(report.order_id) else { return };
        let order = &mut self.orders[at];
        order.leaves = report.leaves;
        match report.kind {
            ReportKind::Accepted if order.known == Known::Pending => order.known = Known::Resting,
            ReportKind::Rejected | ReportKind::Cancelled | ReportKind::Expired | ReportKind::Filled => {
                self.orders.remove(at);
            }
            ReportKind::CancelRejected if order.resting => order.known = Known::Resting,
            _ => {}
        }
    }

    fn report(&mut self, report: Report, now_ns: i64, line: &Line) {
        let venue = line.instrument.venue;
        self.reports.send(venue, now_ns + self.latency.response_ns(venue), report);
    }

    fn end(&mut self, at: usize, kind: ReportKind, reason: Reason, now_ns: i64, line: &Line, pos: u64) {
        if self.orders[at].resting {
            self.orders[at].resting = false;
            self.resting[usize::from(self.orders[at].instrument)] -= 1;
        }
        let report = news(&self.orders[at], kind, reason, pos);
        self.report(report, now_ns, line);
    }

    fn place(&mut self, id: u64, now_ns: i64, lines: &[Line], pos: u64) {
        let Some(at) = self.find(id) else { return };
        let line = &lines[usize::from(self.orders[at].instrument)];
        if let Some(reason) = refusal(&self.orders[at], line) {
            return self.end(at, ReportKind::Rejected, reason, now_ns, line, pos);
        }
        if line.is_live() && self.orders[at].kind != OrderKind::PostOnly {
            self.take(at, now_ns, line, pos);
        }
        let order = &self.orders[at];
        if order.venue_leaves == 0 {
            return;
        }
        if matches!(order.kind, OrderKind::Market | OrderKind::Ioc) {
            let reason = if order.venue_leaves == order.qty { Reason::NoLiquidity } else { Reason::Remainder };
            return self.end(at, ReportKind::Expired, reason, now_ns, line, pos);
        }
        self.rest(at, now_ns, line, pos);
    }

    fn rest(&mut self, at: usize, now_ns: i64, line: &Line, pos: u64) {
        let order = &mut self.orders[at];
        order.resting = true;
        order.ahead = if line.is_live() { self.queue.on_place(displayed(&line.book, order)) } else { AHEAD_UNKNOWN };
        let instrument = usize::from(order.instrument);
        if self.resting.len() <= instrument {
            self.resting.resize(instrument + 1, 0);
        }
        self.resting[instrument] += 1;
        let report = news(order, ReportKind::Accepted, Reason::None, pos);
        self.report(report, now_ns, line);
    }

    fn cancel(&mut self, id: u64, now_ns: i64, lines: &[Line], pos: u64) {
        let Some(at) = self.find(id) else { return };
        let line = &lines[usize::from(self.orders[at].instrument)];
        if self.orders[at].resting {
            return self.end(at, ReportKind::Cancelled, Reason::None, now_ns, line, pos);
        }
        let report = news(&self.orders[at], ReportKind::CancelRejected, Reason::UnknownOrder, pos);
        self.report(report, now_ns, line);
    }

    /// A marketable order walks the displayed book, level by level.
    fn take(&mut self, at: usize, now_ns: i64, line: &Line, pos: u64) {
        let order = &self.orders[at];
        let (side, limit) = (order.side, (order.kind != OrderKind::Market).then_some(order.px));
        let levels: Vec<(i64, i64)> = match side {
            Side::Buy => walk(line.book.asks(), order.venue_leaves, |px| limit.is_none_or(|l| px <= l)),
            Side::Sell => walk(line.book.bids(), order.venue_leaves, |px| limit.is_none_or(|l| px >= l)),
        };
        let cause = FillCause { pos, ts_recv_ns: now_ns, ts_event_ns: UNDEF_TS_NS };
        for (px, qty) in levels {
            self.fill(at, Execution { px, qty, ahead: None, cause }, line);
        }
    }

    fn fill(&mut self, at: usize, how: Execution, line: &Line) {
        let i = &line.instrument;
        let maker = how.ahead.is_some();
        let order = &mut self.orders[at];
        order.venue_leaves -= how.qty;
        let kind = if order.venue_leaves == 0 { ReportKind::Filled } else { ReportKind::PartiallyFilled };
        if kind == ReportKind::Filled && order.resting {
            order.resting = false;
            self.resting[usize::from(order.instrument)] -= 1;
        }
        let mut report = news(order, kind, Reason::None, how.cause.pos);
        let money = notional(how.px, how.qty, i.price_precision, i.qty_precision)
            .expect("the notional of an order was computed when it arrived");
        report.fill = Some(Fill {
            order_id: order.id,
            tag: order.tag,
            instrument: order.instrument,
            side: order.side,
            px: how.px,
            qty: how.qty,
            maker,
            fee_e18: self.fees.fee_e18(i.venue, maker, money),
            ts_event_ns: how.cause.ts_event_ns,
            ts_recv_ns: how.cause.ts_recv_ns,
            ahead_qty: how.ahead.filter(|&ahead| ahead != AHEAD_UNKNOWN).unwrap_or(0),
            cause_pos: how.cause.pos,
        });
        self.report(report, how.cause.ts_recv_ns, line);
    }

    #[inline]
    fn works(&self, instrument: u16) -> bool {
        self.resting.get(usize::from(instrument)).is_some_and(|&n| n > 0)
    }

    /// A print of the market, spent on our orders by price, then time.
    fn print(&mut self, message: &Message, row: Row, line: &Line) {
        let (taker, px) = (if row.kind() == RowKind::BuyTrade { Side::Buy } else { Side::Sell }, row.px());
        let mut budget = row.qty;
        let sign = taker.sign();
        // Best for the taker first: lowest of our sells, highest of our buys; the earlier order first at one price.
        let mut hit: Vec<usize> = (0..self.orders.len())
            .filter(|&at| {
                let o = &self.orders[at];
                o.resting && o.instrument == message.instrument && o.side != taker && o.px * sign <= px * sign
            })
            .collect();
        hit.sort_by_key(|&at| (self.orders[at].px * sign, self.orders[at].id));
        for at in hit {
            let order = &mut self.orders[at];
            let ahead_before = order.ahead;
            let (ahead, reach) = if order.px == px { self.queue.on_trade(order.ahead, budget) } else { (0, budget) };
            order.ahead = ahead;
            let qty = reach.min(order.venue_leaves);
            if qty > 0 {
                let how = Execution { px: self.orders[at].px, qty, ahead: Some(ahead_before), cause: message.into() };
                self.fill(at, how, line);
                budget -= qty;
            }
        }
    }

    /// Level rows, with the queue watched where our orders stand.
    fn levels(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        let snapshot = rows[0].flags() & flag::SNAPSHOT != 0;
        for &row in rows {
            let before = line.book.apply(row);
            if snapshot {
                continue;
            }
            let side = if row.kind() == RowKind::Bid { Side::Buy } else { Side::Sell };
            for order in &mut self.orders {
                if order.resting && order.px == row.px() && order.side == side && order.instrument == message.instrument
                {
                    order.ahead = self.queue.on_depth(order.ahead, before, row.qty);
                }
            }
        }
        if !snapshot && line.is_live() {
            self.book_through(message, line);
        }
    }

    /// The book is true again: nobody can be ahead who is not displayed.
    fn resynced(&mut self, message: &Message, line: &Line) {
        for order in &mut self.orders {
            if order.resting && order.instrument == message.instrument {
                order.ahead = order.ahead.min(displayed(&line.book, order));
            }
        }
        self.book_through(message, line);
    }

    /// The opposite best stands at or through our price: we were filled, at our price, by at most what is displayed there.
    fn book_through(&mut self, message: &Message, line: &Line) {
        for taker in [Side::Buy, Side::Sell] {
            let sign = taker.sign();
            let best = if taker == Side::Buy { line.book.best_bid() } else { line.book.best_ask() };
            let through = |o: &Order| {
                o.resting && o.instrument == message.instrument && o.side != taker && o.px * sign <= best * sign
            };
            if best == UNDEF_PX || !self.orders.iter().any(through) {
                continue;
            }
            let mut hit: Vec<usize> = (0..self.orders.len()).filter(|&at| through(&self.orders[at])).collect();
            hit.sort_by_key(|&at| (self.orders[at].px * sign, self.orders[at].id));
            let mut used = 0;
            for at in hit {
                let px = self.orders[at].px;
                let levels: i64 = match taker {
                    Side::Buy => line.book.bids().take_while(|l| l.0 >= px).map(|l| l.1).sum(),
                    Side::Sell => line.book.asks().take_while(|l| l.0 <= px).map(|l| l.1).sum(),
                };
                let qty = (levels - used).min(self.orders[at].venue_leaves);
                if qty > 0 {
                    used += qty;
                    let how = Execution { px, qty, ahead: Some(self.orders[at].ahead), cause: message.into() };
                    self.fill(at, how, line);
                }
            }
        }
    }
}

/// What happened to an order that was filled.
struct Execution {
    px: i64,
    qty: i64,
    /// Quantity ahead just before; none for a taker.
    ahead: Option<i64>,
    cause: FillCause,
}

/// What made a fill happen.
#[derive(Clone, Copy)]
struct FillCause {
    pos: u64,
    ts_recv_ns: i64,
    ts_event_ns: i64,
}

impl From<&Message> for FillCause {
    fn from(m: &Message) -> Self {
        FillCause { pos: m.pos, ts_recv_ns: m.ts_recv_ns, ts_event_ns: m.ts_event_ns }
    }
}

impl Visitor for Sim {
    #[inline]
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        if !self.works(message.instrument) {
            for &row in rows {
                line.book.apply(row);
            }
            return;
        }
        match rows[0].kind() {
            RowKind::Bid | RowKind::Ask | RowKind::Clear => self.levels(message, rows, line),
            RowKind::BuyTrade | RowKind::SellTrade => self.print(message, rows[0], line),
            RowKind::State if line.is_live() => self.resynced(message, line),
            _ => {}
        }
    }
}

/// Why the venue would refuse an order.
fn refusal(order: &Order, line: &Line) -> Option<Reason> {
    let i: &Instrument = &line.instrument;
    if i.kind == Kind::Inverse {
        return Some(Reason::Unsupported);
    }
    let priced = order.kind != OrderKind::Market;
    if order.qty <= 0 || order.qty % i.lot != 0 {
        return Some(Reason::Lot);
    }
    if priced && order.px <= 0 {
        return Some(Reason::Price);
    }
    if priced && order.px % i.tick != 0 {
        return Some(Reason::Tick);
    }
    let opposite = if order.side == Side::Buy { line.book.best_ask() } else { line.book.best_bid() };
    if !line.is_live() && matches!(order.kind, OrderKind::Market | OrderKind::Ioc) {
        return Some(Reason::NoBook);
    }
    if !priced && opposite == UNDEF_PX {
        return Some(Reason::NoLiquidity);
    }
    let px = if priced { order.px } else { opposite };
    let least = parse_money(&i.min_notional).unwrap_or(0);
    match notional(px, order.qty, i.price_precision, i.qty_precision) {
        Ok(money) if money >= least => {}
        Ok(_) => return Some(Reason::MinNotional),
        Err(_) => return Some(Reason::Lot),
    }
    let sign = order.side.sign();
    let takes = opposite != UNDEF_PX && px * sign >= opposite * sign;
    (order.kind == OrderKind::PostOnly && line.is_live() && takes).then_some(Reason::WouldTake)
}

fn displayed(book: &Book, order: &Order) -> i64 {
    if order.side == Side::Buy { book.bid_qty(order.px) } else { book.ask_qty(order.px) }
}

/// Levels that `qty` takes, with the quantity taken of each.
fn walk(levels: impl Iterator<Item = (i64, i64)>, mut qty: i64, good: impl Fn(i64) -> bool) -> Vec<(i64, i64)> {
    let mut taken = Vec::new();
    for (px, size) in levels.take_while(|&(px, _)| good(px)) {
        let part = size.min(qty);
        taken.push((px, part));
        qty -= part;
        if qty == 0 {
            break;
        }
    }
    taken
}

fn news(order: &Order, kind: ReportKind, reason: Reason, pos: u64) -> Report {
    Report {
        order_id: order.id,
        tag: order.tag,
        instrument: order.instrument,
        side: order.side,
        px: order.px,
        qty: order.qty,
        leaves: order.venue_leaves,
        kind,
        reason,
        ts_ns: 0,
        cause_pos: pos,
        fill: None,
    }
}
