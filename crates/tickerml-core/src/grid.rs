//! The policy `grid` of simulation.md 2, built in: the rule of `python/tickerml/policy/rules.py` in integers, answered without a
//! crossing into Python. It is for comparisons and sweeps: whoever trades uses the Python one, behind risk and a portfolio.
//!
//! The known orders of a step become two bit masks over the wanted prices, so a step looks up nothing and allocates nothing.
use crate::error::{Error, Result};
use crate::session::{View, ViewCause};
use crate::sim::{Known, OrderKind, Report, Request, Side};
use crate::units::UNDEF_PX;
use serde::{Deserialize, Serialize};

/// Orders a side: a bit of a mask each.
pub const LEVELS_MAX: u32 = 100;

/// One ladder a side on instrument 0, and the position that its fills have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    levels: i64,
    /// Twice the least distance of the first order from the mid, scaled.
    half2: i64,
    /// Distance between two orders, scaled.
    step: i64,
    /// Quantity of an order, scaled.
    qty: i64,
    /// No buys from this position on, and no sells from its negative on, scaled.
    position_max: i64,
    position: i64,
}

/// One side's wanted prices: `first`, and on away from the touch.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    side: Side,
    first: i64,
    /// Bit i is set where price i is wanted.
    wanted: u128,
    /// Bit i is set where an order of ours is known at price i, of whichever side.
    known: u128,
}

impl Grid {
    /// A ladder of `levels` orders a side from `half_spread` of the mid on, `interval` apart; all but `levels` are scaled.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a value that makes no ladder.
    pub fn new(levels: u32, half_spread: i64, interval: i64, qty: i64, position_max: i64) -> Result<Grid> {
        // Far below overflow when it is doubled and multiplied by the levels.
        let sane = |least: i64, value: i64| (least..1 << 53).contains(&value);
        for (key, good, reason) in [
            ("levels", (1..=LEVELS_MAX).contains(&levels), "must be 1 to 100"),
            ("half_spread", sane(0, half_spread), "must be 0 to 2^53"),
            ("interval", sane(1, interval), "must be 1 to 2^53"),
            ("qty", sane(1, qty), "must be 1 to 2^53"),
        ] {
            if !good {
                return Err(Error::BadSetting { key: key.to_owned(), reason: reason.to_owned() });
            }
        }
        Ok(Grid { levels: i64::from(levels), half2: 2 * half_spread, step: interval, qty, position_max, position: 0 })
    }

    /// What its fills add up to, scaled.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Learns what a view reports, and puts into `out` what it wants of it: cancels, then buys, then sells.
    pub fn decide(&mut self, view: &View, out: &mut Vec<Request>) {
        out.clear();
        let filled = |report: &Report| report.fill.as_ref().map_or(0, |fill| fill.side.sign() * fill.qty);
        self.position += view.reports.iter().map(filled).sum::<i64>();
        if view.cause != ViewCause::Step {
            return;
        }
        let top = &view.seen[0].top;
        let (mut buys, mut sells) = self.ladders(top[0][0].0, top[1][0].0);
        for order in view.orders.iter().filter(|order| order.instrument == 0) {
            let (buy, sell) = (self.bit(&buys, order.px), self.bit(&sells, order.px));
            (buys.known, sells.known) = (buys.known | buy, sells.known | sell);
            let wanted = if order.side == Side::Buy { buys.wanted & buy } else { sells.wanted & sell };
            if wanted == 0 && order.known == Known::Resting {
                out.push(Request::Cancel { order_id: order.id });
            }
        }
        self.send(&buys, out);
        self.send(&sells, out);
    }

    fn send(&self, ladder: &Ladder, out: &mut Vec<Request>) {
        let mut missing = ladder.wanted & !ladder.known;
        while missing != 0 {
            let n = i64::from(missing.trailing_zeros());
            missing &= missing - 1;
            let px = ladder.first - ladder.side.sign() * n * self.step;
            let (side, qty) = (ladder.side, self.qty);
            let kind = OrderKind::PostOnly;
            out.push(Request::New { instrument: 0, kind, side, px, qty, tag: 0, reduce_only: false });
        }
    }

    /// What both sides want around a touch.
    fn ladders(&self, bid: i64, ask: i64) -> (Ladder, Ladder) {
        let known_book = bid != UNDEF_PX && ask != UNDEF_PX;
        let (step, all) = (self.step, (1u128 << self.levels) - 1);
        // In half units: twice the mid is bid + ask.
        let (bid0, ask0) = if known_book {
            let (low2, high2) = ((bid + ask - self.half2).min(2 * bid), (bid + ask + self.half2).max(2 * ask));
            (low2.div_euclid(2 * step) * step, -(-high2).div_euclid(2 * step) * step)
        } else {
            (0, 0)
        };
        // Prices are above zero: the whole steps below the first one, less the one that would be at or below it.
        let above_zero = if bid0 <= 0 { 0 } else { ((bid0 + step - 1) / step).min(self.levels) };
        let buys = if known_book && self.position < self.position_max { (1u128 << above_zero) - 1 } else { 0 };
        let sells = if known_book && -self.position < self.position_max { all } else { 0 };
        (
            Ladder { side: Side::Buy, first: bid0, wanted: buys, known: 0 },
            Ladder { side: Side::Sell, first: ask0, wanted: sells, known: 0 },
        )
    }

    /// The bit of a price in a ladder; none for one beside it.
    #[inline]
    const fn bit(&self, ladder: &Ladder, px: i64) -> u128 {
        let away = (ladder.first - px) * ladder.side.sign();
        if away < 0 || away >= self.levels * self.step || away % self.step != 0 { 0 } else { 1 << (away / self.step) }
    }
}
