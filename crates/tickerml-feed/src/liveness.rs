//! What a stream did lately, and from when on its silence means something: the rule is core's (rules.md 6).
use tickerml_core::market::Silence as Cadence;

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
        self.cadence.interrupted();
    }

    /// A frame came. True when that ends a stale span.
    #[inline]
    pub fn on_frame(&mut self, now_ns: i64) -> bool {
        self.cadence.heard(now_ns);
        self.frames += 1;
        self.last_ns = Some(now_ns);
        self.stale_since_ns.take().is_some()
    }

    /// True once when the silence crosses its limit, and again after each further limit: time to probe.
    pub fn on_tick(&mut self, now_ns: i64) -> Option<Silence> {
        let since_ns = self.stale_since_ns.or(self.last_ns)?;
        if !self.cadence.is_too_long(now_ns - since_ns) {
            return None;
        }
        let before = self.stale_since_ns.replace(now_ns);
        Some(if before.is_none() { Silence::Began } else { Silence::Lasts })
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
