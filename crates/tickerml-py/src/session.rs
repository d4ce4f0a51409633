//! `Session`: the engine as an iterator of views.
use crate::errors;
use crate::events::Events;
use crate::feed::Feed;
use crate::instrument::InstrumentInfo;
use crate::orders;
use crate::source::{Live, Source};
use crate::view::{Pool, View};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySequence, PyTuple};
use std::path::PathBuf;
use tickerml_core::market::{BooksOnly, LineStats};
use tickerml_core::session::{EventInput, Input, Item, Peek, Session as Core, SessionStats, Settings, Step};
use tickerml_core::tape::RecordKind;
use tickerml_feed::reader::{TapeInput, TapeReader};

/// Columns of a latency file: req_ts, exch_ts, resp_ts, ns.
type Latencies<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>);

/// Items taken before the GIL is let go: a step that is at hand costs less than letting go of it and taking it again.
const AT_HAND: usize = 16;

/// Views answered without Python before signals are looked for: some milliseconds.
const VIEWS_UNSIGNALLED: usize = 1024;

/// One run of the engine.
#[pyclass(module = "tickerml._native")]
pub struct Session {
    pub(crate) core: Core,
    source: Source,
    pool: Pool,
    batch: usize,
    allow_damage: bool,
}

#[pymethods]
impl Session {
    /// A session over a tape. `settings` is the flat JSON of execution settings; `latencies` are the columns req_ts, exch_ts and
    /// resp_ts of the file that its `latency` names.
    #[staticmethod]
    #[pyo3(signature = (path, settings, *, batch_events = 65536, allow_damage = false, checkpoint = None, latencies = None))]
    fn replay(
        py: Python<'_>,
        path: PathBuf,
        settings: &str,
        batch_events: usize,
        allow_damage: bool,
        checkpoint: Option<&[u8]>,
        latencies: Option<Latencies<'_>>,
    ) -> PyResult<Session> {
        let core = Session::core(settings, checkpoint, latencies.as_ref())?;
        let from = if checkpoint.is_some() { core.last().1 + 1 } else { 0 };
        let reader = TapeReader::open_at(&path, from).map_err(errors::store)?;
        let source = Source::Tape(Box::new(TapeInput::new(reader)));
        Session::make(py, core, source, batch_events, allow_damage)
    }

    /// A session over event files: `files` is an [`Events`], or what one is made of. `carry` is the account that it goes on with, as
    /// the text of a CARRY record: event files hold none.
    #[staticmethod]
    #[pyo3(signature = (files, settings, *, batch_events = 65536, latencies = None, carry = None))]
    fn backtest(
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        settings: &str,
        batch_events: usize,
        latencies: Option<Latencies<'_>>,
        carry: Option<&str>,
    ) -> PyResult<Session> {
        let events = Events::of(py, files)?;
        let (set, market) = events.get().parts();
        let mut core = Session::core(settings, None, latencies.as_ref())?;
        if let Some(text) = carry {
            core.start.carry_on(text);
        }
        for instrument in market {
            core.market.set_instrument(instrument, 0, &mut BooksOnly);
        }
        py.detach(|| core.prepare(&set));
        let source = Source::Events(EventInput::new(set));
        Session::make(py, core, source, batch_events, false)
    }

    /// A session behind a feed that has been started: from the start of the run's tape on, or from behind a checkpoint, where
    /// the feed's `tail_pos` must stand too.
    #[staticmethod]
    #[pyo3(signature = (feed, settings, *, batch_events = 65536, checkpoint = None))]
    fn live(
        py: Python<'_>,
        feed: Py<Feed>,
        settings: &str,
        batch_events: usize,
        checkpoint: Option<&[u8]>,
    ) -> PyResult<Session> {
        let core = Session::core(settings, checkpoint, None)?;
        let tail = feed
            .get()
            .take_tail()
            .ok_or_else(|| PyValueError::new_err("the feed has not been started, or has an engine already"))?;
        let source = Source::Tail(Box::new(Live::new(tail, feed)));
        Session::make(py, core, source, batch_events, false)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<View>>> {
        loop {
            let step = self.advance(py, self.batch)?;
            match step {
                Step::View => return self.shown(py).map(Some),
                Step::Pause => self.pause(py)?,
                Step::End => {
                    self.source.check_damage(self.allow_damage)?;
                    return Ok(None);
                }
            }
        }
    }

    /// Answers the view. Returns the order id that each approved intent makes or names.
    fn submit<'py>(
        &mut self,
        py: Python<'py>,
        approved: &Bound<'py, PySequence>,
        refused: &Bound<'py, PySequence>,
        state: &[u8],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let requests = orders::requests(approved, self.core.market.lines.len())?;
        let mut reasons: Vec<String> = Vec::new();
        for n in 0..refused.len()? {
            reasons.push(refused.get_item(n)?.get_item(1)?.extract()?);
        }
        let ids = self.core.submit(&requests, reasons.iter().map(String::as_str), state).map_err(errors::core)?;
        PyTuple::new(py, ids)
    }

