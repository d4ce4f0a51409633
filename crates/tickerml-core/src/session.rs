//! One run of the engine: records or events in, [`View`]s out, requests back in.
//!
//! A session never waits and reads no clock. [`Session::advance`] works until a view is due, the input has nothing more for
//! now, or it ends. Time is that of the input; what is due before the next item happens before it:
//!
//! 1. records stamped up to a moment, 2. reports that reach us then, 3. what happens at a venue then, 4. the timed view.
mod digest;
mod due;
mod events;
mod input;
mod settings;
mod start;
mod view;

pub use digest::Digest;
pub use events::EventInput;
pub use input::{Input, Item, Peek};
pub use settings::Settings;
pub use start::{Carried, Held, Start};
pub use view::{Seen, View, ViewCause};

use crate::error::{Error, Result};
use crate::instrument::{Instrument, Venue};
use crate::market::Market;
use crate::sim::{Report, Request, Sim};
use crate::tape::{Record, RecordKind};
use crate::units::{parse_decimal, parse_e18};
use serde::{Deserialize, Serialize};

/// Why [`Session::advance`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// [`Session::view`] is new: answer with [`Session::submit`].
    View,
    /// The input has nothing now, or the batch is used up.
    Pause,
    /// The input has ended.
    End,
}

/// Counts of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionStats {
    /// Views.
    pub views: u64,
    /// New orders sent.
    pub orders: u64,
    /// Fills reported.
    pub fills: u64,
    /// Intents that risk refused.
    pub refused: u64,
    /// Rows of event files.
    pub rows: u64,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Instruments and books.
    pub market: Market,
    /// The simulated venues.
    pub sim: Sim,
    /// Counts.
    pub stats: SessionStats,
    /// What it waits for before its first boundary.
    pub start: Start,
    settings: Settings,
    digest: Digest,
    /// The next boundary, once market data has come.
    boundary_ns: Option<i64>,
    report_views: u32,
    /// Reports since the view before.
    news: Vec<Report>,
    restarted: bool,
    /// Stamp and ordinal of the last item consumed.
    last: (i64, u64),
    /// Stamp of the first item, ns.
    since_ns: Option<i64>,
    #[serde(skip, default = "View::first")]
    view: View,
    /// A view waits for its answer.
    #[serde(skip)]
    asked: bool,
    ended: bool,
}

