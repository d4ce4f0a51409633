//! The venue's clock on ours: corrected venue time = venue stamp + offset (simulation.md 1, "Clock").
//!
//! A one-way minimum cannot tell the base latency from the offset, so the base is configured. Derived, so never on the tape.
use crate::event::Message;
use crate::units::UNDEF_TS_NS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Span over which the quantile is taken.
const WINDOW_NS: i64 = 60_000_000_000;
/// Most samples that are kept; a busier stream has a shorter window. 16 bytes each.
const SAMPLES_MAX: usize = 1 << 16;
/// Width of the bins that differences are counted in, far below the 3 ms that are asked for.
const BIN_NS: i64 = 100_000;
/// Number of bins: 400 ms; what is slower by more has no part in a low quantile.
const BINS: i64 = 4096;
/// Bins kept free below the first sample.
const ROOM_BELOW: i64 = 512;
/// A change of the offset of more than this ...
const STEP_NS: i64 = 20_000_000;
/// ... that lasts this long is a step of a clock: what was learned before it is forgotten.
const STEP_LASTS_NS: i64 = 5_000_000_000;

/// How venue stamps become ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// Offset = 1 % quantile of (arrival - stamp) over 60 s, less the base latency.
    Causal(Box<Estimate>),
    /// Offset given, ns.
    Fixed(i64),
}

/// Which clock, by the names of contract.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockKind {
    /// Estimated on the way.
    Causal,
    /// Offset in ns.
    Fixed(i64),
    /// Offset of the quickest message of the whole input: known only where that is at hand beforehand.
    Least,
}

impl Clock {
    /// A clock that has seen nothing.
    pub fn new(kind: ClockKind, base_latency_ns: i64) -> Self {
        match kind {
            ClockKind::Causal => Clock::Causal(Box::new(Estimate::new(base_latency_ns))),
            ClockKind::Fixed(offset_ns) => Clock::Fixed(offset_ns),
            ClockKind::Least => Clock::Fixed(0),
        }
    }

    /// The corrected time of a message that arrived at `recv_ns` with the venue's stamp `event_ns`.
    #[inline]
    pub fn correct(&mut self, recv_ns: i64, event_ns: i64) -> i64 {
        match self {
            Clock::Fixed(offset) => event_ns.saturating_add(*offset),
            Clock::Causal(estimate) => estimate.correct(recv_ns, event_ns),
        }
    }

    /// The corrected time of a stamp that says nothing about the clock: a snapshot's, a mark price's.
    pub fn map(&self, event_ns: i64) -> i64 {
        match self {
            Clock::Fixed(offset) => event_ns.saturating_add(*offset),
            Clock::Causal(estimate) => estimate.map(event_ns),
        }
    }

    /// The same of a message; one without a stamp left the venue by the fastest way.
    pub fn sent_ns(&self, message: &Message, base_latency_ns: i64) -> i64 {
        match message.ts_event_ns {
            UNDEF_TS_NS => message.ts_recv_ns.saturating_sub(base_latency_ns),
            event_ns => self.map(event_ns),
        }
    }
}

/// A window of (arrival, arrival - stamp) and its low quantile: a histogram with a finger on the quantile's bin, so that a sample
/// costs a few additions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    base_latency_ns: i64,
    samples: VecDeque<(i64, i64)>,
    /// Samples by bin of their difference, from bin `first` on; the last one takes whatever is above.
    bins: Vec<u32>,
    first: i64,
    /// The quantile's bin, as an index, and the number of samples below it.
    finger: usize,
    below: u32,
    /// All differences since this time were far from the quantile: since when, and the smallest of them.
    apart: Option<(i64, i64)>,
    /// The latest stamp seen and what it became: the mapping never goes back.
    last: Option<(i64, i64)>,
}

impl Estimate {
    const fn new(base_latency_ns: i64) -> Self {
        Estimate {
            base_latency_ns,
            samples: VecDeque::new(),
            bins: Vec::new(),
            first: 0,
            finger: 0,
            below: 0,
            apart: None,
            last: None,
        }
    }

    fn correct(&mut self, recv_ns: i64, event_ns: i64) -> i64 {
        self.add(recv_ns, recv_ns.saturating_sub(event_ns));
        let mapped = self.map(event_ns);
        if self.last.is_none_or(|(stamp, _)| event_ns >= stamp) {
            self.last = Some((event_ns, mapped));
        }
        mapped
    }

    fn map(&self, event_ns: i64) -> i64 {
        let mapped = event_ns.saturating_add(self.quantile_ns()).saturating_sub(self.base_latency_ns);
        match self.last {
            Some((stamp, ours)) if event_ns >= stamp => mapped.max(ours),
            Some((_, ours)) => mapped.min(ours),
            None => mapped,
        }
    }

