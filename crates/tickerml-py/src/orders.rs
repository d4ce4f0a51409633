//! Own orders, fills and news as Python sees them, and intents as Rust reads them.
use crate::errors;
use pyo3::prelude::*;
use pyo3::types::{PySequence, PyTuple};
use tickerml_core::market::Gap as CoreGap;
use tickerml_core::sim::{self, Known, OrderKind, Request, Side};

/// An own order that has not ended.
#[derive(Clone, Copy, PartialEq)]
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct Order {
    order_id: u64,
    tag: i64,
    instrument: u16,
    side: i8,
    px: i64,
    qty: i64,
    leaves: i64,
    reduce_only: bool,
    state: &'static str,
    ahead_qty: i64,
    /// The same where no cancel was ahead of it.
    ahead_late_qty: i64,
    /// The same where every cancel was.
    ahead_early_qty: i64,
}

impl From<&sim::Order> for Order {
    fn from(o: &sim::Order) -> Self {
        let (late, early) = o.shadows_known();
        Order {
            order_id: o.id,
            tag: o.tag,
            instrument: o.instrument,
            side: o.side as i8,
            px: o.px,
            qty: o.qty,
            leaves: o.leaves,
            reduce_only: o.reduce_only,
            state: match o.known {
                Known::Pending => "pending",
                Known::Resting => "resting",
                Known::Cancelling => "cancelling",
                Known::Amending => "amending",
            },
            ahead_qty: known_or_less(o.ahead_known()),
            ahead_late_qty: known_or_less(late),
            ahead_early_qty: known_or_less(early),
        }
    }
}

/// A quantity ahead; -1 where nobody knows.
fn known_or_less(ahead: i64) -> i64 {
    if ahead == sim::AHEAD_UNKNOWN { -1 } else { ahead }
}

/// Our execution.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct Fill {
    order_id: u64,
    tag: i64,
    instrument: u16,
    side: i8,
    px: i64,
    qty: i64,
    maker: bool,
    fee_e18: i128,
    fee_in_base: bool,
    ts_event_ns: i64,
    ts_recv_ns: i64,
    ahead_qty: i64,
    cause_pos: u64,
    n: u32,
    decision_mid2: i64,
    arrival_mid2: i64,
    bid_px: i64,
    ask_px: i64,
    bid_qty: i64,
    ask_qty: i64,
    age_ns: i64,
    order_qty: i64,
    placed_ahead_qty: i64,
    print_median_qty: i64,
    volume_qty: i64,
}

impl Fill {
    /// The `n`th fill of its view.
    pub fn new(f: &sim::Fill, n: u32) -> Self {
        let sim::Marks { quote, .. } = f.marks;
        Fill {
            order_id: f.order_id,
            tag: f.tag,
            instrument: f.instrument,
            side: f.side as i8,
            px: f.px,
            qty: f.qty,
            maker: f.maker,
            fee_e18: f.fee_e18,
            fee_in_base: f.fee_in_base,
            ts_event_ns: f.ts_event_ns,
            ts_recv_ns: f.ts_recv_ns,
            ahead_qty: known_or_less(f.ahead_qty),
            cause_pos: f.cause_pos,
            n,
            decision_mid2: f.marks.decision_mid2,
            arrival_mid2: f.marks.arrival_mid2,
            bid_px: quote.bid_px,
            ask_px: quote.ask_px,
            bid_qty: quote.bid_qty,
            ask_qty: quote.ask_qty,
            age_ns: f.marks.age_ns,
            order_qty: f.marks.order_qty,
            placed_ahead_qty: known_or_less(f.marks.placed_ahead_qty),
            print_median_qty: f.marks.print_median_qty,
            volume_qty: f.marks.volume_qty,
        }
    }
}

/// What the venue said about an own order.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct Report {
    order_id: u64,
    tag: i64,
    instrument: u16,
    side: i8,
    px: i64,
    qty: i64,
    leaves: i64,
    kind: &'static str,
    reason: &'static str,
    ts_ns: i64,
    cause_pos: u64,
}