    /// The rolling digest: 64 hexadecimal digits.
    #[getter]
    fn digest(&self) -> String {
        self.core.digest()
    }

    /// The instruments, in the order of a view's rows.
    #[getter]
    fn instruments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let infos = self
            .core
            .market
            .lines
            .iter()
            .map(|line| InstrumentInfo::new(&line.instrument, self.core.fees_bps(line.instrument.venue)))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, infos)
    }

    /// Whether an instrument of the configuration is neither known nor on a blocked venue: only a run that was stopped before
    /// it began ends so.
    #[getter]
    fn awaits(&self) -> bool {
        self.core.start.awaits()
    }

    /// Payload of the CARRY record: what the run before handed on; None where the run began afresh.
    #[getter]
    fn carry(&self) -> Option<&str> {
        self.core.start.carry()
    }

    /// Counts: views, orders, fills, refused, rows, events, late_rows and those of the market.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let SessionStats { views, orders, fills, refused, rows } = self.core.stats;
        let market = &self.core.market.stats;
        for (key, value) in [
            ("views", views),
            ("orders", orders),
            ("fills", fills),
            ("refused", refused),
            ("rows", rows),
            ("events", self.events()),
            ("late_rows", self.core.sim.late_rows()),
            ("frames", market.frames),
            ("bytes", market.frame_bytes),
            ("unknown_frames", market.unknown_frames),
            ("bad_frames", market.bad_frames),
            ("bad_messages", self.sum(|s| s.bad_messages)),
            ("venue_errors", market.venue_errors),
            ("rest_failures", market.rest_failures),
            ("disconnects", market.disconnects),
            ("crossed", self.sum(|s| s.crossed)),
            ("trade_id_gaps", self.sum(|s| s.trade_id_gaps)),
        ] {
            dict.set_item(key, value)?;
        }
        Ok(dict)
    }

    /// What is expected of each instrument's next funding settlement, provisional: (time in ns, rate x 10^12, mark price x 10^8),
    /// None where nothing is.
    #[getter]
    fn funding<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let expected = (0..self.core.market.lines.len() as u16).map(|n| self.core.sim.expected_funding(n));
        PyTuple::new(
            py,
            expected.map(|e| e.map(|e| (e.settle_ms * 1_000_000, e.rate_e12, e.mark_e8))).collect::<Vec<_>>(),
        )
    }

    /// The whole state between two views.
    fn checkpoint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.core.checkpoint().map_err(errors::core)?))
    }

    /// Levels, trades and best bid/asks so far.
    #[getter]
    fn events(&self) -> u64 {
        self.sum(|s| s.levels + s.trades + s.touches)
    }

    /// (stamp in ns, pos) of the last item consumed.
    #[getter]
    fn last(&self) -> (i64, u64) {
        self.core.last()
    }
}

impl Session {
    /// A session that has seen nothing, or one that goes on from a checkpoint.
    fn core(settings: &str, checkpoint: Option<&[u8]>, latencies: Option<&Latencies<'_>>) -> PyResult<Core> {
        let recorded = match latencies {
            Some((req, exch, resp)) => Some([req.as_slice()?, exch.as_slice()?, resp.as_slice()?]),
            None => None,
        };
        let settings = Settings::from_json(settings, recorded).map_err(errors::core)?;
        match checkpoint {
            None => Ok(Core::new(settings)),
            Some(bytes) => Core::restore(bytes).map_err(errors::core),
        }
    }

