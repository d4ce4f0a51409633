//! Frames of streams, and the books whose ids they carry: when a snapshot is wanted and what it did.
use super::Supervisor;
use super::lane::Lane;
use crate::config::StreamPlan;
use crate::rest::What;
use crate::tape_port::Tape;
use crate::track::{Outcome, Track};
use tickerml_core::error::Error;
use tickerml_core::event::BookState;
use tickerml_core::instrument::Instrument;
use tickerml_core::sequence::Snapshot;
use tickerml_core::wire::{self, Body, DepthIds, Scale};

/// A book gets at most two snapshots a second, whatever its stream does.
const SNAPSHOT_SPACING_NS: i64 = 500_000_000;

impl<T: Tape> Supervisor<T> {
    /// A frame of a stream: the stream lives, and a diff moves its book. What a reader of the tape will not take is noticed
    /// here, by the same decoder, for without an engine nobody else would ask for a new snapshot.
    pub(super) fn stream_frame(&mut self, lane: usize, stream: usize, frame: &[u8], now_ns: i64) {
        let shard = self.lanes[lane].shard;
        let StreamPlan { symbol, is_depth, is_scaled, .. } = self.shards[shard].plan.streams[stream];
        let scale = self.shards[shard].books.get(symbol).and_then(|book| book.scale).filter(|_| is_scaled);
        let Some(scale) = scale else {
            return match wire::head(frame) {
                Ok(_) => self.stream_lives(lane, stream, now_ns),
                Err(_) => self.counters.bad_frames += 1,
            };
        };
        self.rows.clear();
        match wire::decode(frame, scale, &mut self.rows) {
            Ok(decoded) => {
                self.stream_lives(lane, stream, now_ns);
                if let Body::Depth(ids) = decoded.body {
                    self.diff(lane, symbol, ids, now_ns);
                }
            }
            Err(Error::BadNumber { .. }) => self.bad_number(shard, symbol, now_ns),
            Err(_) if is_depth => self.bad_diff(lane, symbol),
            Err(_) => self.counters.bad_frames += 1,
        }
    }

    fn stream_lives(&mut self, lane: usize, stream: usize, now_ns: i64) {
        let shard = self.lanes[lane].shard;
        self.lanes[lane].saw(stream);
        let resumed = self.shards[shard].lives[stream].on_frame(now_ns);
        if resumed {
            let detail = self.shards[shard].plan.streams[stream].label();
            self.health(0, now_ns, "stream", "live", &detail);
        }
    }

    fn diff(&mut self, lane: usize, symbol: usize, ids: DepthIds, now_ns: i64) {
        let Lane { shard, side, .. } = self.lanes[lane];
        let at = self.track_index(shard, side);
        let book = &mut self.shards[shard].books[symbol];
        let outcome = book.tracks[at].on_diff(ids, now_ns, size_of_val(self.rows.as_slice()));
        if outcome != Outcome::Fine {
            book.restarted_pos = self.counters.pos;
        }
        match outcome {
            Outcome::Fine => {}
            Outcome::Gap | Outcome::Overflow => self.counters.gaps += 1,
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

    /// A digit beyond the instrument's scale: the book starts over, and the venue is asked whether its tick has changed.
    #[cold]
    fn bad_number(&mut self, shard: usize, symbol: usize, now_ns: i64) {
        self.counters.bad_frames += 1;
        if self.restart(shard, symbol) {
            self.counters.gaps += 1;
            let id = self.instrument_id(shard, symbol);
            self.errors.push(format!("{id}: a number beyond tick or lot"));
        }
        self.want_metadata(self.shards[shard].plan.venue, now_ns);
    }

    /// A diff that cannot be read: its side of the book has lost it.
    #[cold]
    fn bad_diff(&mut self, lane: usize, symbol: usize) {
        self.counters.bad_frames += 1;
        let Lane { shard, side, .. } = self.lanes[lane];
        let at = self.track_index(shard, side);
        let carries = !self.is_futures(shard) || self.shards[shard].active == side;
        let book = &mut self.shards[shard].books[symbol];
        self.counters.gaps += u64::from(carries && book.tracks[at].update_id().is_some());
        if book.tracks[at].state() != BookState::Connecting {
            book.tracks[at].reset(BookState::Buffering);
            book.restarted_pos = self.counters.pos;
        }
    }

    /// Every side of a book starts over; true when one of them was true.
    pub(super) fn restart(&mut self, shard: usize, symbol: usize) -> bool {
        let book = &mut self.shards[shard].books[symbol];
        book.restarted_pos = self.counters.pos;
        let was_true = book.tracks.iter().any(|t| t.update_id().is_some());
        for track in book.tracks.iter_mut().filter(|t| t.state() != BookState::Connecting) {
            track.reset(BookState::Buffering);
        }
        was_true
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
    pub(super) fn apply_snapshot(
        &mut self,
        (shard, symbol): (usize, usize),
        (id, sent_ts_ns): (u64, i64),
        now_ns: i64,
    ) -> bool {
        let book = &mut self.shards[shard].books[symbol];
        book.not_before_ns = now_ns + SNAPSHOT_SPACING_NS;
        let mut old = false;
        for track in &mut book.tracks {
            match track.on_snapshot(id, sent_ts_ns, now_ns) {
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
            if active && !kept {
                book.restarted_pos = self.counters.pos;
            }
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
        self.counters.resyncs += 1;
        self.errors.push(format!("{instrument}: resync, asked by the engine"));
        self.health(0, now_ns, "book", "resync", instrument);
        let was_true = self.restart(shard, symbol);
        self.counters.gaps += u64::from(was_true);
        self.want_metadata(self.shards[shard].plan.venue, now_ns);
        Ok(())
    }

    /// Whether a book has started over at this record or behind it.
    pub(super) fn restarted_since(&self, instrument: &str, pos: u64) -> bool {
        self.find_book(instrument).is_some_and(|(shard, symbol)| self.shards[shard].books[symbol].restarted_pos >= pos)
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

    pub(super) fn stream_index(&self, shard: usize, name: &[u8]) -> Option<usize> {
        let names = &self.shards[shard].names;
        let at = names.binary_search_by(|(known, _)| known.as_slice().cmp(name)).ok()?;
        Some(names[at].1)
    }
}

/// Scale of an instrument's numbers.
pub(super) const fn scale(instrument: &Instrument) -> Scale {
    Scale { price_precision: instrument.price_precision, qty_precision: instrument.qty_precision }
}
