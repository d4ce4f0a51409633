//! Fees: basis points by date, of what the venue takes them from, rounded against us.
//!
//! Spot takes a buyer's fee from the base that is received and a seller's from the quote (Binance: `commissionAsset` of a fill);
//! contracts take it in the currency that they settle in. hftbacktest's rules take every fee in the quote, unrounded.
use super::order::Side;
use crate::error::{Error, Result};
use crate::instrument::{Instrument, Kind, Venue};
use crate::units::{MONEY_ONE, MONEY_PRECISION, POW10, notional, parse_decimal, parse_money};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Decimals of a fee in basis points: 0.0001 bps is the finest.
const BPS_PRECISION: u8 = 4;
/// One as a fee of this precision: 10^4 bps x 10^4.
const WHOLE: i128 = 100_000_000;

/// The fees from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Rate {
    /// Venue time from which they hold, ns.
    from_ns: i64,
    /// 10^-4 basis points; below zero is a rebate.
    maker: i64,
    taker: i64,
}

/// One row of a schedule as text: from when (ns), maker and taker in bps.
pub type FeeRow = (i64, String, String);

/// A fee that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee {
    /// Amount of the asset x 10^18; above zero is paid.
    pub amount_e18: i128,
    /// Taken in the base currency, else in the quote.
    pub in_base: bool,
}

/// Maker and taker fees of each venue, by date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    by_venue: BTreeMap<Venue, Vec<Rate>>,
    /// What is added where the venue closes a position, 10^-4 basis points.
    liquidation: BTreeMap<Venue, i64>,
}

impl Fees {
    /// Schedules from decimal text, in order of their dates. `own` are a user's maker and taker fees, which hold at all times.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for text that is no decimal, or a fee beyond +-1000 bps.
    pub fn new(
        dated: &BTreeMap<Venue, Vec<FeeRow>>,
        own: &BTreeMap<Venue, (Option<String>, Option<String>)>,
    ) -> Result<Fees> {
        let read = |venue: Venue, key: &str, text: &str| {
            parse_decimal(text.as_bytes(), BPS_PRECISION).ok().filter(|bps| bps.abs() <= 10_000_000).ok_or_else(|| {
                Error::BadSetting {
                    key: format!("{key}.{venue}"),
                    reason: format!("{text:?} is no fee in basis points (at most four decimals, within 1000)"),
                }
            })
        };
        let mut by_venue = BTreeMap::new();
        for venue in Venue::ALL {
            let (maker, taker) = own.get(&venue).cloned().unwrap_or_default();
            let mut rates = Vec::new();
            for (from_ns, dated_maker, dated_taker) in dated.get(&venue).into_iter().flatten() {
                let maker = read(venue, "maker_bps", maker.as_ref().unwrap_or(dated_maker))?;
                let taker = read(venue, "taker_bps", taker.as_ref().unwrap_or(dated_taker))?;
                rates.push(Rate { from_ns: *from_ns, maker, taker });
            }
            if let (Some(maker), Some(taker)) = (maker, taker) {
                let (maker, taker) = (read(venue, "maker_bps", &maker)?, read(venue, "taker_bps", &taker)?);
                rates = vec![Rate { from_ns: i64::MIN, maker, taker }];
            }
            rates.sort_by_key(|rate| rate.from_ns);
            by_venue.insert(venue, rates);
        }
        Ok(Fees { by_venue, liquidation: BTreeMap::new() })
    }

    /// With the fee of a liquidation, in bps.
    ///
    /// # Errors
    /// [`Error::BadSetting`] as [`Fees::new`].
    pub fn with_liquidation(mut self, by_venue: &BTreeMap<Venue, String>) -> Result<Fees> {
        for (venue, text) in by_venue {
            let found = parse_decimal(text.as_bytes(), BPS_PRECISION).ok().filter(|bps| (0..=10_000_000).contains(bps));
            let bps = found.ok_or_else(|| Error::BadSetting {
                key: format!("liquidation_bps.{venue}"),
                reason: format!("{text:?} is not 0 to 1000 basis points"),
            })?;
            self.liquidation.insert(*venue, bps);
        }
        Ok(self)
    }

