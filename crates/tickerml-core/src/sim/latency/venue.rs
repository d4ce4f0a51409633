//! Latency `venue`: by chance, seeded, a line of its own for each venue and each direction.
//!
//! Log-normal around a median (`entry_ms`, `response_ms` of the venue), and one message in a hundred is a spike: it takes longer by
//! a factor 1 + an exponential of mean 3. With the packaged medians a round trip on Binance has median 81 ms, 5th and 95th
//! percentile 64 and 105 ms, p99 164 ms, and a spike in 2 of 100. The field says 50 to 100 ms for Binance and 100 to 200 ms for
//! Coinbase, 50 to 200 ms for a home line all told. What is drawn depends on the seed, the venue, the direction and how many went
//! before, on nothing else; spikes hold up what follows them, because nothing overtakes.
use crate::instrument::Venue;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Standard deviation of the logarithm.
const SIGMA: f64 = 0.2;
/// Part of the messages that are spikes.
const SPIKE_FRAC: f64 = 0.01;
/// Mean of what a spike adds, in lengths of the message itself.
const SPIKE_MEAN: f64 = 3.0;
/// Longest of all, ns: a line that is slower is an outage, which a seed should not make.
const LATENCY_NS_MAX: f64 = 60e9;

/// The generators of (entry, response) of each venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lines(BTreeMap<Venue, (Rng, Rng)>);

impl Lines {
    pub fn new(seed: u64) -> Self {
        let line = |venue: Venue, way: &str| Rng::of(seed, &format!("latency/{venue}/{way}"));
        Lines(Venue::ALL.into_iter().map(|v| (v, (line(v, "entry"), line(v, "response")))).collect())
    }

    pub fn entry_ns(&mut self, venue: Venue, median_ns: i64) -> i64 {
        self.0.get_mut(&venue).map_or(median_ns, |line| draw(&mut line.0, median_ns))
    }

    pub fn response_ns(&mut self, venue: Venue, median_ns: i64) -> i64 {
        self.0.get_mut(&venue).map_or(median_ns, |line| draw(&mut line.1, median_ns))
    }
}

/// One message. Always the same number of draws, so that one message's fate does not move the next one's.
fn draw(rng: &mut Rng, median_ns: i64) -> i64 {
    let usual = rng.log_normal(median_ns as f64, SIGMA);
    let spike = rng.chance(SPIKE_FRAC);
    let longer = rng.exp(SPIKE_MEAN);
    let ns = if spike { usual * (1.0 + longer) } else { usual };
    ns.min(LATENCY_NS_MAX).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIAN_NS: i64 = 40_000_000;

    #[test]
    fn a_round_trip_is_what_the_page_says() {
        let mut lines = Lines::new(1);
        let mut one_way: Vec<i64> = Vec::new();
        let mut trips: Vec<i64> = (0..200_000)
            .map(|_| {
                let entry = lines.entry_ns(Venue::BinanceSpot, MEDIAN_NS);
                one_way.push(entry);
                entry + lines.response_ns(Venue::BinanceSpot, MEDIAN_NS)
            })
            .collect();
        trips.sort_unstable();
        one_way.sort_unstable();
        let ms = |v: &[i64], frac: f64| v[(v.len() as f64 * frac) as usize] / 1_000_000;
        let found: Vec<i64> = [0.05, 0.5, 0.95, 0.99].iter().map(|frac| ms(&trips, *frac)).collect();
        assert_eq!(ms(&one_way, 0.5), 40);
        for (found, told, within) in [(found[0], 64, 1), (found[1], 81, 1), (found[2], 105, 1), (found[3], 164, 5)] {
            assert!((found - told).abs() <= within, "{found} for {told}");
        }
    }

    #[test]
    fn each_venue_and_direction_has_its_own_line() {
        let mut all = Lines::new(7);
        let mut one = Lines::new(7);
        let alone: Vec<i64> = (0..50).map(|_| one.entry_ns(Venue::BinanceUsdm, MEDIAN_NS)).collect();
        let among: Vec<i64> = (0..50)
            .map(|_| {
                all.entry_ns(Venue::BinanceSpot, MEDIAN_NS);
                all.response_ns(Venue::BinanceUsdm, MEDIAN_NS);
                all.entry_ns(Venue::BinanceUsdm, MEDIAN_NS)
            })
            .collect();
        assert_eq!(alone, among);
        assert_ne!(alone[0], Lines::new(8).entry_ns(Venue::BinanceUsdm, MEDIAN_NS));
        assert_eq!(Lines::new(1).entry_ns(Venue::BinanceUsdm, 0), 0);
    }
}