    fn make(py: Python<'_>, core: Core, source: Source, batch: usize, allow_damage: bool) -> PyResult<Session> {
        if batch == 0 {
            return Err(PyValueError::new_err("batch_events must be above 0"));
        }
        let mut session = Session { core, source, pool: Pool::new(py), batch, allow_damage };
        if let Source::Events(input) = &mut session.source
            && let Ok(Peek::Item(Item::Message(message, _))) = input.peek()
        {
            session.core.begins_at(message.ts_recv_ns);
        }
        if session.core.market.lines.is_empty() {
            session.prime(py)?;
        }
        Ok(session)
    }

    fn advance(&mut self, py: Python<'_>, items_max: usize) -> PyResult<Step> {
        let (core, source) = (&mut self.core, &mut self.source);
        match source.advance(core, items_max.min(AT_HAND)) {
            Ok(Step::Pause) if items_max > AT_HAND => py.detach(|| source.advance(core, items_max)),
            done => done,
        }
        .map_err(errors::core)
        .inspect(|_| self.source.tell_feed(&mut self.core))
    }

    /// The view that is there, as Python sees it.
    pub(crate) fn shown(&mut self, py: Python<'_>) -> PyResult<Py<View>> {
        self.pool.view(py, self.core.view())
    }

    /// Works through a recording without the GIL, to its end or to a view that is left to the caller: `answer` says whether it has
    /// answered the view. Signals are looked for on the way. False at the end.
    ///
    /// # Errors
    /// Of a live session: its feed wants to be told at every step. And what the input or `answer` says.
    pub(crate) fn drive(
        &mut self,
        py: Python<'_>,
        mut answer: impl FnMut(&mut Core) -> tickerml_core::error::Result<bool> + Send,
    ) -> PyResult<bool> {
        if self.source.is_live() {
            return Err(PyValueError::new_err("only over recordings: replay and backtest"));
        }
        loop {
            let (core, source, batch) = (&mut self.core, &mut self.source, self.batch);
            let mut work = || {
                for _ in 0..VIEWS_UNSIGNALLED {
                    match source.advance(core, batch)? {
                        Step::View if answer(core)? => {}
                        step => return Ok(step),
                    }
                }
                Ok(Step::Pause)
            };
            match py.detach(&mut work).map_err(errors::core)? {
                Step::View => return Ok(true),
                Step::End => return self.source.check_damage(self.allow_damage).map(|()| false),
                Step::Pause => self.pause(py)?,
            }
        }
    }

    /// Nothing is at hand: signals, damage, and for a live run the wait for more.
    fn pause(&mut self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        let begins = self.core.start.awaits() || self.core.market.lines.is_empty();
        self.source.wait(py, begins)?;
        self.source.check_damage(self.allow_damage)
    }

    /// Consumes what precedes the first boundary, so that all instruments are known before the first view.
    fn prime(&mut self, py: Python<'_>) -> PyResult<()> {
        loop {
            let Some(peeked) = self.source.peek_record() else { return Ok(()) };
            match peeked.map_err(errors::core)? {
                Peek::Item(Item::Record(r)) if r.kind == RecordKind::Stop => return Ok(()),
                Peek::Item(Item::Record(r)) if r.kind == RecordKind::Frame && !self.core.start.awaits() => {
                    return Ok(());
                }
                Peek::Item(_) => {
                    self.advance(py, 1)?;
                }
                Peek::Wait => self.pause(py)?,
                Peek::End => return self.source.check_damage(self.allow_damage),
            }
        }
    }

    fn sum(&self, pick: fn(&LineStats) -> u64) -> u64 {
        self.core.market.lines.iter().map(|line| pick(&line.stats)).sum()
    }
}

/// Adds what this file makes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Session>()?;
    m.add_class::<View>()?;
    m.add_class::<InstrumentInfo>()?;
    m.add_class::<orders::Order>()?;
    m.add_class::<orders::Fill>()?;
    m.add_class::<orders::Report>()?;
    m.add_class::<orders::Gap>()?;
    m.add_class::<orders::Funding>()
}
