//! Frames of streams, and the books whose ids they carry: when a snapshot is wanted and what it did.
use super::lane::Lane;
use super::{Book, Supervisor};
use crate::rest::What;
use crate::tape_port::Tape;
use crate::track::{Outcome, Track};
use tickerml_core::event::BookState;
use tickerml_core::event::Row;
use tickerml_core::instrument::Instrument;
use tickerml_core::sequence::Snapshot;
use tickerml_core::wire::{self, Channel, Head, Scale};

/// A book gets at most two snapshots a second, whatever its stream does.
const SNAPSHOT_SPACING_NS: i64 = 500_000_000;

impl<T: Tape> Supervisor<T> {
    /// A decoded head: the stream lives, and a diff moves its book.
    pub(super) fn route(&mut self, lane: usize, head: Head<'_>, frame: &[u8], now_ns: i64) {
        let shard = self.lanes[lane].shard;
        let Some(stream) = self.stream_index(shard, head.stream) else {
            self.counters.other_frames += 1;
            return;
        };
        self.lanes[lane].saw(stream);
        let resumed = self.shards[shard].lives[stream].on_frame(now_ns);
        if resumed {
            let detail = self.shards[shard].plan.streams[stream].label();
            self.health(0, now_ns, "stream", "live", &detail);
        }
        if head.channel == Channel::Depth {
            let symbol = self.shards[shard].plan.streams[stream].symbol;
            self.diff(lane, symbol, head, frame, now_ns);
        }
    }

    fn diff(&mut self, lane: usize, symbol: usize, head: Head<'_>, frame: &[u8], now_ns: i64) {
        let Lane { shard, side, .. } = self.lanes[lane];
        let at = self.track_index(shard, side);
        let s = &mut self.shards[shard];
        let Some(book) = s.books.get_mut(symbol) else { return };
        let (venue, name) = (s.plan.venue, &s.plan.symbols[symbol]);
        let instruments = &self.venues[venue].instruments;
        let outcome = book.tracks[at].on_diff(head.depth, now_ns, || rows_bytes(instruments, name, frame));
        match outcome {
            Outcome::Fine => {}
            Outcome::Gap => self.counters.gaps += 1,
            Outcome::Overflow => {
                self.counters.gaps += 1;
                self.want_metadata(venue, now_ns);
            }
            Outcome::Mismatch => {
                let reason = format!("{}: diffs do not follow the snapshot", self.instrument_id(shard, symbol));
                self.errors.push(reason.clone());
                self.restart_shard(shard, now_ns, &reason);
                return;
            }
        }
        if self.track(shard, symbol, side).wants_snapshot() {
            self.want_snapshot(shard, symbol);
            self.pump_rest(now_ns);
        }
    }

    /// A frame that cannot be read. When it was a diff its book has lost it.
    pub(super) fn bad_frame(&mut self, lane: usize, frame: &[u8]) {
        self.counters.bad_frames += 1;
        let shard = self.lanes[lane].shard;
        let Some(stream) = wire::stream_name(frame).and_then(|name| self.stream_index(shard, name)) else { return };
        let plan = &self.shards[shard].plan.streams[stream];
        let (is_depth, symbol) = (plan.is_depth, plan.symbol);
        if is_depth && let Some(book) = self.shards[shard].books.get_mut(symbol) {
            self.counters.gaps += u64::from(restart(book));
        }
    }

    /// Asks for a snapshot of each book that waits for one.
    pub(super) fn want_snapshots(&mut self, _now_ns: i64) {
        for shard in 0..self.shards.len() {
            for symbol in 0..self.shards[shard].books.len() {
                if self.wants(shard, symbol) {
                    self.want_snapshot(shard, symbol);
                }
            }
        }
    }

    fn want_snapshot(&mut self, shard: usize, symbol: usize) {
        let not_before_ns = self.shards[shard].books[symbol].not_before_ns;
        let venue = self.shards[shard].plan.venue;
        self.venues[venue].rest.want(What::Snapshot { shard, symbol }, not_before_ns);
    }

    /// True while any side's track of the book waits for a snapshot.
    pub(super) fn wants(&self, shard: usize, symbol: usize) -> bool {
        self.shards[shard].books[symbol].tracks.iter().any(Track::wants_snapshot)
    }

    /// A snapshot came. False when it must be asked for again.
    pub(super) fn apply_snapshot(&mut self, shard: usize, symbol: usize, id: u64, now_ns: i64) -> bool {
        let book = &mut self.shards[shard].books[symbol];
        book.not_before_ns = now_ns + SNAPSHOT_SPACING_NS;
        let mut old = false;
        for track in &mut book.tracks {
            match track.on_snapshot(id, now_ns) {
                Snapshot::Accept => self.counters.snapshots += 1,
                Snapshot::TooOld => old = true,
                Snapshot::Unneeded => {}
            }
        }
        self.counters.snapshots_old += u64::from(old);
        !old
    }

