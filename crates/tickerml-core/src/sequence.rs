//! When a book's diffs fit its snapshot and each other: Binance's splicing rules, and nothing else.
//!
//! Spot (exchanges.md 1.5): drop `u <= lid`; the first diff kept has `U <= lid + 1 <= u`; then `U == u' + 1`.
//! Futures (3.4): drop `u < lid`; the first diff kept has `U <= lid <= u` or `pu == lid`; then `pu == u'`.
//! Diffs that come before the snapshot are buffered by the caller; here only their ids are followed.
//!
//! An id that does not rise is believed only where it explains itself: the venue said this very diff lately, or the snapshot
//! has it. Anything else is a gap: one diff with a wrong, far too large `u` would otherwise make every true one after it look
//! like a repeat, and freeze a book that says it is Live.
mod recent;

use self::recent::Recent;
use crate::event::BookState;
use crate::instrument::Venue;
use crate::wire::DepthIds;
use serde::{Deserialize, Serialize};

/// Most diffs in a row that are older than the book's snapshot and were not said lately: then the venue has begun to count anew.
const LATE_IN_ROW_MAX: u32 = 32;

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
    /// Older than the first buffered diff, or asked for before the connection began while no diff is buffered: ask again.
    TooOld,
    /// Nobody waits for one, or no connection is there yet.
    Unneeded,
}

/// Follows the ids of one instrument's diffs. State changes are the caller's to record: `state` tells the present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    futures: bool,
    state: BookState,
    /// When the connection began whose diffs it follows; `i64::MIN` until that is told.
    since_ns: i64,
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
    /// The snapshot's id: an older diff that comes late is in the book. While a buffer grows, the id below it.
    floor: u64,
    /// Diffs below `floor` since the last one that was of use.
    late_in_row: u32,
    recent: Recent,
}

impl Sequence {
    /// A sequence in state Connecting.
    pub const fn new(venue: Venue) -> Self {
        Sequence::of(venue.is_futures(), BookState::Connecting)
    }

    const fn of(futures: bool, state: BookState) -> Self {
        Sequence {
            futures,
            state,
            since_ns: i64::MIN,
            last: 0,
            first_buffered: None,
            bridging: false,
            run: None,
            covered: 0,
            floor: 0,
            late_in_row: 0,
            recent: Recent::new(),
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
        self.run.is_some_and(|(_, last)| ids.last <= last) && self.recent.has(ids.last)
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
        let since_ns = if state == BookState::Connecting { i64::MIN } else { self.since_ns };
        *self = Sequence { since_ns, ..Sequence::of(self.futures, state) };
    }

    /// A connection began that carries the diffs.
    pub const fn join(&mut self, ts_ns: i64) {
        if matches!(self.state, BookState::Connecting) && self.since_ns == i64::MIN {
            self.since_ns = ts_ns;
        }
    }

    /// The next diff of the stream.
    pub fn on_diff(&mut self, ids: DepthIds) -> Diff {
        if let Some(prev) = ids.prev {
            self.follow_run(prev, ids);
        }
        let answer = match self.state() {
            BookState::Live | BookState::Stale if self.bridging => self.bridge(ids),
            BookState::Live | BookState::Stale if self.follows(ids) => self.accept(ids),
            BookState::Syncing if self.follows(ids) => {
                self.last = ids.last;
                Diff::Buffer
            }
            BookState::Live | BookState::Stale | BookState::Syncing if self.is_repeat(ids) => return Diff::Drop,
            BookState::Live | BookState::Stale | BookState::Syncing => self.gap(ids),
            _ => {
                self.start_buffer(ids);
                Diff::Buffer
            }
        };
        self.late_in_row = 0;
        self.recent.push(ids.last);
        answer
    }

    /// A REST snapshot with this `lastUpdateId`, which was asked for at `sent_ns`.
    pub fn on_snapshot(&mut self, last_update_id: u64, sent_ns: i64) -> Snapshot {
        match (self.state, self.first_buffered) {
            // An answer to what an earlier connection asked is old, and no diff is here to show it.
            (BookState::Buffering, None) if sent_ns < self.since_ns => return Snapshot::TooOld,
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
        self.floor = last_update_id;
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

    fn follow_run(&mut self, prev: u64, ids: DepthIds) {
        let repeat = self.is_in_run(ids);
        match &mut self.run {
            Some((_, end)) if prev == *end && ids.last > prev => *end = ids.last,
            _ if repeat => {}
            run => *run = Some((prev, ids.last)),
        }
    }

    fn follows(&self, ids: DepthIds) -> bool {
        let chained = if self.futures { ids.prev == Some(self.last) } else { ids.first == self.last + 1 };
        chained && ids.last > self.last
    }

    /// The venue (or a second socket) said it already, or the snapshot did.
    fn is_repeat(&mut self, ids: DepthIds) -> bool {
        if ids.last > self.last {
            return false;
        }
        if self.recent.has(ids.last) {
            return true;
        }
        self.late_in_row += 1;
        ids.last <= self.floor && self.late_in_row <= LATE_IN_ROW_MAX
    }

    fn gap(&mut self, ids: DepthIds) -> Diff {
        self.start_buffer(ids);
        Diff::Gap
    }

    fn start_buffer(&mut self, ids: DepthIds) {
        self.state = BookState::Syncing;
        self.last = ids.last;
        self.first_buffered = Some((ids.first, ids.prev.unwrap_or(0)));
        self.floor = ids.first.saturating_sub(1);
        self.bridging = false;
    }
}

#[cfg(test)]
mod tests;
