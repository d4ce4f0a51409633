//! What is traded where: venues, instruments, their scales and minimums.
use crate::error::{Error, Result};
use crate::units::{POW10, parse_decimal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A venue whose wire protocol core knows. Names as in `contract.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Venue {
    /// binance.com spot.
    BinanceSpot,
    /// binance.us spot.
    BinanceUs,
    /// Binance linear futures (fstream, fapi).
    BinanceUsdm,
    /// Binance inverse futures (dstream, dapi).
    BinanceCoinm,
}

impl Venue {
    /// All venues, in the order of their names in `contract.md`.
    pub const ALL: [Venue; 4] = [Venue::BinanceSpot, Venue::BinanceUs, Venue::BinanceUsdm, Venue::BinanceCoinm];

    /// The name in configuration, files and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Venue::BinanceSpot => "binance_spot",
            Venue::BinanceUs => "binance_us",
            Venue::BinanceUsdm => "binance_usdm",
            Venue::BinanceCoinm => "binance_coinm",
        }
    }

    /// Futures chain their diffs by `pu`; spot by `U` (exchanges.md 1.5 and 3.4).
    pub const fn is_futures(self) -> bool {
        matches!(self, Venue::BinanceUsdm | Venue::BinanceCoinm)
    }
}

impl FromStr for Venue {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Venue::ALL.into_iter().find(|v| v.name() == name).ok_or_else(|| Error::UnknownInstrument(name.to_owned()))
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an instrument settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Base against quote.
    Spot,
    /// Linear perpetual: profit in the quote currency.
    Perpetual,
    /// Inverse contract: profit in the base currency.
    Inverse,
}

/// Where the metadata came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataSource {
    /// The venue's exchangeInfo.
    Venue,
    /// Derived from the recording itself.
    Inferred,
    /// Given on the command line.
    Given,
}

impl MetadataSource {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            MetadataSource::Venue => "venue",
            MetadataSource::Inferred => "inferred",
            MetadataSource::Given => "given",
        }
    }
}

/// A tradable at a venue, with the scale of its integers. The payload of an INSTRUMENT record is this as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// The venue.
    pub venue: Venue,
    /// Symbol as the venue writes it, for example `BTCUSDT`.
    pub symbol: String,
    /// Currency bought.
    pub base: String,
    /// Currency paid.
    pub quote: String,
    /// Spot, perpetual or inverse.
    pub kind: Kind,
    /// Prices are integers of 10^-price_precision.
    pub price_precision: u8,
    /// Quantities are integers of 10^-qty_precision.
    pub qty_precision: u8,
    /// Price step, scaled by price_precision.
    pub tick: i64,
    /// Quantity step, scaled by qty_precision.
    pub lot: i64,
    /// Smallest price x quantity of an order, decimal text in the quote currency; "0" where there is none.
    pub min_notional: String,
    /// Contract size in quote (inverse) or base (others), decimal text.
    pub contract_size: String,
    /// Hours between funding settlements; none for spot or where the venue has not said.
    pub funding_interval_h: Option<u8>,
    /// Where these values came from.
    pub metadata_source: MetadataSource,
    /// How far from the market an order's price may be; none where the venue has not said.
    #[serde(default)]
    pub band: Option<Band>,
}

/// What a [`Band`] is measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The mark price.
    Mark,
    /// The mean of the prints of so many minutes, weighted by quantity; of 0 the last print.
    Prints {
        /// How many.
        minutes: u32,
    },
}

/// The least and the most that an order's price may be, as multiples x 10^8 of a price; none for no such end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// The price that is multiplied.
    pub against: Against,
    /// Of a buy.
    pub buy_e8: [Option<i64>; 2],
    /// Of a sell.
    pub sell_e8: [Option<i64>; 2],
}

impl Instrument {
    /// An instrument from tick and lot as decimal text: precisions are their decimals (rules.md 6).
    ///
    /// # Errors
    /// [`Error::BadSetting`] where tick or lot is not a positive decimal.
    pub fn from_steps(venue: Venue, symbol: &str, tick: &str, lot: &str, source: MetadataSource) -> Result<Self> {
        let (price_precision, tick) = step("tick", tick)?;
        let (qty_precision, lot) = step("lot", lot)?;
        let (base, quote) = split_symbol(symbol);
        Ok(Instrument {
            venue,
            symbol: symbol.to_owned(),
            base,
            quote,
            kind: match venue {
                Venue::BinanceUsdm => Kind::Perpetual,
                Venue::BinanceCoinm => Kind::Inverse,
                Venue::BinanceSpot | Venue::BinanceUs => Kind::Spot,
            },
            price_precision,
            qty_precision,
            tick,
            lot,
            min_notional: "0".to_owned(),
            contract_size: "1".to_owned(),
            funding_interval_h: None,
            metadata_source: source,
            band: None,
        })
    }

    /// The same in the scale of `before` where that holds it, else in the finer of the two: integers that a run has made
    /// keep their meaning when a venue's tick grows.
    #[must_use]
    pub fn in_scale_of(mut self, before: &Instrument) -> Instrument {
        for (precision, step, held) in [
            (&mut self.price_precision, &mut self.tick, before.price_precision),
            (&mut self.qty_precision, &mut self.lot, before.qty_precision),
        ] {
            let finer = usize::from(held.saturating_sub(*precision));
            if let Some(scaled) = step.checked_mul(POW10[finer]).filter(|_| finer > 0) {
                (*precision, *step) = (held, scaled);
            }
        }
        self
    }

    /// Whether the integers of both mean the same.
    pub const fn has_scale_of(&self, other: &Instrument) -> bool {
        self.price_precision == other.price_precision && self.qty_precision == other.qty_precision
    }

    /// Whether both have the same scale, tick and lot.
    pub const fn has_steps_of(&self, other: &Instrument) -> bool {
        self.has_scale_of(other) && self.tick == other.tick && self.lot == other.lot
    }

    /// `venue:SYMBOL`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.venue, self.symbol)
    }
}

/// Splits `venue:SYMBOL`.
///
/// # Errors
/// [`Error::UnknownInstrument`] without a colon, with an unknown venue or an empty symbol.
pub fn parse_id(id: &str) -> Result<(Venue, String)> {
    let unknown = || Error::UnknownInstrument(id.to_owned());
    let (venue, symbol) = id.split_once(':').ok_or_else(unknown)?;
    if symbol.is_empty() {
        return Err(unknown());
    }
    Ok((venue.parse().map_err(|_| unknown())?, symbol.to_owned()))
}

fn step(key: &str, text: &str) -> Result<(u8, i64)> {
    let bad = |reason: &str| Error::BadSetting { key: key.to_owned(), reason: format!("{text:?} {reason}") };
    let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.trim_end_matches('0').len());
    if decimals >= POW10.len() {
        return Err(bad("has more than 18 decimals"));
    }
    let precision = decimals as u8;
    let value = parse_decimal(text.as_bytes(), precision).map_err(|_| bad("is not a decimal"))?;
    if text.ends_with('.') {
        return Err(bad("is not a decimal"));
    }
    if value <= 0 {
        return Err(bad("must be above zero"));
    }
    Ok((precision, value))
}

/// Base and quote of a Binance symbol by its usual quote currencies; exchangeInfo overrides this where it is known.
fn split_symbol(symbol: &str) -> (String, String) {
    const QUOTES: [&str; 12] =
        ["USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "EUR", "TRY", "JPY", "BTC", "ETH", "BNB"];
    let plain = symbol.split('_').next().unwrap_or(symbol);
    for quote in QUOTES {
        if let Some(base) = plain.strip_suffix(quote).filter(|b| !b.is_empty()) {
            return (base.to_owned(), quote.to_owned());
        }
    }
    (plain.to_owned(), String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_without_a_band_has_none() {
        let i = Instrument::from_steps(Venue::BinanceSpot, "BTCUSDT", "0.01", "0.1", MetadataSource::Venue).unwrap();
        let text = serde_json::to_string(&i).unwrap();
        assert_eq!(serde_json::from_str::<Instrument>(&text.replace(r#","band":null"#, "")).unwrap(), i);
        let band = Band { against: Against::Prints { minutes: 5 }, buy_e8: [None, Some(1)], sell_e8: [Some(2), None] };
        let banded = Instrument { band: Some(band), ..i };
        let text = serde_json::to_string(&banded).unwrap();
        assert_eq!(serde_json::from_str::<Instrument>(&text).unwrap(), banded);
    }

    #[test]
    fn steps_give_precisions() {
        let i = Instrument::from_steps(Venue::BinanceSpot, "BTCUSDT", "0.01000000", "0.00001", MetadataSource::Venue)
            .unwrap();
        assert_eq!((i.price_precision, i.tick, i.qty_precision, i.lot), (2, 1, 5, 1));
        assert_eq!((i.base.as_str(), i.quote.as_str(), i.id().as_str()), ("BTC", "USDT", "binance_spot:BTCUSDT"));
        let i = Instrument::from_steps(Venue::BinanceUsdm, "X", "0.5", "10", MetadataSource::Given).unwrap();
        assert_eq!((i.price_precision, i.tick, i.qty_precision, i.lot), (1, 5, 0, 10));
        let coarser = Instrument::from_steps(Venue::BinanceUsdm, "X", "1", "0.1", MetadataSource::Given).unwrap();
        let both = coarser.in_scale_of(&i);
        assert_eq!((both.price_precision, both.tick, both.qty_precision, both.lot), (1, 10, 1, 1));
        assert!(!both.has_scale_of(&i) && i.clone().in_scale_of(&both).has_scale_of(&both));
        for bad in ["0", "-1", "x", "", "0.0100000.", "5."] {
            assert!(Instrument::from_steps(Venue::BinanceUsdm, "X", bad, "1", MetadataSource::Given).is_err());
        }
    }
}
