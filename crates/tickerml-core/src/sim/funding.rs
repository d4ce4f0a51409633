//! Funding: who holds a contract when it settles pays or receives `rate` of its worth at the mark price (exchanges.md 11; above zero
//! longs pay).
//!
//! Binance's mark price stream gives `r`, the running rate of the settlement at `T`. The averaging of the premium ends at `T`, so the
//! last `r` before `T` moves on is taken for the settled rate; a row of kind 8 with the settled flag is the venue's own word and
//! corrects it. Nothing is booked before the rate of that settlement has arrived and everything that the venue did before `T` is
//! known. A rate that nobody heard near its settlement stays unknown: it is reported as such and never taken for zero.
use super::Sim;
use super::desk::{Desk, Exchange};
use crate::event::{Message, Row, RowKind, flag};
use crate::instrument::Kind;
use crate::market::Line;
use crate::units::UNDEF_TS_NS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// An estimate is the settled rate where it was heard no longer before the settlement than this: 20 times the stream's slowest pace.
const FRESH_MS: i64 = 60_000;
/// A settlement that the stream says nothing of for so long will not be told by it: settlements are up to 15 s late.
const GRACE_NS: i64 = 60_000_000_000;
/// Every interval is whole hours: without a stream a settlement may have been at any of them.
const HOUR_NS: i64 = 3_600_000_000_000;
/// Executions are remembered for so long, to tell what was held at a settlement whose rate comes late.
const MEMORY_NS: i64 = 600_000_000_000;
const MS: i64 = 1_000_000;

/// Funding of one instrument at one time: what is to be booked, or that it cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Index of the instrument.
    pub instrument: u16,
    /// The venue's time of the settlement, ns.
    pub ts_ns: i64,
    /// Held then at the venue, scaled.
    pub qty: i64,
    /// Mark price then x 10^8.
    pub mark_e8: i64,
    /// Rate x 10^12; none where nobody knows it. Of a correction the difference to what was booked.
    pub rate_e12: Option<i64>,
    /// The venue's own word on a settlement that was booked before.
    pub correction: bool,
    /// The same on one that was reported as unknown.
    pub resolves: bool,
}

/// What is expected of an instrument's next settlement: provisional until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// When it settles, ms.
    pub settle_ms: i64,
    /// Running rate x 10^12.
    pub rate_e12: i64,
    /// The last mark price x 10^8 that is not later than it; 0 for none.
    pub mark_e8: i64,
    /// Venue time of the estimate, ms.
    seen_ms: i64,
}

/// A settlement that waits until the venue's past is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Due {
    settle_ms: i64,
    rate_e12: Option<i64>,
    mark_e8: i64,
}

/// One instrument's funding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    next: Option<Expected>,
    due: VecDeque<Due>,
    /// The last one that was reported.
    booked: Option<Settlement>,
    corrections: Vec<Settlement>,
    mark_e8: i64,
    /// From when on the stream has told the next settlement without a break, ms.
    known_since_ms: i64,
    /// The last whole hour that was looked at.
    hour: Option<i64>,
}

/// Executions kept at most; where more happen within [`MEMORY_NS`] a late settlement is unknown.
const MOVES_MAX: usize = 1 << 16;

/// An execution, for as long as it may matter what was held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Move {
    instrument: u16,
    at_ns: i64,
    qty: i64,
}

impl Desk {
    /// Remembers an execution.
    pub(super) fn remember(&mut self, instrument: u16, qty: i64, at_ns: i64) {
        let is_over = |old: &&Move| old.at_ns < at_ns.saturating_sub(MEMORY_NS);
        while let Some(old) = self.moves.front().filter(|old| is_over(old) || self.moves.len() >= MOVES_MAX) {
            self.forgotten_ns = self.forgotten_ns.max(old.at_ns);
            self.moves.pop_front();
        }
        self.moves.push_back(Move { instrument, at_ns, qty });
    }

    /// What was held at the venue after everything up to `at_ns`.
    fn position_at(&self, instrument: u16, at_ns: i64) -> i64 {
        let later = self.moves.iter().filter(|m| m.instrument == instrument && m.at_ns > at_ns);
        self.position(instrument) - later.map(|m| m.qty).sum::<i64>()
    }
}

impl Plan {
    /// A message of mark prices and rates.
    pub fn heard(&mut self, instrument: u16, message: &Message, rows: &[Row]) {
        let event_ns = if message.ts_event_ns == UNDEF_TS_NS { message.ts_recv_ns } else { message.ts_event_ns };
        let event_ms = event_ns.div_euclid(MS);
        for row in rows {
            match row.kind() {
                RowKind::Mark if row.flags() & flag::ASK_SIDE == 0 => self.marked(event_ms, row.px()),
                RowKind::Funding if row.flags() & flag::SETTLED != 0 => self.settled(instrument, row.px(), row.qty),
                RowKind::Funding => self.estimated(event_ms, row.px(), row.qty),
                _ => {}
            }
        }
    }

