//! `Session`: the engine as an iterator of views.
use crate::errors;
use crate::events::Events;
use crate::feed::Feed;
use crate::instrument::InstrumentInfo;
use crate::orders;
use crate::view::{Pool, View};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySequence, PyTuple};
use std::path::PathBuf;
use std::time::Duration;
use tickerml_core::market::{BooksOnly, LineStats};
use tickerml_core::session::{EventInput, Input, Item, Peek, Session as Core, SessionStats, Settings, Step};
use tickerml_core::tape::RecordKind;
use tickerml_feed::reader::{TapeInput, TapeReader};
use tickerml_feed::recorder::{Fill, TailInput};

/// Columns of a latency file: req_ts, exch_ts, resp_ts, ns.
type Latencies<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>);

/// How long a live session waits before it looks for signals again.
const WAIT: Duration = Duration::from_millis(200);

/// Items taken before the GIL is let go: a step that is at hand costs less than letting go of it and taking it again.
const AT_HAND: usize = 16;

/// Views answered without Python before signals are looked for: some milliseconds.
const VIEWS_UNSIGNALLED: usize = 1024;

/// Waits on a feed that has ended before it is sure that STOP will not come: 5 s for a disk that was busy.
const ENDED_WAITS_MAX: u32 = 25;

/// Where a session's items come from: the only place where live, replay and backtest differ.
enum Source {
    Tail(Box<Live>),
    Tape(Box<TapeInput>),
    Events(EventInput),
}

/// The engine's end of a tape that is being recorded, and the feed that records it.
struct Live {
    input: TailInput,
    feed: Py<Feed>,
    /// Waits since the feed ended.
    ended_waits: u32,
}

impl Live {
    /// Waits for more. `begins` is true while instruments are awaited.
    ///
    /// # Errors
    /// What ended the feed, once everything that it wrote was read: the end of the tape is then not the end of the run.
    fn wait(&mut self, begins: bool) -> PyResult<()> {
        if self.input.wait(WAIT).map_err(errors::store)? != Fill::TimedOut {
            return Ok(());
        }
        let feed = self.feed.get();
        if let Some(text) = feed.failed().or_else(|| feed.unreachable().filter(|_| begins)) {
            return Err(errors::failure(&text));
        }
        self.ended_waits += u32::from(feed.ended());
        match self.ended_waits {
            0..=ENDED_WAITS_MAX => Ok(()),
            _ => Err(errors::failure("the feed ended, and its tape took no STOP: is the disk full?")),
        }
    }
}

/// One run of the engine.
#[pyclass(module = "tickerml._native")]
pub struct Session {
    pub(crate) core: Core,
    source: Source,
    pool: Pool,
    batch: usize,
    allow_damage: bool,
}

