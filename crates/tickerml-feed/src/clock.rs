//! The one place that reads clocks, and the rule by which receive stamps are made (rules.md 1).
//!
//! A stamp is an anchor on the wall clock plus the monotonic clock. A wall clock that steps back never moves the anchor;
//! one that steps forward by more than 50 ms does; both are reported once, for a CLOCK record.
mod kernel;

use serde::Serialize;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A difference between our stamps and the wall clock below this is slew and jitter (rules.md 1).
pub const STEP_NS: i64 = 50_000_000;

/// 2025-01-01: a wall clock before this was never set (a Raspberry Pi 4 without network starts in the past).
pub const WALL_FLOOR_NS: i64 = 1_735_689_600_000_000_000;

/// When something arrived, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// ns since 1970, never going back within a run.
    pub recv_ns: i64,
    /// ns of the monotonic clock.
    pub mono_ns: i64,
}

/// What the system says of the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// ns since 1970; negative before it.
    pub ns: i64,
    /// Whether something keeps the clock to the true time.
    pub synced: bool,
}

impl Wall {
    /// Whether stamps can be trusted: the system says so, and the time is one at which this program existed.
    pub const fn trusted(&self) -> bool {
        self.synced && self.ns >= WALL_FLOOR_NS
    }
}

/// A step of the wall clock: the payload of a CLOCK record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClockStep {
    /// What our stamps said.
    pub before_ns: i64,
    /// What the wall clock said.
    pub after_ns: i64,
    /// True when stamps follow the wall clock from now on.
    pub reanchored: bool,
}

/// Turns monotonic time into receive stamps.
#[derive(Debug, Clone)]
pub struct Anchor {
    offset_ns: i64,
    last_ns: i64,
    reported_ns: i64,
}

impl Anchor {
    /// An anchor for a new epoch: its first stamp is max(wall, last stamp of the run + 1).
    pub fn new(wall_ns: i64, mono_ns: i64, last_stamp_ns: Option<i64>) -> Self {
        let first = last_stamp_ns.map_or(wall_ns, |last| wall_ns.max(last.saturating_add(1)));
        Anchor { offset_ns: first - mono_ns, last_ns: first, reported_ns: wall_ns - first }
    }

    /// The stamp of something that arrived at `mono_ns`.
    #[inline]
    pub fn stamp(&mut self, mono_ns: i64) -> Stamp {
        self.last_ns = self.last_ns.max(self.offset_ns.saturating_add(mono_ns));
        Stamp { recv_ns: self.last_ns, mono_ns }
    }

    /// Compares with the wall clock; a step is answered once.
    pub fn observe(&mut self, wall_ns: i64, mono_ns: i64) -> Option<ClockStep> {
        let before_ns = self.offset_ns.saturating_add(mono_ns);
        let ahead_ns = wall_ns.saturating_sub(before_ns);
        if (ahead_ns - self.reported_ns).abs() <= STEP_NS {
            return None;
        }
        let reanchored = ahead_ns > STEP_NS;
        if reanchored {
            self.offset_ns = wall_ns.saturating_sub(mono_ns);
        }
        self.reported_ns = if reanchored { 0 } else { ahead_ns };
        Some(ClockStep { before_ns, after_ns: wall_ns, reanchored })
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at 0 now.
    pub fn start() -> Self {
        SystemClock { start: Instant::now() }
    }

    /// ns since [`SystemClock::start`].
    #[inline]
    pub fn mono_ns(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// The wall clock, and whether it is synchronised.
    pub fn wall(&self) -> Wall {
        Wall { ns: self.wall_ns(), synced: kernel::synced() }
    }

    /// ns since 1970 by the wall clock; negative before it.
    pub fn wall_ns(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MS: i64 = 1_000_000;

    #[test]
    fn backward_steps_never_move_stamps_and_are_reported_once() {
        let mut anchor = Anchor::new(1_000 * MS, 0, None);
        assert_eq!(anchor.stamp(5 * MS).recv_ns, 1_005 * MS);
        let step = anchor.observe(-500 * MS, 10 * MS).unwrap();
        assert_eq!(step, ClockStep { before_ns: 1_010 * MS, after_ns: -500 * MS, reanchored: false });
        assert_eq!(anchor.observe(-490 * MS, 20 * MS), None);
        assert_eq!(anchor.stamp(20 * MS).recv_ns, 1_020 * MS);
        let back = anchor.observe(1_030 * MS, 30 * MS).unwrap();
        assert!(!back.reanchored, "the wall clock came back to our stamps");
        assert_eq!(anchor.stamp(30 * MS).recv_ns, 1_030 * MS);
    }

    #[test]
    fn forward_steps_reanchor_and_slew_does_not() {
        let mut anchor = Anchor::new(1_000 * MS, 0, None);
        assert_eq!(anchor.observe(1_010 * MS + STEP_NS, 10 * MS), None);
        let step = anchor.observe(9_000 * MS, 20 * MS).unwrap();
        assert_eq!(step, ClockStep { before_ns: 1_020 * MS, after_ns: 9_000 * MS, reanchored: true });
        assert_eq!(anchor.stamp(21 * MS).recv_ns, 9_001 * MS);
        assert_eq!(anchor.observe(9_002 * MS, 22 * MS), None);
    }

    #[test]
    fn a_new_epoch_starts_after_the_last_stamp() {
        let mut anchor = Anchor::new(1_000 * MS, 0, Some(5_000 * MS));
        assert_eq!(anchor.stamp(0).recv_ns, 5_000 * MS + 1);
        assert_eq!(anchor.observe(1_010 * MS, 10 * MS), None, "known since the start");
        assert!(anchor.observe(5_200 * MS, 20 * MS).unwrap().reanchored);
    }

    #[test]
    fn stamps_are_monotone_under_random_steps() {
        let mut rng = crate::backoff::Rng::new(7);
        let (mut anchor, mut wall, mut mono, mut last) = (Anchor::new(0, 0, None), 0i64, 0i64, i64::MIN);
        for _ in 0..10_000 {
            mono += rng.upto(30 * MS);
            wall += rng.upto(2_000 * MS) - 1_000 * MS;
            anchor.observe(wall, mono);
            let stamp = anchor.stamp(mono);
            assert!(stamp.recv_ns >= last);
            last = stamp.recv_ns;
        }
    }
}
