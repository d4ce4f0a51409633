//! One slot: a place for one connection at a time.
use crate::backoff::Backoff;

/// Names one connection: its slot, and how many that slot had before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Slot number.
    pub slot: u16,
    /// Counts the slot's connections.
    pub generation: u32,
}

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not wanted.
    Idle,
    /// To be opened, not before this.
    Waiting {
        /// Monotonic ns.
        until_ns: i64,
    },
    /// The shell was told to open it.
    Opening {
        /// Monotonic ns.
        since_ns: i64,
    },
    /// It carries frames.
    Open {
        /// Monotonic ns.
        since_ns: i64,
    },
}

pub(crate) struct Lane {
    pub shard: usize,
    /// 0 for a, 1 for b.
    pub side: usize,
    pub slot: u16,
    pub generation: u32,
    pub phase: Phase,
    pub backoff: Backoff,
    /// Last sign of life: frame, ping or pong.
    pub heard_ns: i64,
    pub pinged_ns: Option<i64>,
    /// Streams that gave a frame on this connection.
    pub seen: Vec<bool>,
    pub seen_count: usize,
    /// Streams without a first frame were reported.
    pub silent_told: bool,
    /// Age at which another connection takes over, drawn once a connection.
    pub retire_after_ns: i64,
    /// The venue said that it will close this connection.
    pub shutdown: bool,
}

impl Lane {
    pub fn new(shard: usize, side: usize, slot: u16, streams: usize) -> Self {
        Lane {
            shard,
            side,
            slot,
            generation: 0,
            phase: Phase::Idle,
            backoff: Backoff::default(),
            heard_ns: 0,
            pinged_ns: None,
            seen: vec![false; streams],
            seen_count: 0,
            silent_told: false,
            retire_after_ns: i64::MAX,
            shutdown: false,
        }
    }

    pub const fn conn(&self) -> ConnId {
        ConnId { slot: self.slot, generation: self.generation }
    }

    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// How long it has been open; none while it is not.
    pub const fn age_ns(&self, now_ns: i64) -> Option<i64> {
        match self.phase {
            Phase::Open { since_ns } => Some(now_ns - since_ns),
            _ => None,
        }
    }

    /// A connection was made.
    pub fn opened(&mut self, now_ns: i64, retire_after_ns: i64) {
        self.phase = Phase::Open { since_ns: now_ns };
        self.heard_ns = now_ns;
        self.pinged_ns = None;
        self.seen.fill(false);
        self.seen_count = 0;
        self.silent_told = false;
        self.retire_after_ns = retire_after_ns;
        self.shutdown = false;
    }

    #[inline]
    pub fn heard(&mut self, now_ns: i64) {
        self.heard_ns = now_ns;
        self.pinged_ns = None;
    }

    #[inline]
    pub fn saw(&mut self, stream: usize) {
        if !self.seen[stream] {
            self.seen[stream] = true;
            self.seen_count += 1;
        }
    }
}
