//! Where our orders rest, in a form that says a quick no: most rows of a market are not about them.
use super::order::Side;
use serde::{Deserialize, Serialize};

/// Prices of one side at which we rest, for a quick no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own {
    /// A bit for each price, by its hash.
    prices: u64,
    low: i64,
    high: i64,
}

impl Own {
    /// No order.
    pub const NONE: Own = Own { prices: 0, low: i64::MAX, high: i64::MIN };

    #[inline]
    const fn bit(px: i64) -> u64 {
        1 << ((px as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
    }

    /// Whether nothing of ours rests on the side.
    #[inline]
    pub const fn is_none(&self) -> bool {
        self.prices == 0
    }

    /// Adds a price.
    pub fn add(&mut self, px: i64) {
        *self = Own { prices: self.prices | Own::bit(px), low: self.low.min(px), high: self.high.max(px) };
    }

    /// False where no order of ours rests at `px`; true nearly always means that one does.
    #[inline]
    pub const fn may_rest_at(&self, px: i64) -> bool {
        self.low <= px && px <= self.high && self.prices & Own::bit(px) != 0
    }

    /// Whether a taker at `px` reaches an order of this side.
    #[inline]
    pub const fn is_reached(&self, side: Side, px: i64) -> bool {
        !self.is_none()
            && match side {
                Side::Buy => px <= self.high,
                Side::Sell => px >= self.low,
            }
    }
}
