//! Request budgets over a sliding window: connection attempts and REST weight (exchanges.md 0.6, 1.5).
use std::collections::VecDeque;

/// Most spends kept; more than any venue's window allows of weight-1 requests that come one at a time.
const SPENDS_MAX: usize = 4_096;

/// At most `limit` units in any `window_ns`.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: u32,
    window_ns: i64,
    spent: VecDeque<(i64, u32)>,
    sum: u32,
}

impl Budget {
    /// A budget of `limit` units (at least one) per `window_ns`.
    pub fn new(limit: u32, window_ns: i64) -> Self {
        Budget { limit: limit.max(1), window_ns, spent: VecDeque::new(), sum: 0 }
    }

    /// When `cost` units can be spent, ns on the same clock as `now_ns`; `now_ns` itself when they can be now.
    /// A cost above the limit is treated as the whole limit: it waits for an empty window instead of for ever.
    pub fn ready_at(&mut self, now_ns: i64, cost: u32) -> i64 {
        self.forget(now_ns);
        let cost = cost.min(self.limit);
        let mut sum = self.sum;
        let mut ready = now_ns;
        for &(at, units) in &self.spent {
            if sum.saturating_add(cost) <= self.limit && self.spent.len() < SPENDS_MAX {
                break;
            }
            sum -= units;
            ready = at + self.window_ns;
            if sum.saturating_add(cost) <= self.limit {
                break;
            }
        }
        ready.max(now_ns)
    }

    /// Spends `cost` units at `now_ns`.
    pub fn spend(&mut self, now_ns: i64, cost: u32) {
        let cost = cost.min(self.limit);
        self.forget(now_ns);
        if self.spent.len() >= SPENDS_MAX {
            self.drop_oldest();
        }
        self.spent.push_back((now_ns, cost));
        self.sum = self.sum.saturating_add(cost);
    }

    /// Raises what is spent to what the venue says it counted in this window (`X-MBX-USED-WEIGHT-1M`): others may share
    /// our address.
    pub fn observe(&mut self, now_ns: i64, used: u32) {
        self.forget(now_ns);
        let used = used.min(self.limit);
        if used > self.sum {
            let rest = used - self.sum;
            self.spend(now_ns, rest);
        }
    }

    /// Units spent in the window that ends at `now_ns`.
    pub fn used(&mut self, now_ns: i64) -> u32 {
        self.forget(now_ns);
        self.sum
    }

    fn forget(&mut self, now_ns: i64) {
        while self.spent.front().is_some_and(|&(at, _)| at + self.window_ns <= now_ns) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, units)) = self.spent.pop_front() {
            self.sum -= units;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_holds_more_than_the_limit() {
        let mut budget = Budget::new(300, 1_000);
        let mut now = 0;
        let mut log = Vec::new();
        for i in 0..2_000u32 {
            let cost = 1 + i % 70;
            now = budget.ready_at(now, cost);
            budget.spend(now, cost);
            log.push((now, cost));
        }
        for &(end, _) in &log {
            let sum: u32 = log.iter().filter(|(at, _)| *at <= end && *at > end - 1_000).map(|x| x.1).sum();
            assert!(sum <= 300, "{sum} in the window that ends at {end}");
        }
        assert!(now < 1_000 * (2_000 * 36 / 300 + 20), "and it is used: {now}");
    }

    #[test]
    fn the_venues_count_is_believed_and_large_costs_still_pass() {
        let mut budget = Budget::new(100, 1_000);
        budget.observe(5, 95);
        assert_eq!((budget.ready_at(10, 5), budget.ready_at(10, 6)), (10, 1_005));
        assert_eq!(budget.ready_at(10, 1_000), 1_005);
        budget.observe(10, 50);
        assert_eq!(budget.used(10), 95);
    }
}
