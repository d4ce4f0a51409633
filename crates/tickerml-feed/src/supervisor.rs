//! The feed's decisions without any I/O: which socket to open, when to ping, close, hand over, and what to ask by REST.
//!
//! It is told what happened, always with the monotonic time at which it happened, writes the tape, and leaves
//! [`Action`]s to be carried out. Answers name what they answer (a [`ConnId`] or a request id); one that comes late, for a
//! connection or request that is no longer there, is ignored.
mod books;
mod lane;
mod metadata;
mod report;
mod rest;
mod roll;
mod sockets;
#[cfg(test)]
mod tests;
mod venues;
mod watch;

pub use lane::ConnId;
use lane::{Lane, Phase};
use serde_json::{Value, json};

use crate::backoff::Rng;
use crate::budget::Budget;
use crate::clock::{Anchor, Stamp, Wall};
use crate::config::{Plan, Role, ShardPlan};
use crate::liveness::StreamLife;
use crate::rest::RestQueue;
use crate::stats::{Counters, Errors};
use crate::tape_port::Tape;
use crate::track::Track;
use tickerml_core::event::{BookState, Row};
use tickerml_core::instrument::Instrument;
use tickerml_core::tape::RecordKind;
use tickerml_core::wire::Scale;

/// Silence on the tape after which a TICK moves time (rules.md 1).
pub const TICK_NS: i64 = 20_000_000;
/// How often streams are checked for silence: limits are 10 s and more.
const WATCH_NS: i64 = 250_000_000;
/// Binance allows 300 connection attempts in 5 minutes (exchanges.md 0.6).
const CONNECTS_MAX: u32 = 300;
const CONNECTS_WINDOW_NS: i64 = 300_000_000_000;
/// A tape that takes nothing for this long is a gap: sockets are closed (reliability.md 3.4).
const TAPE_STALL_NS: i64 = 1_000_000_000;

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a socket and answer with `opened` or `closed`.
    Open {
        /// Names the connection in all answers.
        conn: ConnId,
        /// Where.
        url: String,
    },
    /// Send a ping frame.
    Ping {
        /// On which connection.
        conn: ConnId,
    },
    /// Close and forget a socket; no answer is expected.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// GET a URL and answer with `answered`.
    Request {
        /// Names the request in its answer.
        id: u64,
        /// Where.
        url: String,
    },
}

/// How a connection ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// In words, for the DISCONNECT record.
    pub reason: String,
    /// HTTP status of a refused handshake; 0 otherwise.
    pub status: u16,
    /// Seconds of a `Retry-After`.
    pub retry_after_s: Option<i64>,
}

impl Closed {
    /// An end without an HTTP status.
    pub fn because(reason: impl Into<String>) -> Self {
        Closed { reason: reason.into(), ..Closed::default() }
    }
}

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

pub(crate) struct Venue {
    rest: RestQueue,
    connects: Budget,
    instruments: Vec<Instrument>,
    /// When the metadata was last asked for.
    metadata_asked_ns: i64,
    /// The venue told us not to connect before this.
    connect_after_ns: i64,
    /// How far the first contact has come.
    contact: venues::Contact,
    /// Why this venue is given up for good.
    blocked: Option<String>,
}

pub(crate) struct Shard {
    plan: ShardPlan,
    /// Stream names in order, with their index: found by binary search.
    names: Vec<(Vec<u8>, usize)>,
    lives: Vec<StreamLife>,
    books: Vec<Book>,
    /// Which side carries the shard; the other one is open during a hand-over only.
    active: usize,
    /// When the other side was asked to take over.
    handover_since_ns: Option<i64>,
}

/// A book's ids. Futures keep one track a side, because a new connection must have its own snapshot (rules.md 4); spot ids
/// are contiguous over connections, so track 0 serves both.
pub(crate) struct Book {
    tracks: [Track; 2],
    /// Earliest time of the next snapshot request.
    not_before_ns: i64,
    /// What a probe saw before the first diff.
    probed: Option<u64>,
    /// A probe saw an id that the stream has not reached, and when.
    suspect: Option<(u64, i64)>,
    depth_stream: Option<usize>,
    /// Scale of its numbers, once the venue has told it.
    scale: Option<Scale>,
    /// The last record at which it started over.
    restarted_pos: u64,
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
        let venues = plan.venues.iter().map(|v| Venue {
            rest: RestQueue::new(v.weight_per_min),
            connects: Budget::new(CONNECTS_MAX, CONNECTS_WINDOW_NS),
            instruments: Vec::new(),
            metadata_asked_ns: i64::MIN / 2,
            connect_after_ns: i64::MIN,
            contact: venues::Contact::default(),
            blocked: None,
        });
        let venues = venues.collect();
        let mut lane_of_slot = vec![None; plan.slots.len()];
        let mut lanes = Vec::new();
        for (shard, plan) in plan.shards.iter().enumerate() {
            for (side, &slot) in plan.slots.iter().enumerate() {
                lane_of_slot[usize::from(slot)] = Some(lanes.len());
                lanes.push(Lane::new(shard, side, slot, plan.streams.len()));
            }
        }
        let shards = plan.shards.iter().map(|s| shard_of(s, &plan)).collect();
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

