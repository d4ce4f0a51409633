//! How long a stream may be silent: max(30 s, 8 x its learned p99.9) (rules.md 6). The recorder and every reader of its tape
//! judge by this one rule.
use serde::{Deserialize, Serialize};

/// Shortest silence that makes a book Stale: thin pairs are silent for seconds as a rule (exchanges.md 2).
pub const SILENCE_MIN_NS: i64 = 30_000_000_000;
/// Multiple of the learned quantile.
const QUANTILE_FACTOR: i64 = 8;
/// Counts are halved beyond this, so that a cadence follows the hours of the day.
const INTERVALS_MAX: u32 = 1_000_000;
/// Smallest interval told apart, as a power of two in ns: about 1 ms.
const SHIFT: u32 = 20;
/// From 1 ms to 19 h, in quarters: a quantile is at most 19 % too large.
const OCTAVES: usize = 16;
const QUARTERS: usize = 4;

/// Histogram of the intervals between a stream's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Silence {
    counts: [[u32; QUARTERS]; OCTAVES],
    total: u32,
    last_ns: Option<i64>,
}

impl Silence {
    /// Knows nothing yet.
    pub const fn new() -> Self {
        Silence { counts: [[0; QUARTERS]; OCTAVES], total: 0, last_ns: None }
    }

    /// A message at this time.
    #[inline]
    pub fn heard(&mut self, ts_ns: i64) {
        if let Some(last) = self.last_ns {
            self.learn(ts_ns.saturating_sub(last));
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
        self.last_ns.is_some_and(|last| self.is_too_long(now_ns.saturating_sub(last)))
    }

    /// True for a silence that means something.
    #[inline]
    pub fn is_too_long(&self, silent_ns: i64) -> bool {
        silent_ns >= SILENCE_MIN_NS && silent_ns >= self.limit_ns()
    }

    /// The limit: upper edge of the bucket that holds the 99.9 % quantile (the longest interval while fewer than a thousand
    /// are known), times eight, at least 30 s.
    pub fn limit_ns(&self) -> i64 {
        let beyond = self.total / 1_000;
        let mut seen = 0;
        for bucket in (0..OCTAVES * QUARTERS).rev() {
            let count = self.counts[bucket / QUARTERS][bucket % QUARTERS];
            seen += count;
            if count > 0 && seen > beyond {
                return SILENCE_MIN_NS.max(edge_ns(bucket).saturating_mul(QUANTILE_FACTOR));
            }
        }
        SILENCE_MIN_NS
    }

    #[inline]
    fn learn(&mut self, interval_ns: i64) {
        let bucket = bucket(interval_ns);
        self.counts[bucket / QUARTERS][bucket % QUARTERS] += 1;
        self.total += 1;
        if self.total >= INTERVALS_MAX {
            self.halve();
        }
    }

    #[cold]
    fn halve(&mut self) {
        self.counts.iter_mut().flatten().for_each(|count| *count /= 2);
        self.total = self.counts.iter().flatten().sum();
    }
}

#[inline]
fn bucket(interval_ns: i64) -> usize {
    let units = (interval_ns.max(0) as u64) >> (SHIFT - 2);
    if units < 4 {
        return 0;
    }
    let octave = units.ilog2();
    let quarter = (units >> (octave - 2)) & 3;
    (((octave - 2) * 4 + quarter as u32) as usize).min(OCTAVES * QUARTERS - 1)
}

fn edge_ns(bucket: usize) -> i64 {
    let (octave, quarter) = (bucket as u32 / 4, bucket as i64 % 4);
    ((5 + quarter) << octave) << (SHIFT - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: i64 = 1_000_000_000;

    #[test]
    fn buckets_bound_their_intervals() {
        let mut random = 7u64;
        for n in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let interval = (random >> 10) as i64 & ((1 << (20 + n % 16)) - 1);
            let edge = edge_ns(bucket(interval));
            assert!(edge > interval && edge as f64 <= (interval as f64 * 1.26).max(1.4e6), "{interval} {edge}");
        }
        assert_eq!((bucket(-5), bucket(i64::MAX)), (0, OCTAVES * QUARTERS - 1));
    }

    #[test]
    fn the_limit_is_learned_and_fades() {
        let mut s = Silence::new();
        assert!(!s.is_silent(i64::MAX) && s.limit_ns() == SILENCE_MIN_NS);
        let mut now = 0;
        for n in 0..10_000 {
            now += if n % 200 == 0 { 12 * S } else { S / 10 };
            s.heard(now);
        }
        let limit = s.limit_ns();
        assert!((96 * S..=120 * S).contains(&limit), "{limit}");
        assert!(!s.is_silent(now + limit - 1) && s.is_silent(now + limit));
        for _ in 0..2 * INTERVALS_MAX {
            now += S / 10;
            s.heard(now);
        }
        assert_eq!(s.limit_ns(), SILENCE_MIN_NS, "old intervals fade");
        s.interrupted();
        assert!(!s.is_silent(i64::MAX));
        s.heard(now + 3_600 * S);
        assert_eq!(s.limit_ns(), SILENCE_MIN_NS, "an interruption is no interval");
    }
}
