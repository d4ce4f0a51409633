//! The price band: how far from what the market pays an order's price may be (exchangeInfo's PERCENT_PRICE on futures and
//! PERCENT_PRICE_BY_SIDE on spot; developers.binance.com/docs/binance-spot-api-docs/filters and
//! .../derivatives/usds-margined-futures/common-definition).
//!
//! It is judged when an order or an amendment arrives, against what the venue had by then:
//! futures the last mark price stamped no later that has been heard here; spot the mean of the prints of the last
//! `avgPriceMins` x 60 whole seconds, the present one counting as far as it has come, weighted by quantity. Without a print in that
//! time, and where the minutes are 0, it is the last print. (Since 2026-05-08 spot prefers a reference price that no stream of ours
//! carries.) Where there is no such price yet there is no band, and none for orders without a price.
use super::desk::Moment;
use super::order::{Order, Side};
use super::report::Reason;
use super::stand::Stand;
use super::{Sim, Venue};
use crate::event::{Message, Row, RowKind, flag};
use crate::instrument::{Against, Instrument};
use crate::units::POW10;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const SECOND_NS: i64 = 1_000_000_000;
/// Mark prices that are kept: they come once a second at most, and an order waits for its moment to be released no longer than
/// `reorder_ms`, a minute at most.
const MARKS_MAX: usize = 64;
/// Seconds of prints that are kept, 48 bytes each: Binance averages five minutes, an hour is plenty.
const SECONDS_MAX: usize = 3_600;
/// One as a multiplier and in a mark price.
const ONE_E8: i128 = 100_000_000;

/// The prints of one second of venue time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Second {
    number: i64,
    /// Sum of price x quantity, scaled by both.
    worth: i128,
    qty: i128,
}

/// What a band is measured from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Reference {
    /// Venue times and mark prices x 10^8.
    marks: VecDeque<(i64, i64)>,
    seconds: VecDeque<Second>,
    last_px: Option<i64>,
}

impl Reference {
    /// A mark price of the venue time `at_ns`, as it is heard.
    pub fn marked(&mut self, at_ns: i64, mark_e8: i64) {
        let at_ns = self.marks.back().map_or(at_ns, |last| at_ns.max(last.0));
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back((at_ns, mark_e8));
    }

    /// A print at `at_ns`, which never goes back.
    #[inline]
    pub fn printed(&mut self, at_ns: i64, px: i64, qty: i64, minutes: u32) {
        self.last_px = Some(px);
        if minutes == 0 {
            return;
        }
        let number = at_ns.div_euclid(SECOND_NS);
        let (worth, qty) = (i128::from(px) * i128::from(qty), i128::from(qty));
        match self.seconds.back_mut().filter(|second| second.number == number) {
            Some(second) => (second.worth, second.qty) = (second.worth.saturating_add(worth), second.qty + qty),
            None => {
                let over = |second: &Second| second.number <= number - 60 * i64::from(minutes);
                while self.seconds.len() == SECONDS_MAX || self.seconds.front().is_some_and(over) {
                    self.seconds.pop_front();
                }
                self.seconds.push_back(Second { number, worth, qty });
            }
        }
    }

    /// The price at `at_ns` as a fraction, in units of the price scale.
    fn price(&self, against: Against, at_ns: i64, price_precision: u8) -> Option<(i128, i128)> {
        match against {
            Against::Mark => {
                let (_, mark_e8) = self.marks.iter().rfind(|mark| mark.0 <= at_ns)?;
                Some((i128::from(*mark_e8) * i128::from(POW10[usize::from(price_precision)]), ONE_E8))
            }
            Against::Prints { minutes } => {
                let first = at_ns.div_euclid(SECOND_NS) - 60 * i64::from(minutes);
                let within = self.seconds.iter().filter(|second| second.number > first);
                let (worth, qty) =
                    within.fold((0_i128, 0_i128), |sum, s| (sum.0.saturating_add(s.worth), sum.1 + s.qty));
                if qty > 0 { Some((worth, qty)) } else { self.last_px.map(|px| (i128::from(px), 1)) }
            }
        }
    }
}

impl Stand {
    /// Whether the order's price is outside of the band at this moment.
    pub(super) fn beyond_band(&self, order: &Order, moment: Moment, i: &Instrument) -> Option<Reason> {
        let band = i.band.filter(|_| !order.kind.is_market())?;
        let (above, below) = self.reference.price(band.against, moment.at_ns, i.price_precision)?;
        let [least_e8, most_e8] = if order.side == Side::Buy { band.buy_e8 } else { band.sell_e8 };
        let px = i128::from(order.venue_px).saturating_mul(below).saturating_mul(ONE_E8);
        let is_low = least_e8.is_some_and(|least| px < above.saturating_mul(i128::from(least)));
        let is_high = most_e8.is_some_and(|most| px > above.saturating_mul(i128::from(most)));
        (is_low || is_high).then_some(Reason::PriceBand)
    }
}

impl Sim {
    /// Mark prices, for the band of an instrument that has one.
    pub(super) fn hear_mark(&mut self, message: &Message, rows: &[Row]) {
        let base_latency_ns = self.desk.rules.base_latency_ns;
        let Venue { stand, clock, .. } = self.at(message.instrument);
        let at_ns = clock.sent_ns(message, base_latency_ns);
        for row in rows.iter().filter(|row| row.kind() == RowKind::Mark && row.flags() & flag::ASK_SIDE == 0) {
            stand.reference.marked(at_ns, row.px());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Against = Against::Prints { minutes: 5 };

    #[test]
    fn a_mark_counts_from_its_own_time_on() {
        let mut reference = Reference::default();
        assert_eq!(reference.price(Against::Mark, 100, 1), None);
        reference.marked(10, 5);
        reference.marked(20, 7);
        reference.marked(15, 8);
        let at = |at_ns| reference.price(Against::Mark, at_ns, 1).map(|price| price.0);
        assert_eq!([at(9), at(10), at(19), at(20)], [None, Some(50), Some(50), Some(80)], "times never go back");
    }

    #[test]
    fn the_mean_is_weighted_and_forgets_whole_seconds() {
        let mut reference = Reference::default();
        assert_eq!(reference.price(FIVE, 0, 0), None);
        for (second, px, qty) in [(0, 100, 1), (0, 130, 2), (200, 90, 3)] {
            reference.printed(second * SECOND_NS, px, qty, 5);
        }
        let at = |second: i64| reference.price(FIVE, second * SECOND_NS, 0);
        assert_eq!(
            [at(200), at(299), at(300), at(500)],
            [Some((630, 6)), Some((630, 6)), Some((270, 3)), Some((90, 1))]
        );
        let last = Against::Prints { minutes: 0 };
        assert_eq!(reference.price(last, 200 * SECOND_NS, 0), Some((90, 1)), "the last print");
    }

    #[test]
    fn memory_is_bounded() {
        let mut reference = Reference::default();
        for n in 0..2 * SECONDS_MAX as i64 {
            reference.printed(n * SECOND_NS, 1, 1, u32::MAX);
            reference.marked(n, 1);
        }
        assert_eq!((reference.seconds.len(), reference.marks.len()), (SECONDS_MAX, MARKS_MAX));
    }
}
