//! Rows of events on their way from a tape, or from NumPy, to an event file.
use crate::errors;
use numpy::{Element, IntoPyArray, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use tickerml_core::error::Error;
use tickerml_core::event::{Message, Row};
use tickerml_core::event_set::Columns;
use tickerml_feed::event_file::EventFile;
use tickerml_feed::store::file_sha256;

/// Columns of one instrument that wait to be handed over.
#[derive(Default)]
pub struct Pending {
    pos: Vec<i64>,
    ts_recv_ns: Vec<i64>,
    ts_event_ns: Vec<i64>,
    kind: Vec<u8>,
    px: Vec<i64>,
    qty: Vec<i64>,
    flags: Vec<u8>,
}

impl Pending {
    /// Rows.
    pub const fn len(&self) -> usize {
        self.pos.len()
    }

    /// Whether it has no rows.
    pub const fn is_empty(&self) -> bool {
        self.pos.is_empty()
    }

    /// Adds the rows of a message.
    #[inline]
    pub fn push(&mut self, message: &Message, rows: &[Row]) {
        let n = self.pos.len() + rows.len();
        self.pos.resize(n, message.pos as i64);
        self.ts_recv_ns.resize(n, message.ts_recv_ns);
        self.ts_event_ns.resize(n, message.ts_event_ns);
        self.kind.extend(rows.iter().map(|row| row.kind_u8()));
        self.px.extend(rows.iter().map(|row| row.px()));
        self.qty.extend(rows.iter().map(|row| row.qty));
        self.flags.extend(rows.iter().map(|row| row.flags()));
    }

    /// The columns as NumPy arrays by name.
    pub fn into_columns(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let columns = PyDict::new(py);
        columns.set_item("pos", self.pos.into_pyarray(py))?;
        columns.set_item("ts_recv_ns", self.ts_recv_ns.into_pyarray(py))?;
        columns.set_item("ts_event_ns", self.ts_event_ns.into_pyarray(py))?;
        columns.set_item("kind", self.kind.into_pyarray(py))?;
        columns.set_item("px", self.px.into_pyarray(py))?;
        columns.set_item("qty", self.qty.into_pyarray(py))?;
        columns.set_item("flags", self.flags.into_pyarray(py))?;
        Ok(columns)
    }
}

/// Rows of one instrument, segment and day.
#[pyclass(module = "tickerml._native")]
pub struct EventRows(pub Pending);

#[pymethods]
impl EventRows {
    /// Copies NumPy columns by name.
    #[new]
    fn new(columns: &Bound<'_, PyDict>) -> PyResult<EventRows> {
        Ok(EventRows(Pending {
            pos: column(columns, "pos")?,
            ts_recv_ns: column(columns, "ts_recv_ns")?,
            ts_event_ns: column(columns, "ts_event_ns")?,
            kind: column(columns, "kind")?,
            px: column(columns, "px")?,
            qty: column(columns, "qty")?,
            flags: column(columns, "flags")?,
        }))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Arrival of the first row, ns; 0 without rows.
    #[getter]
    fn first_ns(&self) -> i64 {
        self.0.ts_recv_ns.first().copied().unwrap_or(0)
    }

    /// Arrival of the last row, ns; 0 without rows.
    #[getter]
    fn last_ns(&self) -> i64 {
        self.0.ts_recv_ns.last().copied().unwrap_or(0)
    }
}

fn column<T: Element + Copy>(columns: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<T>> {
    let found = columns.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    let array: PyReadonlyArray1<'_, T> = found.extract()?;
    array.to_vec().map_err(Into::into)
}

/// An event file being written beside its place.
#[pyclass(module = "tickerml._native")]
pub struct EventWriter(Option<EventFile>);

#[pymethods]
impl EventWriter {
    #[new]
    fn new(path: PathBuf, group_rows: usize) -> PyResult<EventWriter> {
        EventFile::create(&path, group_rows).map(|file| EventWriter(Some(file))).map_err(errors::store)
    }

    /// Adds rows, which follow those before in time.
    fn add(&mut self, py: Python<'_>, rows: &EventRows) -> PyResult<()> {
        let file = self.0.as_mut().ok_or_else(closed)?;
        let p = &rows.0;
        let columns = Columns {
            pos: &p.pos,
            ts_recv_ns: &p.ts_recv_ns,
            ts_event_ns: &p.ts_event_ns,
            kind: &p.kind,
            px: &p.px,
            qty: &p.qty,
            flags: &p.flags,
        };
        py.detach(|| file.push(columns)).map_err(errors::store)
    }

    /// Ends the file with its metadata; it is on disk when this returns.
    fn finish(&mut self, py: Python<'_>, metadata: Vec<(String, String)>) -> PyResult<()> {
        let file = self.0.take().ok_or_else(closed)?;
        py.detach(|| file.finish(&metadata)).map_err(errors::store)
    }

    /// Closes a file that is not wanted.
    fn close(&mut self) {
        self.0 = None;
    }
}

fn closed() -> PyErr {
    errors::core(Error::Invariant("an event file that is closed takes nothing".to_owned()))
}

/// SHA-256 of a file, as hexadecimal text.
#[pyfunction]
#[pyo3(name = "file_sha256")]
fn file_sha256_py(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| file_sha256(&path)).map_err(errors::store)
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<EventRows>()?;
    m.add_class::<EventWriter>()?;
    m.add_function(wrap_pyfunction!(file_sha256_py, m)?)
}
