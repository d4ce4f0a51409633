//! Connections: opening within budgets, frames, liveness, closing, and the hand-over from one slot to the other.
use super::lane::{ConnId, Lane, Phase};
use super::{Action, Closed, Supervisor};
use crate::tape_port::Tape;
use serde_json::json;
use tickerml_core::tape::RecordKind;
use tickerml_core::wire::{self, Channel};

/// Silence after which we ping (rules.md 6).
pub const PING_AFTER_NS: i64 = 5_000_000_000;
/// Silence after which a connection is given up (rules.md 6).
pub const SILENT_MAX_NS: i64 = 10_000_000_000;
/// An attempt without any answer from the shell; its own time-out is 10 s.
const OPENING_MAX_NS: i64 = 15_000_000_000;
/// Wait of a refused handshake (429, 418) that does not say `Retry-After`; and the longest one obeyed, a ban's three days.
const RETRY_AFTER_NS: i64 = 60_000_000_000;
const PAUSE_MAX_S: i64 = 3 * 86_400;
/// Binance closes at 24 h; the hand-over starts up to half an hour before 23 h, spread over shards.
const RETIRE_NS: i64 = 23 * 3_600_000_000_000;
const RETIRE_SPREAD_NS: i64 = 1_800_000_000_000;
/// A new connection that never became ready takes over anyway before the old one is closed by the venue.
const HANDOVER_MAX_NS: i64 = 45 * 60_000_000_000;
/// Market channels push every 1 to 3 s: after this a connection with any data is as ready as it will be.
const MARKET_READY_NS: i64 = 10_000_000_000;
/// A connection that announces its end at once is still used this long, so that notices cannot cause a storm.
const HANDOVER_AGE_MIN_NS: i64 = 5_000_000_000;
/// Reason of a disconnect that ends a hand-over.
const HANDOVER: &str = "handover";

impl<T: Tape> Supervisor<T> {
    /// A socket that was asked for is open.
    pub fn opened(&mut self, conn: ConnId, now_ns: i64) {
        let Some(lane) = self.current(conn) else { return };
        if !matches!(self.lanes[lane].phase, Phase::Opening { .. }) {
            return;
        }
        let retire_ns = RETIRE_NS - self.rng.upto(RETIRE_SPREAD_NS);
        self.lanes[lane].opened(now_ns, retire_ns);
        let (shard, side) = (self.lanes[lane].shard, self.lanes[lane].side);
        self.venues[self.shards[shard].plan.venue].contact.reached = true;
        self.connect_record(lane, now_ns);
        self.shards[shard].lives.iter_mut().for_each(|life| life.on_open(now_ns));
        if !self.lane_open(shard, 1 - side) {
            self.shards[shard].active = side;
        }
    }

    /// Records that a connection is there, for its books too.
    pub(super) fn connect_record(&mut self, lane: usize, now_ns: i64) {
        let Lane { shard, side, slot, .. } = self.lanes[lane];
        let connect = json!({"slot": self.slot_name(lane), "url": self.shards[shard].plan.url});
        self.append_json(RecordKind::Connect, slot, now_ns, &connect);
        let (at, ts_ns) = (self.track_index(shard, side), self.anchor.stamp(now_ns).recv_ns);
        self.shards[shard].books.iter_mut().for_each(|book| book.tracks[at].join(ts_ns));
    }

    /// A text frame came. `now_ns` was read right after it left the socket.
    pub fn frame(&mut self, conn: ConnId, now_ns: i64, bytes: &[u8]) {
        let Some(lane) = self.current(conn).filter(|&l| self.lanes[l].is_open()) else { return };
        self.append(RecordKind::Frame, conn.slot, now_ns, bytes);
        self.counters.frames += 1;
        self.counters.bytes += bytes.len() as u64;
        self.lanes[lane].heard(now_ns);
        let shard = self.lanes[lane].shard;
        match wire::stream_name(bytes).and_then(|name| self.stream_index(shard, name)) {
            Some(stream) => self.stream_frame(lane, stream, bytes, now_ns),
            None => self.other_frame(lane, bytes, now_ns),
        }
    }

    /// A frame that does not begin with the name of a stream of ours.
    fn other_frame(&mut self, lane: usize, bytes: &[u8], now_ns: i64) {
        let Ok(head) = wire::head(bytes) else {
            self.counters.bad_frames += 1;
            return;
        };
        if head.channel == Channel::Shutdown {
            self.lanes[lane].shutdown = true;
        } else if let Some(stream) = self.stream_index(self.lanes[lane].shard, head.stream) {
            self.stream_frame(lane, stream, bytes, now_ns);
        } else {
            self.counters.other_frames += 1;
        }
    }

    /// A ping or pong came, or a frame of no use (binary).
    pub fn control(&mut self, conn: ConnId, name: &str, now_ns: i64) {
        let Some(lane) = self.current(conn).filter(|&l| self.lanes[l].is_open()) else { return };
        self.lanes[lane].heard(now_ns);
        let detail = self.slot_name(lane).to_owned();
        self.health(conn.slot, now_ns, name, "received", &detail);
    }

