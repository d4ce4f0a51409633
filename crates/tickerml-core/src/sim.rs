//! The simulated venues: what an order meets (simulation.md).
//!
//! ```text
//! message --arrival--> our book
//!         --timeline (venue time, released)--> stand: the venue's book, our orders in its queues --report--> us
//! request --entry latency------------------->
//! ```
//!
//! One simulator, two profiles: `shared` (ours) and hftbacktest's rules, for comparison. A stand is one instrument at its venue;
//! the desk is our side of the counter.
mod amend;
mod balance;
mod band;
mod check;
mod clock;
mod course;
mod desk;
mod fee;
mod funding;
mod latency;
mod liquidity;
mod marks;
mod order;
mod own;
mod peer;
mod prints;
mod queue;
mod rate;
mod reduce;
mod report;
mod request;
mod sample;
mod self_trade;
mod send;
mod shared;
mod sorted;
mod stand;
mod timeline;
mod touch;
mod wire;

pub use clock::{Clock, ClockKind};
pub use desk::{Exchange, ReportRule, Rules};
pub use fee::{FeeRow, Fees};
pub use funding::{Expected, Settlement};
pub use latency::{Columns as LatencyColumns, Entry, Latency, Recorded};
pub use marks::{Marks, Quote};
pub use order::{AHEAD_UNKNOWN, Known, Order, OrderKind, Side};
pub use prints::Prints;
pub use queue::{Curve, FITTED_KNOTS, Fitted, Observed, Place, QueueFit, QueueModel, Shadows};
pub use report::{Fill, Reason, Report, ReportKind};
pub use request::{AMEND, CANCEL, CANCEL_ALL, Request};
pub use sample::{Sample, quotes_at};

use crate::event::{BookState, Message, Row, RowKind};
use crate::event_set::EventSet;
use crate::instrument::{Against, Band};
use crate::market::{Line, Visitor};
use crate::units::UNDEF_TS_NS;
use balance::Funds;
use course::Course;
use desk::{Desk, news};
use funding::Plan;
use rate::Rates;
use serde::{Deserialize, Serialize};
use sorted::{Sorted, clock_offset_ns};
use stand::{Stand, VenueRows};
use std::collections::VecDeque;
use std::sync::Arc;
use timeline::{Stream, Timeline};
use wire::Wire;

/// All simulated venues of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sim {
    desk: Desk,
    next_order_id: u64,
    places: Vec<Venue>,
    /// Funding, by instrument.
    plans: Vec<Plan>,
    /// When the next thing happens at a venue, or may be known, on our clock.
    due_ns: i64,
    /// The whole input in venue time, where reports do not wait for arrivals.
    #[serde(skip)]
    ahead: Option<Sorted>,
    /// Room to work in.
    #[serde(skip)]
    befores: Vec<i64>,
}

/// One instrument: its stand, what is on its way into it, and its venue's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Venue {
    stand: Stand,
    timeline: Timeline,
    clock: Clock,
    course: Course,
}

impl Sim {
    /// Venues without orders.
    pub fn new(rules: Rules) -> Self {
        let desk = Desk {
            orders: Vec::new(),
            positions: Vec::new(),
            moves: VecDeque::new(),
            forgotten_ns: i64::MIN,
            rates: Rates::new(),
            funds: rules.balances.clone().map(Funds::new),
            reports: Wire::new(),
            rules,
        };
        Sim {
            desk,
            next_order_id: 1,
            places: Vec::new(),
            plans: Vec::new(),
            due_ns: i64::MAX,
            ahead: None,
            befores: Vec::new(),
        }
    }

    /// Our orders that have not ended for us, by id.
    pub fn orders(&self) -> &Vec<Order> {
        &self.desk.orders
    }

    /// Rows that came after their time had been released.
    pub fn late_rows(&self) -> u64 {
        self.places.iter().map(|v| v.timeline.late_rows()).sum()
    }

    /// When the next report reaches us.
    pub const fn next_report_ns(&self) -> i64 {
        self.desk.reports.next_ns()
    }

