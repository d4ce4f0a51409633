//! When a book's diffs fit its snapshot and each other: Binance's splicing rules, and nothing else.
//!
//! Spot (exchanges.md 1.5): drop `u <= lid`; the first diff kept has `U <= lid + 1 <= u`; then `U == u' + 1`.
//! Futures (3.4): drop `u < lid`; the first diff kept has `U <= lid <= u` or `pu == lid`; then `pu == u'`.
//! Diffs that come before the snapshot are buffered by the caller; here only their ids are followed.
use crate::event::BookState;
use crate::instrument::Venue;
use crate::wire::DepthIds;
use serde::{Deserialize, Serialize};

/// What to do with a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diff {
    /// Keep it until a snapshot fits.
    Buffer,
    /// Apply it.
    Apply,
    /// Throw it away: the book has it already.
    Drop,
    /// Something before it was lost. It starts a new buffer; whatever was buffered goes.
    Gap,
}

/// What to do with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// Apply it, then offer every buffered diff again.
    Accept,
    /// Older than the first buffered diff: ask again.
    TooOld,
    /// Nobody waits for one, or no diff has come yet.
    Unneeded,
}

/// Follows the ids of one instrument's diffs. State changes are the caller's to record: `state` tells the present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    futures: bool,
    state: BookState,
    /// `u` of the last diff accepted (or buffered).
    last: u64,
    /// Ids of the first buffered diff that a snapshot must reach.
    first_buffered: Option<(u64, u64)>,
    /// Until the first diff behind a snapshot has fitted.
    bridging: bool,
    /// The unbroken run of diffs that lasts: `pu` of its first one, `u` of its last. Futures only.
    run: Option<(u64, u64)>,
    /// The book was taken over at this id: diffs up to it are followed, not applied.
    covered: u64,
}

impl Sequence {
    /// A sequence in state Connecting.
    pub const fn new(venue: Venue) -> Self {
        Sequence {
            futures: venue.is_futures(),
            state: BookState::Connecting,
            last: 0,
            first_buffered: None,
            bridging: false,
            run: None,
            covered: 0,
        }
    }

    /// Connecting, Buffering, Syncing, Live or Stale.
    pub const fn state(&self) -> BookState {
        self.state
    }

    /// Update id of the book while it is Live.
    pub const fn update_id(&self) -> u64 {
        if self.covered > self.last { self.covered } else { self.last }
    }

    /// True while its diffs and a snapshot of their own make a true book.
    pub const fn is_true(&self) -> bool {
        matches!(self.state, BookState::Live | BookState::Stale)
    }

    /// Whether this socket's diffs can go on with the book that `gone`'s leaves: both are true, a diff has proven the snapshot
    /// under that book, and none was lost between. USD-M moves so from one socket to the next (rules.md 4); the recorder and its readers ask here, so they agree.
    pub fn carries_on(&self, gone: &Sequence) -> bool {
        let reaches = self.run.is_some_and(|(from, _)| from <= gone.update_id());
        self.is_true() && gone.is_true() && !gone.bridging && reaches
    }

    /// Goes on with the book that `gone`'s diffs leave.
    pub fn carry_on(&mut self, gone: &Sequence) {
        debug_assert!(self.carries_on(gone));
        self.covered = gone.update_id();
        self.last = self.run.map_or(self.last, |(_, last)| last);
        self.bridging = false;
    }

    /// Whether the unbroken run of diffs holds this one already.
    pub fn is_in_run(&self, ids: DepthIds) -> bool {
        self.run.is_some_and(|(_, last)| ids.last <= last)
    }

    /// Whether a diff goes on with that run.
    pub fn extends_run(&self, ids: DepthIds) -> bool {
        self.is_in_run(ids) || self.run.is_some_and(|(_, last)| ids.prev == Some(last))
    }

    /// True behind a snapshot until the first diff has fitted: diffs dropped then are the splice's doing.
    pub const fn is_bridging(&self) -> bool {
        self.bridging
    }

    /// True while a snapshot is needed: from the first buffered diff on.
    pub const fn wants_snapshot(&self) -> bool {
        matches!(self.state, BookState::Syncing)
    }

    /// The book starts over. `Connecting` after a disconnect or a new epoch, `Buffering` otherwise.
    pub fn reset(&mut self, state: BookState) {
        debug_assert!(matches!(state, BookState::Connecting | BookState::Buffering));
        *self = Sequence {
            futures: self.futures,
            state,
            last: 0,
            first_buffered: None,
            bridging: false,
            run: None,
            covered: 0,
        };
    }

    /// The next diff of the stream.
    pub fn on_diff(&mut self, ids: DepthIds) -> Diff {
        if let Some(prev) = ids.prev {
            self.follow_run(prev, ids.last);
        }
        match self.state {
            BookState::Live | BookState::Stale if self.bridging => self.bridge(ids),
            BookState::Live | BookState::Stale => self.follow(ids),
            BookState::Syncing if self.follows(ids) => {
                self.last = ids.last;
                Diff::Buffer
            }
            BookState::Syncing if self.is_repeat(ids) => Diff::Drop,
            BookState::Syncing => self.gap(ids),
            _ => {
                self.start_buffer(ids);
                Diff::Buffer
            }
        }
    }

