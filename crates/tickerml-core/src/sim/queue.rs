//! How much stands ahead of a resting order: one model a variant, one seam for all.
use super::order::AHEAD_UNKNOWN;
use serde::{Deserialize, Serialize};

/// A model of the queue ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueModel {
    /// Only trades move us forward; other decreases were behind us, except that no more can be ahead than is displayed.
    RiskAverse,
}

impl QueueModel {
    /// The model with this name (contract.md, "Settings by name").
    pub fn from_name(name: &str) -> Option<QueueModel> {
        (name == "risk_averse").then_some(QueueModel::RiskAverse)
    }

    /// Ahead of an order that joins a level of this size.
    pub const fn on_place(self, displayed: i64) -> i64 {
        displayed
    }

    /// Ahead after the level went from `before` to `now` without a trade being known.
    pub fn on_depth(self, ahead: i64, _before: i64, now: i64) -> i64 {
        ahead.min(now)
    }

    /// A print of `budget` at our price: what remains ahead, and what of the print reaches us.
    pub const fn on_trade(self, ahead: i64, budget: i64) -> (i64, i64) {
        if ahead == AHEAD_UNKNOWN {
            return (ahead, 0);
        }
        if budget >= ahead { (0, budget - ahead) } else { (ahead - budget, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trades_and_the_level_itself_move_us() {
        let q = QueueModel::RiskAverse;
        let ahead = q.on_place(10);
        assert_eq!(q.on_depth(ahead, 10, 14), 10);
        assert_eq!(q.on_depth(ahead, 14, 12), 10);
        assert_eq!(q.on_depth(ahead, 12, 7), 7);
        assert_eq!(q.on_trade(7, 5), (2, 0));
        assert_eq!(q.on_trade(2, 5), (0, 3));
        assert_eq!(q.on_trade(AHEAD_UNKNOWN, 5), (AHEAD_UNKNOWN, 0));
    }
}
