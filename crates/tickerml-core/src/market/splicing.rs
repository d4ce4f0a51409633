//! How a book is made true and kept so: diffs against snapshots, sockets that come and go, and what is said when it is lost.
use super::line;
use super::{Market, Visitor, Want};
use crate::error::Result;
use crate::event::{BookState, Cause, Message, Row, RowKind, flag};
use crate::sequence::{Diff, Snapshot};
use crate::tape::{Record, RestHead};
use crate::units::UNDEF_TS_NS;
use crate::wire::{self, DepthIds};

impl Market {
    pub(super) fn diff<V: Visitor>(
        &mut self,
        slot: u16,
        ids: DepthIds,
        message: &mut Message,
        rows: &mut [Row],
        visitor: &mut V,
    ) {
        finish(rows);
        let index = usize::from(message.instrument);
        let line = &mut self.lines[index];
        line.stats.updates += 1;
        line.stats.levels += rows.len() as u64;
        if line.stats.first_seq == 0 {
            line.stats.first_seq = ids.first;
        }
        line.stats.last_seq = line.stats.last_seq.max(ids.last);
        line.silence.heard(message.ts_recv_ns);
        if line.standby.as_ref().is_some_and(|standby| standby.slot == slot) {
            return self.standby_diff(index, ids, message, rows, visitor);
        }
        // Neither the book's socket nor one that may become it: its chain says nothing here.
        if !line.is_spliced_from(slot) {
            line.stats.repeats += 1;
            return;
        }
        let (was, before) = (line.state, line.splice.sequence.update_id());
        match line.splice.sequence.on_diff(ids) {
            Diff::Apply => {
                self.apply_diff(index, message, rows, visitor);
                if was == BookState::Stale {
                    self.set_state(index, BookState::Live, Cause::Resumed, message.ts_recv_ns, visitor);
                }
                self.judge_crossed(index, message.ts_recv_ns, visitor);
            }
            Diff::Drop if line.splice.sequence.is_bridging() => line.stats.discarded_diffs += 1,
            Diff::Drop => line.stats.repeats += 1,
            Diff::Buffer => self.buffer(index, ids, message, rows, Cause::FirstDiff, visitor),
            Diff::Gap => {
                let dense = if ids.prev.is_none() { ids.first.saturating_sub(before + 1) } else { 1 };
                line.stats.missing_updates += dense;
                line.splice.forget();
                self.set_gap(index, Cause::SequenceGap, message.ts_recv_ns, visitor);
                self.buffer(index, ids, message, rows, Cause::SequenceGap, visitor);
            }
        }
    }

    pub(super) fn apply_diff<V: Visitor>(&mut self, index: usize, message: &Message, rows: &[Row], visitor: &mut V) {
        let line = &mut self.lines[index];
        line.last_true_ns = message.ts_recv_ns;
        if message.ts_event_ns != UNDEF_TS_NS {
            line.last_diff_event_ns = message.ts_event_ns;
        }
        self.apply(message, rows, visitor);
    }

    fn buffer<V: Visitor>(
        &mut self,
        index: usize,
        ids: DepthIds,
        message: &Message,
        rows: &[Row],
        cause: Cause,
        visitor: &mut V,
    ) {
        let ts = message.ts_recv_ns;
        if self.lines[index].state != BookState::Syncing {
            if self.lines[index].state != BookState::Buffering {
                self.set_state(index, BookState::Buffering, cause, ts, visitor);
            }
            self.set_state(index, BookState::Syncing, cause, ts, visitor);
        }
        let line = &mut self.lines[index];
        if !line.splice.push(ids, *message, rows) {
            if line.last_true_ns == 0 {
                // No book was true before: what is lost begins with the first diff that waited.
                line.last_true_ns = line.splice.waiting[0].message.ts_recv_ns;
            }
            self.lose(index, Cause::Overflow, ts, BookState::Buffering, visitor);
        }
    }