    /// A socket ended or could not be opened.
    pub fn closed(&mut self, conn: ConnId, now_ns: i64, end: &Closed) {
        let Some(lane) = self.current(conn) else { return };
        if matches!(self.lanes[lane].phase, Phase::Idle | Phase::Waiting { .. }) {
            return;
        }
        let text = format!("{}: {}", self.slot_name(lane), end.reason);
        self.errors.push(text);
        let venue = self.shards[self.lanes[lane].shard].plan.venue;
        let host = self.shards[self.lanes[lane].shard].plan.url.split("/stream").next().unwrap_or_default().to_owned();
        self.note_failure(venue, &host, &end.reason);
        if matches!(end.status, 451 | 403) {
            self.block_venue(venue, end.status, self.plan.venues[venue].ws_url.clone(), now_ns);
            return;
        }
        if matches!(end.status, 429 | 418) {
            let wait_ns = end.retry_after_s.map_or(RETRY_AFTER_NS, |s| s.clamp(1, PAUSE_MAX_S) * 1_000_000_000);
            let venue = &mut self.venues[venue];
            venue.connect_after_ns = venue.connect_after_ns.max(now_ns + wait_ns);
        }
        self.fail_lane(lane, now_ns, &end.reason);
    }

    /// Opens a slot as soon as backoff and budget allow.
    pub(super) fn want_lane(&mut self, shard: usize, side: usize, now_ns: i64) {
        let lane = self.lane_of(shard, side);
        if self.lanes[lane].phase == Phase::Idle {
            self.lanes[lane].phase = Phase::Waiting { until_ns: now_ns };
            self.tick_lane(lane, now_ns);
        }
    }

    pub(super) fn tick_lanes(&mut self, now_ns: i64) {
        for lane in 0..self.lanes.len() {
            self.tick_lane(lane, now_ns);
        }
    }

    fn tick_lane(&mut self, lane: usize, now_ns: i64) {
        match self.lanes[lane].phase {
            Phase::Waiting { until_ns } if now_ns >= until_ns => self.open_lane(lane, now_ns),
            Phase::Opening { since_ns } if now_ns - since_ns >= OPENING_MAX_NS => {
                self.fail_lane(lane, now_ns, "no answer to the connection attempt");
            }
            Phase::Open { .. } => self.check_lane(lane, now_ns),
            _ => {}
        }
    }

    fn open_lane(&mut self, lane: usize, now_ns: i64) {
        let shard = self.lanes[lane].shard;
        let venue = &mut self.venues[self.shards[shard].plan.venue];
        if self.tape_stalled_since_ns.is_some() || venue.blocked.is_some() {
            return;
        }
        let ready_ns = venue.connects.ready_at(now_ns, 1).max(venue.connect_after_ns);
        if ready_ns > now_ns {
            self.lanes[lane].phase = Phase::Waiting { until_ns: ready_ns };
            let detail = format!("{}: connections, {} ms", self.slot_name(lane), (ready_ns - now_ns) / 1_000_000);
            self.health(0, now_ns, "budget", "paused", &detail);
            return;
        }
        venue.connects.spend(now_ns, 1);
        self.lanes[lane].generation += 1;
        self.lanes[lane].phase = Phase::Opening { since_ns: now_ns };
        self.counters.connects += 1;
        let (conn, url) = (self.lanes[lane].conn(), self.shards[shard].plan.url.clone());
        self.actions.push(Action::Open { conn, url });
    }

    fn check_lane(&mut self, lane: usize, now_ns: i64) {
        let Lane { heard_ns, pinged_ns, .. } = self.lanes[lane];
        if now_ns - heard_ns >= SILENT_MAX_NS {
            self.fail_lane(lane, now_ns, "silent for 10 s");
        } else if now_ns - heard_ns >= PING_AFTER_NS && pinged_ns.is_none() {
            self.lanes[lane].pinged_ns = Some(now_ns);
            self.actions.push(Action::Ping { conn: self.lanes[lane].conn() });
            let detail = self.slot_name(lane).to_owned();
            self.health(0, now_ns, "ping", "sent", &detail);
        }
    }

    /// Ends a connection that failed and plans the next one; during a hand-over the other slot carries on.
    pub(super) fn fail_lane(&mut self, lane: usize, now_ns: i64, reason: &str) {
        let Lane { shard, side, .. } = self.lanes[lane];
        let age_ns = self.lanes[lane].age_ns(now_ns).unwrap_or(0);
        self.lanes[lane].backoff.ended_after(age_ns);
        let delay_ns = self.lanes[lane].backoff.next_delay_ns(&mut self.rng);
        self.counters.reconnects += 1;
        let replaced = self.shards[shard].active == side && self.lane_open(shard, 1 - side);
        let next = if replaced { Phase::Idle } else { Phase::Waiting { until_ns: now_ns + delay_ns } };
        self.drop_lane(lane, now_ns, reason, next);
    }

