//! The supervisor's state for the screen.
use super::{Shard, Supervisor};
use crate::stats::{BookStats, Stats, StreamStats};
use crate::tape_port::Tape;

impl<T: Tape> Supervisor<T> {
    /// A picture of now. `frames_per_s` is the caller's to fill in: it needs two pictures.
    pub fn stats(&mut self, now_ns: i64) -> Stats {
        let durable_pos = self.tape.durable_pos();
        let names = self.plan.venues.iter().map(|v| v.venue.to_string());
        let weights = self.venues.iter_mut().map(|v| v.rest.weight_used(now_ns));
        Stats {
            counters: self.counters.clone(),
            frames_per_s: 0.0,
            durable_pos,
            tape_lag: (self.counters.pos + 1).saturating_sub(durable_pos),
            weight_used: names.zip(weights).collect(),
            open: (0..self.lanes.len())
                .filter(|&l| self.lanes[l].is_open())
                .map(|l| self.slot_name(l).to_owned())
                .collect(),
            streams: self.shards.iter().flat_map(|s| self.stream_stats(s, now_ns)).collect(),
            books: self.book_stats(),
            errors: self.errors.list(),
            error_count: self.errors.count(),
            blocked: self.venues.iter().filter_map(|v| v.blocked.clone()).collect(),
            unreachable: self.venues.iter().filter_map(|v| v.contact.now_unreachable()).collect(),
            fatal: self.fatal.clone(),
            runs: self.runs.clone(),
            run_counts: self.run_counts(),
        }
    }

    fn stream_stats(&self, shard: &Shard, now_ns: i64) -> Vec<StreamStats> {
        let slot = &self.plan.slots[usize::from(shard.plan.slots[shard.active])];
        let one = |(plan, life): (&crate::config::StreamPlan, &crate::liveness::StreamLife)| StreamStats {
            stream: plan.name.clone(),
            instrument: plan.instrument.clone(),
            slot: slot.clone(),
            frames: life.frames,
            age_ms: life.last_ns.map(|last| (now_ns - last) / 1_000_000),
            stale: life.stale_since_ns.is_some(),
        };
        shard.plan.streams.iter().zip(&shard.lives).map(one).collect()
    }

    fn book_stats(&self) -> Vec<BookStats> {
        let mut books = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            for symbol in (0..shard.books.len()).filter(|&s| shard.books[s].depth_stream.is_some()) {
                let track = self.track(index, symbol, shard.active);
                books.push(BookStats {
                    instrument: self.instrument_id(index, symbol),
                    state: format!("{:?}", track.state()).to_lowercase(),
                    update_id: track.update_id(),
                });
            }
        }
        books
    }
}
