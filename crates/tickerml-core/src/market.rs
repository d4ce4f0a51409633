//! Records in, true books out: routes frames to instruments, runs the splicing rules, and says what every book's state is.
//!
//! The same code serves live, replay, import and conversion. A [`Visitor`] gets every normalized message in the order in which
//! it is applied, and applies its rows to the book (the simulator watches levels and trades on the way).
mod frames;
mod handover;
mod line;
mod silence;
mod slots;
mod splicing;
mod survey;
mod want;

pub use line::{BUFFER_BYTES_MAX, Gap, Line, LineStats, WAITING_BYTES};
pub use silence::{SILENCE_MIN_NS, Silence};
use slots::Slots;
pub use survey::{GapReport, InstrumentReport, LatencyMs, StreamReport, Survey};
pub use want::Want;

use crate::error::{Error, Result};
use crate::event::{BookState, Cause, Message, Row, RowKind, flag};
use crate::instrument::{Instrument, Venue};
use crate::tape::{Record, RecordKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Silence is judged at whole seconds, so that every program that reads a tape sees the same rows.
const CHECK_NS: i64 = 1_000_000_000;

/// Who receives the normalized messages.
pub trait Visitor {
    /// A message of `line`. Rows of kinds Bid, Ask and Clear must be applied to `line.book` here, in order.
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line);
}

/// Applies rows and does nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct BooksOnly;

impl Visitor for BooksOnly {
    #[inline]
    fn message(&mut self, _: &Message, rows: &[Row], line: &mut Line) {
        for &row in rows {
            line.book.apply(row);
        }
    }
}

/// Counts of things that belong to no instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MarketStats {
    /// FRAME records.
    pub frames: u64,
    /// Bytes of FRAME payloads.
    pub frame_bytes: u64,
    /// Frames of types or streams that nobody asked for.
    pub unknown_frames: u64,
    /// Frames that no instrument could be found for because they are no JSON.
    pub bad_frames: u64,
    /// Error answers of the venue.
    pub venue_errors: u64,
    /// REST exchanges that failed (no answer, or a status other than 200).
    pub rest_failures: u64,
    /// Sockets that closed.
    pub disconnects: u64,
}

/// All instruments of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// One per instrument, in the order of the configuration.
    pub lines: Vec<Line>,
    /// Counts.
    pub stats: MarketStats,
    slots: Slots,
    gaps: Vec<Gap>,
    next_check_ns: i64,
    last_pos: u64,
    #[serde(skip)]
    scratch: Vec<Row>,
    /// At most one an instrument; of no use to a replay, and void after a restart.
    #[serde(skip)]
    wants: Vec<Want>,
    #[serde(skip)]
    rescaled: Option<usize>,
}

impl Market {
    /// A market without instruments: INSTRUMENT records bring them.
    pub fn new() -> Self {
        Market {
            lines: Vec::new(),
            stats: MarketStats::default(),
            slots: Slots::default(),
            gaps: Vec::new(),
            next_check_ns: i64::MIN,
            last_pos: 0,
            scratch: Vec::new(),
            wants: Vec::new(),
            rescaled: None,
        }
    }

