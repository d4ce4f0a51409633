//! Our orders, and what passes between us and the simulated venues: requests out, reports back.
use super::balance::Funds;
use super::clock::ClockKind;
use super::fee::Fees;
use super::funding::Move;
use super::latency::Latency;
use super::marks::Quote;
use super::order::{Known, Order, OrderKind, Side};
use super::queue::QueueModel;
use super::rate::Rates;
use super::report::{Fill, Reason, Report, ReportKind};
use super::wire::Wire;
use crate::instrument::Instrument;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Whose rules an order meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// Ours: a print is one budget, and no fill exceeds what was printed or shown (simulation.md 3).
    Shared,
    /// hftbacktest's without partial fills (simulation.md 2).
    NoPartial,
    /// hftbacktest's with partial fills.
    Partial,
}

/// When a report may be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportRule {
    /// Never before what it rests on has arrived here.
    Causal,
    /// At the venue's time + response latency, whatever has arrived: for comparison, over recordings only.
    Venue,
}

/// Everything configurable about the simulated venues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Latency of requests and reports.
    pub latency: Latency,
    /// Fees.
    pub fees: Fees,
    /// Model of the queue ahead.
    pub queue: QueueModel,
    /// Whose rules.
    pub exchange: Exchange,
    /// When reports may be known.
    pub report_rule: ReportRule,
    /// How much longer than others a message of the same venue time may take, ns.
    pub reorder_ns: i64,
    /// One way, of the fastest message, ns.
    pub base_latency_ns: i64,
    /// The venue's clock against ours.
    pub clock: ClockKind,
    /// What is owned when a run begins, 10^-18 by currency; none where the venues keep no balances.
    pub balances: Option<BTreeMap<String, i128>>,
}

/// When and by what something happens at a venue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Corrected venue time, ns.
    pub at_ns: i64,
    /// Our time when it is computed: nothing may be known earlier. `i64::MIN` under [`ReportRule::Venue`].
    pub known_ns: i64,
    /// Record that it rests on.
    pub pos: u64,
}

/// Who meets our order, and for how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    /// Index of the order.
    pub at: usize,
    pub px: i64,
    pub qty: i64,
    /// We waited.
    pub maker: bool,
}

/// Our side of the counter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Desk {
    /// Every order that has not ended for us, by id.
    pub orders: Vec<Order>,
    /// What is held at the venues, by instrument, scaled.
    pub positions: Vec<i64>,
    /// Executions of late.
    pub moves: VecDeque<Move>,
    /// Time of the last execution that is no longer among them, ns.
    pub forgotten_ns: i64,
    pub rates: Rates,
    /// Balances, where the venues keep them.
    pub funds: Option<Funds>,
    /// Reports under way to us.
    pub reports: Wire<Report>,
    pub rules: Rules,
}

impl Desk {
    pub fn find(&self, id: u64) -> Option<usize> {
        self.orders.binary_search_by_key(&id, |o| o.id).ok()
    }

    /// Our knowledge after a report.
    pub fn learn(&mut self, report: &Report) {
        let Some(at) = self.find(report.order_id) else { return };
        let order = &mut self.orders[at];
        order.leaves = report.leaves;
        order.accepted |= report.kind == ReportKind::Accepted;
        match report.kind {
            ReportKind::Accepted if order.known == Known::Pending => order.known = Known::Resting,
            ReportKind::Rejected | ReportKind::Cancelled | ReportKind::Expired | ReportKind::Filled => {
                self.orders.remove(at);
            }
            ReportKind::Amended => {
                (order.px, order.qty) = (report.px, report.qty);
                order.amended();
            }
            ReportKind::AmendRejected => order.amended(),
            // By then an order that has ended is forgotten: what is refused here never reached the venue.
            ReportKind::CancelRejected => order.known = order.idle(),
            _ => {}
        }
    }

    /// Sends news of an order back.
    pub fn report(&mut self, at: usize, kind: ReportKind, reason: Reason, moment: Moment, i: &Instrument) {
        let report = news(&self.orders[at], kind, reason, moment.pos);
        self.send(report, moment, i);
    }

    /// Sends an answer that was made before the moment was known.
    pub fn refuse(&mut self, mut refusal: Report, moment: Moment, i: &Instrument) {
        refusal.cause_pos = moment.pos;
        self.send(refusal, moment, i);
    }

    /// An execution, measured against the venue's best and the median print. Returns whether the order is done.
    pub fn fill(
        &mut self,
        Met { at, px, qty, maker }: Met,
        (quote, print_median_qty): (Quote, i64),
        moment: Moment,
        i: &Instrument,
    ) -> bool {
        let order = &mut self.orders[at];
        order.venue_leaves -= qty;
        order.place.shadows.note_met(moment.at_ns);
        let (instrument, side, bought) = (order.instrument, order.side, qty * order.side.sign());
        let done = order.venue_leaves == 0;
        let kind = if done { ReportKind::Filled } else { ReportKind::PartiallyFilled };
        let forced = order.kind == OrderKind::Liquidation;
        let reason = if forced { Reason::Liquidation } else { Reason::None };
        let mut report = news(order, kind, reason, moment.pos);
        let fees = &self.rules.fees;
        let fee = match self.rules.exchange {
            Exchange::Shared => fees.of(i, order.side, (maker, forced), (px, qty), moment.at_ns),
            Exchange::NoPartial | Exchange::Partial => fees.of_peer(i, maker, (px, qty), moment.at_ns),
        };
        report.fill = Some(Fill {
            order_id: order.id,
            tag: order.tag,
            instrument: order.instrument,
            side: order.side,
            px,
            qty,
            maker,
            fee_e18: fee.amount_e18,
            fee_in_base: fee.in_base,
            ts_event_ns: moment.at_ns,
            ts_recv_ns: 0,
            ahead_qty: if maker { order.ahead_at_fill } else { 0 },
            cause_pos: moment.pos,
            marks: order.way.met(quote, moment.at_ns, order.qty, print_median_qty),
        });
        order.resting &= !done;
        self.moved(instrument, bought);
        if let Some(funds) = &mut self.funds {
            funds.filled(i, side, (px, qty), fee);
        }
        self.remember(instrument, bought, moment.at_ns);
        self.send(report, moment, i);
        done
    }

    fn send(&mut self, report: Report, moment: Moment, i: &Instrument) {
        let response_ns = self.rules.latency.response_ns(i.venue, report.instrument, moment.at_ns);
        let at_ns = moment.at_ns.saturating_add(response_ns).max(moment.known_ns);
        self.reports.send(report.instrument, at_ns, report);
    }

    /// Orders of one side that rest at an instrument, best for the taker first, the earlier one first at one price.
    pub fn resting(&self, instrument: u16, side: Side, reaches: impl Fn(i64) -> bool) -> Vec<usize> {
        let hit = |o: &Order| o.resting && o.instrument == instrument && o.side == side && reaches(o.venue_px);
        let mut found: Vec<usize> = (0..self.orders.len()).filter(|&at| hit(&self.orders[at])).collect();
        found.sort_by_key(|&at| (-self.orders[at].venue_px * side.sign(), self.orders[at].id));
        found
    }
}

pub(super) fn news(order: &Order, kind: ReportKind, reason: Reason, pos: u64) -> Report {
    Report {
        order_id: order.id,
        tag: order.tag,
        instrument: order.instrument,
        side: order.side,
        px: order.venue_px,
        qty: order.venue_qty,
        leaves: order.venue_leaves,
        kind,
        reason,
        ts_ns: 0,
        cause_pos: pos,
        fill: None,
    }
}