    fn marked(&mut self, event_ms: i64, mark_e8: i64) {
        self.mark_e8 = mark_e8;
        if let Some(next) = self.next.as_mut().filter(|next| event_ms <= next.settle_ms) {
            next.mark_e8 = mark_e8;
        }
    }

    fn estimated(&mut self, event_ms: i64, rate_e12: i64, settle_ms: i64) {
        if self.is_past(settle_ms) {
            return;
        }
        match self.next {
            Some(next) if settle_ms < next.settle_ms => return,
            Some(next) if settle_ms > next.settle_ms => self.passed(next),
            Some(_) => {}
            None => self.known_since_ms = event_ms,
        }
        let mark_e8 = match self.next {
            Some(next) if next.settle_ms == settle_ms && event_ms > settle_ms => next.mark_e8,
            _ => self.mark_e8,
        };
        self.next = Some(Expected { settle_ms, rate_e12, mark_e8, seen_ms: event_ms });
    }

    /// The venue's own word.
    fn settled(&mut self, instrument: u16, rate_e12: i64, settle_ms: i64) {
        if let Some(booked) = self.booked.filter(|booked| booked.ts_ns == settle_ms * MS) {
            let (before, now) = (booked.rate_e12, Some(rate_e12));
            if before != now && booked.mark_e8 > 0 {
                let difference = rate_e12 - before.unwrap_or(0);
                let (correction, resolves) = (before.is_some(), before.is_none());
                let rate_e12 = Some(difference);
                self.corrections.push(Settlement { instrument, rate_e12, correction, resolves, ..booked });
                self.booked = Some(Settlement { rate_e12: now, ..booked });
            }
        } else if let Some(due) = self.due.iter_mut().find(|due| due.settle_ms == settle_ms) {
            due.rate_e12 = Some(rate_e12);
        } else if !self.is_past(settle_ms) {
            let mark_e8 =
                self.next.filter(|next| next.settle_ms == settle_ms).map_or(self.mark_e8, |next| next.mark_e8);
            self.next = self.next.filter(|next| next.settle_ms > settle_ms);
            self.due.push_back(Due { settle_ms, rate_e12: Some(rate_e12), mark_e8 });
        }
    }

    /// Whether a settlement has been dealt with.
    fn is_past(&self, settle_ms: i64) -> bool {
        self.due.back().is_some_and(|due| settle_ms <= due.settle_ms)
            || self.booked.is_some_and(|booked| settle_ms * MS <= booked.ts_ns)
    }

    /// The next settlement is over: its last estimate was its rate, if that was near enough.
    fn passed(&mut self, next: Expected) {
        let fresh = next.seen_ms >= next.settle_ms - FRESH_MS && next.mark_e8 > 0;
        let Expected { settle_ms, mark_e8, rate_e12, .. } = next;
        self.due.push_back(Due { settle_ms, rate_e12: fresh.then_some(rate_e12), mark_e8 });
        self.next = None;
    }
}

impl Sim {
    /// What is expected of an instrument's next settlement.
    pub fn expected_funding(&self, instrument: u16) -> Option<Expected> {
        self.plans.get(usize::from(instrument)).and_then(|plan| plan.next)
    }

    pub(super) fn hear_funding(&mut self, message: &Message, rows: &[Row]) {
        let at = usize::from(message.instrument);
        if self.plans.len() <= at {
            self.plans.resize_with(at + 1, Plan::default);
        }
        self.plans[at].heard(message.instrument, message, rows);
    }

    /// Settlements that may be booked at `now_ns`, where something was held.
    pub fn settle(&mut self, now_ns: i64, lines: &[Line]) -> Vec<Settlement> {
        let mut found = Vec::new();
        if self.desk.rules.exchange != Exchange::Shared {
            return found;
        }
        self.plans.resize_with(lines.len().max(self.plans.len()), Plan::default);
        for n in 0..lines.len() as u16 {
            if lines[usize::from(n)].instrument.kind != Kind::Spot {
                self.settle_one(n, now_ns, &mut found);
            }
        }
        found
    }

