//! How often a stream speaks, and from when on its silence means something (rules.md 6).

/// A silence shorter than this is never stale.
pub const STALE_MIN_NS: i64 = 30_000_000_000;
/// A stream is stale after this many times its learned p99.9 gap.
const STALE_FACTOR: i64 = 8;
/// Counts are halved beyond this, so that a cadence follows the hours of the day.
const GAPS_MAX: u32 = 1_000_000;
/// Smallest gap told apart, as a power of two in ns: about 1 ms.
const SHIFT: u32 = 20;
/// Quarter octaves from 1 ms to 19 h.
const BUCKETS: usize = 64;

/// A histogram of the gaps between frames: quarter octaves, so a quantile is at most 19 % too large.
#[derive(Debug, Clone)]
pub struct Cadence {
    counts: [u32; BUCKETS],
    total: u32,
}

impl Default for Cadence {
    fn default() -> Self {
        Cadence { counts: [0; BUCKETS], total: 0 }
    }
}

impl Cadence {
    /// Learns one gap.
    #[inline]
    pub fn learn(&mut self, gap_ns: i64) {
        self.counts[bucket(gap_ns)] += 1;
        self.total += 1;
        if self.total >= GAPS_MAX {
            self.halve();
        }
    }

    /// Silence from which the stream is stale: max(30 s, 8 x p99.9 of its gaps).
    pub fn stale_after_ns(&self) -> i64 {
        STALE_MIN_NS.max(self.p999_ns().saturating_mul(STALE_FACTOR))
    }

    /// Upper edge of the gap that 999 of 1,000 do not exceed; the longest one while fewer are known.
    fn p999_ns(&self) -> i64 {
        let beyond = self.total / 1_000;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate().rev() {
            seen += count;
            if count > 0 && seen > beyond {
                return edge_ns(bucket);
            }
        }
        0
    }

    fn halve(&mut self) {
        self.counts.iter_mut().for_each(|c| *c /= 2);
        self.total = self.counts.iter().sum();
    }
}

fn bucket(gap_ns: i64) -> usize {
    let units = (gap_ns.max(0) as u64) >> (SHIFT - 2);
    if units < 4 {
        return 0;
    }
    let octave = units.ilog2();
    let quarter = (units >> (octave - 2)) & 3;
    (((octave - 2) * 4 + quarter as u32) as usize).min(BUCKETS - 1)
}

fn edge_ns(bucket: usize) -> i64 {
    let (octave, quarter) = (bucket as u32 / 4, bucket as i64 % 4);
    ((5 + quarter) << octave) << (SHIFT - 2)
}

/// What a stream did lately. Shared by the two slots of a shard.
#[derive(Debug, Clone, Default)]
pub struct StreamLife {
    /// Last frame, monotonic ns; none while no connection carries the stream.
    pub last_ns: Option<i64>,
    /// Frames since the start.
    pub frames: u64,
    /// Since when the stream counts as stale.
    pub stale_since_ns: Option<i64>,
    cadence: Cadence,
}

impl StreamLife {
    /// A connection carries the stream from now on.
    pub fn on_open(&mut self, now_ns: i64) {
        self.last_ns.get_or_insert(now_ns);
    }

    /// No connection carries it.
    pub fn on_closed(&mut self) {
        self.last_ns = None;
        self.stale_since_ns = None;
    }

    /// A frame came. True when that ends a stale span.
    #[inline]
    pub fn on_frame(&mut self, now_ns: i64) -> bool {
        if let Some(last_ns) = self.last_ns.filter(|_| self.frames > 0) {
            self.cadence.learn(now_ns - last_ns);
        }
        self.frames += 1;
        self.last_ns = Some(now_ns);
        self.stale_since_ns.take().is_some()
    }

    /// True once when the silence crosses its limit, and again after each further limit: time to probe.
    pub fn on_tick(&mut self, now_ns: i64) -> Option<Silence> {
        let last_ns = self.last_ns?;
        let limit_ns = self.cadence.stale_after_ns();
        match self.stale_since_ns {
            None if now_ns - last_ns >= limit_ns => {
                self.stale_since_ns = Some(now_ns);
                Some(Silence::Began)
            }
            Some(since_ns) if now_ns - since_ns >= limit_ns => {
                self.stale_since_ns = Some(now_ns);
                Some(Silence::Lasts)
            }
            _ => None,
        }
    }
}

/// A stream's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It just crossed the limit.
    Began,
    /// It lasted one more limit.
    Lasts,
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: i64 = 1_000_000_000;

    #[test]
    fn buckets_bound_their_gaps() {
        let mut rng = crate::backoff::Rng::new(3);
        for _ in 0..20_000 {
            let gap = rng.upto(1 << (20 + rng.clone().upto(15)));
            let edge = edge_ns(bucket(gap));
            assert!(edge > gap && edge as f64 <= (gap as f64 * 1.26).max(1.4e6), "{gap} {edge}");
        }
        assert_eq!((bucket(-5), bucket(i64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn a_slow_stream_gets_a_longer_limit() {
        let mut cadence = Cadence::default();
        assert_eq!(cadence.stale_after_ns(), STALE_MIN_NS);
        for n in 0..10_000 {
            cadence.learn(if n % 200 == 0 { 12 * S } else { S / 10 });
        }
        let limit = cadence.stale_after_ns();
        assert!((96 * S..=120 * S).contains(&limit), "{limit}");
        for _ in 0..2 * GAPS_MAX {
            cadence.learn(S / 10);
        }
        assert_eq!(cadence.stale_after_ns(), STALE_MIN_NS, "old gaps fade");
    }

    #[test]
    fn silence_begins_once_lasts_and_ends_with_a_frame() {
        let mut life = StreamLife::default();
        assert_eq!(life.on_tick(100 * S), None, "no connection, no silence");
        life.on_open(0);
        assert_eq!(life.on_tick(29 * S), None);
        assert_eq!(life.on_tick(30 * S), Some(Silence::Began));
        assert_eq!(life.on_tick(31 * S), None);
        assert_eq!(life.on_tick(61 * S), Some(Silence::Lasts));
        assert!(life.on_frame(62 * S));
        assert!(!life.on_frame(63 * S));
        life.on_closed();
        assert_eq!(life.on_tick(500 * S), None);
    }
}
