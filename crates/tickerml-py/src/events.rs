//! Event files in memory: read once, then the input of any number of sessions.
use crate::errors;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;
use tickerml_core::event_set::{Columns, EventSet};
use tickerml_core::instrument::{Instrument, MetadataSource, parse_id};

/// The rows of some event files in their order, 16 bytes each and a header a message. They never change: sessions share them, and
/// so do processes that are forked off.
#[pyclass(module = "tickerml._native", frozen)]
pub struct Events {
    set: Arc<EventSet>,
    market: Vec<Instrument>,
}

#[pymethods]
impl Events {
    /// Reads `files`: an iterable of (instrument JSON, pos, ts_recv_ns, ts_event_ns, kind, px, qty, flags).
    #[new]
    fn new(py: Python<'_>, files: &Bound<'_, PyAny>) -> PyResult<Events> {
        let mut set = EventSet::default();
        let mut market = Vec::new();
        for file in files.try_iter()? {
            let index = push_file(&mut set, &mut market, file?.cast::<PyTuple>()?)?;
            debug_assert!(index < market.len());
        }
        py.detach(|| set.sort());
        Ok(Events { set: Arc::new(set), market })
    }

    fn __len__(&self) -> usize {
        self.set.len()
    }

    /// Bytes in memory.
    #[getter]
    fn bytes(&self) -> usize {
        self.set.bytes()
    }

    /// Stamps of the first and the last message, ns; None without one.
    #[getter]
    fn span(&self) -> Option<(i64, i64)> {
        let messages = self.set.messages();
        Some((messages.first()?.ts_recv_ns, messages.last()?.ts_recv_ns))
    }
}

impl Events {
    /// `files` itself where it is one, else made of it.
    pub fn of<'py>(py: Python<'py>, files: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Events>> {
        match files.cast::<Events>() {
            Ok(events) => Ok(events.clone()),
            Err(_) => Bound::new(py, Events::new(py, files)?),
        }
    }

    /// The rows, and the instruments by their index.
    pub fn parts(&self) -> (Arc<EventSet>, Vec<Instrument>) {
        (Arc::clone(&self.set), self.market.clone())
    }
}

/// Adds one event file; returns the index of its instrument.
fn push_file(set: &mut EventSet, market: &mut Vec<Instrument>, file: &Bound<'_, PyTuple>) -> PyResult<usize> {
    let json: String = file.get_item(0)?.extract()?;
    let instrument: Instrument = serde_json::from_str(&json)
        .map_err(|e| errors::unsound(&format!("event file: its instrument cannot be read: {e}")))?;
    let index = match market.iter().position(|i| i.id() == instrument.id()) {
        Some(index) if market[index] == instrument => index,
        Some(_) => {
            return Err(errors::unsound(&format!("{}: event files disagree about its metadata", instrument.id())));
        }
        None => {
            market.push(instrument);
            market.len() - 1
        }
    };
    let long = |n: usize| file.get_item(n)?.extract::<PyReadonlyArray1<'_, i64>>();
    let byte = |n: usize| file.get_item(n)?.extract::<PyReadonlyArray1<'_, u8>>();
    let (pos, recv, event, px, qty) = (long(1)?, long(2)?, long(3)?, long(5)?, long(6)?);
    let (kind, flags) = (byte(4)?, byte(7)?);
    set.push(
        index as u16,
        Columns {
            pos: pos.as_slice()?,
            ts_recv_ns: recv.as_slice()?,
            ts_event_ns: event.as_slice()?,
            kind: kind.as_slice()?,
            px: px.as_slice()?,
            qty: qty.as_slice()?,
            flags: flags.as_slice()?,
        },
    )
    .map_err(errors::core)?;
    Ok(index)
}

/// The JSON of an instrument whose steps were given by hand: what event files without a tape say of it.
///
/// # Errors
/// `ConfigError` for a step that is no positive decimal, `NotFoundError` for an unknown venue.
#[pyfunction]
fn instrument_json(instrument: &str, tick: &str, lot: &str, min_notional: &str) -> PyResult<String> {
    let (venue, symbol) = parse_id(instrument).map_err(errors::core)?;
    let mut made = Instrument::from_steps(venue, &symbol, tick, lot, MetadataSource::Given).map_err(errors::core)?;
    min_notional.clone_into(&mut made.min_notional);
    Ok(serde_json::json!(made).to_string())
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Events>()?;
    m.add_function(wrap_pyfunction!(instrument_json, m)?)
}
