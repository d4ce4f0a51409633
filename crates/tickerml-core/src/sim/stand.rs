//! One instrument at its venue: the book as the venue has it, the requests on their way to it, and which of our orders rest there.
//!
//! Things happen in venue time: rows and requests by their times, rows first at one time, rows of one time as they arrived
//! (simulation.md 2, "Order of processing"). What a row or a request does is told in `shared.rs` and `peer.rs`.
use super::band::Reference;
use super::desk::{Desk, Exchange, Met, Moment};
use super::liquidity::Consumed;
use super::marks::Quote;
use super::order::{Order, OrderKind, Side};
use super::own::Own;
use super::prints::Prints;
use super::queue::Place;
use super::report::{Reason, ReportKind};
use super::request::{Asked, Sent};
use super::touch::Touch;
use crate::book::Book;
use crate::event::{BookState, Message, Row, RowKind, flag};
use crate::instrument::{Against, Band, Instrument};
use crate::units::to_f64;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Messages without anything of ours before the book is no longer kept: waking copies a whole book. Builds for tests fall asleep
/// at every chance; nothing may show it.
const IDLE_MESSAGES: u32 = if cfg!(debug_assertions) { 4 } else { 4096 };

/// Messages in venue time.
pub(super) trait VenueRows {
    /// Time of the first one; `i64::MAX` for none.
    fn next_ns(&self) -> i64;
    /// Takes it: time, message and the index of its first row.
    fn pop(&mut self) -> Option<(i64, Message, usize)>;
    /// Rows of a message that was taken, by the index of its first one.
    fn rows(&self, first: usize, count: u32) -> &[Row];
}

/// One instrument at its venue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stand {
    pub index: u16,
    pub book: Book,
    pub touch: Touch,
    pub live: bool,
    /// False while nothing of ours is there or under way: then the book is not kept, for it can be told from our own.
    awake: bool,
    /// Messages since there was something of ours.
    idle: u32,
    /// Buys and sells.
    pub own: [Own; 2],
    pub consumed: Consumed,
    prints: Prints,
    /// What its price band is measured from.
    pub reference: Reference,
    requests: VecDeque<Sent>,
    last_entry_ns: i64,
}

impl Stand {
    pub fn new(index: u16) -> Self {
        Stand {
            index,
            book: Book::new(),
            touch: Touch::NONE,
            live: false,
            awake: true,
            idle: 0,
            own: [Own::NONE; 2],
            consumed: Consumed::default(),
            prints: Prints::default(),
            reference: Reference::default(),
            requests: VecDeque::new(),
            last_entry_ns: i64::MIN,
        }
    }

    /// When a request arrives that would need until `at_ns` alone: not before the one before.
    pub fn arrival_ns(&self, at_ns: i64) -> i64 {
        self.last_entry_ns.max(at_ns)
    }

    /// Takes a request under way; its time is of [`Stand::arrival_ns`].
    pub fn send(&mut self, sent: Sent) {
        self.last_entry_ns = sent.at_ns;
        self.requests.push_back(sent);
    }

    /// When the next request arrives; `i64::MAX` for none.
    #[inline]
    pub fn next_request_ns(&self) -> i64 {
        self.requests.front().map_or(i64::MAX, |r| r.at_ns)
    }

    /// Whether the book is kept.
    #[inline]
    pub const fn is_awake(&self) -> bool {
        self.awake
    }

    /// Keeps the book again, from what the venue's is now.
    pub fn wake(&mut self, book: Book) {
        (self.awake, self.idle, self.book) = (true, 0, book);
    }

    /// Stops keeping the book where nothing of ours has been there for long; `can_undo` says that it can be told again.
    #[inline]
    pub fn rest_if_idle(&mut self, can_undo: bool) {
        if !self.requests.is_empty() || !self.own.iter().all(Own::is_none) {
            self.idle = 0;
            return;
        }
        self.idle = self.idle.saturating_add(1);
        if self.awake && self.idle > IDLE_MESSAGES && can_undo {
            (self.awake, self.book) = (false, Book::new());
        }
    }

