//! How right the fills are: the market of the truth, order-by-order books, and the curve of the queue model `fitted`.
use crate::errors;
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tickerml_core::l3::{self, L3Event, L3Kind};
use tickerml_core::sim::{QueueFit, Side};
use tickerml_venue::truth::{self, Asked};

/// Follows orders in true queues and scores every queue model; `asked_json` is described in `tickerml_venue::truth::Asked`.
/// Returns a JSON object, `tickerml_venue::truth::Report`.
#[pyfunction]
fn execution_truth(py: Python<'_>, asked_json: &str) -> PyResult<String> {
    let asked = Asked::from_json(asked_json).map_err(errors::venue)?;
    let report = py.detach(|| truth::run(&asked)).map_err(errors::venue)?;
    serde_json::to_string(&report).map_err(|e| errors::failure(&e.to_string()))
}

/// Measures the curve of `fitted` in the market of the truth. Returns JSON with `share`, `observations`, `error` and
/// `end_ns`, the market's last time.
#[pyfunction]
fn queue_fit_loopback(py: Python<'_>, asked_json: &str) -> PyResult<String> {
    let asked = Asked::from_json(asked_json).map_err(errors::venue)?;
    let (fit, end_ns) = py.detach(|| truth::fit(&asked));
    Ok(fit_json(&fit, end_ns))
}

/// Measures it from order-by-order events: arrays of one length, in the order of the feed. `kind` is 1 opened, 2 filled,
/// 3 cancelled by `qty`; `side` 1 or -1; every level is looked at each `look_ns`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "columns")]
fn queue_fit_l3(
    py: Python<'_>,
    ts_ns: PyReadonlyArray1<'_, i64>,
    kind: PyReadonlyArray1<'_, u8>,
    id: PyReadonlyArray1<'_, u64>,
    side: PyReadonlyArray1<'_, i8>,
    px: PyReadonlyArray1<'_, i64>,
    qty: PyReadonlyArray1<'_, i64>,
    look_ns: i64,
) -> PyResult<String> {
    let (ts, kind, id) = (ts_ns.as_slice()?, kind.as_slice()?, id.as_slice()?);
    let (side, px, qty) = (side.as_slice()?, px.as_slice()?, qty.as_slice()?);
    if look_ns <= 0 || [kind.len(), id.len(), side.len(), px.len(), qty.len()].iter().any(|len| *len != ts.len()) {
        return Err(PyValueError::new_err("columns of unequal lengths, or look_ns not above zero"));
    }
    let mut events = Vec::with_capacity(ts.len());
    for n in 0..ts.len() {
        let kind = L3Kind::from_u8(kind[n]).ok_or_else(|| PyValueError::new_err(format!("row {n}: unknown kind")))?;
        events.push(L3Event { ts_ns: ts[n], kind, id: id[n], side: side_of(side[n])?, px: px[n], qty: qty[n] });
    }
    let fit = py.detach(|| l3::fit_queue(events.into_iter(), look_ns));
    Ok(fit_json(&fit, ts.last().copied().unwrap_or(0)))
}

fn fit_json(fit: &QueueFit, end_ns: i64) -> String {
    let (share, observations, error) = (fit.share(), fit.observations, fit.error());
    serde_json::json!({"share": share, "observations": observations, "error": error, "end_ns": end_ns}).to_string()
}

fn side_of(side: i8) -> PyResult<Side> {
    Side::from_i8(side).ok_or_else(|| PyValueError::new_err("side is neither 1 nor -1"))
}

/// A book order by order: true places in the queues (the queue model `fifo`).
#[pyclass(module = "tickerml._native")]
struct L3Book(l3::L3Book);

#[pymethods]
impl L3Book {
    #[new]
    fn new() -> L3Book {
        L3Book(l3::L3Book::new())
    }

    /// An order goes to the end of its queue; with `before`, one from before the feed goes before greater ids.
    #[pyo3(signature = (order_id, side, px, qty, before = false))]
    fn open(&mut self, order_id: u64, side: i8, px: i64, qty: i64, before: bool) -> PyResult<bool> {
        let side = side_of(side)?;
        Ok(if before { self.0.open_before(order_id, side, px, qty) } else { self.0.open(order_id, side, px, qty) })
    }

    /// `qty` of an order is gone. Returns the quantity that was ahead of it; None where it does not rest.
    fn reduce(&mut self, order_id: u64, qty: i64) -> Option<i64> {
        self.0.reduce(order_id, qty)
    }

    /// Quantity ahead of a resting order.
    fn ahead(&self, order_id: u64) -> Option<i64> {
        self.0.ahead_of(order_id)
    }

    /// What is left of a resting order.
    fn qty(&self, order_id: u64) -> Option<i64> {
        self.0.qty_of(order_id)
    }

    /// Orders at the price of this one, itself included.
    fn beside(&self, order_id: u64) -> Option<usize> {
        self.0.orders_beside(order_id)
    }

    /// Levels of a side, best first: (price, quantity).
    fn levels(&self, side: i8) -> PyResult<Vec<(i64, i64)>> {
        Ok(self.0.levels(side_of(side)?).collect())
    }
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<L3Book>()?;
    m.add_function(wrap_pyfunction!(execution_truth, m)?)?;
    m.add_function(wrap_pyfunction!(queue_fit_loopback, m)?)?;
    m.add_function(wrap_pyfunction!(queue_fit_l3, m)?)
}