impl From<&sim::Report> for Report {
    fn from(r: &sim::Report) -> Self {
        Report {
            order_id: r.order_id,
            tag: r.tag,
            instrument: r.instrument,
            side: r.side as i8,
            px: r.px,
            qty: r.qty,
            leaves: r.leaves,
            kind: r.kind.name(),
            reason: r.reason.name(),
            ts_ns: r.ts_ns,
            cause_pos: r.cause_pos,
        }
    }
}

/// A span without a true book.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct Gap {
    instrument: u16,
    from_ts_ns: i64,
    to_ts_ns: i64,
    cause: &'static str,
}

impl From<&CoreGap> for Gap {
    fn from(g: &CoreGap) -> Self {
        Gap { instrument: g.instrument, from_ts_ns: g.from_ts_ns, to_ts_ns: g.to_ts_ns, cause: g.cause.name() }
    }
}

/// A settlement of funding, or one whose rate nobody knows.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct Funding {
    instrument: u16,
    ts_ns: i64,
    qty: i64,
    mark_e8: i64,
    rate_e12: Option<i64>,
    correction: bool,
    resolves: bool,
}

impl From<&sim::Settlement> for Funding {
    fn from(s: &sim::Settlement) -> Self {
        let sim::Settlement { instrument, ts_ns, qty, mark_e8, rate_e12, correction, resolves } = *s;
        Funding { instrument, ts_ns, qty, mark_e8, rate_e12, correction, resolves }
    }
}

/// A tuple of Python objects made from a slice.
pub fn tuple_of<T, P>(py: Python<'_>, items: &[T], make: impl Fn(usize, &T) -> P) -> PyResult<Py<PyTuple>>
where
    P: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Into<PyClassInitializer<P>>,
{
    let objects = items.iter().enumerate().map(|(n, item)| Py::new(py, make(n, item))).collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, objects)?.unbind())
}

/// Reads intents: tuples (kind, instrument, side, px, qty, tag, order_id), and reduce_only where it is given.
pub fn requests(approved: &Bound<'_, PySequence>, instruments: usize) -> PyResult<Vec<Request>> {
    let count = approved.len()?;
    let mut requests = Vec::with_capacity(count);
    for n in 0..count {
        let intent = approved.get_item(n)?;
        requests.push(request(intent.cast::<PyTuple>()?, instruments)?);
    }
    Ok(requests)
}

fn request(intent: &Bound<'_, PyTuple>, instruments: usize) -> PyResult<Request> {
    let bad = |what: &str| errors::unsound(&format!("intent {intent}: {what}"));
    let kind: u8 = intent.get_item(0)?.extract()?;
    match kind {
        sim::CANCEL => return Ok(Request::Cancel { order_id: intent.get_item(6)?.extract()? }),
        sim::AMEND => {
            let (order_id, px) = (intent.get_item(6)?.extract()?, intent.get_item(3)?.extract()?);
            return Ok(Request::Amend { order_id, px, qty: intent.get_item(4)?.extract()? });
        }
        _ => {}
    }
    let instrument: u16 = intent.get_item(1)?.extract()?;
    if usize::from(instrument) >= instruments {
        return Err(bad("no such instrument"));
    }
    if kind == sim::CANCEL_ALL {
        return Ok(Request::CancelAll { instrument });
    }
    Ok(Request::New {
        instrument,
        kind: OrderKind::from_u8(kind).ok_or_else(|| bad("unknown kind"))?,
        side: Side::from_i8(intent.get_item(2)?.extract()?).ok_or_else(|| bad("side is neither 1 nor -1"))?,
        px: intent.get_item(3)?.extract()?,
        qty: intent.get_item(4)?.extract()?,
        tag: intent.get_item(5)?.extract()?,
        reduce_only: intent.len() > 7 && intent.get_item(7)?.extract()?,
    })
}