    /// Lets everything before `limit_ns` happen; it is known at `known_ns`.
    pub fn run(
        &mut self,
        source: &mut impl VenueRows,
        desk: &mut Desk,
        limit_ns: i64,
        known_ns: i64,
        pos: u64,
        i: &Instrument,
    ) {
        loop {
            let (row_ns, request_ns) = (source.next_ns(), self.next_request_ns());
            if row_ns.min(request_ns) >= limit_ns {
                return;
            }
            if row_ns <= request_ns {
                let Some((at_ns, message, first)) = source.pop() else { return };
                let moment = Moment { at_ns, known_ns, pos: message.pos };
                let rows = source.rows(first, message.rows);
                if self.awake {
                    self.message(rows, desk, moment, i);
                }
                if matches!(rows[0].kind(), RowKind::BuyTrade | RowKind::SellTrade) {
                    rows.iter().for_each(|row| self.prints.push(at_ns, row.qty));
                    if let Some(Band { against: Against::Prints { minutes }, .. }) = i.band {
                        rows.iter().for_each(|row| self.reference.printed(at_ns, row.px(), row.qty, minutes));
                    }
                }
            } else if let Some(sent) = self.requests.pop_front() {
                let moment = Moment { at_ns: sent.at_ns, known_ns, pos };
                self.request(sent, desk, moment, i);
            }
        }
    }

    #[inline]
    fn message(&mut self, rows: &[Row], desk: &mut Desk, moment: Moment, i: &Instrument) {
        match rows[0].kind() {
            RowKind::Bid | RowKind::Ask | RowKind::Clear => match desk.rules.exchange {
                Exchange::Shared => self.levels(rows, desk, moment, i),
                Exchange::NoPartial | Exchange::Partial => self.peer_levels(rows, desk, moment, i),
            },
            RowKind::BuyTrade | RowKind::SellTrade => {
                for &row in rows {
                    let taker = if row.kind() == RowKind::BuyTrade { Side::Buy } else { Side::Sell };
                    if !self.own[usize::from(taker == Side::Buy)].is_reached(taker.opposite(), row.px()) {
                        continue;
                    }
                    match desk.rules.exchange {
                        Exchange::Shared => self.print(taker, row, desk, moment, i),
                        Exchange::NoPartial | Exchange::Partial => self.peer_print(taker, row, desk, moment, i),
                    }
                }
            }
            RowKind::State if desk.rules.exchange == Exchange::Shared => {
                self.live = BookState::from_u8(rows[0].px() as u8) == Some(BookState::Live);
                if self.live {
                    self.resynced(desk, moment, i);
                }
            }
            _ => {}
        }
    }

    fn request(&mut self, sent: Sent, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let found = desk.find(sent.id);
        if let (Asked::New, Some(at)) = (&sent.asked, found) {
            let (quote, volume) = (self.quote(desk), self.prints.volume(moment.at_ns));
            desk.orders[at].way.arrived(quote, moment.at_ns, volume);
        }
        match (sent.asked, found) {
            (Asked::New, Some(at)) if sent.too_many => {
                self.end(at, ReportKind::Rejected, Reason::OrderRate, desk, moment, i);
            }
            (Asked::Amend { .. }, Some(at)) if sent.too_many && desk.orders[at].resting => {
                desk.report(at, ReportKind::AmendRejected, Reason::OrderRate, moment, i);
            }
            (Asked::New, Some(at)) => {
                if desk.orders[at].kind == OrderKind::Liquidation {
                    self.cancel_all(Reason::Liquidation, desk, moment, i);
                }
                match desk.rules.exchange {
                    Exchange::Shared => self.place(at, desk, moment, i),
                    Exchange::NoPartial | Exchange::Partial => self.peer_place(at, desk, moment, i),
                }
            }
            (Asked::Cancel(_), Some(at)) if desk.orders[at].resting => {
                self.end(at, ReportKind::Cancelled, Reason::None, desk, moment, i);
            }
            (Asked::Amend { px, qty, .. }, Some(at)) if desk.orders[at].resting => {
                self.amend(at, px, qty, desk, moment, i)
            }
            (Asked::Cancel(refusal) | Asked::Amend { refusal, .. }, _) => desk.refuse(*refusal, moment, i),
            (Asked::CancelAll, _) => self.cancel_all(Reason::None, desk, moment, i),
            (Asked::New, None) => {}
        }
    }