    /// A REST snapshot with this `lastUpdateId`.
    pub fn on_snapshot(&mut self, last_update_id: u64) -> Snapshot {
        match (self.state, self.first_buffered) {
            (BookState::Syncing, Some(first)) if !self.reaches(first, last_update_id) => return Snapshot::TooOld,
            // Before the first diff of a connection it is true at its own id, and the first diff is held against it.
            (BookState::Syncing, Some(_)) | (BookState::Buffering, None) => {}
            _ => return Snapshot::Unneeded,
        }
        self.state = BookState::Live;
        self.last = last_update_id;
        self.first_buffered = None;
        self.bridging = true;
        self.covered = 0;
        Snapshot::Accept
    }

    /// Later buffered diffs follow the first one (`U`, `pu`), so a snapshot fits when it reaches the first.
    fn reaches(&self, first: (u64, u64), last_update_id: u64) -> bool {
        let reach = if self.futures { first.0 <= last_update_id } else { first.0 <= last_update_id + 1 };
        reach || (self.futures && first.1 == last_update_id)
    }

    /// The stream was silent beyond its limit.
    pub fn on_silence(&mut self) {
        if self.state == BookState::Live {
            self.state = BookState::Stale;
        }
    }

    fn follow(&mut self, ids: DepthIds) -> Diff {
        if self.is_repeat(ids) {
            return Diff::Drop;
        }
        if !self.follows(ids) {
            return self.gap(ids);
        }
        self.accept(ids)
    }

    fn bridge(&mut self, ids: DepthIds) -> Diff {
        let old = if self.futures { ids.last < self.last } else { ids.last <= self.last };
        if old {
            return Diff::Drop;
        }
        let reach = if self.futures { ids.first <= self.last } else { ids.first <= self.last + 1 };
        let chained = self.futures && ids.prev == Some(self.last);
        if !(reach || chained) {
            return self.gap(ids);
        }
        self.bridging = false;
        self.accept(ids)
    }

    /// A contiguous diff ends a Stale span.
    fn accept(&mut self, ids: DepthIds) -> Diff {
        self.last = ids.last;
        self.state = BookState::Live;
        if ids.last <= self.covered { Diff::Drop } else { Diff::Apply }
    }

    fn follow_run(&mut self, prev: u64, last: u64) {
        match &mut self.run {
            Some((_, end)) if prev == *end => *end = last,
            Some((_, end)) if last <= *end => {}
            run => *run = Some((prev, last)),
        }
    }

    fn follows(&self, ids: DepthIds) -> bool {
        if self.futures { ids.prev == Some(self.last) } else { ids.first == self.last + 1 }
    }

    /// The venue (or a second socket) said it already.
    fn is_repeat(&self, ids: DepthIds) -> bool {
        ids.last <= self.last
    }

    fn gap(&mut self, ids: DepthIds) -> Diff {
        self.start_buffer(ids);
        Diff::Gap
    }

