//! The feed's decisions without any I/O: which socket to open, when to ping, close, hand over, and what to ask by REST.
//!
//! It is told what happened, always with the monotonic time at which it happened, writes the tape, and leaves
//! [`Action`]s to be carried out. Answers name what they answer (a [`ConnId`] or a request id); one that comes late, for a
//! connection or request that is no longer there, is ignored.
mod action;
mod books;
mod lane;
mod metadata;
mod report;
mod rest;
mod runs;
mod shard;
mod sockets;
#[cfg(test)]
mod tests;
mod venues;
mod watch;
mod writing;

pub use action::{Action, Closed};
pub use lane::ConnId;
use lane::Lane;
use shard::{Shard, Venue};

use crate::backoff::Rng;
use crate::clock::Anchor;
use crate::config::Plan;
use crate::stats::{Counters, Errors};
use crate::tape_port::Tape;
use tickerml_core::event::{BookState, Row};
use tickerml_core::tape::RecordKind;

/// Silence on the tape after which a TICK moves time (rules.md 1).
pub const TICK_NS: i64 = 20_000_000;
/// How often streams are checked for silence: limits are 10 s and more.
const WATCH_NS: i64 = 250_000_000;

/// Who starts this epoch of the run.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Number of the process start in the run.
    pub epoch: u32,
    /// Version of the code.
    pub code_version: String,
    /// Seed of all randomness.
    pub seed: u64,
}

/// See the module's page.
pub struct Supervisor<T: Tape> {
    tape: T,
    plan: Plan,
    start: Start,
    anchor: Anchor,
    rng: Rng,
    venues: Vec<Venue>,
    shards: Vec<Shard>,
    lanes: Vec<Lane>,
    /// Lane of each slot.
    lane_of_slot: Vec<Option<usize>>,
    actions: Vec<Action>,
    counters: Counters,
    /// Counts when the present run began.
    counters_before: Counters,
    /// Runs begun after the first one.
    runs: Vec<String>,
    errors: Errors,
    fatal: Option<String>,
    last_append_ns: i64,
    last_watch_ns: i64,
    tape_stalled_since_ns: Option<i64>,
    /// Whether stamps can be trusted, as the tape was told last.
    clock_trusted: bool,
    requests: u64,
    stopped: bool,
    /// Rows of the frame at hand.
    rows: Vec<Row>,
}

impl<T: Tape> Supervisor<T> {
    /// A supervisor that has done nothing yet: call [`Supervisor::begin`].
    pub fn new(plan: Plan, tape: T, anchor: Anchor, start: Start) -> Self {
        let venues = plan.venues.iter().map(Venue::new).collect();
        let mut lane_of_slot = vec![None; plan.slots.len()];
        let mut lanes = Vec::new();
        for (shard, plan) in plan.shards.iter().enumerate() {
            for (side, &slot) in plan.slots.iter().enumerate() {
                lane_of_slot[usize::from(slot)] = Some(lanes.len());
                lanes.push(Lane::new(shard, side, slot, plan.streams.len()));
            }
        }
        let shards = plan.shards.iter().map(|s| Shard::new(s, &plan)).collect();
        Supervisor {
            tape,
            anchor,
            rng: Rng::new(start.seed),
            start,
            venues,
            shards,
            lanes,
            lane_of_slot,
            plan,
            actions: Vec::new(),
            counters: Counters::default(),
            counters_before: Counters::default(),
            runs: Vec::new(),
            errors: Errors::default(),
            fatal: None,
            last_append_ns: i64::MIN / 2,
            last_watch_ns: i64::MIN / 2,
            tape_stalled_since_ns: None,
            clock_trusted: false,
            requests: 0,
            stopped: false,
            rows: Vec::new(),
        }
    }

    /// Time passed. Call at least every 20 ms.
    pub fn tick(&mut self, now_ns: i64) {
        if self.stopped {
            return;
        }
        if now_ns - self.last_append_ns >= TICK_NS && self.tape.ready() {
            self.append(RecordKind::Tick, 0, now_ns, b"");
        }
        self.watch_tape(now_ns);
        self.tick_run(now_ns);
        self.take_from_engine(now_ns);
        self.tick_lanes(now_ns);
        if now_ns - self.last_watch_ns >= WATCH_NS {
            self.last_watch_ns = now_ns;
            self.watch_streams(now_ns);
            self.watch_books(now_ns);
            self.watch_contacts(now_ns);
            self.want_metadata_again(now_ns);
        }
        self.tick_handovers(now_ns);
        self.want_snapshots(now_ns);
        self.pump_rest(now_ns);
    }

    /// Moves what must be done now to `out`.
    pub fn take_actions(&mut self, out: &mut Vec<Action>) {
        out.append(&mut self.actions);
    }

    /// True when actions wait.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Why the feed cannot go on, if so: an unknown symbol, every venue refused, or a tape that failed.
    pub fn fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }

    /// The tape.
    pub const fn tape(&self) -> &T {
        &self.tape
    }

    /// The tape, to change it (tests) or to close it.
    pub const fn tape_mut(&mut self) -> &mut T {
        &mut self.tape
    }

    /// Gives the tape back.
    pub fn into_tape(self) -> T {
        self.tape
    }

    /// True after [`Supervisor::stop`].
    pub const fn stopped(&self) -> bool {
        self.stopped
    }

    /// When the next TICK is due if nothing else is written, monotonic ns.
    pub const fn tick_due_ns(&self) -> i64 {
        self.last_append_ns.saturating_add(TICK_NS)
    }

    /// Shows an error of the shell among the others.
    pub fn note_error(&mut self, text: String) {
        self.errors.push(text);
    }

    /// True when nothing more may be read from sockets for now.
    pub fn blocked(&mut self) -> bool {
        !self.tape.ready()
    }

    /// State of a book as the feed's sequence has it, by instrument.
    pub fn book_state(&self, instrument: &str) -> Option<BookState> {
        let (shard, symbol) = self.find_book(instrument)?;
        let active = self.shards[shard].active;
        Some(self.track(shard, symbol, active).state())
    }

    fn slot_name(&self, lane: usize) -> &str {
        &self.plan.slots[usize::from(self.lanes[lane].slot)]
    }
}