    /// Compares our stamps with the wall clock; a step leaves a CLOCK record. When the system begins or ceases to call its
    /// clock synchronised that is a HEALTH record: what EPOCH said of it ends there (rules.md 1).
    pub fn observe_wall(&mut self, wall: Wall, now_ns: i64) {
        if self.stopped {
            return;
        }
        if let Some(step) = self.anchor.observe(wall.ns, now_ns) {
            self.counters.clock_steps += 1;
            self.append_json(RecordKind::Clock, 0, now_ns, &json!(step));
        }
        if std::mem::replace(&mut self.clock_trusted, wall.trusted()) != wall.trusted() {
            let state = if self.clock_trusted { "synced" } else { "unsynced" };
            self.health(0, now_ns, "clock", state, "");
        }
    }

    /// Something from the engine: `command`, `health` and `model_output` become records, `resync` (an instrument's id) asks
    /// for a new snapshot of that book.
    ///
    /// # Errors
    /// An unknown kind or instrument.
    pub fn command(&mut self, kind: &str, payload: &str, now_ns: i64) -> Result<(), String> {
        let record = match kind {
            "command" => RecordKind::Command,
            "health" => RecordKind::Health,
            "model_output" => RecordKind::ModelOutput,
            "resync" => return self.resync_instrument(payload, now_ns),
            _ => return Err(format!("unknown command kind {kind:?}: command, health, model_output or resync")),
        };
        self.append(record, 0, now_ns, payload.as_bytes());
        Ok(())
    }

    /// Appends what the engine handed back. A HEALTH record named `resync` asks for a new snapshot of the book in its detail
    /// ([`tickerml_core::market::Want`]); it is no record where that book has started over since anyway.
    fn take_from_engine(&mut self, now_ns: i64) {
        while self.tape.ready()
            && let Some((kind, bytes)) = self.tape.take_from_engine()
        {
            let value = if kind == RecordKind::Health { serde_json::from_slice(&bytes).ok() } else { None };
            let Some(want) = value.filter(|v: &Value| v["name"] == "resync") else {
                self.append(kind, 0, now_ns, &bytes);
                continue;
            };
            let instrument = want["detail"].as_str().unwrap_or_default();
            if want["pos"].as_u64().is_some_and(|pos| self.restarted_since(instrument, pos)) {
                continue;
            }
            self.append(kind, 0, now_ns, &bytes);
            if let Err(error) = self.resync_instrument(instrument, now_ns) {
                self.errors.push(error);
            }
        }
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

    fn append(&mut self, kind: RecordKind, slot: u16, now_ns: i64, bytes: &[u8]) -> Stamp {
        let stamp = self.anchor.stamp(now_ns);
        self.last_append_ns = now_ns;
        match self.tape.append(kind, slot, stamp, bytes) {
            Ok(pos) => self.counters.pos = pos,
            Err(reason) => {
                self.fatal.get_or_insert_with(|| format!("tape: {reason}"));
            }
        }
        stamp
    }

    fn append_json(&mut self, kind: RecordKind, slot: u16, now_ns: i64, value: &Value) {
        self.append(kind, slot, now_ns, value.to_string().as_bytes());
    }

    /// A HEALTH record. Its slot is a connection's only where something came by it: readers count that as a sign of life.
    fn health(&mut self, slot: u16, now_ns: i64, name: &str, state: &str, detail: &str) {
        self.append_json(RecordKind::Health, slot, now_ns, &json!({"name": name, "state": state, "detail": detail}));
    }

    fn watch_tape(&mut self, now_ns: i64) {
        if self.tape.ready() {
            self.tape_stalled_since_ns = None;
            return;
        }
        if let Some(reason) = self.tape.failed() {
            self.fatal.get_or_insert_with(|| format!("tape: {reason}"));
        }
        let since_ns = *self.tape_stalled_since_ns.get_or_insert(now_ns);
        if now_ns - since_ns < TAPE_STALL_NS {
            return;
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_open() {
                self.errors.push(format!("{}: closed, the tape takes no records", self.slot_name(lane)));
                self.drop_lane(lane, now_ns, "the tape takes no records", Phase::Waiting { until_ns: now_ns });
            }
        }
    }

    fn slot_name(&self, lane: usize) -> &str {
        &self.plan.slots[usize::from(self.lanes[lane].slot)]
    }
}

fn shard_of(shard: &ShardPlan, plan: &Plan) -> Shard {
    let mut names: Vec<_> = shard.streams.iter().enumerate().map(|(n, s)| (s.name.clone().into_bytes(), n)).collect();
    names.sort();
    let venue = plan.venues[shard.venue].venue;
    let book = |symbol| Book {
        tracks: [Track::new(venue), Track::new(venue)],
        not_before_ns: i64::MIN,
        probed: None,
        suspect: None,
        depth_stream: shard.streams.iter().position(|s| s.symbol == symbol && s.is_depth),
        scale: None,
        restarted_pos: 0,
    };
    let books = if shard.role == Role::Public { (0..shard.symbols.len()).map(book).collect() } else { Vec::new() };
    Shard {
        plan: shard.clone(),
        names,
        lives: vec![StreamLife::default(); shard.streams.len()],
        books,
        active: 0,
        handover_since_ns: None,
    }
}
