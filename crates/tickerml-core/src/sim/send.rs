//! Requests on their way out: an order is made, or marked with what was asked of it, and the request gets its arrival time.
use super::Sim;
use super::desk::{Desk, Exchange, news};
use super::latency::Entry;
use super::marks::{Quote, Way};
use super::order::{Known, Order, OrderKind, Side};
use super::queue::Place;
use super::rate::counts_amends;
use super::report::{Reason, Report, ReportKind};
use super::request::{Asked, Request, Sent};
use crate::instrument::Venue;
use crate::market::Line;
use crate::units::POW10;

impl Sim {
    /// Sends a request at `sent_ns`; `pos` is the last record consumed. Returns the id of the order that it makes or names, 0 for
    /// none.
    pub fn send(&mut self, request: Request, sent_ns: i64, lines: &[Line], pos: u64) -> u64 {
        let (id, instrument, asked) = match request {
            Request::New { instrument, kind, side, px, qty, tag, reduce_only } => {
                let line = lines.get(usize::from(instrument));
                let precision = line.map_or(0, |l| l.instrument.qty_precision);
                let seen = line.filter(|l| l.is_live()).map_or(Quote::NONE, |l| Quote::of(&l.book));
                let id = self.next_order_id;
                self.next_order_id += 1;
                let way = Way::decided(seen);
                let order = made(id, instrument, (kind, side, px, qty), (tag, reduce_only), precision, way);
                self.desk.orders.push(order);
                if let Some((funds, line)) = self.desk.funds.as_mut().zip(line) {
                    funds.know(instrument, &line.instrument);
                }
                (id, instrument, Asked::New)
            }
            Request::CancelAll { instrument } => {
                self.desk
                    .orders
                    .iter_mut()
                    .filter(|o| o.instrument == instrument)
                    .for_each(|o| o.known = Known::Cancelling);
                (0, instrument, Asked::CancelAll)
            }
            Request::Cancel { order_id } => match self.desk.find(order_id) {
                Some(at) => {
                    let order = &mut self.desk.orders[at];
                    order.known = Known::Cancelling;
                    (order_id, order.instrument, Asked::Cancel(too_late(order, ReportKind::CancelRejected)))
                }
                // It has ended: its report says so better than the venue's refusal would.
                None => return order_id,
            },
            Request::Amend { order_id, px, qty } => match self.desk.find(order_id) {
                Some(at) => {
                    let order = &mut self.desk.orders[at];
                    order.amends += 1;
                    if order.known != Known::Cancelling {
                        order.known = Known::Amending;
                    }
                    let refusal = too_late(order, ReportKind::AmendRejected);
                    (order_id, order.instrument, Asked::Amend { px, qty, refusal })
                }
                None => return order_id,
            },
        };
        let Some(line) = lines.get(usize::from(instrument)) else { return id };
        let forced = matches!(request, Request::New { kind: OrderKind::Liquidation, .. });
        let entry = match forced {
            true => Entry::Arrives(0),
            false => self.desk.rules.latency.entry(line.instrument.venue, instrument, sent_ns),
        };
        match entry {
            Entry::Arrives(entry_ns) => {
                let at_ns = self.at(instrument).stand.arrival_ns(sent_ns.saturating_add(entry_ns));
                let too_many = !forced && self.is_one_too_many(&asked, line.instrument.venue, at_ns);
                let venue = self.at(instrument);
                if !venue.stand.is_awake() {
                    venue.wake(line);
                }
                venue.stand.send(Sent { at_ns, id, asked, too_many });
                self.find_due();
            }
            Entry::Refused(after_ns) => {
                turned_away(&mut self.desk, (id, instrument), &asked, sent_ns.saturating_add(after_ns), pos)
            }
        }
        id
    }
}

impl Sim {
    /// Counts what the venue counts.
    fn is_one_too_many(&mut self, asked: &Asked, venue: Venue, at_ns: i64) -> bool {
        let counts = match asked {
            Asked::New => true,
            Asked::Amend { .. } => counts_amends(venue),
            Asked::Cancel(_) | Asked::CancelAll => false,
        };
        counts && self.desk.rules.exchange == Exchange::Shared && !self.desk.rates.admits(venue, at_ns)
    }
}

/// A request reached nobody: the venue was down, and we hear of it at `at_ns`.
fn turned_away(desk: &mut Desk, (id, instrument): (u64, u16), asked: &Asked, at_ns: i64, pos: u64) {
    let kind = match asked {
        Asked::New => ReportKind::Rejected,
        Asked::Cancel(_) | Asked::CancelAll => ReportKind::CancelRejected,
        Asked::Amend { .. } => ReportKind::AmendRejected,
    };
    let named = |o: &&Order| o.instrument == instrument && (o.id == id || id == 0);
    for order in desk.orders.iter().filter(named) {
        desk.reports.send(instrument, at_ns, news(order, kind, Reason::Overload, pos));
    }
}

/// What is answered where the order has ended: by then we may know that and have forgotten it.
fn too_late(order: &Order, kind: ReportKind) -> Box<Report> {
    Box::new(Report { px: order.px, qty: order.qty, leaves: 0, ..news(order, kind, Reason::UnknownOrder, 0) })
}

fn made(
    id: u64,
    instrument: u16,
    (kind, side, px, qty): (OrderKind, Side, i64, i64),
    (tag, reduce_only): (i64, bool),
    qty_precision: u8,
    way: Way,
) -> Order {
    Order {
        id,
        tag,
        instrument,
        kind,
        side,
        reduce_only: reduce_only || kind == OrderKind::Liquidation,
        px,
        qty,
        leaves: qty,
        known: Known::Pending,
        accepted: false,
        amends: 0,
        venue_px: px,
        venue_qty: qty,
        venue_leaves: qty,
        resting: false,
        place: Place::behind(0.0),
        ahead_at_fill: 0,
        unit: POW10[usize::from(qty_precision)] as f64,
        way,
    }
}
