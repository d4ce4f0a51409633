//! Frames: which instrument and stream one belongs to, what it says, and what follows where it cannot be read.
use super::splicing::finish;
use super::{Market, Visitor};
use crate::error::Error;
use crate::event::{BookState, Cause, Message, Row};
use crate::instrument::Venue;
use crate::tape::Record;
use crate::wire::{self, Body, Channel};

impl Market {
    pub(super) fn frame<V: Visitor>(&mut self, record: &Record<'_>, visitor: &mut V) {
        self.stats.frames += 1;
        self.stats.frame_bytes += record.bytes.len() as u64;
        let venue = self.slots.heard(record.slot, record.ts_recv_ns, &mut self.lines);
        let Some((index, channel)) = self.route(venue, record.bytes) else { return };
        if self.lines[index].shard.is_none() {
            self.bind(index, record.slot, record.ts_recv_ns, visitor);
        }
        let mut rows = std::mem::take(&mut self.scratch);
        rows.clear();
        match wire::decode(record.bytes, self.lines[index].scale(), &mut rows) {
            Ok(decoded) => {
                let mut message = Message {
                    pos: record.pos,
                    ts_recv_ns: record.ts_recv_ns,
                    ts_event_ns: decoded.ts_event_ns,
                    instrument: index as u16,
                    rows: rows.len() as u32,
                };
                self.decoded(record.slot, &mut message, &mut rows, decoded.body, visitor);
            }
            Err(error) => self.unreadable(index, channel, record, &error, visitor),
        }
        self.scratch = rows;
    }

    /// A frame that cost its book: a digit beyond the instrument's scale in one of the three channels that tell it (rules.md
    /// 6), or a diff that is lost.
    #[cold]
    fn unreadable<V: Visitor>(
        &mut self,
        index: usize,
        channel: Channel,
        record: &Record<'_>,
        error: &Error,
        visitor: &mut V,
    ) {
        self.lines[index].stats.bad_messages += 1;
        match (error, channel) {
            (Error::BadNumber { .. }, Channel::Depth | Channel::Trade | Channel::Touch) => {
                self.lose_all(index, Cause::BadNumber, record.ts_recv_ns, BookState::Buffering, visitor);
            }
            (_, Channel::Depth) => self.lost_diff(index, record.slot, record.ts_recv_ns, visitor),
            _ => {}
        }
    }

    /// Instrument and channel of a frame.
    fn route(&mut self, venue: Option<Venue>, frame: &[u8]) -> Option<(usize, Channel)> {
        if let Some(hit) = wire::stream_name(frame).and_then(|name| self.slots.stream(venue, name)) {
            return Some(hit);
        }
        let Ok(head) = wire::head(frame) else {
            self.stats.bad_frames += 1;
            return None;
        };
        match head.channel {
            Channel::Ack | Channel::Shutdown => None,
            Channel::Error => {
                self.stats.venue_errors += 1;
                None
            }
            Channel::Unknown => {
                self.stats.unknown_frames += 1;
                None
            }
            channel => {
                let hit = self.slots.symbol(venue, head.symbol).map(|index| (index, channel));
                self.stats.unknown_frames += u64::from(hit.is_none());
                hit
            }
        }
    }

    fn decoded<V: Visitor>(&mut self, slot: u16, message: &mut Message, rows: &mut [Row], body: Body, visitor: &mut V) {
        let line = &mut self.lines[usize::from(message.instrument)];
        match body {
            Body::Depth(ids) => return self.diff(slot, ids, message, rows, visitor),
            Body::Trade { id } => {
                line.has_trades = true;
                line.stats.trades += 1;
                if !line.takes_trade(id) {
                    return;
                }
            }
            Body::AggTrade { id, .. } => {
                // Only one of the two makes prints (simulation.md 1).
                if line.has_trades {
                    return;
                }
                line.stats.trades += 1;
                if !line.takes_trade(id) {
                    return;
                }
            }
            Body::Touch => line.stats.touches += 1,
            Body::Mark => line.stats.marks += 1,
            Body::Other(_) => {
                self.stats.unknown_frames += 1;
                return;
            }
        }
        finish(rows);
        self.apply(message, rows, visitor);
    }
}
