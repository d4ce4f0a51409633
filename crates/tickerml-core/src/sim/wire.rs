//! Things on their way, first in first out for each instrument: nothing overtakes (simulation.md 1). So an outage delays what is
//! under way and loses none of it.
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What is under way, each with the time at which it arrives: fixed when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire<T> {
    lanes: BTreeMap<u16, VecDeque<(i64, T)>>,
    next_ns: i64,
}

impl<T> Wire<T> {
    /// Nothing under way.
    pub const fn new() -> Self {
        Wire { lanes: BTreeMap::new(), next_ns: i64::MAX }
    }

    /// Sends `item` to arrive at `at_ns`, or with the one still queued if that is later.
    pub fn send(&mut self, instrument: u16, at_ns: i64, item: T) {
        let lane = self.lanes.entry(instrument).or_default();
        let at_ns = lane.back().map_or(at_ns, |(last, _)| at_ns.max(*last));
        lane.push_back((at_ns, item));
        self.next_ns = self.next_ns.min(at_ns);
    }

    /// When the next thing arrives; `i64::MAX` for never.
    #[inline]
    pub const fn next_ns(&self) -> i64 {
        self.next_ns
    }

    /// The next thing to arrive, with its time; ties go by the order of the instruments.
    pub fn take(&mut self) -> Option<(i64, T)> {
        let due = self.next_ns;
        let lane = self.lanes.values_mut().find(|lane| lane.front().is_some_and(|(at, _)| *at == due))?;
        let item = lane.pop_front();
        self.next_ns = self.lanes.values().filter_map(|lane| lane.front().map(|(at, _)| *at)).min().unwrap_or(i64::MAX);
        item
    }

    /// Drops everything under way and returns it.
    pub fn clear(&mut self) -> Vec<T> {
        self.next_ns = i64::MAX;
        self.lanes.values_mut().flat_map(|lane| lane.drain(..).map(|(_, item)| item)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overtakes() {
        let mut wire = Wire::new();
        wire.send(0, 100, 'a');
        wire.send(0, 50, 'b');
        wire.send(1, 70, 'c');
        let order: Vec<_> = std::iter::from_fn(|| wire.take()).collect();
        assert_eq!(order, [(70, 'c'), (100, 'a'), (100, 'b')]);
        assert_eq!(wire.next_ns(), i64::MAX);
    }
}
