//! Follows one book's update ids to know when a snapshot is needed. The tape's reader derives the same from the records.
use tickerml_core::event::BookState;
use tickerml_core::instrument::Venue;
use tickerml_core::market::{BUFFER_BYTES_MAX, WAITING_BYTES};
use tickerml_core::sequence::{Diff, Sequence, Snapshot};
use tickerml_core::wire::DepthIds;

/// Diffs follow a true snapshot at once. When they are older than it for this long, it is not this book's.
pub const PROOF_NS: i64 = 5_000_000_000;

/// What a diff did to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Applied, buffered or dropped.
    Fine,
    /// Something was lost while the book was Live.
    Gap,
    /// The buffer was full: it starts over.
    Overflow,
    /// The accepted snapshot does not belong to these diffs.
    Mismatch,
}

/// One book's ids, with the diffs that wait for its snapshot.
#[derive(Debug, Clone)]
pub struct Track {
    sequence: Sequence,
    waiting: Vec<DepthIds>,
    waiting_bytes: usize,
    unproven_since_ns: Option<i64>,
}

impl Track {
    /// A book in state Connecting.
    pub fn new(venue: Venue) -> Self {
        Track { sequence: Sequence::new(venue), waiting: Vec::new(), waiting_bytes: 0, unproven_since_ns: None }
    }

    /// Where the book is.
    pub const fn state(&self) -> BookState {
        self.sequence.state()
    }

    /// Update id of the book, while Live or Stale.
    pub fn update_id(&self) -> Option<u64> {
        self.sequence.is_true().then(|| self.sequence.update_id())
    }

    /// True from the first diff on until a snapshot fits.
    pub const fn wants_snapshot(&self) -> bool {
        self.sequence.wants_snapshot()
    }

    /// Starts over: Connecting without a connection, else Buffering.
    pub fn reset(&mut self, state: BookState) {
        self.sequence.reset(state);
        self.forget();
    }

    /// Whether the book of `other` could pass to this side without a gap.
    pub fn carries_on(&self, other: &Track) -> bool {
        self.sequence.carries_on(&other.sequence)
    }

    /// The other side's connection is gone: goes on with the book that it leaves, where no diff was lost between. False where
    /// that cannot be; a book that was true by itself then starts over, one that waits for its snapshot goes on waiting.
    pub fn take_over(&mut self, gone: &Track) -> bool {
        if self.carries_on(gone) {
            self.sequence.carry_on(&gone.sequence);
            self.unproven_since_ns = None;
            return true;
        }
        if self.sequence.is_true() {
            self.reset(BookState::Buffering);
        }
        false
    }

    /// The stream is silent beyond its limit.
    pub fn on_silence(&mut self) {
        self.sequence.on_silence();
    }

    /// The next diff, and the size of its rows.
    pub fn on_diff(&mut self, ids: DepthIds, now_ns: i64, rows_bytes: usize) -> Outcome {
        let was_live = self.update_id().is_some();
        match self.sequence.on_diff(ids) {
            Diff::Apply => self.unproven_since_ns = None,
            Diff::Drop if self.unproven_since_ns.is_some_and(|since| now_ns - since > PROOF_NS) => {
                self.reset(BookState::Buffering);
                return Outcome::Mismatch;
            }
            Diff::Drop => {}
            Diff::Buffer => return self.wait(ids, rows_bytes),
            Diff::Gap => {
                self.forget();
                let outcome = self.wait(ids, rows_bytes);
                return if was_live { Outcome::Gap } else { outcome };
            }
        }
        Outcome::Fine
    }

    /// A connection that carries the diffs began, by the stamp of its record.
    pub const fn join(&mut self, ts_ns: i64) {
        self.sequence.join(ts_ns);
    }

    /// A snapshot came that was asked for at the stamp `sent_ts_ns`; buffered diffs are offered again.
    pub fn on_snapshot(&mut self, last_update_id: u64, sent_ts_ns: i64, now_ns: i64) -> Snapshot {
        let answer = self.sequence.on_snapshot(last_update_id, sent_ts_ns);
        if answer == Snapshot::Accept {
            let waiting = std::mem::take(&mut self.waiting);
            self.forget();
            self.unproven_since_ns = Some(now_ns);
            for ids in waiting {
                match self.sequence.on_diff(ids) {
                    Diff::Apply => self.unproven_since_ns = None,
                    Diff::Drop => {}
                    Diff::Buffer | Diff::Gap => {
                        self.reset(BookState::Buffering);
                        break;
                    }
                }
            }
        }
        answer
    }

    /// Keeps a diff; one that does not fit makes the book start over.
    fn wait(&mut self, ids: DepthIds, rows_bytes: usize) -> Outcome {
        self.waiting_bytes += rows_bytes + WAITING_BYTES;
        if self.waiting_bytes > BUFFER_BYTES_MAX {
            self.reset(BookState::Buffering);
            return Outcome::Overflow;
        }
        self.waiting.push(ids);
        Outcome::Fine
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.unproven_since_ns = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(first: u64, last: u64) -> DepthIds {
        DepthIds { first, last, prev: None }
    }

    #[test]
    fn a_gap_is_told_and_needs_a_new_snapshot() {
        let mut track = Track::new(Venue::BinanceSpot);
        assert_eq!(track.on_diff(ids(1, 2), 0, 100), Outcome::Fine);
        assert!(track.wants_snapshot());
        assert_eq!(track.on_snapshot(1, 0, 0), Snapshot::Accept);
        assert_eq!(track.update_id(), Some(2));
        assert_eq!(track.on_diff(ids(4, 5), 0, 100), Outcome::Gap);
        assert_eq!(track.on_diff(ids(7, 8), 0, 100), Outcome::Fine, "a second loss while not Live is the same gap");
        assert_eq!(track.on_snapshot(6, 0, 0), Snapshot::Accept);
        assert_eq!(track.update_id(), Some(8));
    }

    #[test]
    fn a_snapshot_of_another_book_is_found_out() {
        let mut track = Track::new(Venue::BinanceSpot);
        track.on_diff(ids(1, 2), 0, 100);
        assert_eq!(track.on_snapshot(1_000_000, 0, 0), Snapshot::Accept);
        assert_eq!(track.on_diff(ids(3, 4), PROOF_NS, 100), Outcome::Fine);
        assert_eq!(track.on_diff(ids(5, 6), PROOF_NS + 1, 100), Outcome::Mismatch);
        assert_eq!(track.on_diff(ids(7, 8), PROOF_NS + 2, 100), Outcome::Fine);
        assert!(track.wants_snapshot());
    }

    #[test]
    fn the_buffer_is_bounded() {
        let mut track = Track::new(Venue::BinanceSpot);
        let mut overflows = 0;
        for n in 0..20 {
            overflows += usize::from(track.on_diff(ids(n + 1, n + 1), 0, 1 << 20) == Outcome::Overflow);
        }
        assert_eq!(overflows, 2);
    }
}
