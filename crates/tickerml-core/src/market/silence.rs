//! How long a stream may be silent: max(30 s, 8 x its learned p99.9) (rules.md 6).
use serde::{Deserialize, Serialize};

/// Shortest silence that makes a book Stale: thin pairs are silent for seconds as a rule (exchanges.md 2).
const SILENCE_MIN_NS: i64 = 30_000_000_000;
/// Multiple of the learned quantile.
const QUANTILE_FACTOR: i64 = 8;
/// Buckets: powers of two of a millisecond, up to 2^31 ms.
const BUCKETS: usize = 32;

/// Histogram of the intervals between a stream's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    counts: [u64; BUCKETS],
    total: u64,
    last_ns: Option<i64>,
}

impl Silence {
    /// Knows nothing yet.
    pub const fn new() -> Self {
        Silence { counts: [0; BUCKETS], total: 0, last_ns: None }
    }

    /// A message at this time.
    #[inline]
    pub fn heard(&mut self, ts_ns: i64) {
        if let Some(last) = self.last_ns {
            let ms = ((ts_ns - last) / 1_000_000).max(0) as u64;
            self.counts[(64 - ms.leading_zeros() as usize).min(BUCKETS - 1)] += 1;
            self.total += 1;
        }
        self.last_ns = Some(ts_ns);
    }

    /// The connection ended: the interval to the next message says nothing about the stream.
    pub const fn interrupted(&mut self) {
        self.last_ns = None;
    }

    /// True when the stream has been silent for too long at `now_ns`.
    #[inline]
    pub fn is_silent(&self, now_ns: i64) -> bool {
        self.last_ns.is_some_and(|last| now_ns - last > SILENCE_MIN_NS && now_ns - last > self.limit_ns())
    }

    /// The limit: upper edge of the bucket that holds the 99.9 % quantile, times eight, at least 30 s.
    pub fn limit_ns(&self) -> i64 {
        let mut above = self.total / 1000;
        for (bucket, &count) in self.counts.iter().enumerate().rev() {
            if count > above {
                return SILENCE_MIN_NS.max(QUANTILE_FACTOR * (1i64 << bucket) * 1_000_000);
            }
            above -= count;
        }
        SILENCE_MIN_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_learned() {
        let mut s = Silence::new();
        assert!(!s.is_silent(i64::MAX));
        for n in 0..2000 {
            s.heard(n * 100_000_000);
        }
        let last = 1999 * 100_000_000;
        assert!(!s.is_silent(last + SILENCE_MIN_NS));
        assert!(s.is_silent(last + SILENCE_MIN_NS + 1));
        // A stream that is often silent for 20 s may be silent for minutes.
        for n in 1..100 {
            s.heard(last + n * 20_000_000_000);
        }
        let last = last + 99 * 20_000_000_000;
        assert!(!s.is_silent(last + 120_000_000_000));
        assert!(s.is_silent(last + 300_000_000_000));
        s.interrupted();
        assert!(!s.is_silent(i64::MAX));
    }
}
