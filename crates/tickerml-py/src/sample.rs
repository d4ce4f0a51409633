//! Books at given venue times, for marking fills afterwards.
use crate::errors;
use crate::events::Events;
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tickerml_core::session::Settings;
use tickerml_core::sim;

/// Best prices and quantities of an instrument at the venue times `times_ns`, which must not go back.
///
/// `files` (here any iterable) and `settings` are those of `Session.backtest`. Returns int64 arrays of the length of `times_ns`: bid_px, ask_px,
/// bid_qty, ask_qty (scaled; -2^63 and 0 where nothing stands), and stretch: the number of the time during which the book was Live
/// without a break, 0 where it was not and outside of the input.
#[pyfunction]
fn quotes_at<'py>(
    py: Python<'py>,
    files: &Bound<'py, PyAny>,
    settings: &str,
    instrument: &str,
    times_ns: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyDict>> {
    let rules = Settings::from_json(settings, None).map_err(errors::core)?.rules;
    let times = times_ns.as_slice()?;
    if !times.is_sorted() {
        return Err(PyValueError::new_err("times_ns goes back"));
    }
    let events = Events::of(py, files)?;
    let (set, market) = events.get().parts();
    let index = market.iter().position(|i| i.id() == instrument).ok_or_else(|| {
        let known: Vec<_> = market.iter().map(tickerml_core::instrument::Instrument::id).collect();
        errors::not_found(&format!("{instrument}: not among these events, which are of {}", known.join(", ")))
    })?;
    let samples = py.detach(|| sim::quotes_at(&set, index as u16, rules.clock, rules.base_latency_ns, times));
    let columns = PyDict::new(py);
    let column = |name: &str, pick: fn(&sim::Sample) -> i64| {
        columns.set_item(name, samples.iter().map(pick).collect::<Vec<_>>().into_pyarray(py))
    };
    column("bid_px", |s| s.quote.bid_px)?;
    column("ask_px", |s| s.quote.ask_px)?;
    column("bid_qty", |s| s.quote.bid_qty)?;
    column("ask_qty", |s| s.quote.ask_qty)?;
    column("stretch", |s| s.stretch.into())?;
    Ok(columns)
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(quotes_at, m)?)
}