    /// Maker and taker fee of a venue at a moment, in 10^-4 basis points; none where the schedule begins later or names it not.
    pub fn at(&self, venue: Venue, at_ns: i64) -> Option<(i64, i64)> {
        let rates = self.by_venue.get(&venue)?;
        let after = rates.partition_point(|rate| rate.from_ns <= at_ns);
        rates[..after].last().map(|rate| (rate.maker, rate.taker))
    }

    /// Refuses a venue that is traded and has no fee at a moment: none is not zero.
    ///
    /// # Errors
    /// [`Error::BadSetting`] that says how to mend it.
    pub fn check(&self, venue: Venue, at_ns: i64) -> Result<()> {
        self.at(venue, at_ns).map(|_| ()).ok_or_else(|| Error::BadSetting {
            key: "fees".to_owned(),
            reason: format!(
                "{venue} has no row of its fee_tier for that time; add one to `fees` in terms_config.yaml, or set maker_bps and \
                 taker_bps"
            ),
        })
    }

    /// What a fill costs, by the venue's rules, as a maker and as a liquidation. The venue has been checked.
    pub(super) fn of(
        &self,
        i: &Instrument,
        side: Side,
        (maker, forced): (bool, bool),
        (px, qty): (i64, i64),
        at_ns: i64,
    ) -> Fee {
        let in_base = match i.kind {
            Kind::Spot => side == Side::Buy,
            Kind::Perpetual => false,
            Kind::Inverse => true,
        };
        let worth = match i.kind {
            Kind::Inverse => inverse_worth_e18(i, px, qty),
            Kind::Spot if in_base => {
                i128::from(qty) * i128::from(POW10[usize::from(MONEY_PRECISION - i.qty_precision)])
            }
            _ => quote_worth_e18(i, px, qty),
        };
        let more = if forced { self.liquidation.get(&i.venue).copied().unwrap_or(0) } else { 0 };
        Fee { amount_e18: self.of_worth(i.venue, (maker, more), worth, at_ns, step_e18(i.venue)), in_base }
    }

    /// The same by hftbacktest's rules: of the notional, in the quote, to the last digit.
    pub(super) fn of_peer(&self, i: &Instrument, maker: bool, (px, qty): (i64, i64), at_ns: i64) -> Fee {
        let worth = quote_worth_e18(i, px, qty);
        Fee { amount_e18: self.of_worth(i.venue, (maker, 0), worth, at_ns, 1), in_base: false }
    }

    /// Rounded up to whole steps, so a rebate is rounded down.
    fn of_worth(&self, venue: Venue, (maker, more): (bool, i64), worth_e18: i128, at_ns: i64, step_e18: i128) -> i128 {
        let (maker_fee, taker_fee) = self.at(venue, at_ns).unwrap_or((0, 0));
        let bps = i128::from(more + if maker { maker_fee } else { taker_fee });
        ceil_div(worth_e18 * bps, WHOLE * step_e18) * step_e18
    }
}

/// The smallest part of a currency that a fee is taken in. Binance's exchangeInfo gives `baseCommissionPrecision` and
/// `quoteCommissionPrecision` 8 on spot, and its futures write commissions with 8 decimals; in which direction they round is
/// documented nowhere, so it is against us (rules.md 7).
const fn step_e18(venue: Venue) -> i128 {
    match venue {
        Venue::BinanceSpot | Venue::BinanceUs | Venue::BinanceUsdm | Venue::BinanceCoinm => MONEY_ONE / 100_000_000,
    }
}

fn quote_worth_e18(i: &Instrument, px: i64, qty: i64) -> i128 {
    notional(px, qty, i.price_precision, i.qty_precision).expect("computed when the order arrived")
}

/// Worth of inverse contracts in the base currency, rounded up: quantity x contract size / price.
fn inverse_worth_e18(i: &Instrument, px: i64, qty: i64) -> i128 {
    let size_e18 = parse_money(&i.contract_size).unwrap_or(MONEY_ONE);
    let units = i128::from(qty) * size_e18 * i128::from(POW10[usize::from(i.price_precision)]);
    ceil_div(units, i128::from(px) * i128::from(POW10[usize::from(i.qty_precision)]))
}

