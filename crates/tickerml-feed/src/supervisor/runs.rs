//! How a run begins and ends. A recording that goes on for ever is cut into runs, so that retention can remove old ones
//! (rules.md 3). The sockets stay open and no frame is lost: the old run ends with STOP, the new one begins with all that a
//! tape begins with, and its books with snapshots of their own.
use super::lane::Phase;
use super::{Action, Supervisor};
use crate::clock::Wall;
use crate::tape_port::Tape;
use serde_json::{Map, Value, json};
use tickerml_core::event::BookState;
use tickerml_core::tape::RecordKind;

impl<T: Tape> Supervisor<T> {
    /// Writes CARRY where there is one, EPOCH and CONFIG, and asks each venue for its metadata; sockets follow its answer.
    pub fn begin(&mut self, wall: Wall, now_ns: i64) {
        self.clock_trusted = wall.trusted();
        let carry = std::mem::take(&mut self.plan.carry_record);
        if !carry.is_null() {
            self.append_json(RecordKind::Carry, 0, now_ns, &carry);
        }
        self.begin_tape(now_ns);
        for venue in 0..self.venues.len() {
            self.venues[venue].contact.since_ns = now_ns;
            self.want_metadata(venue, now_ns);
        }
        self.pump_rest(now_ns);
    }

    /// Writes EPOCH and CONFIG.
    fn begin_tape(&mut self, now_ns: i64) {
        let epoch = json!({
            "epoch": self.start.epoch, "code_version": self.start.code_version,
            "clock_unsynced": !self.clock_trusted,
        });
        self.append_json(RecordKind::Epoch, 0, now_ns, &epoch);
        let config = std::mem::take(&mut self.plan.config_record);
        self.append_json(RecordKind::Config, 0, now_ns, &config);
        self.plan.config_record = config;
        let pos = self.counters.pos;
        self.shards.iter_mut().flat_map(|s| &mut s.books).for_each(|book| book.restarted_pos = pos);
    }

    /// Ends the tape with STOP and closes everything. STOP ends every connection: a DISCONNECT for each would read as a loss.
    pub fn stop(&mut self, reason: &str, now_ns: i64) {
        if self.stopped {
            return;
        }
        self.append_json(RecordKind::Stop, 0, now_ns, &json!({"reason": reason}));
        self.leave();
    }

    /// Closes everything without STOP: the run is not over, and can be gone on with.
    pub fn leave(&mut self) {
        self.stopped = true;
        for lane in 0..self.lanes.len() {
            let before = std::mem::replace(&mut self.lanes[lane].phase, Phase::Idle);
            if matches!(before, Phase::Opening { .. } | Phase::Open { .. }) {
                self.actions.push(Action::Close { conn: self.lanes[lane].conn() });
            }
        }
    }

    /// Begins the next run when this one is long, unless a shard is just being handed over.
    pub(super) fn tick_run(&mut self, now_ns: i64) {
        if self.tape.is_long() && self.tape.ready() && self.shards.iter().all(|s| s.handover_since_ns.is_none()) {
            self.begin_next_run(now_ns);
        }
    }

    /// What `run.json` says of the run at its end.
    pub(super) fn run_counts(&self) -> Map<String, Value> {
        let (now, before) = (&self.counters, &self.counters_before);
        let counts = [
            ("frames", now.frames - before.frames),
            ("bytes", now.bytes - before.bytes),
            ("reconnects", now.reconnects - before.reconnects),
            ("gaps", now.gaps - before.gaps),
        ];
        counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
    }

    fn begin_next_run(&mut self, now_ns: i64) {
        let stamp = self.append(RecordKind::Stop, 0, now_ns, br#"{"reason":"the run is long: another one goes on"}"#);
        let name = match self.tape.begin_next(stamp, self.run_counts()) {
            Ok(name) => name,
            Err(reason) => {
                self.fatal.get_or_insert_with(|| format!("tape: {reason}"));
                return;
            }
        };
        self.counters_before = self.counters.clone();
        self.start.epoch = 0;
        self.plan.config_record["run"] = name.as_str().into();
        self.runs.push(name);
        self.begin_tape(now_ns);
        for venue in 0..self.venues.len() {
            for n in 0..self.venues[venue].instruments.len() {
                let instrument = json!(self.venues[venue].instruments[n]);
                self.append_json(RecordKind::Instrument, 0, now_ns, &instrument);
            }
        }
        for book in self.shards.iter_mut().flat_map(|shard| &mut shard.books) {
            book.tracks.iter_mut().for_each(|track| track.reset(BookState::Connecting));
            book.suspect = None;
            book.probed = None;
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_open() {
                self.connect_record(lane, now_ns);
            }
        }
    }
}
