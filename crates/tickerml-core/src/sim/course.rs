//! Where a message takes its place in venue time (simulation.md 1, "Clock"; contract.md, "Event files").
use super::clock::Clock;
use super::stand::is_snapshot;
use super::timeline::Stream;
use crate::event::{Message, Row, RowKind};
use crate::units::UNDEF_TS_NS;
use serde::{Deserialize, Serialize};

/// How far one instrument has gone in venue time. What makes its book keeps its order, whatever the stamps say: the buffered diff
/// that straddles a snapshot is older than it and acts behind it, and so does what says that the book is true now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Course {
    depth_ns: i64,
    snapshot_ns: i64,
    state_ns: i64,
}

impl Course {
    /// Nothing has come.
    pub const START: Course = Course { depth_ns: i64::MIN, snapshot_ns: i64::MIN, state_ns: i64::MIN };

    /// The corrected venue time at which a message acts, and the stream that it moves on; none where no venue is concerned.
    #[inline]
    pub fn place(
        &mut self,
        message: &Message,
        first: Row,
        clock: &mut Clock,
        base_latency_ns: i64,
    ) -> Option<(i64, Option<Stream>)> {
        let arrived_ns = message.ts_recv_ns.saturating_sub(base_latency_ns);
        let unknown = message.ts_event_ns == UNDEF_TS_NS;
        let stream = match first.kind() {
            RowKind::Bid | RowKind::Ask => Stream::Depth,
            RowKind::BuyTrade | RowKind::SellTrade => Stream::Trade,
            RowKind::Clear => {
                let at_ns = clock.sent_ns(message, base_latency_ns);
                self.snapshot_ns = self.snapshot_ns.max(at_ns);
                return Some((at_ns, None));
            }
            RowKind::State => {
                let book_ns = self.depth_ns.max(self.snapshot_ns);
                let at_ns = if book_ns == i64::MIN { arrived_ns } else { book_ns };
                self.state_ns = self.state_ns.max(at_ns);
                return Some((self.state_ns, None));
            }
            RowKind::Touch | RowKind::Mark | RowKind::Funding => return None,
        };
        debug_assert!(!is_snapshot(first), "a snapshot begins with its clears");
        let mut at_ns = if unknown { arrived_ns } else { clock.correct(message.ts_recv_ns, message.ts_event_ns) };
        if stream == Stream::Depth {
            at_ns = at_ns.max(self.snapshot_ns);
            self.depth_ns = self.depth_ns.max(at_ns);
        }
        Some((at_ns, Some(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::flag;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_diff_older_than_the_snapshot_before_it_acts_behind_it_and_live_comes_last() {
        let (mut course, mut clock) = (Course::START, Clock::Fixed(0));
        let mut place = |kind, flags, recv_ms: i64, event_ms: Option<i64>| {
            let ts_event_ns = event_ms.map_or(UNDEF_TS_NS, |ms| ms * MS);
            let message = Message { pos: 0, ts_recv_ns: recv_ms * MS, ts_event_ns, instrument: 0, rows: 1 };
            let row = Row::new(kind, 1, 1, flags).unwrap();
            course.place(&message, row, &mut clock, 5 * MS).map(|(at_ns, _)| at_ns / MS)
        };
        let places = [
            place(RowKind::State, 0, 847, None),
            place(RowKind::Clear, flag::SNAPSHOT, 849, Some(839)),
            place(RowKind::Bid, 0, 849, Some(837)),
            place(RowKind::State, 0, 849, None),
            place(RowKind::Bid, 0, 860, Some(838)),
            place(RowKind::Ask, 0, 861, Some(850)),
            place(RowKind::State, 0, 862, None),
            place(RowKind::BuyTrade, 0, 863, Some(836)),
        ];
        assert_eq!(places.map(Option::unwrap), [842, 839, 839, 842, 839, 850, 850, 836]);
    }
}