    pub(super) fn judge_crossed<V: Visitor>(&mut self, index: usize, ts_ns: i64, visitor: &mut V) {
        if self.lines[index].book.is_crossed() {
            self.lines[index].stats.crossed += 1;
            self.lose_all(index, Cause::Crossed, ts_ns, BookState::Buffering, visitor);
        }
    }

    pub(super) fn rest<V: Visitor>(&mut self, record: &Record<'_>, visitor: &mut V) -> Result<()> {
        let (head, body) = RestHead::decode(record.bytes)?;
        self.stats.rest_failures += u64::from(head.status != 200);
        if head.what != "depth" || head.status != 200 {
            return Ok(());
        }
        let Some(index) = self.slots.symbol(self.slots.venue(record.slot), head.symbol.as_bytes()) else {
            return Ok(());
        };
        let mut rows = clears();
        match wire::depth_snapshot(body, self.lines[index].scale(), &mut rows) {
            Ok((id, ts_event_ns)) => {
                self.snapshot(index, (id, head.sent_ts_ns), ts_event_ns, rows, record, visitor);
            }
            Err(_) => self.lines[index].stats.bad_messages += 1,
        }
        Ok(())
    }

    fn snapshot<V: Visitor>(
        &mut self,
        index: usize,
        (id, sent_ns): (u64, i64),
        ts_event_ns: i64,
        mut rows: Vec<Row>,
        record: &Record<'_>,
        visitor: &mut V,
    ) {
        let line = &mut self.lines[index];
        if let Some(standby) = &mut line.standby {
            standby.on_snapshot(id, sent_ns);
        }
        match line.splice.sequence.on_snapshot(id, sent_ns) {
            Snapshot::Accept => {}
            Snapshot::TooOld | Snapshot::Unneeded => return,
        }
        line.stats.snapshots += 1;
        line.last_true_ns = record.ts_recv_ns;
        let waiting = std::mem::take(&mut line.splice.waiting);
        line.splice.forget();
        finish(&mut rows);
        let before = waiting.iter().filter(|w| w.ids.1 <= id && w.message.ts_event_ns != UNDEF_TS_NS);
        let message = Message {
            pos: record.pos,
            ts_recv_ns: record.ts_recv_ns,
            ts_event_ns: if ts_event_ns == UNDEF_TS_NS {
                before.map(|w| w.message.ts_event_ns).next_back().unwrap_or(line.last_diff_event_ns)
            } else {
                ts_event_ns
            },
            instrument: index as u16,
            rows: rows.len() as u32,
        };
        self.apply(&message, &rows, visitor);
        for diff in waiting {
            if !self.splice_one(index, diff, record.ts_recv_ns, visitor) {
                return;
            }
        }
        self.set_state(index, BookState::Live, Cause::Snapshot, record.ts_recv_ns, visitor);
        self.judge_crossed(index, record.ts_recv_ns, visitor);
    }

    /// Applies a diff that waited, stamped with the snapshot's arrival; false where it does not fit after all.
    fn splice_one<V: Visitor>(&mut self, index: usize, diff: line::Waiting, ts_ns: i64, visitor: &mut V) -> bool {
        let line = &mut self.lines[index];
        match line.splice.sequence.on_diff(diff.ids()) {
            Diff::Apply => {
                let message = Message { ts_recv_ns: ts_ns, ..diff.message };
                self.apply_diff(index, &message, &diff.rows, visitor);
                true
            }
            Diff::Drop => {
                line.stats.discarded_diffs += 1;
                true
            }
            Diff::Buffer | Diff::Gap => {
                self.lose(index, Cause::SequenceGap, ts_ns, BookState::Buffering, visitor);
                false
            }
        }
    }