    fn start_buffer(&mut self, ids: DepthIds) {
        self.state = BookState::Syncing;
        self.last = ids.last;
        self.first_buffered = Some((ids.first, ids.prev.unwrap_or(0)));
        self.bridging = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(first: u64, last: u64) -> DepthIds {
        DepthIds { first, last, prev: None }
    }

    fn futures(first: u64, last: u64, prev: u64) -> DepthIds {
        DepthIds { first, last, prev: Some(prev) }
    }

    /// exchanges.md 1.5, the worked example NKNUSDT.
    #[test]
    fn spot_splices_as_recorded() {
        let mut s = Sequence::new(Venue::BinanceSpot);
        let diffs = [spot(499_869_750, 499_869_752), spot(499_869_753, 499_869_754)];
        assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Buffer, Diff::Buffer]);
        assert_eq!(s.on_snapshot(499_869_752), Snapshot::Accept);
        assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Drop, Diff::Apply]);
        assert_eq!(s.on_diff(spot(499_869_755, 499_869_757)), Diff::Apply);
        assert_eq!(s.on_diff(spot(499_869_755, 499_869_757)), Diff::Drop);
        assert_eq!(s.on_diff(spot(499_869_759, 499_869_760)), Diff::Gap);
        assert_eq!(s.state(), BookState::Syncing);
    }

    /// exchanges.md 3.4, the worked examples SUSHIUSDT and AKROUSDT.
    #[test]
    fn futures_splice_as_recorded() {
        let mut s = Sequence::new(Venue::BinanceUsdm);
        let diffs = [
            futures(600_859_600_000, 600_859_604_824, 600_859_600_000),
            futures(600_859_605_926, 600_859_607_423, 600_859_604_824),
        ];
        assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Buffer, Diff::Buffer]);
        assert_eq!(s.on_snapshot(600_859_605_926), Snapshot::Accept);
        assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Drop, Diff::Apply]);

        let mut s = Sequence::new(Venue::BinanceUsdm);
        s.on_diff(futures(600_859_600_000, 600_859_605_486, 1));
        assert_eq!(s.on_snapshot(600_859_605_486), Snapshot::Accept);
        // The diff that ends at the snapshot's id adds nothing and may have been dropped: pu chains the next one.
        assert_eq!(s.on_diff(futures(600_859_609_657, 600_859_609_902, 600_859_605_486)), Diff::Apply);
        assert_eq!(s.on_diff(futures(600_859_700_000, 600_859_700_001, 600_859_609_903)), Diff::Gap);
    }

    #[test]
    fn a_snapshot_must_reach_the_first_diff() {
        let mut s = Sequence::new(Venue::BinanceSpot);
        assert_eq!(s.on_snapshot(5), Snapshot::Unneeded);
        s.reset(BookState::Buffering);
        assert_eq!(s.on_diff(spot(10, 12)), Diff::Buffer);
        assert_eq!(s.on_snapshot(8), Snapshot::TooOld);
        assert!(s.wants_snapshot());
        // Equality is fine: the snapshot ends where the first diff begins.
        assert_eq!(s.on_snapshot(9), Snapshot::Accept);
        assert_eq!(s.on_diff(spot(10, 12)), Diff::Apply);
    }

    /// NEXO's recording: the snapshot 134180599 comes first, then the diff from 134180600 on.
    #[test]
    fn a_snapshot_may_precede_the_first_diff() {
        let mut s = Sequence::new(Venue::BinanceSpot);
        s.reset(BookState::Buffering);
        assert_eq!(s.on_snapshot(134_180_599), Snapshot::Accept);
        assert_eq!(s.on_diff(spot(134_180_600, 134_180_601)), Diff::Apply);
        s.reset(BookState::Buffering);
        assert_eq!(s.on_snapshot(10), Snapshot::Accept);
        assert_eq!(s.on_diff(spot(12, 13)), Diff::Gap);
    }

    #[test]
    fn a_gap_inside_the_buffer_restarts_it() {
        let mut s = Sequence::new(Venue::BinanceSpot);
        s.on_diff(spot(10, 12));
        assert_eq!(s.on_diff(spot(14, 15)), Diff::Gap);
        assert_eq!(s.on_snapshot(11), Snapshot::TooOld);
        assert_eq!(s.on_snapshot(13), Snapshot::Accept);
    }

    /// One socket's book at 20, another's diffs in other portions.
    #[test]
    fn a_second_socket_carries_on_where_its_diffs_reach_back() {
        let live = |at: u64| {
            let mut s = Sequence::new(Venue::BinanceUsdm);
            s.on_diff(futures(at - 1, at, at - 2));
            assert_eq!(s.on_snapshot(at - 1), Snapshot::Accept);
            assert_eq!(s.on_diff(futures(at - 1, at, at - 2)), Diff::Apply);
            s
        };
        let (gone, mut next) = (live(20), live(12));
        assert!(!next.carries_on(&Sequence::new(Venue::BinanceUsdm)), "no book to go on with");
        next.on_diff(futures(13, 18, 12));
        assert!(next.carries_on(&gone) && gone.carries_on(&next));
        next.carry_on(&gone);
        assert_eq!(next.update_id(), 20);
        assert_eq!(next.on_diff(futures(19, 20, 18)), Diff::Drop, "the book has it");
        assert_eq!(next.on_diff(futures(21, 23, 20)), Diff::Apply);
        assert_eq!(next.on_diff(futures(26, 27, 25)), Diff::Gap);
        let mut late = live(30);
        assert!(!late.carries_on(&gone), "21 to 28 are lost");
        late.on_diff(futures(31, 32, 30));
        assert!(!late.carries_on(&gone));
    }

    /// Before a snapshot's id diffs are dropped unseen; a hole among them is still a hole.
    #[test]
    fn a_hole_below_the_snapshot_breaks_the_run() {
        let mut gone = Sequence::new(Venue::BinanceUsdm);
        gone.on_diff(futures(9, 10, 8));
        gone.on_snapshot(9);
        let mut next = Sequence::new(Venue::BinanceUsdm);
        next.on_diff(futures(9, 10, 8));
        next.on_snapshot(40);
        assert!(!next.carries_on(&gone), "nothing has proven the book yet");
        gone.on_diff(futures(9, 10, 8));
        assert!(next.carries_on(&gone));
        assert_eq!(next.on_diff(futures(21, 22, 20)), Diff::Drop);
        assert!(!next.carries_on(&gone));
    }

    #[test]
    fn silence_ends_with_the_next_diff() {
        let mut s = Sequence::new(Venue::BinanceSpot);
        s.on_diff(spot(1, 2));
        s.on_snapshot(2);
        s.on_silence();
        assert_eq!(s.state(), BookState::Stale);
        assert_eq!(s.on_diff(spot(3, 4)), Diff::Apply);
        assert_eq!(s.state(), BookState::Live);
    }
}
