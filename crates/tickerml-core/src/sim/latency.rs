//! How long a request needs to the matching engine and a report back: one seam, one file a model (contract.md, `latency`).
//!
//! `entry_ms` and `response_ms` are the latency itself (`constant`), its median (`venue`), and what is taken while no row has come
//! (`feed`); `file` has no use for them. An arrival time is fixed when something is sent, first in first out: max(t + latency, the
//! one still queued), kept by the queues (`stand.rs`, `wire.rs`).
mod feed;
mod file;
mod venue;

pub use file::{Columns, Recorded};

use crate::instrument::Venue;
use feed::Feed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use venue::Lines;

/// Where a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// To the matching engine, after so many ns.
    Arrives(i64),
    /// To nobody: the venue took no requests. We hear of it after so many ns.
    Refused(i64),
}

/// A model of both latencies, with its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Entry and response of each venue, ns.
    base: BTreeMap<Venue, (i64, i64)>,
    model: Model,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Model {
    Constant,
    Venue(Lines),
    Feed(Feed),
    File(Arc<Recorded>),
}

impl Latency {
    /// The same for each request and each report: (entry, response) in ns.
    pub const fn constant(base: BTreeMap<Venue, (i64, i64)>) -> Self {
        Latency { base, model: Model::Constant }
    }

    /// By chance, around medians of (entry, response) in ns.
    pub fn venue(base: BTreeMap<Venue, (i64, i64)>, seed: u64) -> Self {
        Latency { base, model: Model::Venue(Lines::new(seed)) }
    }

    /// As slow as the feed is at the moment. `base` stands until the first row, `base_latency_ns` is the gateway's.
    pub const fn feed(base: BTreeMap<Venue, (i64, i64)>, base_latency_ns: i64) -> Self {
        Latency { base, model: Model::Feed(Feed::new(base_latency_ns)) }
    }

    /// As was measured.
    pub fn file(recorded: Recorded) -> Self {
        Latency { base: BTreeMap::new(), model: Model::File(Arc::new(recorded)) }
    }

    /// A message of the instrument has arrived, so long after it happened, ns.
    #[inline]
    pub fn heard(&mut self, instrument: u16, latency_ns: i64) {
        if let Model::Feed(feed) = &mut self.model {
            feed.heard(instrument, latency_ns);
        }
    }

    /// For a request sent at `sent_ns`. Called once for each, in the order of sending.
    pub fn entry(&mut self, venue: Venue, instrument: u16, sent_ns: i64) -> Entry {
        let (base_ns, _) = self.base(venue);
        Entry::Arrives(match &mut self.model {
            Model::Constant => base_ns,
            Model::Venue(lines) => lines.entry_ns(venue, base_ns),
            Model::Feed(feed) => feed.one_way_ns(instrument).unwrap_or(base_ns),
            Model::File(recorded) => return recorded.entry(sent_ns),
        })
    }

    /// For a report of venue time `at_ns`. Called once for each, in the order of making, ns.
    pub fn response_ns(&mut self, venue: Venue, instrument: u16, at_ns: i64) -> i64 {
        let (_, base_ns) = self.base(venue);
        match &mut self.model {
            Model::Constant => base_ns,
            Model::Venue(lines) => lines.response_ns(venue, base_ns),
            Model::Feed(feed) => feed.one_way_ns(instrument).unwrap_or(base_ns),
            Model::File(recorded) => recorded.response_ns(at_ns),
        }
    }

    fn base(&self, venue: Venue) -> (i64, i64) {
        self.base.get(&venue).copied().unwrap_or((0, 0))
    }
}
