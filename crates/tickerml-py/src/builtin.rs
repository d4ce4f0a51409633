//! The built-in grid: a session driven without Python, but for the views on which money moved. `backtest --builtin` and the benches
//! use it. There is no risk here: it is for profiles whose limits do not bind.
use crate::errors;
use crate::session::Session;
use crate::view::View;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tickerml_core::event::BookState;
use tickerml_core::grid::Grid;
use tickerml_core::session::{View as CoreView, ViewCause};
use tickerml_core::units::UNDEF_PX;

/// Longest tape time without a look, ns: that of the sinks' own.
const LOOK_NS: i64 = 60_000_000_000;

/// What the grid rests: orders a side, distances in ticks, and quantities in 10^-`qty_precision` of the base.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Ladder {
    levels: u32,
    half_spread_ticks: i64,
    interval_ticks: i64,
    qty: i64,
    position_max: i64,
}

/// What the run ended with: the position that its fills made, scaled; the last view and the mid before it, None where `look` saw
/// that view.
type Ended = (i64, Option<(Py<View>, Option<i64>)>);

/// Runs a session of one instrument over a recording to its end with the rule of the policy `grid`. Counts and the digest are the
/// session's.
///
/// `ladder` is a dict of [`Ladder`]. `look` is called with the first view, with each that brings a fill or a settlement, and once a
/// minute, and with twice the last mid of a Live book at which something was held since it was called before (None for none): what
/// a portfolio that sees every view would be marked to. It gives the portfolio's state: the answer to that view and to those after
/// it carries it. Without `look` each carries the position, 8 bytes little-endian.
#[pyfunction]
#[pyo3(signature = (session, ladder, look = None))]
fn run_grid(py: Python<'_>, session: &mut Session, ladder: Ladder, look: Option<&Bound<'_, PyAny>>) -> PyResult<Ended> {
    let [line] = session.core.market.lines.as_slice() else {
        return Err(PyValueError::new_err("the built-in grid trades one instrument"));
    };
    let scaled = |ticks: i64| ticks.saturating_mul(line.instrument.tick);
    let (half_spread, interval) = (scaled(ladder.half_spread_ticks), scaled(ladder.interval_ticks));
    let mut grid =
        Grid::new(ladder.levels, half_spread, interval, ladder.qty, ladder.position_max).map_err(errors::core)?;
    let (mut requests, mut state) = (Vec::new(), Vec::new());
    let (shows, mut looked, mut due_ns, mut mid2) = (look.is_some(), false, i64::MIN, None);
    while session.drive(py, |core| {
        let view = core.view();
        grid.decide(view, &mut requests);
        if !shows {
            state.clear();
            state.extend_from_slice(&grid.position().to_le_bytes());
        } else if view.ts_ns >= due_ns || moves_money(view) {
            due_ns = view.ts_ns.saturating_add(LOOK_NS);
            return Ok(false);
        } else if grid.position() != 0 {
            mid2 = live_mid2(view).or(mid2);
        }
        looked = false;
        core.submit(&requests, std::iter::empty(), &state)?;
        Ok(true)
    })? {
        let given = look.expect("views are left only for it").call1((session.shown(py)?, mid2.take()))?;
        state = given.cast_into::<PyBytes>()?.as_bytes().to_vec();
        session.core.submit(&requests, std::iter::empty(), &state).map_err(errors::core)?;
        looked = true;
    }
    let last = if looked || session.core.stats.views == 0 { None } else { Some((session.shown(py)?, mid2)) };
    Ok((grid.position(), last))
}

fn moves_money(view: &CoreView) -> bool {
    view.cause == ViewCause::Stop || !view.funding.is_empty() || view.reports.iter().any(|report| report.fill.is_some())
}

/// Twice the mid of the one instrument; none unless its book is Live.
fn live_mid2(view: &CoreView) -> Option<i64> {
    let seen = &view.seen[0];
    let (bid, ask) = (seen.top[0][0].0, seen.top[1][0].0);
    (seen.state == BookState::Live && bid != UNDEF_PX && ask != UNDEF_PX).then(|| bid + ask)
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(run_grid, m)?)
}
