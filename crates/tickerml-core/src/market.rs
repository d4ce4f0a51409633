//! Records in, true books out: routes frames to instruments, runs the splicing rules, and says what every book's state is.
//!
//! The same code serves live, replay, import and conversion. A [`Visitor`] gets every normalized message in the order in which
//! it is applied, and applies its rows to the book (the simulator watches levels and trades on the way).
mod line;
mod silence;
mod slots;
mod survey;

pub use line::{BUFFER_BYTES_MAX, Gap, Line, LineStats};
use slots::{Role, Slots};
pub use survey::{GapReport, InstrumentReport, LatencyMs, StreamReport, Survey};

use crate::error::{Error, Result};
use crate::event::{BookState, Cause, Message, Row, RowKind, flag};
use crate::instrument::{Instrument, Venue};
use crate::sequence::{Diff, Snapshot};
use crate::tape::{Record, RecordKind, RestHead};
use crate::units::UNDEF_TS_NS;
use crate::wire::{self, Body, Channel, DepthIds};
use line::Splice;
use serde::{Deserialize, Serialize};

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
        }
    }

    /// Index of an instrument by its id.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.instrument.id() == id)
    }

    /// Gaps that opened or closed since the last call.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Adds an instrument, or changes its metadata: a book of another scale starts over.
    pub fn set_instrument<V: Visitor>(&mut self, instrument: Instrument, ts_ns: i64, visitor: &mut V) {
        let Some(index) = self.index_of(&instrument.id()) else {
            self.slots.add_instrument(&instrument, self.lines.len());
            self.lines.push(Line::new(instrument));
            return;
        };
        let old = &self.lines[index].instrument;
        let same_scale = (old.price_precision, old.qty_precision, old.tick, old.lot)
            == (instrument.price_precision, instrument.qty_precision, instrument.tick, instrument.lot);
        self.lines[index].instrument = instrument;
        if !same_scale {
            self.lose(index, Cause::Metadata, ts_ns, BookState::Buffering, visitor);
        }
    }

    /// Names of the connections (CONFIG record).
    pub fn set_slots(&mut self, names: &[String]) {
        self.slots.set_names(names);
    }

    /// The same from the payload of a CONFIG record.
    ///
    /// # Errors
    /// [`Error::BadMessage`] without a list of slots.
    pub fn set_slots_from(&mut self, config: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        struct Config {
            slots: Vec<String>,
        }
        let config: Config = serde_json::from_slice(config).map_err(|_| Error::BadMessage {
            what: "CONFIG record",
            offset: 0,
            reason: "no list of slots",
        })?;
        self.set_slots(&config.slots);
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
            self.next_check_ns = ts_ns.div_euclid(CHECK_NS) * CHECK_NS + CHECK_NS;
            return;
        }
        while self.next_check_ns <= ts_ns {
            let now = self.next_check_ns;
            for index in 0..self.lines.len() {
                let line = &mut self.lines[index];
                if line.state == BookState::Live && line.silence.is_silent(now) {
                    line.splice.sequence.on_silence();
                    self.set_state(index, BookState::Stale, Cause::Silence, now, visitor);
                }
            }
            self.next_check_ns += CHECK_NS;
            if !self.lines.iter().any(Line::is_live) {
                self.next_check_ns = ts_ns.div_euclid(CHECK_NS) * CHECK_NS + CHECK_NS;
            }
        }
    }

    /// Damage in the tape lies behind us: every book may have missed something.
    pub fn damaged<V: Visitor>(&mut self, ts_ns: i64, visitor: &mut V) {
        for index in 0..self.lines.len() {
            if self.lines[index].state != BookState::Connecting {
                self.lose(index, Cause::Damage, ts_ns, BookState::Buffering, visitor);
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
                    match row.kind() {
                        RowKind::Mark if row.flags() & flag::ASK_SIDE == 0 => line.mark_e8 = row.px(),
                        RowKind::Funding => line.funding = (row.px(), row.qty),
                        _ => {}
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
            line.stats.live_ns += ts - since;
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

    fn frame<V: Visitor>(&mut self, record: &Record<'_>, visitor: &mut V) {
        self.stats.frames += 1;
        self.stats.frame_bytes += record.bytes.len() as u64;
        let venue = self.slots.heard(record.slot, record.ts_recv_ns, &mut self.lines);
        let Some((index, channel)) = self.route(venue, record.bytes) else { return };
        let mut rows = std::mem::take(&mut self.scratch);
        rows.clear();
        match wire::decode(record.bytes, self.lines[index].scale(), &mut rows) {
            Ok(decoded) => {
                let mut message = Message {
                    pos: record.pos,
                    ts_recv_ns: record.ts_recv_ns,
                    ts_event_ns: decoded.ts_event_ns,
                    instrument: index as u16,
                    rows: rows.len() as u32,
                };
                self.decoded(record.slot, &mut message, &mut rows, decoded.body, visitor);
            }
            Err(error) => {
                self.lines[index].stats.bad_messages += 1;
                if channel == Channel::Depth {
                    let cause = match error {
                        Error::BadNumber { .. } => Cause::BadNumber,
                        _ => Cause::BadFrame,
                    };
                    self.lose(index, cause, record.ts_recv_ns, BookState::Buffering, visitor);
                }
            }
        }
        self.scratch = rows;
    }

    /// Instrument and channel of a frame.
    fn route(&mut self, venue: Option<Venue>, frame: &[u8]) -> Option<(usize, Channel)> {
        if let Some(hit) = wire::stream_name(frame).and_then(|name| self.slots.stream(venue, name)) {
            return Some(hit);
        }
        let Ok(head) = wire::head(frame) else {
            self.stats.bad_frames += 1;
            return None;
        };
        match head.channel {
            Channel::Ack | Channel::Shutdown => None,
            Channel::Error => {
                self.stats.venue_errors += 1;
                None
            }
            Channel::Unknown => {
                self.stats.unknown_frames += 1;
                None
            }
            channel => {
                let hit = self.slots.symbol(venue, head.symbol).map(|index| (index, channel));
                self.stats.unknown_frames += u64::from(hit.is_none());
                hit
            }
        }
    }

    fn decoded<V: Visitor>(&mut self, slot: u16, message: &mut Message, rows: &mut [Row], body: Body, visitor: &mut V) {
        let line = &mut self.lines[usize::from(message.instrument)];
        match body {
            Body::Depth(ids) => return self.diff(slot, ids, message, rows, visitor),
            Body::Trade { id } => {
                line.has_trades = true;
                line.stats.trades += 1;
                if !line.takes_trade(id) {
                    return;
                }
            }
            Body::AggTrade { id, .. } => {
                // Only one of the two makes prints (simulation.md 1).
                if line.has_trades {
                    return;
                }
                line.stats.trades += 1;
                if !line.takes_trade(id) {
                    return;
                }
            }
            Body::Touch => line.stats.touches += 1,
            Body::Mark => {}
            Body::Other(_) => {
                self.stats.unknown_frames += 1;
                return;
            }
        }
        finish(rows);
        self.apply(message, rows, visitor);
    }

    fn diff<V: Visitor>(&mut self, slot: u16, ids: DepthIds, message: &mut Message, rows: &mut [Row], visitor: &mut V) {
        finish(rows);
        let index = usize::from(message.instrument);
        let line = &mut self.lines[index];
        line.stats.updates += 1;
        line.stats.levels += rows.len() as u64;
        if line.stats.first_seq == 0 {
            line.stats.first_seq = ids.first;
        }
        line.stats.last_seq = line.stats.last_seq.max(ids.last);
        line.silence.heard(message.ts_recv_ns);
        // Futures chain `pu` per socket, so a second socket's diffs wait for a snapshot of their own (rules.md 4).
        if let Some(standby) = line.standby.as_mut().filter(|s| s.slot == slot) {
            if standby.sequence.on_diff(ids) == Diff::Gap {
                standby.forget();
            }
            let fits = standby.push(ids, *message, rows);
            if !fits {
                line.standby = None;
            }
            return;
        }
        // A socket that another has replaced: its chain is not the book's any more.
        if line.instrument.venue.is_futures() && line.splice.slot != 0 && line.splice.slot != slot {
            line.stats.repeats += 1;
            return;
        }
        let (was, before) = (line.state, line.splice.sequence.update_id());
        match line.splice.sequence.on_diff(ids) {
            Diff::Apply => {
                self.apply_diff(index, message, rows, visitor);
                if was == BookState::Stale {
                    self.set_state(index, BookState::Live, Cause::Resumed, message.ts_recv_ns, visitor);
                }
                self.judge_crossed(index, message.ts_recv_ns, visitor);
            }
            Diff::Drop if line.splice.sequence.is_bridging() => line.stats.discarded_diffs += 1,
            Diff::Drop => line.stats.repeats += 1,
            Diff::Buffer => self.buffer(index, ids, message, rows, Cause::FirstDiff, visitor),
            Diff::Gap => {
                let dense = if ids.prev.is_none() { ids.first.saturating_sub(before + 1) } else { 1 };
                line.stats.missing_updates += dense;
                line.splice.forget();
                self.set_gap(index, Cause::SequenceGap, message.ts_recv_ns, visitor);
                self.buffer(index, ids, message, rows, Cause::SequenceGap, visitor);
            }
        }
    }

    fn apply_diff<V: Visitor>(&mut self, index: usize, message: &Message, rows: &[Row], visitor: &mut V) {
        let line = &mut self.lines[index];
        line.last_true_ns = message.ts_recv_ns;
        if message.ts_event_ns != UNDEF_TS_NS {
            line.last_diff_event_ns = message.ts_event_ns;
        }
        self.apply(message, rows, visitor);
    }

    fn buffer<V: Visitor>(
        &mut self,
        index: usize,
        ids: DepthIds,
        message: &Message,
        rows: &[Row],
        cause: Cause,
        visitor: &mut V,
    ) {
        let ts = message.ts_recv_ns;
        if self.lines[index].state != BookState::Syncing {
            if self.lines[index].state != BookState::Buffering {
                self.set_state(index, BookState::Buffering, cause, ts, visitor);
            }
            self.set_state(index, BookState::Syncing, cause, ts, visitor);
        }
        if !self.lines[index].splice.push(ids, *message, rows) {
            self.lose(index, Cause::Overflow, ts, BookState::Buffering, visitor);
        }
    }

    fn judge_crossed<V: Visitor>(&mut self, index: usize, ts_ns: i64, visitor: &mut V) {
        if self.lines[index].book.is_crossed() {
            self.lines[index].stats.crossed += 1;
            self.lose(index, Cause::Crossed, ts_ns, BookState::Buffering, visitor);
        }
    }

    fn rest<V: Visitor>(&mut self, record: &Record<'_>, visitor: &mut V) -> Result<()> {
        let (head, body) = RestHead::decode(record.bytes)?;
        self.stats.rest_failures += u64::from(head.status != 200);
        if head.what != "depth" || head.status != 200 {
            return Ok(());
        }
        let Some(index) = self.slots.symbol(self.slots.venue(record.slot), head.symbol.as_bytes()) else {
            return Ok(());
        };
        let mut rows = clears();
        match wire::depth_snapshot(body, self.lines[index].scale(), &mut rows) {
            Ok((id, ts_event_ns)) => self.snapshot(index, id, ts_event_ns, rows, record, visitor),
            Err(_) => self.lines[index].stats.bad_messages += 1,
        }
        Ok(())
    }

    fn snapshot<V: Visitor>(
        &mut self,
        index: usize,
        id: u64,
        ts_event_ns: i64,
        mut rows: Vec<Row>,
        record: &Record<'_>,
        visitor: &mut V,
    ) {
        let line = &mut self.lines[index];
        if line.standby.as_mut().is_some_and(|s| s.sequence.on_snapshot(id) == Snapshot::Accept) {
            // The new socket's book is whole: it takes over.
            line.splice = line.standby.take().expect("just asked");
        } else {
            match line.splice.sequence.on_snapshot(id) {
                Snapshot::Accept => {}
                Snapshot::TooOld | Snapshot::Unneeded => return,
            }
        }
        line.stats.snapshots += 1;
        line.last_true_ns = record.ts_recv_ns;
        let waiting = std::mem::take(&mut line.splice.waiting);
        line.splice.forget();
        finish(&mut rows);
        let before = waiting.iter().filter(|w| w.ids.1 <= id && w.message.ts_event_ns != UNDEF_TS_NS);
        let message = Message {
            pos: record.pos,
            ts_recv_ns: record.ts_recv_ns,
            ts_event_ns: if ts_event_ns == UNDEF_TS_NS {
                before.map(|w| w.message.ts_event_ns).next_back().unwrap_or(line.last_diff_event_ns)
            } else {
                ts_event_ns
            },
            instrument: index as u16,
            rows: rows.len() as u32,
        };
        self.apply(&message, &rows, visitor);
        for diff in waiting {
            if !self.splice_one(index, diff, record.ts_recv_ns, visitor) {
                return;
            }
        }
        self.set_state(index, BookState::Live, Cause::Snapshot, record.ts_recv_ns, visitor);
        self.judge_crossed(index, record.ts_recv_ns, visitor);
    }

    /// Applies a diff that waited, stamped with the snapshot's arrival; false where it does not fit after all.
    fn splice_one<V: Visitor>(&mut self, index: usize, diff: line::Waiting, ts_ns: i64, visitor: &mut V) -> bool {
        let line = &mut self.lines[index];
        match line.splice.sequence.on_diff(diff.ids()) {
            Diff::Apply => {
                let message = Message { ts_recv_ns: ts_ns, ..diff.message };
                self.apply_diff(index, &message, &diff.rows, visitor);
                true
            }
            Diff::Drop => {
                line.stats.discarded_diffs += 1;
                true
            }
            Diff::Buffer | Diff::Gap => {
                self.lose(index, Cause::SequenceGap, ts_ns, BookState::Buffering, visitor);
                false
            }
        }
    }

    fn connected<V: Visitor>(&mut self, slot: u16, ts_ns: i64, visitor: &mut V) {
        let Some((venue, Role::Public)) = self.slots.connected(slot) else { return };
        for index in 0..self.lines.len() {
            let line = &mut self.lines[index];
            if line.instrument.venue != venue {
                continue;
            }
            if line.state == BookState::Connecting {
                line.splice.slot = slot;
                line.splice.sequence.reset(BookState::Buffering);
                self.set_state(index, BookState::Buffering, Cause::Connect, ts_ns, visitor);
            } else if venue.is_futures() && line.splice.slot != slot {
                line.standby = Some(Splice::new(slot, crate::sequence::Sequence::new(venue)));
            }
        }
    }

    fn disconnected<V: Visitor>(&mut self, slot: u16, ts_ns: i64, visitor: &mut V) {
        self.stats.disconnects += 1;
        let Some((venue, Role::Public)) = self.slots.disconnected(slot) else { return };
        let other = self.slots.open_public(venue);
        for index in 0..self.lines.len() {
            let line = &mut self.lines[index];
            if line.instrument.venue != venue {
                continue;
            }
            line.standby = line.standby.take().filter(|s| s.slot != slot);
            match other {
                // Spot's ids are one sequence on every socket: the other one carries on.
                Some(other) if !venue.is_futures() => line.splice.slot = other,
                _ if line.splice.slot != slot && line.splice.slot != 0 => {}
                _ => {
                    line.silence.interrupted();
                    let standby = line.standby.take();
                    self.lose(index, Cause::Disconnect, ts_ns, BookState::Connecting, visitor);
                    if let Some(standby) = standby {
                        self.lines[index].splice = standby;
                        self.set_state(index, BookState::Buffering, Cause::Disconnect, ts_ns, visitor);
                        self.set_state(index, BookState::Syncing, Cause::Disconnect, ts_ns, visitor);
                    }
                }
            }
        }
    }

    fn epoch<V: Visitor>(&mut self, ts_ns: i64, visitor: &mut V) {
        self.slots.forget_connections();
        for index in 0..self.lines.len() {
            self.lines[index].standby = None;
            self.lines[index].silence.interrupted();
            self.lose(index, Cause::Epoch, ts_ns, BookState::Connecting, visitor);
        }
    }

    /// The book cannot be trusted any more and starts over from `state`.
    fn lose<V: Visitor>(&mut self, index: usize, cause: Cause, ts_ns: i64, state: BookState, visitor: &mut V) {
        let line = &mut self.lines[index];
        line.splice.forget();
        line.splice.sequence.reset(state);
        if line.state == state {
            return;
        }
        self.set_gap(index, cause, ts_ns, visitor);
        self.set_state(index, state, cause, ts_ns, visitor);
    }

    /// Records a gap, where there was a book to lose.
    fn set_gap<V: Visitor>(&mut self, index: usize, cause: Cause, ts_ns: i64, visitor: &mut V) {
        if matches!(self.lines[index].state, BookState::Live | BookState::Stale) {
            self.set_state(index, BookState::Gap, cause, ts_ns, visitor);
        }
    }

    fn set_state<V: Visitor>(&mut self, index: usize, state: BookState, cause: Cause, ts_ns: i64, visitor: &mut V) {
        let flags = flag::DERIVED | flag::LAST;
        let row = Row::new(RowKind::State, state as i64, cause as i64, flags).expect("states are small");
        let message = Message {
            pos: self.last_pos,
            ts_recv_ns: ts_ns,
            ts_event_ns: UNDEF_TS_NS,
            instrument: index as u16,
            rows: 1,
        };
        self.apply(&message, &[row], visitor);
    }
}

impl Default for Market {
    fn default() -> Self {
        Market::new()
    }
}

/// Marks the last row of a message.
fn finish(rows: &mut [Row]) {
    if let Some(last) = rows.last_mut() {
        *last = last.with_flags(flag::LAST);
    }
}

/// The two rows that open a snapshot.
fn clears() -> Vec<Row> {
    [flag::SNAPSHOT, flag::SNAPSHOT | flag::ASK_SIDE]
        .map(|flags| Row::new(RowKind::Clear, 0, 0, flags).expect("zero is small"))
        .to_vec()
}