/// The settings that the CONFIG record of a tape holds, as JSON text; the whole record's text beside it.
fn recorded_config(path: &std::path::Path) -> PyResult<serde_json::Value> {
    let mut reader = TapeReader::open(path).map_err(errors::store)?;
    while let Some(record) = reader.next().map_err(errors::store)? {
        if record.kind == RecordKind::Config {
            return serde_json::from_slice(record.bytes)
                .map_err(|e| errors::unsound(&format!("{}: CONFIG record: {e}", path.display())));
        }
    }
    Err(errors::unsound(&match reader.damaged().first() {
        Some(d) => format!("{} at byte {}: {}; no CONFIG record is left", d.segment, d.offset, d.reason),
        None => format!("{}: no CONFIG record: not a tape of a run", path.display()),
    }))
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

    /// A session over event files: `files` is an [`Events`], or what one is made of.
    #[staticmethod]
    #[pyo3(signature = (files, settings, *, batch_events = 65536, latencies = None))]
    fn backtest(
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        settings: &str,
        batch_events: usize,
        latencies: Option<Latencies<'_>>,
    ) -> PyResult<Session> {
        let events = Events::of(py, files)?;
        let (set, market) = events.get().parts();
        let mut core = Session::core(settings, None, latencies.as_ref())?;
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
        let live = Live { input: TailInput::new(tail), feed, ended_waits: 0 };
        let source = Source::Tail(Box::new(live));
        Session::make(py, core, source, batch_events, false)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<View>>> {
        loop {
            let step = self.advance(py, self.batch)?;
            match step {
                Step::View => return self.pool.view(py, self.core.view()).map(Some),
                Step::Pause => self.pause(py)?,
                Step::End => {
                    self.check_damage()?;
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
        let mut work = |items_max| match source {
            Source::Tail(live) => core.advance(&mut live.input, items_max),
            Source::Tape(input) => core.advance(input.as_mut(), items_max),
            Source::Events(input) => core.advance(input, items_max),
        };
        match work(items_max.min(AT_HAND)) {
            Ok(Step::Pause) if items_max > AT_HAND => py.detach(|| work(items_max)),
            done => done,
        }
        .map_err(errors::core)
        .inspect(|_| self.tell_feed())
    }

    /// Works through a recording without the GIL: `answer` answers every view. Signals are looked for on the way.
    ///
    /// # Errors
    /// Of a live session: its feed wants to be told at every step. And what the input or `answer` says.
    pub(crate) fn drive(
        &mut self,
        py: Python<'_>,
        mut answer: impl FnMut(&mut Core) -> tickerml_core::error::Result<()> + Send,
    ) -> PyResult<()> {
        loop {
            let (core, source, batch) = (&mut self.core, &mut self.source, self.batch);
            let step = py.detach(|| match source {
                Source::Tail(_) => Err(None),
                Source::Tape(input) => answered(core, input.as_mut(), batch, &mut answer).map_err(Some),
                Source::Events(input) => answered(core, input, batch, &mut answer).map_err(Some),
            });
            match step {
                Ok(Step::End) => return self.check_damage(),
                Ok(_) => self.pause(py)?,
                Err(None) => return Err(PyValueError::new_err("only over recordings: replay and backtest")),
                Err(Some(error)) => return Err(errors::core(error)),
            }
        }
    }

    /// Asks the feed for what the session wants of it; where it cannot take that now, again next time. A replay asks nobody.
    fn tell_feed(&mut self) {
        let Source::Tail(input) = &self.source else { return };
        self.core.market.hand_wants(|want| {
            let (kind, bytes) = want.record();
            input.input.tail().append_from_engine(kind, bytes).is_ok()
        });
    }

    /// Nothing is at hand: signals, damage, and for a live run the wait for more.
    fn pause(&mut self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        let begins = self.core.start.awaits() || self.core.market.lines.is_empty();
        if let Source::Tail(live) = &mut self.source {
            py.detach(|| live.wait(begins))?;
        }
        self.check_damage()
    }

    /// Consumes what precedes the first boundary, so that all instruments are known before the first view.
    fn prime(&mut self, py: Python<'_>) -> PyResult<()> {
        loop {
            let peeked = match &mut self.source {
                Source::Tail(live) => live.input.peek(),
                Source::Tape(input) => input.peek(),
                Source::Events(_) => return Ok(()),
            };
            match peeked.map_err(errors::core)? {
                Peek::Item(Item::Record(r)) if r.kind == RecordKind::Stop => return Ok(()),
                Peek::Item(Item::Record(r)) if r.kind == RecordKind::Frame && !self.core.start.awaits() => {
                    return Ok(());
                }
                Peek::Item(_) => {
                    self.advance(py, 1)?;
                }
                Peek::Wait => self.pause(py)?,
                Peek::End => return self.check_damage(),
            }
        }
    }

    fn sum(&self, pick: fn(&LineStats) -> u64) -> u64 {
        self.core.market.lines.iter().map(|line| pick(&line.stats)).sum()
    }

    /// Damage ends a replay unless it was allowed.
    fn check_damage(&self) -> PyResult<()> {
        let Source::Tape(input) = &self.source else { return Ok(()) };
        match input.reader().damaged().first() {
            Some(d) if !self.allow_damage => Err(errors::unsound(&format!(
                "{} at byte {}: {}; --allow-damage reads on",
                d.segment, d.offset, d.reason
            ))),
            _ => Ok(()),
        }
    }
}

/// Advances and answers until there is a pause, the end, or so many views that it is time to look for signals.
fn answered<I: Input>(
    core: &mut Core,
    input: &mut I,
    batch: usize,
    answer: &mut impl FnMut(&mut Core) -> tickerml_core::error::Result<()>,
) -> tickerml_core::error::Result<Step> {
    for _ in 0..VIEWS_UNSIGNALLED {
        match core.advance(input, batch)? {
            Step::View => answer(core)?,
            step => return Ok(step),
        }
    }
    Ok(Step::Pause)
}

/// The CONFIG record of a tape, as JSON text.
#[pyfunction]
fn tape_config(path: PathBuf) -> PyResult<String> {
    recorded_config(&path).map(|value| value.to_string())
}

/// Whether a tape holds the record `pos`.
#[pyfunction]
fn tape_has(path: PathBuf, pos: u64) -> PyResult<bool> {
    let mut reader = TapeReader::open_at(&path, pos).map_err(errors::store)?;
    Ok(reader.next().map_err(errors::store)?.is_some_and(|record| record.pos == pos))
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
    m.add_class::<orders::Funding>()?;
    m.add_function(wrap_pyfunction!(tape_config, m)?)?;
    m.add_function(wrap_pyfunction!(tape_has, m)?)
}