    /// A connection of the shard is gone: its books pass to the other side, or start over. The tape's reader does the same.
    pub(super) fn lost_books(&mut self, shard: usize, side: usize) {
        let other_open = self.lane_open(shard, 1 - side);
        let shared = !self.is_futures(shard);
        if shared && other_open {
            return;
        }
        let at = self.track_index(shard, side);
        let active = self.shards[shard].active == side;
        let venue = self.plan.venues[self.shards[shard].plan.venue].venue;
        for book in &mut self.shards[shard].books {
            let gone = std::mem::replace(&mut book.tracks[at], Track::new(venue));
            let kept = other_open && active && book.tracks[1 - at].take_over(&gone);
            self.counters.gaps += u64::from(active && !kept && gone.update_id().is_some());
            book.suspect = None;
            book.probed = None;
        }
    }

    /// True when every book of a shard could pass to this side without a gap.
    pub(super) fn books_ready(&self, shard: usize, side: usize) -> bool {
        let seen = &self.lanes[self.lane_of(shard, side)].seen;
        let ready = |(symbol, stream): (usize, Option<usize>)| {
            let (next, old) = (self.track(shard, symbol, side), self.track(shard, symbol, 1 - side));
            let passes = if self.is_futures(shard) { next.carries_on(old) } else { next.update_id().is_some() };
            stream.is_none_or(|stream| seen[stream] && passes)
        };
        self.shards[shard].books.iter().map(|book| book.depth_stream).enumerate().all(ready)
    }

    /// The engine found a book wrong: start it over with a new snapshot.
    pub(super) fn resync_instrument(&mut self, instrument: &str, now_ns: i64) -> Result<(), String> {
        let instrument = instrument.trim().trim_matches('"');
        let (shard, symbol) = self.find_book(instrument).ok_or_else(|| format!("no book of {instrument:?}"))?;
        self.resync_record(shard, symbol, now_ns, "asked by the engine");
        restart(&mut self.shards[shard].books[symbol]);
        self.want_metadata(self.shards[shard].plan.venue, now_ns);
        Ok(())
    }

    /// HEALTH `book`/`resync`: the feed follows the engine, which found the book wrong.
    fn resync_record(&mut self, shard: usize, symbol: usize, now_ns: i64, why: &str) {
        self.counters.gaps += 1;
        self.counters.resyncs += 1;
        let id = self.instrument_id(shard, symbol);
        self.errors.push(format!("{id}: resync, {why}"));
        self.health(0, now_ns, "book", "resync", &id);
    }

    pub(super) fn track(&self, shard: usize, symbol: usize, side: usize) -> &Track {
        &self.shards[shard].books[symbol].tracks[self.track_index(shard, side)]
    }

    pub(super) fn track_index(&self, shard: usize, side: usize) -> usize {
        if self.is_futures(shard) { side } else { 0 }
    }

    fn is_futures(&self, shard: usize) -> bool {
        self.plan.venues[self.shards[shard].plan.venue].venue.is_futures()
    }

    pub(super) fn instrument_id(&self, shard: usize, symbol: usize) -> String {
        let plan = &self.shards[shard].plan;
        format!("{}:{}", self.plan.venues[plan.venue].venue, plan.symbols[symbol])
    }

    pub(super) fn find_book(&self, instrument: &str) -> Option<(usize, usize)> {
        self.shards.iter().enumerate().find_map(|(shard, s)| {
            let symbol = (0..s.books.len()).find(|&symbol| self.instrument_id(shard, symbol) == instrument)?;
            Some((shard, symbol))
        })
    }

    fn stream_index(&self, shard: usize, name: &[u8]) -> Option<usize> {
        let names = &self.shards[shard].names;
        let at = names.binary_search_by(|(known, _)| known.as_slice().cmp(name)).ok()?;
        Some(names[at].1)
    }
}

/// Every side of a book starts over; true when one of them was true.
pub(super) fn restart(book: &mut Book) -> bool {
    let was_true = book.tracks.iter().any(|t| t.update_id().is_some());
    for track in book.tracks.iter_mut().filter(|t| t.state() != BookState::Connecting) {
        track.reset(BookState::Buffering);
    }
    was_true
}

/// Bytes of the rows of a diff that must wait for a snapshot; none when it cannot be read. Waiting is rare, so reading it
/// here costs nothing that shows.
fn rows_bytes(instruments: &[Instrument], symbol: &str, frame: &[u8]) -> Option<usize> {
    let i = instruments.iter().find(|i| i.symbol == symbol)?;
    let scale = Scale { price_precision: i.price_precision, qty_precision: i.qty_precision };
    let mut rows: Vec<Row> = Vec::new();
    wire::decode(frame, scale, &mut rows).ok()?;
    Some(size_of_val(rows.as_slice()))
}