impl Session {
    /// A session that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let sim = Sim::new(settings.rules.clone());
        Session {
            market: Market::new(),
            sim,
            stats: SessionStats::default(),
            start: Start::default(),
            settings,
            digest: Digest::new(),
            boundary_ns: None,
            report_views: 0,
            news: Vec::new(),
            restarted: false,
            last: (i64::MIN, 0),
            since_ns: None,
            view: View::first(),
            asked: false,
            ended: false,
        }
    }

    /// The view that [`Session::advance`] made.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The rolling digest as hexadecimal text.
    pub fn digest(&self) -> String {
        self.digest.hex()
    }

    /// Stamp (ns) and ordinal of the last item consumed.
    pub const fn last(&self) -> (i64, u64) {
        self.last
    }

    /// Works until a view is due, at most `items_max` items.
    ///
    /// # Errors
    /// What the input or a record of our own making says; [`Error::Invariant`] when the view before was not answered.
    pub fn advance<I: Input>(&mut self, input: &mut I, items_max: usize) -> Result<Step> {
        if self.asked {
            return Err(Error::Invariant("the view before was not answered with submit".to_owned()));
        }
        if self.ended {
            return Ok(Step::End);
        }
        for _ in 0..items_max {
            let item = match input.peek()? {
                Peek::Item(item) => item,
                Peek::Wait => return Ok(Step::Pause),
                Peek::End => {
                    if self.is_last_due() {
                        return Ok(Step::View);
                    }
                    self.ended = true;
                    return Ok(Step::End);
                }
            };
            if self.due_before(item) {
                return Ok(Step::View);
            }
            let stopped = self.consume(item)?;
            input.pop();
            if stopped {
                return Ok(Step::View);
            }
        }
        Ok(Step::Pause)
    }

    /// Tells the simulator of a whole input beforehand, where its settings ask for what only that can give: the least of all
    /// latencies, or reports in venue time whatever has arrived.
    pub fn prepare(&mut self, set: &std::sync::Arc<crate::event_set::EventSet>) {
        self.sim.prepare(set, self.market.lines.len());
    }

    /// Notes when the first item comes; the session begins there.
    pub fn begins_at(&mut self, ts_ns: i64) {
        self.since_ns.get_or_insert(ts_ns);
    }

    /// Maker and taker fee of a venue when the session began, in basis points; NaN where its schedule has none.
    pub fn fees_bps(&self, venue: Venue) -> (f64, f64) {
        let found = self.settings.rules.fees.at(venue, self.since_ns.unwrap_or(i64::MIN));
        found.map_or((f64::NAN, f64::NAN), |(maker, taker)| (maker as f64 / 1e4, taker as f64 / 1e4))
    }

    /// What the session was told.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Answers the view: what risk let through and what it refused, and the portfolio's state after it. Returns the id of the
    /// order that each request makes or names.
    ///
    /// # Errors
    /// [`Error::Invariant`] without an unanswered view, or with requests on the last one.
    pub fn submit<'r>(
        &mut self,
        approved: &[Request],
        refused: impl Iterator<Item = &'r str>,
        portfolio: &[u8],
    ) -> Result<Vec<u64>> {
        if !self.asked {
            return Err(Error::Invariant("submit without a view".to_owned()));
        }
        if self.view.cause == ViewCause::Stop && !approved.is_empty() {
            return Err(Error::Invariant("the last view takes no intents".to_owned()));
        }
        self.asked = false;
        let sent_ns = self.view.ts_ns.saturating_add(self.settings.decision_ns);
        let mut ids = Vec::with_capacity(approved.len());
        for request in approved {
            self.digest.asked(request);
            self.stats.orders += u64::from(matches!(request, Request::New { .. }));
            ids.push(self.sim.send(*request, sent_ns, &self.market.lines, self.view.pos));
        }
        for reason in refused {
            self.stats.refused += 1;
            self.digest.refused(reason);
        }
        self.digest.close(portfolio);
        Ok(ids)
    }

    /// The whole state, to go on from later with the same code and settings.
    ///
    /// # Errors
    /// [`Error::Invariant`] while a view waits for its answer.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        if self.asked {
            return Err(Error::Invariant("a checkpoint lies between views".to_owned()));
        }
        postcard::to_allocvec(self).map_err(|e| Error::Invariant(format!("checkpoint: {e}")))
    }

    /// A session from [`Session::checkpoint`].
    ///
    /// # Errors
    /// [`Error::Invariant`] for bytes that are no checkpoint of this code.
    pub fn restore(bytes: &[u8]) -> Result<Session> {
        postcard::from_bytes(bytes).map_err(|e| Error::Invariant(format!("checkpoint: {e}")))
    }

    /// Consumes an item; true when it was the end of the run.
    fn consume(&mut self, item: Item<'_>) -> Result<bool> {
        match item {
            Item::Record(record) => {
                self.begins_at(record.ts_recv_ns);
                if !self.start.is_late(&record, &self.market) {
                    self.market.record(&record, &mut self.sim)?;
                }
                self.last = (record.ts_recv_ns, record.pos);
                return self.control(&record);
            }
            Item::Message(message, rows) => {
                self.stats.rows += rows.len() as u64;
                self.market.lines[usize::from(message.instrument)].last_frame_ns = message.ts_recv_ns;
                self.market.apply(message, rows, &mut self.sim);
                self.last = (message.ts_recv_ns, message.pos);
                self.begins_at(message.ts_recv_ns);
                self.start_boundaries(message.ts_recv_ns)?;
            }
            Item::Damage(ts_ns) => self.market.damaged(ts_ns, &mut self.sim),
        }
        Ok(false)
    }

    fn control(&mut self, record: &Record<'_>) -> Result<bool> {
        match record.kind {
            RecordKind::Frame => self.start_boundaries(record.ts_recv_ns)?,
            RecordKind::Instrument => {
                self.check_scale()?;
                self.start.note(record, &self.market)?;
            }
            RecordKind::Epoch if self.boundary_ns.is_some() => {
                self.boundary_ns = None;
                self.report_views = 0;
                self.restarted = true;
                let reports = self.sim.restart(record.ts_recv_ns, record.pos);
                self.stats.fills += reports.iter().filter(|r| r.fill.is_some()).count() as u64;
                self.news.extend(reports);
            }
            RecordKind::Stop => {
                self.ended = true;
                self.make_view(record.ts_recv_ns, ViewCause::Stop);
                return Ok(true);
            }
            _ => self.start.note(record, &self.market)?,
        }
        Ok(false)
    }

    /// Orders, positions and what Python knows are in the scale with which the run began: a finer one ends it.
    fn check_scale(&mut self) -> Result<()> {
        match self.market.take_rescaled().map(Instrument::id) {
            Some(instrument) if self.market.stats.frames > 0 => Err(Error::ScaleChanged { instrument }),
            _ => Ok(()),
        }
    }

    #[inline]
    fn start_boundaries(&mut self, ts_ns: i64) -> Result<()> {
        if self.boundary_ns.is_none() && !self.start.awaits() {
            for line in &self.market.lines {
                self.settings.rules.fees.check(line.instrument.venue, ts_ns)?;
            }
            let carried = self.start.begin();
            self.take_over(&carried);
            self.boundary_ns = Some(self.boundary_at(ts_ns));
        }
        Ok(())
    }

    /// The simulated venue holds what the run before left there.
    fn take_over(&mut self, carried: &Carried) {
        for (currency, text) in &carried.cash {
            if let Ok(amount_e18) = parse_e18(text) {
                self.sim.own(currency, amount_e18);
            }
        }
        for held in &carried.lots {
            if let Some(amount_e18) = parse_e18(&held.qty).ok().filter(|_| held.kind == "spot") {
                self.sim.own_more(&held.base, amount_e18);
            }
            let Some(at) = self.market.index_of(&held.instrument) else { continue };
            let precision = self.market.lines[at].instrument.qty_precision;
            if let Ok(qty) = parse_decimal(held.qty.as_bytes(), precision) {
                self.sim.hold(at as u16, qty);
            }
        }
    }

    fn make_view(&mut self, ts_ns: i64, cause: ViewCause) {
        let view = &mut self.view;
        view.index = self.stats.views;
        self.stats.views += 1;
        (view.ts_ns, view.cause, view.pos) = (ts_ns, cause, self.last.1);
        view.restarted = std::mem::take(&mut self.restarted);
        view.seen.resize_with(self.market.lines.len(), Seen::nothing);
        for (seen, line) in view.seen.iter_mut().zip(&mut self.market.lines) {
            seen.read(line, ts_ns, cause);
        }
        view.orders.clone_from(self.sim.orders());
        view.reports.clear();
        view.reports.append(&mut self.news);
        view.gaps = self.market.take_gaps();
        view.funding = self.sim.settle(ts_ns, &self.market.lines);
        self.digest.saw(view);
        self.asked = true;
    }
}
