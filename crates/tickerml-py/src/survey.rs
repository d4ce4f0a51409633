//! What a tape holds: its instruments' counts, a book at a moment, its events as columns.
use crate::errors;
use crate::rows::{EventRows, Pending};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;
use std::path::PathBuf;
use tickerml_core::event::{Message, Row, RowKind, flag};
use tickerml_core::market::{BooksOnly, Line, Market, Survey, Visitor};
use tickerml_core::session::{Input, Item, Peek};
use tickerml_core::sim::Prints;
use tickerml_core::tape::RecordKind;
use tickerml_core::units::format_decimal;
use tickerml_feed::reader::{TapeInput, TapeReader};

/// Reads a tape through a market, one record at a time.
struct Pass {
    input: TapeInput,
    market: Market,
    last_ns: i64,
}

impl Pass {
    fn open(path: &std::path::Path) -> PyResult<Pass> {
        let reader = TapeReader::open(path).map_err(errors::store)?;
        Ok(Pass { input: TapeInput::new(reader), market: Market::new(), last_ns: i64::MIN })
    }

    /// One item; false at the end, or where the next one is stamped later than `until_ns`.
    fn step<V: Visitor>(&mut self, until_ns: i64, visitor: &mut V) -> tickerml_core::error::Result<bool> {
        match self.input.peek()? {
            Peek::Item(Item::Record(record)) => {
                if record.ts_recv_ns > until_ns {
                    return Ok(false);
                }
                self.last_ns = record.ts_recv_ns;
                self.market.record(&record, visitor)?;
            }
            Peek::Item(Item::Damage(ts_ns)) => self.market.damaged(ts_ns, visitor),
            Peek::Item(Item::Message(..)) => {}
            Peek::Wait | Peek::End => return Ok(false),
        }
        self.input.pop();
        Ok(true)
    }
}

/// The market part of `data verify`, as JSON: instruments, streams, counts.
#[pyfunction]
fn tape_market(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| {
        let mut pass = Pass::open(&path)?;
        let mut survey = Survey::new();
        while pass.step(i64::MAX, &mut survey).map_err(errors::core)? {}
        Ok(market_report(&mut pass, &mut survey).to_string())
    })
}

fn market_report(pass: &mut Pass, survey: &mut Survey) -> serde_json::Value {
    let (instruments, streams) = survey.report(&mut pass.market, pass.last_ns);
    let stats = &pass.market.stats;
    json!({
        "instruments": instruments,
        "streams": streams,
        "frames": stats.frames,
        "bytes": stats.frame_bytes,
        "unknown_frames": stats.unknown_frames,
        "bad_frames": stats.bad_frames,
        "venue_errors": stats.venue_errors,
        "rest_failures": stats.rest_failures,
        "disconnects": stats.disconnects,
        "missing_records": pass.input.reader().missing(),
    })
}

/// A book as it was at `at_ns` (the end where none), as JSON in the keys of `data book`, and beside them the instrument's metadata
/// and what was printed in the five minutes before, by arrival.
#[pyfunction]
#[pyo3(signature = (path, instrument, at_ns = None, depth = 10))]
fn tape_book(py: Python<'_>, path: PathBuf, instrument: &str, at_ns: Option<i64>, depth: usize) -> PyResult<String> {
    py.detach(|| {
        let mut pass = Pass::open(&path)?;
        let mut printed = Printed::default();
        while pass.step(at_ns.unwrap_or(i64::MAX), &mut printed).map_err(errors::core)? {}
        let index = pass.market.index_of(instrument).ok_or_else(|| {
            let known: Vec<_> = pass.market.lines.iter().map(|line| line.instrument.id()).collect();
            errors::not_found(&format!("{instrument}: not on this tape, which has {}", known.join(", ")))
        })?;
        let line = &pass.market.lines[index];
        let i = &line.instrument;
        let text = |(px, qty): (i64, i64)| {
            [format_decimal(px.into(), i.price_precision), format_decimal(qty.into(), i.qty_precision)]
        };
        Ok(json!({
            "instrument": instrument,
            "state": line.state.name(),
            "ts_recv_ns": pass.last_ns,
            "metadata": i,
            "volume_qty": format_decimal(printed.volume(index, pass.last_ns).into(), i.qty_precision),
            "bids": line.book.bids().take(depth).map(text).collect::<Vec<_>>(),
            "damaged": pass.input.reader().damaged(),
            "missing_records": pass.input.reader().missing(),
            "asks": line.book.asks().take(depth).map(text).collect::<Vec<_>>(),
        })
        .to_string())
    })
}

/// Applies rows and keeps the prints of five minutes.
#[derive(Default)]
struct Printed(Vec<Prints>);

impl Printed {
    fn volume(&mut self, index: usize, now_ns: i64) -> i64 {
        self.0.get_mut(index).map_or(0, |prints| prints.volume(now_ns))
    }
}