const fn ceil_div(amount: i128, whole: i128) -> i128 {
    amount.div_euclid(whole) + (amount.rem_euclid(whole) != 0) as i128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::MetadataSource;

    fn fees(maker: &str, taker: &str) -> Fees {
        let own = Venue::ALL.map(|venue| (venue, (Some(maker.to_owned()), Some(taker.to_owned()))));
        Fees::new(&BTreeMap::new(), &BTreeMap::from(own)).unwrap()
    }

    fn instrument(venue: Venue, tick: &str, lot: &str) -> Instrument {
        Instrument::from_steps(venue, "BTCUSDT", tick, lot, MetadataSource::Given).unwrap()
    }

    #[test]
    fn spot_buys_pay_in_what_they_receive() {
        let i = instrument(Venue::BinanceSpot, "0.01", "0.00001");
        let one = (1_000_000, 100_000);
        let fee = fees("10", "10").of(&i, Side::Buy, (false, false), one, 0);
        assert_eq!(fee, Fee { amount_e18: MONEY_ONE / 1000, in_base: true });
        let fee = fees("10", "10").of(&i, Side::Sell, (true, false), one, 0);
        assert_eq!(fee, Fee { amount_e18: 10 * MONEY_ONE, in_base: false });
    }

    #[test]
    fn contracts_pay_in_what_they_settle_in() {
        let linear = instrument(Venue::BinanceUsdm, "0.1", "0.001");
        let fee = fees("2", "5").of(&linear, Side::Buy, (false, false), (100_000, 1000), 0);
        assert_eq!(fee, Fee { amount_e18: 5 * MONEY_ONE, in_base: false });
        let mut inverse = instrument(Venue::BinanceCoinm, "0.1", "1");
        inverse.contract_size = "100".to_owned();
        // 10 contracts of 100 dollars at 9,506.5: 5 bps of 0.10519118... BTC.
        let fee = fees("2", "5").of(&inverse, Side::Buy, (false, false), (95_065, 10), 0);
        assert_eq!(fee, Fee { amount_e18: 5_260 * 10_i128.pow(10), in_base: true });
    }

    #[test]
    fn rounding_is_against_us() {
        let i = instrument(Venue::BinanceUsdm, "0.00000001", "1");
        let step = 10_i128.pow(10);
        for (maker, px, want) in [(false, 10_000, 5), (false, 10_001, 6), (true, 100_000, -5), (true, 119_999, -5)] {
            let fee = fees("-0.5", "5").of(&i, Side::Sell, (maker, false), (px, 1), 0);
            assert_eq!(fee.amount_e18, want * step);
        }
        assert_eq!(fees("0", "5").of_peer(&i, false, (10_001, 1), 0).amount_e18, 50_005 * step / 10_000);
        let own = BTreeMap::from([(Venue::BinanceUsdm, (Some("0.00001".to_owned()), Some("5".to_owned())))]);
        assert!(Fees::new(&BTreeMap::new(), &own).is_err());
    }

    #[test]
    fn the_date_of_a_fill_chooses_its_fee() {
        let row = |from_ns, taker: &str| (from_ns, "2".to_owned(), taker.to_owned());
        let dated = BTreeMap::from([(Venue::BinanceUsdm, vec![row(100, "4"), row(200, "5")])]);
        let both = Fees::new(&dated, &BTreeMap::new()).unwrap();
        let at = |ns| both.at(Venue::BinanceUsdm, ns).map(|rate| rate.1);
        assert_eq!([at(99), at(100), at(199), at(200)], [None, Some(40_000), Some(40_000), Some(50_000)]);
        assert!(both.check(Venue::BinanceUsdm, 99).is_err() && both.check(Venue::BinanceUsdm, 100).is_ok());
        assert!(both.check(Venue::BinanceSpot, 300).is_err());
        let own = BTreeMap::from([(Venue::BinanceUsdm, (None, Some("1".to_owned())))]);
        assert_eq!(Fees::new(&dated, &own).unwrap().at(Venue::BinanceUsdm, 250), Some((20_000, 10_000)));
    }
}
