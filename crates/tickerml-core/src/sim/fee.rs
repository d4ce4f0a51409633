//! Fees: basis points of the notional, rounded against us.
use crate::error::{Error, Result};
use crate::instrument::Venue;
use crate::units::parse_decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Decimals of a fee in basis points: 0.0001 bps is the finest.
const BPS_PRECISION: u8 = 4;
/// One as a fee of this precision: 10^4 bps x 10^4.
const WHOLE: i128 = 100_000_000;

/// Maker and taker fees of each venue, in 10^-4 basis points. A maker's may be negative: a rebate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    by_venue: BTreeMap<Venue, (i64, i64)>,
}

impl Fees {
    /// Fees from decimal text, (maker, taker) in bps.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for text that is no decimal, or a fee beyond +-1000 bps.
    pub fn new(by_venue: &BTreeMap<Venue, (String, String)>) -> Result<Fees> {
        let read = |venue: &Venue, key: &str, text: &str| {
            parse_decimal(text.as_bytes(), BPS_PRECISION).ok().filter(|bps| bps.abs() <= 10_000_000).ok_or_else(|| {
                Error::BadSetting {
                    key: format!("{key}.{venue}"),
                    reason: format!("{text:?} is no fee in basis points (at most four decimals, within 1000)"),
                }
            })
        };
        let mut fees = BTreeMap::new();
        for (venue, (maker, taker)) in by_venue {
            fees.insert(*venue, (read(venue, "maker_bps", maker)?, read(venue, "taker_bps", taker)?));
        }
        Ok(Fees { by_venue: fees })
    }

    /// The fee of a fill of this notional (10^-18 of the quote currency); rounded up, so a rebate is rounded down.
    pub fn fee_e18(&self, venue: Venue, maker: bool, notional_e18: i128) -> i128 {
        let (maker_fee, taker_fee) = self.by_venue.get(&venue).copied().unwrap_or((0, 0));
        let bps = i128::from(if maker { maker_fee } else { taker_fee });
        let exact = notional_e18 * bps;
        exact.div_euclid(WHOLE) + i128::from(exact.rem_euclid(WHOLE) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_against_us() {
        let rates = ("-0.5".to_owned(), "5".to_owned());
        let fees = Fees::new(&BTreeMap::from([(Venue::BinanceUsdm, rates)])).unwrap();
        assert_eq!(fees.fee_e18(Venue::BinanceUsdm, false, 10_000), 5);
        assert_eq!(fees.fee_e18(Venue::BinanceUsdm, false, 10_001), 6);
        assert_eq!(fees.fee_e18(Venue::BinanceUsdm, true, 100_000), -5);
        assert_eq!(fees.fee_e18(Venue::BinanceUsdm, true, 119_999), -5);
        let wrong = ("0.00001".to_owned(), "5".to_owned());
        assert!(Fees::new(&BTreeMap::from([(Venue::BinanceUsdm, wrong)])).is_err());
    }
}