    /// Index of an instrument by its id.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.instrument.id() == id)
    }

    /// Offers each wish to `give`, which says whether it took it; the others are offered again next time.
    pub fn hand_wants(&mut self, mut give: impl FnMut(&Want) -> bool) {
        self.wants.retain(|want| !give(want));
    }

    /// Gaps that opened or closed since the last call.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Adds an instrument, or changes its metadata: another tick or lot rebuilds the book (rules.md 6). The scale stays that of
    /// before where it can, so that whoever holds prices and quantities need not care; [`Market::take_rescaled`] tells where
    /// it could not.
    pub fn set_instrument<V: Visitor>(&mut self, instrument: Instrument, ts_ns: i64, visitor: &mut V) {
        let Some(index) = self.index_of(&instrument.id()) else {
            self.slots.add_instrument(&instrument, self.lines.len());
            let mut line = Line::new(instrument);
            line.shard = self.slots.shard_of(&line.instrument);
            self.lines.push(line);
            return;
        };
        let line = &mut self.lines[index];
        let new = instrument.in_scale_of(&line.instrument);
        let old = std::mem::replace(&mut line.instrument, new);
        if line.instrument.has_steps_of(&old) {
            return;
        }
        if !line.instrument.has_scale_of(&old) {
            (line.touch, line.trade_flow_lots) = ([(0, 0); 2], 0);
            self.rescaled = Some(index);
        }
        self.lose_all(index, Cause::Metadata, ts_ns, BookState::Buffering, visitor);
    }

    /// The instrument whose integers have changed their meaning since the last call.
    pub fn take_rescaled(&mut self) -> Option<&Instrument> {
        self.rescaled.take().map(|index| &self.lines[index].instrument)
    }

    /// Names of the connections (CONFIG record).
    pub fn set_slots(&mut self, names: &[String]) {
        self.slots.set_names(names);
        self.bind_lines();
    }

    /// Whose connection a slot is.
    pub fn venue_of(&self, slot: u16) -> Option<Venue> {
        self.slots.venue(slot)
    }

    /// Symbols of each public connection, by its name without the side: `binance_spot/public/0`.
    pub fn set_shards(&mut self, shards: &BTreeMap<String, Vec<String>>) {
        self.slots.set_plan(shards);
        self.bind_lines();
    }

    fn bind_lines(&mut self) {
        for line in &mut self.lines {
            line.shard = self.slots.shard_of(&line.instrument).or(line.shard);
        }
    }

    /// The same from the payload of a CONFIG record.
    ///
    /// # Errors
    /// [`Error::BadMessage`] without a list of slots.
    pub fn set_slots_from(&mut self, config: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        struct Config {
            slots: Vec<String>,
            #[serde(default)]
            shards: BTreeMap<String, Vec<String>>,
        }
        let config: Config = serde_json::from_slice(config).map_err(|_| Error::BadMessage {
            what: "CONFIG record",
            offset: 0,
            reason: "no list of slots",
        })?;
        self.set_slots(&config.slots);
        self.set_shards(&config.shards);
        Ok(())
    }

    /// Consumes a record. Records that are no market data change nothing here.
    ///
    /// # Errors
    /// [`Error::BadMessage`] where a record of our own making cannot be read; what a venue sends never is an error.
    pub fn record<V: Visitor>(&mut self, record: &Record<'_>, visitor: &mut V) -> Result<()> {
        self.last_pos = record.pos;
        self.advance_to(record.ts_recv_ns, visitor);
        match record.kind {
            RecordKind::Frame => self.frame(record, visitor),
            RecordKind::Rest => self.rest(record, visitor)?,
            RecordKind::Connect => self.connected(record.slot, record.ts_recv_ns, visitor),
            RecordKind::Disconnect => self.disconnected(record.slot, record.ts_recv_ns, visitor),
            RecordKind::Health => {
                self.slots.heard(record.slot, record.ts_recv_ns, &mut self.lines);
            }
            RecordKind::Config => self.set_slots_from(record.bytes)?,
            RecordKind::Epoch => self.epoch(record.ts_recv_ns, visitor),
            RecordKind::Instrument => {
                let instrument = serde_json::from_slice(record.bytes).map_err(|_| Error::BadMessage {
                    what: "INSTRUMENT record",
                    offset: 0,
                    reason: "not an instrument",
                })?;
                self.set_instrument(instrument, record.ts_recv_ns, visitor);
            }
            _ => {}
        }
        Ok(())
    }

    /// Judges silence at every whole second up to `ts_ns`.
    pub fn advance_to<V: Visitor>(&mut self, ts_ns: i64, visitor: &mut V) {
        if ts_ns < self.next_check_ns {
            return;
        }
        if self.next_check_ns == i64::MIN {
            self.next_check_ns = check_after(ts_ns);
            return;
        }
        while self.next_check_ns <= ts_ns && self.next_check_ns < i64::MAX {
            let now = self.next_check_ns;
            for index in 0..self.lines.len() {
                let line = &mut self.lines[index];
                if line.state == BookState::Live && line.silence.is_silent(now) {
                    line.splice.sequence.on_silence();
                    self.set_state(index, BookState::Stale, Cause::Silence, now, visitor);
                }
            }
            self.next_check_ns = self.next_check_ns.saturating_add(CHECK_NS);
            if !self.lines.iter().any(Line::is_live) {
                self.next_check_ns = check_after(ts_ns);
            }
        }
    }

    /// Damage in the tape lies behind us: every book may have missed something.
    pub fn damaged<V: Visitor>(&mut self, ts_ns: i64, visitor: &mut V) {
        for index in 0..self.lines.len() {
            if self.lines[index].state != BookState::Connecting {
                self.lose_all(index, Cause::Damage, ts_ns, BookState::Buffering, visitor);
            }
        }
    }

    /// Applies a message that is already normalized: the way of event files, and the last step of every other way.
    pub fn apply<V: Visitor>(&mut self, message: &Message, rows: &[Row], visitor: &mut V) {
        let line = &mut self.lines[usize::from(message.instrument)];
        let Some(first) = rows.first() else { return };
        match first.kind() {
            RowKind::Bid | RowKind::Ask | RowKind::Clear => {}
            RowKind::BuyTrade => line.trade_flow_lots = line.trade_flow_lots.saturating_add(first.qty),
            RowKind::SellTrade => line.trade_flow_lots = line.trade_flow_lots.saturating_sub(first.qty),
            RowKind::State => self.state_row(message, *first),
            RowKind::Touch => {
                for row in rows {
                    line.touch[usize::from(row.flags() & flag::ASK_SIDE != 0)] = (row.px(), row.qty);
                }
            }
            RowKind::Mark | RowKind::Funding => {
                for row in rows {
                    if row.kind() == RowKind::Mark && row.flags() & flag::ASK_SIDE == 0 {
                        line.mark_e8 = row.px();
                    }
                }
            }
        }
        visitor.message(message, rows, &mut self.lines[usize::from(message.instrument)]);
    }

    fn state_row(&mut self, message: &Message, row: Row) {
        let Some(state) = BookState::from_u8(row.px() as u8) else { return };
        let cause = Cause::ALL.get(row.qty as usize).copied().unwrap_or(Cause::Start);
        let line = &mut self.lines[usize::from(message.instrument)];
        let ts = message.ts_recv_ns;
        if line.state == BookState::Live
            && let Some(since) = line.live_since_ns.take()
        {
            line.stats.live_ns = line.stats.live_ns.saturating_add(ts.saturating_sub(since));
            line.last_true_ns = line.last_true_ns.max(since);
        }
        line.state = state;
        match state {
            BookState::Live => {
                line.live_since_ns = Some(ts);
                if let Some(mut gap) = line.open_gap.take() {
                    gap.to_ts_ns = ts;
                    self.gaps.push(gap);
                }
            }
            BookState::Gap if line.open_gap.is_none() => {
                let gap = Gap { instrument: message.instrument, from_ts_ns: line.last_true_ns, to_ts_ns: 0, cause };
                line.open_gap = Some(gap.clone());
                self.gaps.push(gap);
            }
            _ => {}
        }
    }
}

/// The first whole second after `ts_ns`; never, where there is none.
const fn check_after(ts_ns: i64) -> i64 {
    ts_ns.saturating_add(CHECK_NS - ts_ns.rem_euclid(CHECK_NS))
}

impl Default for Market {
    fn default() -> Self {
        Market::new()
    }
}
