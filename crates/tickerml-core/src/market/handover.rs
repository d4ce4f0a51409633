//! Sockets that come and go, and how a book passes from one to the next.
//!
//! Spot's ids are one sequence on every socket of a shard: the other one carries on. Futures chain `pu`, so a second socket's
//! diffs wait for a snapshot of their own (rules.md 4); the book stays with the first socket until that closes. Then the
//! second one goes on where the first one ended, if none of its own diffs since is missing; else the book starts over there.
//! The recorder's tracks follow the same rule ([`Sequence::carries_on`]), so a loss is a gap for both or for neither.
use super::line::Splice;
use super::{Market, Visitor};
use crate::event::{BookState, Cause, Message, Row};
use crate::sequence::Sequence;
use crate::wire::DepthIds;

impl Market {
    pub(super) fn connected<V: Visitor>(&mut self, slot: u16, ts_ns: i64, visitor: &mut V) {
        let Some((venue, shard)) = self.slots.connected(slot) else { return };
        for index in 0..self.lines.len() {
            if self.lines[index].is_carried_by(venue, shard) {
                self.join(index, slot, ts_ns, visitor);
            }
        }
    }

    pub(super) fn disconnected<V: Visitor>(&mut self, slot: u16, ts_ns: i64, visitor: &mut V) {
        self.stats.disconnects += 1;
        let Some((venue, shard)) = self.slots.disconnected(slot) else { return };
        let other = self.slots.open_public(venue, shard);
        for index in 0..self.lines.len() {
            if self.lines[index].is_carried_by(venue, shard) {
                self.leave(index, slot, other, ts_ns, visitor);
            }
        }
    }

    /// The first frame of an instrument says which connection carries it, where the CONFIG record does not.
    pub(super) fn bind<V: Visitor>(&mut self, index: usize, slot: u16, ts_ns: i64, visitor: &mut V) {
        let line = &mut self.lines[index];
        line.shard = self.slots.shard(slot);
        if line.shard.is_some() {
            line.last_frame_ns = ts_ns;
            if self.slots.is_open(slot) {
                self.join(index, slot, ts_ns, visitor);
            }
        }
    }

    fn join<V: Visitor>(&mut self, index: usize, slot: u16, ts_ns: i64, visitor: &mut V) {
        let line = &mut self.lines[index];
        if line.state == BookState::Connecting {
            line.splice.slot = slot;
            line.splice.sequence.join(ts_ns);
            line.splice.sequence.reset(BookState::Buffering);
            self.set_state(index, BookState::Buffering, Cause::Connect, ts_ns, visitor);
        } else if line.instrument.venue.is_futures() && line.splice.slot != slot {
            let mut sequence = Sequence::new(line.instrument.venue);
            sequence.join(ts_ns);
            line.standby = Some(Splice::new(slot, sequence));
        }
    }

    fn leave<V: Visitor>(&mut self, index: usize, slot: u16, other: Option<u16>, ts_ns: i64, visitor: &mut V) {
        let line = &mut self.lines[index];
        if line.standby.as_ref().is_some_and(|standby| standby.slot == slot) {
            line.standby = None;
            return;
        }
        if line.splice.slot != slot && line.splice.slot != 0 {
            return;
        }
        match other {
            Some(other) if !line.instrument.venue.is_futures() => line.splice.slot = other,
            Some(other) => match line.standby.take() {
                Some(next) => self.hand_over(index, next, ts_ns, visitor),
                None => {
                    let next = Splice::new(other, Sequence::new(line.instrument.venue));
                    self.start_over(index, next, ts_ns, visitor);
                }
            },
            None => {
                line.silence.interrupted();
                line.standby = None;
                self.lose(index, Cause::Disconnect, ts_ns, BookState::Connecting, visitor);
            }
        }
    }

    /// The book's socket is gone, `next` is left.
    fn hand_over<V: Visitor>(&mut self, index: usize, mut next: Splice, ts_ns: i64, visitor: &mut V) {
        let line = &mut self.lines[index];
        if !next.sequence.carries_on(&line.splice.sequence) {
            if next.is_true() {
                next.restart();
            }
            return self.start_over(index, next, ts_ns, visitor);
        }
        next.prune(line.splice.sequence.update_id());
        next.sequence.carry_on(&line.splice.sequence);
        let waiting = std::mem::take(&mut next.waiting);
        next.forget();
        line.splice = next;
        for diff in &waiting {
            let message = Message { ts_recv_ns: ts_ns, ..diff.message };
            self.apply_diff(index, &message, &diff.rows, visitor);
        }
        if !waiting.is_empty() {
            if self.lines[index].state == BookState::Stale {
                self.set_state(index, BookState::Live, Cause::Resumed, ts_ns, visitor);
            }
            self.judge_crossed(index, ts_ns, visitor);
        }
    }

    /// The book starts over on the socket that is left, with what waits there.
    fn start_over<V: Visitor>(&mut self, index: usize, next: Splice, ts_ns: i64, visitor: &mut V) {
        self.lose(index, Cause::Disconnect, ts_ns, BookState::Connecting, visitor);
        let syncing = next.sequence.state() == BookState::Syncing;
        self.lines[index].splice = next;
        self.set_state(index, BookState::Buffering, Cause::Disconnect, ts_ns, visitor);
        if syncing {
            self.set_state(index, BookState::Syncing, Cause::Disconnect, ts_ns, visitor);
        }
    }

    /// A diff of the socket that stands by: kept until the book has what it says.
    pub(super) fn standby_diff<V: Visitor>(
        &mut self,
        index: usize,
        ids: DepthIds,
        message: &Message,
        rows: &[Row],
        visitor: &mut V,
    ) {
        let line = &mut self.lines[index];
        let Some(standby) = &mut line.standby else { return };
        let repeat = standby.sequence.is_in_run(ids);
        if !standby.sequence.extends_run(ids) {
            standby.forget();
        }
        standby.sequence.on_diff(ids);
        if repeat {
            line.stats.repeats += 1;
            return;
        }
        if standby.is_true() && line.splice.sequence.is_true() {
            standby.prune(line.splice.sequence.update_id());
        }
        if standby.push(ids, *message, rows) {
            return;
        }
        if standby.sequence.carries_on(&line.splice.sequence) {
            // The book's own socket has been silent for megabytes.
            let next = line.standby.take().expect("just seen");
            self.hand_over(index, next, message.ts_recv_ns, visitor);
        } else {
            standby.restart();
        }
    }
}
