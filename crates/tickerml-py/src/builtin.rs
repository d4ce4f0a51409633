//! The built-in grid: a session driven without Python, but for the views on which money moved. `backtest --builtin` and the benches
//! use it. There is no risk here: it is for profiles whose limits do not bind.
use crate::errors;
use crate::session::Session;
use crate::view::View;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tickerml_core::grid::Grid;
use tickerml_core::session::{View as CoreView, ViewCause};

/// Runs a session of one instrument over a recording to its end with the rule of the policy `grid`. Returns the position that its
/// fills made, scaled, and the last view, None where `look` saw that one; counts and the digest are the session's.
///
/// `half_spread_ticks` and `interval_ticks` are in ticks, `qty` and `position_max` in 10^-`qty_precision` of the base. `look` is
/// called with the first view and with each that brings a fill or a settlement, and gives the portfolio's state: the answer to that
/// view and to those after it carries it. Without `look` each carries the position, 8 bytes little-endian.
#[pyfunction]
#[pyo3(signature = (session, *, levels, half_spread_ticks, interval_ticks, qty, position_max, look = None))]
fn run_grid(
    py: Python<'_>,
    session: &mut Session,
    levels: u32,
    half_spread_ticks: i64,
    interval_ticks: i64,
    qty: i64,
    position_max: i64,
    look: Option<&Bound<'_, PyAny>>,
) -> PyResult<(i64, Option<Py<View>>)> {
    let [line] = session.core.market.lines.as_slice() else {
        return Err(PyValueError::new_err("the built-in grid trades one instrument"));
    };
    let scaled = |ticks: i64| ticks.saturating_mul(line.instrument.tick);
    let (half_spread, interval) = (scaled(half_spread_ticks), scaled(interval_ticks));
    let mut grid = Grid::new(levels, half_spread, interval, qty, position_max).map_err(errors::core)?;
    let (mut requests, mut state) = (Vec::new(), Vec::new());
    let (shows, mut looked) = (look.is_some(), false);
    while session.drive(py, |core| {
        grid.decide(core.view(), &mut requests);
        if !shows {
            state.clear();
            state.extend_from_slice(&grid.position().to_le_bytes());
        } else if state.is_empty() || moves_money(core.view()) {
            return Ok(false);
        }
        looked = false;
        core.submit(&requests, std::iter::empty(), &state)?;
        Ok(true)
    })? {
        let given = look.expect("views are left only for it").call1((session.shown(py)?,))?;
        state = given.cast_into::<PyBytes>()?.as_bytes().to_vec();
        session.core.submit(&requests, std::iter::empty(), &state).map_err(errors::core)?;
        looked = true;
    }
    let last = if looked || session.core.stats.views == 0 { None } else { Some(session.shown(py)?) };
    Ok((grid.position(), last))
}

fn moves_money(view: &CoreView) -> bool {
    view.cause == ViewCause::Stop || !view.funding.is_empty() || view.reports.iter().any(|report| report.fill.is_some())
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(run_grid, m)?)
}
