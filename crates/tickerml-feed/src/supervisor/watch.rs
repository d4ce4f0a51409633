//! Streams that are silent, and whether their book moved without them (rules.md 6, exchanges.md 14.2).
use super::Supervisor;
use crate::config::Role;
use crate::liveness::Silence;
use crate::rest::What;
use crate::tape_port::Tape;

/// A stream that gave no frame by then after its connection opened is reported and its book probed (exchanges.md 0.5).
pub const FIRST_DATA_NS: i64 = 10_000_000_000;
/// A probe saw the book move; its diff must come within this.
const PROBE_GRACE_NS: i64 = 5_000_000_000;

impl<T: Tape> Supervisor<T> {
    pub(super) fn watch_streams(&mut self, now_ns: i64) {
        for shard in 0..self.shards.len() {
            for stream in 0..self.shards[shard].lives.len() {
                if let Some(silence) = self.shards[shard].lives[stream].on_tick(now_ns) {
                    self.stale_stream(shard, stream, silence, now_ns);
                }
            }
        }
        for lane in 0..self.lanes.len() {
            self.watch_first_data(lane, now_ns);
        }
    }

    fn stale_stream(&mut self, shard: usize, stream: usize, silence: Silence, now_ns: i64) {
        let plan = &self.shards[shard].plan.streams[stream];
        let (name, symbol, is_depth) = (plan.label(), plan.symbol, plan.is_depth);
        if silence == Silence::Began {
            self.counters.stale += 1;
            self.health(0, now_ns, "stream", "stale", &name);
        }
        if is_depth && self.shards[shard].plan.role == Role::Public {
            self.shards[shard].books[symbol].tracks.iter_mut().for_each(crate::track::Track::on_silence);
            self.want_probe(shard, symbol, now_ns);
        }
    }

    fn watch_first_data(&mut self, lane: usize, now_ns: i64) {
        let l = &self.lanes[lane];
        if l.silent_told || l.age_ns(now_ns).is_none_or(|age| age < FIRST_DATA_NS) {
            return;
        }
        let (shard, seen) = (l.shard, l.seen.clone());
        self.lanes[lane].silent_told = true;
        let quiet: Vec<usize> = (0..seen.len()).filter(|&s| !seen[s]).collect();
        let has_depth = self.shards[shard].plan.streams.iter().any(|s| s.is_depth);
        if quiet.len() == seen.len() && !has_depth {
            self.fail_lane(lane, now_ns, "no data within 10 s: wrong entry point or unknown streams");
            return;
        }
        for stream in quiet {
            let plan = self.shards[shard].plan.streams[stream].clone();
            self.health(0, now_ns, "stream", "silent", &plan.label());
            if plan.is_depth {
                self.want_probe(shard, plan.symbol, now_ns);
            }
        }
    }

    fn want_probe(&mut self, shard: usize, symbol: usize, not_before_ns: i64) {
        let venue = self.shards[shard].plan.venue;
        self.venues[venue].rest.want(What::Probe { shard, symbol }, not_before_ns);
    }

    /// A probe's update id: a book that moved beyond its stream is suspect.
    pub(super) fn apply_probe(&mut self, shard: usize, symbol: usize, id: u64, now_ns: i64) {
        let active = self.shards[shard].active;
        let known = self.track(shard, symbol, active).update_id();
        let book = &mut self.shards[shard].books[symbol];
        match known.or(book.probed) {
            Some(known) if id > known => book.suspect = Some((id, now_ns)),
            Some(_) => {}
            None => {
                book.probed = Some(id);
                self.want_probe(shard, symbol, now_ns + FIRST_DATA_NS);
            }
        }
    }

    /// Reconnects a shard whose book moved while its stream stayed silent.
    pub(super) fn watch_books(&mut self, now_ns: i64) {
        for shard in 0..self.shards.len() {
            for symbol in 0..self.shards[shard].books.len() {
                let book = &mut self.shards[shard].books[symbol];
                let Some((_, at_ns)) = book.suspect.filter(|&(_, at_ns)| now_ns - at_ns >= PROBE_GRACE_NS) else {
                    continue;
                };
                book.suspect = None;
                let last_ns = book.depth_stream.and_then(|s| self.shards[shard].lives[s].last_ns);
                let seen = self.stream_seen(shard, symbol);
                if seen && last_ns.is_some_and(|last| last >= at_ns) {
                    continue;
                }
                if self.lane_open(shard, self.shards[shard].active) {
                    let reason = format!("{} is silent while its book moves", self.instrument_id(shard, symbol));
                    self.errors.push(reason.clone());
                    self.restart_shard(shard, now_ns, &reason);
                }
            }
        }
    }

    fn stream_seen(&self, shard: usize, symbol: usize) -> bool {
        let lane = &self.lanes[self.lane_of(shard, self.shards[shard].active)];
        self.shards[shard].books[symbol].depth_stream.is_some_and(|stream| lane.seen[stream])
    }
}
