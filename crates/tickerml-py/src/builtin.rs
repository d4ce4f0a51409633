//! The built-in grid: a session driven without Python. For benches, and for the test that compares it with the policy `grid`;
//! there is no risk and no portfolio here, and no command reaches it.
use crate::errors;
use crate::session::Session;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tickerml_core::grid::Grid;

/// Runs a session of one instrument over a recording to its end with the rule of the policy `grid`. Returns the position that its
/// fills made, scaled; counts and the digest are the session's.
///
/// `half_spread_ticks` and `interval_ticks` are in ticks, `qty` and `position_max` in 10^-`qty_precision` of the base. Each view's
/// answer carries the position after it, 8 bytes little-endian, where a portfolio's state would be.
#[pyfunction]
#[pyo3(signature = (session, *, levels, half_spread_ticks, interval_ticks, qty, position_max))]
fn run_grid(
    py: Python<'_>,
    session: &mut Session,
    levels: u32,
    half_spread_ticks: i64,
    interval_ticks: i64,
    qty: i64,
    position_max: i64,
) -> PyResult<i64> {
    let [line] = session.core.market.lines.as_slice() else {
        return Err(PyValueError::new_err("the built-in grid trades one instrument"));
    };
    let scaled = |ticks: i64| ticks.saturating_mul(line.instrument.tick);
    let (half_spread, interval) = (scaled(half_spread_ticks), scaled(interval_ticks));
    let mut grid = Grid::new(levels, half_spread, interval, qty, position_max).map_err(errors::core)?;
    let mut requests = Vec::new();
    session.drive(py, |core| {
        grid.decide(core.view(), &mut requests);
        core.submit(&requests, std::iter::empty(), &grid.position().to_le_bytes())?;
        Ok(())
    })?;
    Ok(grid.position())
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(run_grid, m)?)
}