    fn settle_one(&mut self, instrument: u16, now_ns: i64, found: &mut Vec<Settlement>) {
        let at = usize::from(instrument);
        let reorder_ns = self.desk.rules.reorder_ns;
        let clock = self.places.get(at).map(|place| &place.clock);
        let ours = |ms: i64| clock.map_or(ms * MS, |clock| clock.map(ms * MS));
        let plan = &mut self.plans[at];
        if let Some(next) = plan.next.filter(|next| now_ns > ours(next.settle_ms) + GRACE_NS) {
            plan.passed(next);
        }
        while let Some(due) = plan.due.front().copied().filter(|due| now_ns > ours(due.settle_ms) + reorder_ns) {
            plan.due.pop_front();
            let at_ns = ours(due.settle_ms);
            let known = at_ns >= self.desk.forgotten_ns;
            let settlement = Settlement {
                instrument,
                ts_ns: due.settle_ms * MS,
                qty: self.desk.position_at(instrument, at_ns),
                mark_e8: due.mark_e8,
                rate_e12: due.rate_e12.filter(|_| known && due.mark_e8 > 0),
                correction: false,
                resolves: false,
            };
            plan.booked = Some(settlement);
            found.push(settlement);
        }
        found.append(&mut plan.corrections);
        let hour = (now_ns - GRACE_NS).div_euclid(HOUR_NS);
        let passed = plan.hour.replace(hour).is_some_and(|before| before < hour);
        if passed && plan.due.is_empty() {
            let ts_ns = hour * HOUR_NS;
            let told = plan.next.is_some() && plan.known_since_ms * MS <= ts_ns;
            if !told && plan.booked.is_none_or(|booked| booked.ts_ns < ts_ns) {
                let qty = self.desk.position_at(instrument, ts_ns);
                let (correction, resolves) = (false, false);
                found.push(Settlement { instrument, ts_ns, qty, mark_e8: 0, rate_e12: None, correction, resolves });
            }
        }
        found.retain(|settlement| settlement.qty != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 28_800_000;

    fn heard(plan: &mut Plan, event_ms: i64, mark_e8: i64, rate: (i64, i64, u8)) {
        let mark = Row::new(RowKind::Mark, mark_e8, 0, 0).unwrap();
        let funding = Row::new(RowKind::Funding, rate.0, rate.1, rate.2).unwrap();
        let (ts, rows) = (event_ms * MS, [mark, funding]);
        let message = Message { pos: 0, ts_recv_ns: ts, ts_event_ns: ts, instrument: 0, rows: 2 };
        plan.heard(0, &message, &rows);
    }

    #[test]
    fn the_last_estimate_before_its_time_moves_on_is_settled_at_the_mark_of_then() {
        let mut plan = Plan::default();
        heard(&mut plan, T - 2000, 100, (7, T, 0));
        heard(&mut plan, T - 1000, 101, (8, T, 0));
        assert_eq!(plan.next.map(|next| (next.rate_e12, next.mark_e8)), Some((8, 101)));
        heard(&mut plan, T + 1000, 102, (9, T, 0));
        heard(&mut plan, T + 2000, 103, (1, 2 * T, 0));
        assert_eq!(plan.due, [Due { settle_ms: T, rate_e12: Some(9), mark_e8: 101 }]);
        assert_eq!(plan.next.map(|next| (next.settle_ms, next.mark_e8)), Some((2 * T, 103)));
    }

    #[test]
    fn an_estimate_from_long_before_is_no_rate() {
        let mut plan = Plan::default();
        heard(&mut plan, T - FRESH_MS - 1, 100, (7, T, 0));
        heard(&mut plan, T + 1000, 101, (1, 2 * T, 0));
        assert_eq!(plan.due, [Due { settle_ms: T, rate_e12: None, mark_e8: 100 }]);
    }

    #[test]
    fn the_venues_own_word_counts_and_corrects() {
        let mut plan = Plan::default();
        heard(&mut plan, T - 1000, 100, (7, T, 0));
        heard(&mut plan, T + 1000, 101, (9, T, flag::SETTLED));
        assert_eq!(
            (plan.due.pop_front(), plan.next),
            (Some(Due { settle_ms: T, rate_e12: Some(9), mark_e8: 100 }), None)
        );
        let mut booked = Settlement {
            instrument: 0,
            ts_ns: T * MS,
            qty: 5,
            mark_e8: 100,
            rate_e12: Some(9),
            correction: false,
            resolves: false,
        };
        plan.booked = Some(booked);
        heard(&mut plan, T + 2000, 101, (6, T, flag::SETTLED));
        heard(&mut plan, T + 3000, 101, (6, T, flag::SETTLED));
        heard(&mut plan, T + 4000, 101, (5, T, 0));
        assert_eq!(plan.corrections, [Settlement { rate_e12: Some(-3), correction: true, ..booked }]);
        assert_eq!((plan.due.len(), plan.next), (0, None));
        booked.rate_e12 = None;
        plan = Plan { booked: Some(booked), ..Plan::default() };
        heard(&mut plan, T + 5000, 101, (6, T, flag::SETTLED));
        assert_eq!(plan.corrections, [Settlement { rate_e12: Some(6), resolves: true, ..booked }]);
    }
}