    pub(super) fn epoch<V: Visitor>(&mut self, ts_ns: i64, visitor: &mut V) {
        self.slots.forget_connections();
        self.wants.clear();
        for index in 0..self.lines.len() {
            self.lines[index].standby = None;
            self.lines[index].silence.interrupted();
            self.lose(index, Cause::Epoch, ts_ns, BookState::Connecting, visitor);
        }
    }

    /// The book cannot be trusted any more and starts over from `state`, on every socket.
    pub(super) fn lose_all<V: Visitor>(
        &mut self,
        index: usize,
        cause: Cause,
        ts_ns: i64,
        state: BookState,
        visitor: &mut V,
    ) {
        if let Some(standby) = &mut self.lines[index].standby {
            standby.restart();
        }
        self.lose(index, cause, ts_ns, state, visitor);
    }

    /// The book cannot be trusted any more and starts over from `state`, on its own socket.
    pub(super) fn lose<V: Visitor>(
        &mut self,
        index: usize,
        cause: Cause,
        ts_ns: i64,
        state: BookState,
        visitor: &mut V,
    ) {
        let line = &mut self.lines[index];
        // Without a connection there is nothing to buffer.
        let state = if line.state == BookState::Connecting { BookState::Connecting } else { state };
        line.splice.forget();
        line.splice.sequence.reset(state);
        if state == BookState::Buffering {
            self.want_resync(index, cause);
        }
        if self.lines[index].state == state {
            return;
        }
        self.set_gap(index, cause, ts_ns, visitor);
        self.set_state(index, state, cause, ts_ns, visitor);
    }

    /// A diff of this socket cannot be read: whoever it was for has lost it.
    pub(super) fn lost_diff<V: Visitor>(&mut self, index: usize, slot: u16, ts_ns: i64, visitor: &mut V) {
        let line = &mut self.lines[index];
        if let Some(standby) = line.standby.as_mut().filter(|standby| standby.slot == slot) {
            standby.restart();
        } else if line.is_spliced_from(slot) {
            self.lose(index, Cause::BadFrame, ts_ns, BookState::Buffering, visitor);
        }
    }

    /// Sockets that live cannot tell the recorder that the book is lost.
    fn want_resync(&mut self, index: usize, cause: Cause) {
        let id = self.lines[index].instrument.id();
        let pos = self.last_pos;
        self.wants.retain(|Want::Resync { instrument, .. }| *instrument != id);
        self.wants.push(Want::Resync { instrument: id, cause, pos });
    }

    /// Records a gap, where there was a book to lose, or one to come whose diffs overflowed.
    fn set_gap<V: Visitor>(&mut self, index: usize, cause: Cause, ts_ns: i64, visitor: &mut V) {
        if matches!(self.lines[index].state, BookState::Live | BookState::Stale) || cause == Cause::Overflow {
            self.set_state(index, BookState::Gap, cause, ts_ns, visitor);
        }
    }

    pub(super) fn set_state<V: Visitor>(
        &mut self,
        index: usize,
        state: BookState,
        cause: Cause,
        ts_ns: i64,
        visitor: &mut V,
    ) {
        let flags = flag::DERIVED | flag::LAST;
        let row = Row::new(RowKind::State, state as i64, cause as i64, flags).expect("states are small");
        let message = Message {
            pos: self.last_pos,
            ts_recv_ns: ts_ns,
            ts_event_ns: UNDEF_TS_NS,
            instrument: index as u16,
            rows: 1,
        };
        self.apply(&message, &[row], visitor);
    }
}

/// Marks the last row of a message.
pub(super) fn finish(rows: &mut [Row]) {
    if let Some(last) = rows.last_mut() {
        *last = last.with_flags(flag::LAST);
    }
}

/// The two rows that open a snapshot.
fn clears() -> Vec<Row> {
    [flag::SNAPSHOT, flag::SNAPSHOT | flag::ASK_SIDE]
        .map(|flags| Row::new(RowKind::Clear, 0, 0, flags).expect("zero is small"))
        .to_vec()
}