    /// When [`Sim::advance`] has work.
    #[inline]
    pub const fn due_ns(&self) -> i64 {
        self.due_ns
    }

    /// Learns from a whole input beforehand: the clocks of [`ClockKind::Least`], and for [`ReportRule::Venue`] everything, since
    /// reports then answer in venue time whatever has arrived.
    pub fn prepare(&mut self, set: &Arc<EventSet>, instruments: usize) {
        let (kind, base_latency_ns) = (self.desk.rules.clock, self.desk.rules.base_latency_ns);
        for n in 0..instruments as u16 {
            let venue = self.at(n);
            if kind == ClockKind::Least
                && let Some(offset_ns) = clock_offset_ns(set, n, base_latency_ns)
            {
                venue.clock = Clock::Fixed(offset_ns);
            }
        }
        if self.desk.rules.report_rule == ReportRule::Venue {
            let clocks = self.places.iter().map(|venue| venue.clock.clone()).collect();
            self.ahead = Some(in_venue_time(set.clone(), clocks, base_latency_ns));
        }
        self.find_due();
    }

    /// What is held of an instrument when the run begins, scaled.
    pub fn hold(&mut self, instrument: u16, qty: i64) {
        self.desk.moved(instrument, qty);
    }

    /// The next report reaches us.
    pub fn deliver(&mut self) -> Option<Report> {
        let (ts_ns, mut report) = self.desk.reports.take()?;
        arrived(&mut report, ts_ns);
        self.desk.learn(&report);
        Some(report)
    }

    /// Lets happen what is due at `now_ns`; `pos` is the last record consumed.
    pub fn advance(&mut self, now_ns: i64, lines: &[Line], pos: u64) {
        let reorder_ns = self.desk.rules.reorder_ns;
        for (n, line) in lines.iter().enumerate().take(self.places.len()) {
            let limit = match &self.ahead {
                Some(_) => now_ns.saturating_add(1),
                None => now_ns.saturating_sub(reorder_ns).saturating_add(1).max(self.places[n].timeline.released_ns()),
            };
            self.run(n, limit, now_ns, pos, line);
        }
        self.find_due();
    }

    /// The process started again: reports in flight are delivered, requests dropped, open orders cancelled (rules.md 3).
    pub fn restart(&mut self, ts_ns: i64, pos: u64) -> Vec<Report> {
        for venue in &mut self.places {
            venue.stand.restart();
            venue.timeline.clear();
            venue.course = Course::START;
        }
        let mut reports = self.desk.reports.clear();
        for report in &mut reports {
            arrived(report, ts_ns);
        }
        for report in &reports {
            self.desk.learn(report);
        }
        for order in std::mem::take(&mut self.desk.orders) {
            let mut report = news(&order, ReportKind::Cancelled, Reason::Restart, pos);
            report.ts_ns = ts_ns;
            reports.push(report);
        }
        self.find_due();
        reports
    }

    fn at(&mut self, instrument: u16) -> &mut Venue {
        let rules = &self.desk.rules;
        for n in self.places.len()..=usize::from(instrument) {
            self.places.push(Venue {
                stand: Stand::new(n as u16),
                timeline: Timeline::new(),
                clock: Clock::new(rules.clock, rules.base_latency_ns),
                course: Course::START,
            });
        }
        &mut self.places[usize::from(instrument)]
    }

    #[inline]
    fn run(&mut self, n: usize, limit_ns: i64, now_ns: i64, pos: u64, line: &Line) {
        let known_ns = if self.desk.rules.report_rule == ReportRule::Causal { now_ns } else { i64::MIN };
        let Venue { stand, timeline, .. } = &mut self.places[n];
        match &mut self.ahead {
            Some(sorted) => {
                if let Some(mut lane) = sorted.lane(n) {
                    stand.run(&mut lane, &mut self.desk, limit_ns, known_ns, pos, &line.instrument);
                }
            }
            None => {
                stand.run(timeline, &mut self.desk, limit_ns, known_ns, pos, &line.instrument);
                timeline.taken(limit_ns);
                // A peer's book has lost its levels below a lot: it cannot be told again from ours.
                stand.rest_if_idle(self.desk.rules.exchange == Exchange::Shared && timeline.can_undo());
            }
        }
    }