impl Visitor for Printed {
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        BooksOnly.message(message, rows, line);
        let index = usize::from(message.instrument);
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Prints::default);
        }
        for row in rows.iter().filter(|row| matches!(row.kind(), RowKind::BuyTrade | RowKind::SellTrade)) {
            self.0[index].push(message.ts_recv_ns, row.qty);
        }
    }
}

/// Applies rows and keeps them as columns.
struct Collect {
    survey: Survey,
    pending: Vec<Pending>,
}

impl Visitor for Collect {
    #[inline]
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        self.survey.message(message, rows, line);
        let index = usize::from(message.instrument);
        if self.pending.len() <= index {
            self.pending.resize_with(index + 1, Pending::default);
        }
        self.pending[index].push(message, rows);
        debug_assert!(rows.last().is_none_or(|row| row.flags() & flag::LAST != 0));
    }
}

/// The events of a tape, as an iterator of chunks: (segment index, UTC day since 1970, instrument JSON, columns).
///
/// A chunk belongs to one segment, one day and one instrument. Chunks of one segment and day come together.
#[pyclass(module = "tickerml._native")]
pub struct TapeEvents {
    pass: Pass,
    collect: Collect,
    chunk_rows: usize,
    /// Segment and day of what is pending.
    key: (usize, i64),
    /// Chunks with the instrument as it was for their rows: the venue may change its metadata within a run.
    ready: Vec<(usize, i64, String, Pending)>,
    ended: bool,
}

/// Segment index, UTC day since 1970, instrument JSON, columns.
type Chunk<'py> = (usize, i64, String, Bound<'py, PyDict>);

const DAY_NS: i64 = 86_400_000_000_000;

#[pymethods]
impl TapeEvents {
    #[new]
    #[pyo3(signature = (path, *, chunk_rows = 1_048_576))]
    fn new(path: PathBuf, chunk_rows: usize) -> PyResult<Self> {
        Ok(TapeEvents {
            pass: Pass::open(&path)?,
            collect: Collect { survey: Survey::new(), pending: Vec::new() },
            chunk_rows,
            key: (0, i64::MIN),
            ready: Vec::new(),
            ended: false,
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Chunk<'py>>> {
        let Some((segment, day, instrument, rows)) = self.take(py)? else { return Ok(None) };
        Ok(Some((segment, day, instrument, rows.into_columns(py)?)))
    }

    /// The next chunk like the iterator's, its rows as one object: nothing of it needs NumPy. None at the end.
    fn rows(&mut self, py: Python<'_>) -> PyResult<Option<(usize, i64, String, EventRows)>> {
        let Some((segment, day, instrument, rows)) = self.take(py)? else { return Ok(None) };
        Ok(Some((segment, day, instrument, EventRows(rows))))
    }

    /// The market part of `data verify` for what was read so far, as JSON.
    fn report(&mut self) -> String {
        market_report(&mut self.pass, &mut self.collect.survey).to_string()
    }
}

impl TapeEvents {
    /// The next chunk: segment index, day, instrument JSON, rows.
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<(usize, i64, String, Pending)>> {
        while self.ready.is_empty() && !self.ended {
            py.detach(|| self.work()).map_err(errors::core)?;
            py.check_signals()?;
        }
        Ok((!self.ready.is_empty()).then(|| self.ready.remove(0)))
    }

    /// Reads until a chunk is ready or the tape ends.
    fn work(&mut self) -> tickerml_core::error::Result<()> {
        loop {
            let (next_ns, describes) = match self.pass.input.peek()? {
                Peek::Item(Item::Record(record)) => (record.ts_recv_ns, record.kind == RecordKind::Instrument),
                Peek::Item(_) => (self.pass.last_ns, false),
                Peek::Wait | Peek::End => {
                    self.flush();
                    self.ended = true;
                    return Ok(());
                }
            };
            let key = (self.pass.input.reader().segment_index(), next_ns.div_euclid(DAY_NS));
            if key != self.key || describes {
                self.flush();
                self.key = key;
            }
            self.pass.step(i64::MAX, &mut self.collect)?;
            if self.collect.pending.iter().any(|p| p.len() >= self.chunk_rows) {
                self.flush();
            }
            if !self.ready.is_empty() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) {
        for (index, pending) in self.collect.pending.iter_mut().enumerate() {
            if !pending.is_empty() {
                let instrument = json!(self.pass.market.lines[index].instrument).to_string();
                self.ready.push((self.key.0, self.key.1, instrument, std::mem::take(pending)));
            }
        }
        self.collect.survey.collect(&mut self.pass.market);
    }
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<TapeEvents>()?;
    m.add_function(wrap_pyfunction!(tape_market, m)?)?;
    m.add_function(wrap_pyfunction!(tape_book, m)?)
}
