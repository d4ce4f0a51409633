//! How many orders a venue takes from an account in a span of its clock; what is beyond is rejected when it arrives.
use crate::instrument::Venue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SECOND_NS: i64 = 1_000_000_000;

/// Spans (ns) and the orders that each takes. Spot: `rateLimits` of exchangeInfo, ORDERS, 100 in 10 s (the 200,000 a day are out of
/// a policy's reach). USD-M: exchanges.md 3.7; COIN-M: exchangeInfo, 1,200 a minute. They are read live by a real client, and may be
/// others for a larger account.
const fn limits(venue: Venue) -> &'static [(i64, u32)] {
    match venue {
        Venue::BinanceSpot | Venue::BinanceUs => &[(10 * SECOND_NS, 100)],
        Venue::BinanceUsdm => &[(10 * SECOND_NS, 300), (60 * SECOND_NS, 1200)],
        Venue::BinanceCoinm => &[(60 * SECOND_NS, 1200)],
    }
}

/// Whether an amendment counts as an order: it does on futures (exchangeInfo's order counts), not on spot.
pub(super) const fn counts_amends(venue: Venue) -> bool {
    venue.is_futures()
}

/// Orders so far by venue, span and number of the span since 1970. They are counted when they are sent, by the time of their
/// arrival, which is fixed then: so the count does not depend on which instrument is reckoned first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rates(BTreeMap<(Venue, i64, i64), u32>);

impl Rates {
    pub const fn new() -> Self {
        Rates(BTreeMap::new())
    }

    /// Counts an order that arrives at `at_ns`, unless it is one too many.
    pub fn admits(&mut self, venue: Venue, at_ns: i64) -> bool {
        let key = |span: i64| (venue, span, at_ns.div_euclid(span));
        if limits(venue).iter().any(|&(span, most)| self.0.get(&key(span)).is_some_and(|count| *count >= most)) {
            return false;
        }
        for &(span, _) in limits(venue) {
            *self.0.entry(key(span)).or_default() += 1;
        }
        // What is long over; a slow request of before may still be under way.
        self.0.retain(|(_, span, number), _| at_ns.div_euclid(*span) < number + 8);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_takes_so_many_and_the_next_one_again() {
        let mut rates = Rates::new();
        let at = 1_700_000_000 * SECOND_NS;
        let taken = |rates: &mut Rates, venue, at_ns| (0..400).filter(|_| rates.admits(venue, at_ns)).count();
        assert_eq!(taken(&mut rates, Venue::BinanceSpot, at), 100);
        assert_eq!(taken(&mut rates, Venue::BinanceUsdm, at), 300, "each venue for itself");
        assert_eq!(taken(&mut rates, Venue::BinanceSpot, at + 9 * SECOND_NS), 0);
        assert_eq!(taken(&mut rates, Venue::BinanceSpot, at + 10 * SECOND_NS), 100);
        for n in 0..1_000 {
            taken(&mut rates, Venue::BinanceUsdm, at + n * 10 * SECOND_NS);
        }
        assert!(rates.0.len() < 100, "{}", rates.0.len());
    }
}