    #[inline]
    fn find_due(&mut self) {
        let reorder_ns = self.desk.rules.reorder_ns;
        let due = |(n, venue): (usize, &mut Venue)| {
            let request_ns = venue.stand.next_request_ns();
            if let Some(ahead) = &mut self.ahead {
                return ahead.next_ns(n).min(request_ns);
            }
            let next_ns = venue.timeline.next_ns().min(request_ns);
            if next_ns < venue.timeline.released_ns() { next_ns } else { next_ns.saturating_add(reorder_ns) }
        };
        self.due_ns = self.places.iter_mut().enumerate().map(due).min().unwrap_or(i64::MAX);
    }
}

impl Visitor for Sim {
    #[inline]
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        let (base_latency_ns, reorder_ns) = (self.desk.rules.base_latency_ns, self.desk.rules.reorder_ns);
        if matches!(rows[0].kind(), RowKind::Mark | RowKind::Funding) {
            if matches!(line.instrument.band, Some(Band { against: Against::Mark, .. })) {
                self.hear_mark(message, rows);
            }
            return self.hear_funding(message, rows);
        }
        let looks_ahead = self.ahead.is_some();
        let venue = self.at(message.instrument);
        let place = venue.course.place(message, rows[0], &mut venue.clock, base_latency_ns);
        if let Some((at_ns, Some(stream))) = place
            && message.ts_event_ns != UNDEF_TS_NS
            // Diffs that waited for a snapshot say nothing about the line.
            && (stream == Stream::Trade || matches!(line.state, BookState::Live | BookState::Stale))
        {
            self.desk.rules.latency.heard(message.instrument, message.ts_recv_ns.saturating_sub(at_ns));
        }
        let Some((at_ns, stream)) = place.filter(|_| !looks_ahead) else {
            for &row in rows {
                line.book.apply(row);
            }
            return;
        };
        let venue = &mut self.places[usize::from(message.instrument)];
        venue.timeline.settle(message.ts_recv_ns.saturating_sub(reorder_ns));
        if !venue.stand.is_awake() && venue.timeline.is_awkward(at_ns, stream) {
            venue.wake(line);
        }
        let mut befores = std::mem::take(&mut self.befores);
        befores.clear();
        befores.extend(rows.iter().map(|&row| line.book.apply(row)));
        let venue = &mut self.places[usize::from(message.instrument)];
        venue.timeline.push(at_ns, stream, message, rows, &befores);
        self.befores = befores;
        let released_ns = venue.timeline.released_ns();
        if venue.timeline.next_ns().min(venue.stand.next_request_ns()) < released_ns {
            self.run(usize::from(message.instrument), released_ns, message.ts_recv_ns, message.pos, line);
        }
        self.find_due();
    }
}

impl Venue {
    /// Keeps the venue's book again: ours, without what is not released yet.
    fn wake(&mut self, line: &Line) {
        let mut book = line.book.clone();
        self.timeline.undo(&mut book);
        self.stand.wake(book);
    }
}

/// A whole input in venue time, with a clock for each instrument.
fn in_venue_time(set: Arc<EventSet>, mut clocks: Vec<Clock>, base_latency_ns: i64) -> Sorted {
    let mut courses = vec![Course::START; clocks.len()];
    Sorted::new(set, |message, row| {
        let n = usize::from(message.instrument);
        courses[n].place(message, row, &mut clocks[n], base_latency_ns).map(|(at_ns, _)| at_ns)
    })
}

fn arrived(report: &mut Report, ts_ns: i64) {
    report.ts_ns = ts_ns;
    if let Some(fill) = &mut report.fill {
        fill.ts_recv_ns = ts_ns;
    }
}