    /// Everything of ours that rests here is cancelled.
    fn cancel_all(&mut self, reason: Reason, desk: &mut Desk, moment: Moment, i: &Instrument) {
        for at in 0..desk.orders.len() {
            if desk.orders[at].resting && desk.orders[at].instrument == self.index {
                self.end(at, ReportKind::Cancelled, reason, desk, moment, i);
            }
        }
    }

    /// The order is over.
    pub fn end(
        &mut self,
        at: usize,
        kind: ReportKind,
        reason: Reason,
        desk: &mut Desk,
        moment: Moment,
        i: &Instrument,
    ) {
        desk.report(at, kind, reason, moment, i);
        if std::mem::take(&mut desk.orders[at].resting) {
            self.count_own(desk);
        }
    }

    /// The order is met. Returns whether it is done.
    pub fn fill(&mut self, met: Met, desk: &mut Desk, moment: Moment, i: &Instrument) -> bool {
        let against = (self.quote(desk), self.prints.median(moment.at_ns));
        desk.fill(met, against, moment, i)
    }

    /// The best that stands here, as the rules see it.
    fn quote(&self, desk: &Desk) -> Quote {
        match desk.rules.exchange {
            Exchange::Shared if self.live => Quote::of(&self.book),
            Exchange::Shared => Quote::NONE,
            Exchange::NoPartial | Exchange::Partial => Quote::at(&self.book, self.touch.bid, self.touch.ask),
        }
    }

    /// The order waits in the book, behind what is displayed.
    pub fn rest(&mut self, at: usize, place: Place, desk: &mut Desk, moment: Moment, i: &Instrument) {
        let order = &mut desk.orders[at];
        (order.resting, order.place) = (true, place);
        order.way.rested(order.ahead());
        desk.report(at, ReportKind::Accepted, Reason::None, moment, i);
        self.count_own(desk);
    }

    /// Which prices of ours may be met. Call it whenever an order begins or ends to rest.
    pub fn count_own(&mut self, desk: &Desk) {
        self.own = [Own::NONE; 2];
        for order in desk.orders.iter().filter(|o| o.resting && o.instrument == self.index) {
            self.own[usize::from(order.side == Side::Sell)].add(order.venue_px);
        }
    }

    /// A level of ours changed: the queue model moves every order that rests there.
    #[inline]
    pub fn moved(&self, row: Row, before: i64, desk: &mut Desk, i: &Instrument) {
        let side = if row.kind() == RowKind::Bid { Side::Buy } else { Side::Sell };
        if self.own[usize::from(side == Side::Sell)].may_rest_at(row.px()) {
            self.move_queue(side, row, before, desk, i);
        }
    }

    /// Out of line: most rows are nowhere near us.
    #[inline(never)]
    fn move_queue(&self, side: Side, row: Row, before: i64, desk: &mut Desk, i: &Instrument) {
        let (before, now) = (to_f64(before, i.qty_precision), to_f64(row.qty, i.qty_precision));
        let queue = &desk.rules.queue;
        for order in &mut desk.orders {
            if order.resting && order.venue_px == row.px() && order.side == side && order.instrument == self.index {
                queue.on_depth(&mut order.place, before, now);
            }
        }
    }

    /// What is displayed at an order's price on its side, base units.
    pub fn displayed(&self, order: &Order, i: &Instrument) -> f64 {
        let px = order.venue_px;
        let qty = if order.side == Side::Buy { self.book.bid_qty(px) } else { self.book.ask_qty(px) };
        to_f64(qty, i.qty_precision)
    }

    /// The process started again: requests on their way are lost, and nothing is known of the book. What was printed was printed.
    pub fn restart(&mut self) {
        let (prints, reference) = (std::mem::take(&mut self.prints), std::mem::take(&mut self.reference));
        *self = Stand { prints, reference, ..Stand::new(self.index) };
    }
}

/// Whether the row belongs to a snapshot.
#[inline]
pub(super) const fn is_snapshot(row: Row) -> bool {
    row.flags() & flag::SNAPSHOT != 0
}