    fn add(&mut self, recv_ns: i64, difference: i64) {
        self.watch_for_step(recv_ns, difference);
        self.samples.push_back((recv_ns, difference));
        self.count(difference, true);
        while let Some(&(then, old)) = self.samples.front()
            && (then < recv_ns.saturating_sub(WINDOW_NS) || self.samples.len() > SAMPLES_MAX)
        {
            self.samples.pop_front();
            self.count(old, false);
        }
        self.move_finger();
    }

    fn count(&mut self, difference: i64, more: bool) {
        let mut at = difference.div_euclid(BIN_NS) - self.first;
        if at < 0 || self.bins.is_empty() {
            self.start_bins_at(difference.div_euclid(BIN_NS) - ROOM_BELOW);
            // The samples hold this one already.
            return;
        }
        at = at.min(BINS - 1);
        let at = at as usize;
        if more {
            self.bins[at] += 1;
            self.below += u32::from(at < self.finger);
        } else {
            self.bins[at] -= 1;
            self.below -= u32::from(at < self.finger);
        }
    }

    /// Counts all samples again, in bins that begin lower.
    #[cold]
    fn start_bins_at(&mut self, first: i64) {
        (self.first, self.finger, self.below) = (first, 0, 0);
        self.bins.clear();
        self.bins.resize(BINS as usize, 0);
        for &(_, difference) in &self.samples {
            let at = (difference.div_euclid(BIN_NS) - first).clamp(0, BINS - 1);
            self.bins[at as usize] += 1;
        }
    }

    fn move_finger(&mut self) {
        let rank = self.samples.len() as u32 / 100;
        while self.below > rank {
            self.finger -= 1;
            self.below -= self.bins[self.finger];
        }
        while self.below + self.bins[self.finger] <= rank {
            self.below += self.bins[self.finger];
            self.finger += 1;
        }
    }

    /// Differences that have all been more than [`STEP_NS`] from the quantile for [`STEP_LASTS_NS`]: a clock was set.
    fn watch_for_step(&mut self, recv_ns: i64, difference: i64) {
        if self.samples.is_empty() || difference.abs_diff(self.quantile_ns()) <= STEP_NS as u64 {
            self.apart = None;
            return;
        }
        let (since, least) = self.apart.map_or((recv_ns, difference), |(since, least)| (since, least.min(difference)));
        self.apart = Some((since, least));
        if recv_ns.saturating_sub(since) >= STEP_LASTS_NS {
            self.samples.clear();
            self.samples.push_back((recv_ns, least));
            self.start_bins_at(least.div_euclid(BIN_NS) - ROOM_BELOW);
            self.move_finger();
            self.apart = None;
        }
    }

    /// The 1 % quantile: lower edge of its bin.
    const fn quantile_ns(&self) -> i64 {
        (self.first + self.finger as i64).saturating_mul(BIN_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn clock() -> Clock {
        Clock::new(ClockKind::Causal, 5 * MS)
    }

    #[test]
    fn a_clock_behind_is_found_and_the_base_latency_taken_off() {
        let mut c = clock();
        // Our clock is 1,270 ms behind; messages need 5 to 25 ms.
        let mut last = 0;
        for n in 0..5_000i64 {
            let event = 1_000_000 * MS + n * 10 * MS;
            let recv = event - 1_270 * MS + 5 * MS + (n * 7919 % 20) * MS;
            last = c.correct(recv, event) - (event - 1_270 * MS);
            if n > 100 {
                assert!((-MS..=MS).contains(&last), "{n}: {last}");
            }
        }
        assert!(last <= 0, "the quantile's bin starts at or before it");
    }

    #[test]
    fn the_mapping_never_goes_back() {
        let mut c = clock();
        let mut ours = i64::MIN;
        for n in 0..2_000i64 {
            let event = n * 10 * MS;
            let slow = if n < 1_000 { 50 } else { 5 };
            let mapped = c.correct(event + slow * MS, event);
            assert!(mapped >= ours, "{n}");
            ours = mapped;
        }
    }

    #[test]
    fn a_step_that_lasts_resets_it() {
        let mut c = clock();
        let mut error = 0;
        for n in 0..3_000i64 {
            let event = n * 10 * MS;
            let step = if n < 1_000 { 0 } else { 300 * MS };
            let recv = event + 5 * MS + step + (n * 31 % 3) * MS;
            error = c.correct(recv, event) - event - step;
        }
        assert!(error.abs() <= 3 * MS, "after the step: {error}");
    }
}
