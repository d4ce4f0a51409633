//! Latency `feed`: an order is as slow as the market's messages are at the same moment.
//!
//! Entry and response are each the way of the instrument's latest diff or print that has arrived here (`ts_recv` - corrected venue
//! time, never below 0) plus `base_latency_ms`. The way of the fastest message already is `base_latency_ms` by the clock's making
//! (`clock.rs`); an order pays it a second time for the gateway and the matching that the market's message has behind it.
//! hftbacktest's FeedLatency is the same sum, of the messages before *and after* the moment: the one after would be foresight.
use serde::{Deserialize, Serialize};

/// How long the latest message of each instrument was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Feed {
    gateway_ns: i64,
    latest_ns: Vec<Option<i64>>,
}

impl Feed {
    pub const fn new(gateway_ns: i64) -> Self {
        Feed { gateway_ns, latest_ns: Vec::new() }
    }

    pub fn heard(&mut self, instrument: u16, latency_ns: i64) {
        let at = usize::from(instrument);
        if self.latest_ns.len() <= at {
            self.latest_ns.resize(at + 1, None);
        }
        self.latest_ns[at] = Some(latency_ns);
    }

    /// None before the instrument's first message.
    pub fn one_way_ns(&self, instrument: u16) -> Option<i64> {
        let latest = self.latest_ns.get(usize::from(instrument)).copied().flatten();
        latest.map(|ns| ns.max(0) + self.gateway_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_message_counts_and_nothing_arrives_before_it_was_sent() {
        let mut feed = Feed::new(5);
        assert_eq!(feed.one_way_ns(0), None);
        feed.heard(1, 20);
        assert_eq!((feed.one_way_ns(0), feed.one_way_ns(1)), (None, Some(25)));
        feed.heard(1, -30);
        assert_eq!(feed.one_way_ns(1), Some(5));
    }
}