    /// Ends every connection of a shard and starts over: what its readers hold cannot be trusted.
    pub(super) fn restart_shard(&mut self, shard: usize, now_ns: i64, reason: &str) {
        let active = self.shards[shard].active;
        self.shards[shard].handover_since_ns = None;
        self.drop_lane(self.lane_of(shard, 1 - active), now_ns, reason, Phase::Idle);
        self.fail_lane(self.lane_of(shard, active), now_ns, reason);
    }

    /// Ends a connection, whatever it was doing, and puts its slot into `next`.
    pub(super) fn drop_lane(&mut self, lane: usize, now_ns: i64, reason: &str, next: Phase) {
        let before = std::mem::replace(&mut self.lanes[lane].phase, next);
        let Lane { shard, side, slot, .. } = self.lanes[lane];
        if !matches!(before, Phase::Opening { .. } | Phase::Open { .. }) {
            return;
        }
        self.actions.push(Action::Close { conn: self.lanes[lane].conn() });
        if matches!(before, Phase::Opening { .. }) {
            let detail = format!("{}: {reason}", self.slot_name(lane));
            self.health(0, now_ns, "connect", "failed", &detail);
            return;
        }
        let record = json!({"slot": self.slot_name(lane), "reason": reason});
        self.append_json(RecordKind::Disconnect, slot, now_ns, &record);
        self.lost_books(shard, side);
        if self.lane_open(shard, 1 - side) {
            if self.shards[shard].active == side {
                self.finish_handover(shard, now_ns, if reason == HANDOVER { "done" } else { "lost" });
            }
        } else {
            self.shards[shard].lives.iter_mut().for_each(crate::liveness::StreamLife::on_closed);
        }
    }

    /// Starts hand-overs that are due and ends those that are ready (rules.md 4: a and b).
    pub(super) fn tick_handovers(&mut self, now_ns: i64) {
        for shard in 0..self.shards.len() {
            let (active, since_ns) = (self.shards[shard].active, self.shards[shard].handover_since_ns);
            let old = self.lane_of(shard, active);
            match since_ns {
                None if self.retires(old, now_ns) => {
                    self.shards[shard].handover_since_ns = Some(now_ns);
                    self.handover_record(shard, now_ns, "begin");
                    self.want_lane(shard, 1 - active, now_ns);
                }
                Some(since_ns) if self.may_take_over(shard, since_ns, now_ns) => {
                    self.drop_lane(old, now_ns, HANDOVER, Phase::Idle);
                }
                _ => {}
            }
        }
    }

    fn retires(&self, lane: usize, now_ns: i64) -> bool {
        let lane = &self.lanes[lane];
        lane.age_ns(now_ns)
            .is_some_and(|age| age >= lane.retire_after_ns || (lane.shutdown && age >= HANDOVER_AGE_MIN_NS))
    }

    fn may_take_over(&self, shard: usize, since_ns: i64, now_ns: i64) -> bool {
        let side = 1 - self.shards[shard].active;
        let lane = &self.lanes[self.lane_of(shard, side)];
        let Some(age_ns) = lane.age_ns(now_ns) else { return false };
        let ready = if self.shards[shard].books.is_empty() {
            lane.seen_count == lane.seen.len() || (lane.seen_count > 0 && age_ns >= MARKET_READY_NS)
        } else {
            self.books_ready(shard, side)
        };
        ready || now_ns - since_ns >= HANDOVER_MAX_NS
    }

    /// The other side carries the shard from now on.
    fn finish_handover(&mut self, shard: usize, now_ns: i64, how: &str) {
        self.shards[shard].handover_since_ns = None;
        self.shards[shard].active = 1 - self.shards[shard].active;
        self.counters.handovers += 1;
        self.handover_record(shard, now_ns, how);
    }

    /// HEALTH `handover`: the slot that carries the shard from this record on, or is about to.
    fn handover_record(&mut self, shard: usize, now_ns: i64, state: &str) {
        let side = if state == "begin" { 1 - self.shards[shard].active } else { self.shards[shard].active };
        let lane = self.lane_of(shard, side);
        let detail = self.slot_name(lane).to_owned();
        self.health(0, now_ns, "handover", state, &detail);
    }

    pub(super) const fn lane_of(&self, shard: usize, side: usize) -> usize {
        shard * 2 + side
    }

    pub(super) fn lane_open(&self, shard: usize, side: usize) -> bool {
        self.lanes[self.lane_of(shard, side)].is_open()
    }

    /// The lane that `conn` names, while it is that slot's present connection.
    #[inline]
    fn current(&self, conn: ConnId) -> Option<usize> {
        let lane = (*self.lane_of_slot.get(usize::from(conn.slot))?)?;
        (self.lanes[lane].generation == conn.generation && !self.stopped).then_some(lane)
    }
}
