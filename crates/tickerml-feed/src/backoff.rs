//! Full-jitter exponential backoff, and the seeded generator behind it: randomness is a parameter of the feed.

/// First retry comes within this (reliability.md P6).
pub const FIRST_MS: i64 = 250;
/// No retry waits longer (reliability.md P6).
pub const CAP_MS: i64 = 30_000;
/// Healthy for this long, the next failure counts as the first again (exchanges.md 0.5 rule 11).
pub const HEALTHY_NS: i64 = 60_000_000_000;

/// A small seeded generator (splitmix64): the same seed gives the same delays.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..=max`; 0 for a negative `max`.
    pub fn upto(&mut self, max: i64) -> i64 {
        let span = u64::try_from(max).unwrap_or(0).saturating_add(1);
        ((u128::from(self.bits()) * u128::from(span)) >> 64) as i64
    }
}

/// Delays before the next attempt: uniform in 0..=min(cap, first x 2^failures).
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt, ns. Each call counts one failure.
    pub fn next_delay_ns(&mut self, rng: &mut Rng) -> i64 {
        let ceiling_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        rng.upto(ceiling_ms * 1_000_000)
    }

    /// Forgets the failures when the connection was healthy long enough.
    pub fn ended_after(&mut self, healthy_ns: i64) {
        if healthy_ns >= HEALTHY_NS {
            self.failures = 0;
        }
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_retry_is_fast_and_later_ones_are_capped_and_spread() {
        for seed in 0..200 {
            let (mut rng, mut backoff) = (Rng::new(seed), Backoff::default());
            assert!(backoff.next_delay_ns(&mut rng) <= FIRST_MS * 1_000_000);
            let later: Vec<i64> = (0..40).map(|_| backoff.next_delay_ns(&mut rng)).collect();
            assert!(later.iter().all(|&d| (0..=CAP_MS * 1_000_000).contains(&d)));
            assert!(later[10..].iter().max() > Some(&15_000_000_000), "the ceiling grows to the cap");
            assert!(later[10..].iter().min() < Some(&15_000_000_000), "full jitter reaches low delays");
        }
    }

    #[test]
    fn only_a_minute_of_health_resets() {
        let (mut rng, mut backoff) = (Rng::new(1), Backoff::default());
        for _ in 0..5 {
            backoff.next_delay_ns(&mut rng);
        }
        backoff.ended_after(HEALTHY_NS - 1);
        assert_eq!(backoff.failures(), 5);
        backoff.ended_after(HEALTHY_NS);
        assert_eq!(backoff.failures(), 0);
    }
}
