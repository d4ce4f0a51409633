//! What the supervisor writes by itself: clock steps, what the engine hands back, its own health; and a tape that takes
//! nothing.
use super::Supervisor;
use super::lane::Phase;
use crate::clock::{Stamp, Wall};
use crate::tape_port::Tape;
use serde_json::{Value, json};
use tickerml_core::tape::RecordKind;

/// A tape that takes nothing for this long is a gap: sockets are closed (reliability.md 3.4).
const TAPE_STALL_NS: i64 = 1_000_000_000;

impl<T: Tape> Supervisor<T> {
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
    pub(super) fn take_from_engine(&mut self, now_ns: i64) {
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

    pub(super) fn append(&mut self, kind: RecordKind, slot: u16, now_ns: i64, bytes: &[u8]) -> Stamp {
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

    pub(super) fn append_json(&mut self, kind: RecordKind, slot: u16, now_ns: i64, value: &Value) {
        self.append(kind, slot, now_ns, value.to_string().as_bytes());
    }

    /// A HEALTH record. Its slot is a connection's only where something came by it: readers count that as a sign of life.
    pub(super) fn health(&mut self, slot: u16, now_ns: i64, name: &str, state: &str, detail: &str) {
        self.append_json(RecordKind::Health, slot, now_ns, &json!({"name": name, "state": state, "detail": detail}));
    }

    pub(super) fn watch_tape(&mut self, now_ns: i64) {
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
}
