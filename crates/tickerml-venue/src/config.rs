//! What to serve, as JSON: `Config::from_json("{}")` is the demo with two symbols on spot and on USD-M.
use crate::dialect::Symbol;
use crate::error::{Result, bad};
use crate::faults::Mix;
use crate::flow::Regime;
use crate::text::Scale;
use serde::Deserialize;
use tickerml_core::instrument::{Instrument, MetadataSource, Venue};
use tickerml_core::units::{POW10, parse_decimal};

/// Whole configuration. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Decides all order flow and all faults drawn by chance.
    pub seed: u64,
    /// Virtual seconds a real second, above 0, at most 1,000.
    pub speed: f64,
    /// A regime that stays; none lets them follow each other.
    pub regime: Option<Regime>,
    /// Seconds between funding settlements.
    pub funding_interval_s: u32,
    /// Venues to serve.
    pub venues: Vec<VenueConfig>,
    /// Faults drawn by chance; all zero unless given.
    pub faults: Mix,
    /// A recording to serve instead of generated flow.
    pub recording: Option<RecordingConfig>,
}

/// One venue of generated flow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueConfig {
    /// Name as in `contract.md`, for example `binance_spot`.
    pub venue: Venue,
    /// Its symbols.
    pub symbols: Vec<SymbolConfig>,
}

/// One symbol of generated flow. Numbers are decimal text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolConfig {
    /// Upper-case symbol.
    pub symbol: String,
    /// Price at the start.
    pub price: String,
    /// Price step.
    pub tick: String,
    /// Quantity step.
    pub lot: String,
    /// Smallest price x quantity.
    #[serde(default = "five")]
    pub min_notional: String,
}

/// A recording to serve.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingConfig {
    /// Files of one stream, in any order; hftbacktest-raw or jsonl, gzip or not.
    pub files: Vec<String>,
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// Recorded seconds a real second.
    #[serde(default = "one")]
    pub speed: f64,
    /// Price step; inferred where absent.
    pub tick: Option<String>,
    /// Quantity step; inferred where absent.
    pub lot: Option<String>,
    /// Smallest price x quantity; "0" where absent.
    pub min_notional: Option<String>,
}

fn five() -> String {
    "5".to_owned()
}

fn one() -> f64 {
    1.0
}

/// Fastest clock: above it a step of the pacer would hold more frames than a client's queue.
pub const SPEED_MAX: f64 = 1_000.0;

impl Default for Config {
    fn default() -> Config {
        let symbol = |symbol: &str, price: &str, tick: &str, lot: &str| SymbolConfig {
            symbol: symbol.to_owned(),
            price: price.to_owned(),
            tick: tick.to_owned(),
            lot: lot.to_owned(),
            min_notional: five(),
        };
        let spot = vec![symbol("BTCUSDT", "60000", "0.01", "0.00001"), symbol("ETHUSDT", "3000", "0.01", "0.0001")];
        let usdm = vec![symbol("BTCUSDT", "60000", "0.1", "0.001"), symbol("ETHUSDT", "3000", "0.01", "0.001")];
        Config {
            port: 0,
            seed: 1,
            speed: 1.0,
            regime: None,
            funding_interval_s: 28_800,
            venues: vec![
                VenueConfig { venue: Venue::BinanceSpot, symbols: spot },
                VenueConfig { venue: Venue::BinanceUsdm, symbols: usdm },
            ],
            faults: Mix::default(),
            recording: None,
        }
    }
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for unknown keys, bad numbers, an empty or repeated venue or symbol.
    pub fn from_json(text: &str) -> Result<Config> {
        let config: Config = serde_json::from_str(text).map_err(|e| bad("config", without_place(&e.to_string())))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let speeds = [Some(("speed", self.speed)), self.recording.as_ref().map(|r| ("recording.speed", r.speed))];
        for (key, speed) in speeds.into_iter().flatten() {
            if !(speed > 0.0 && speed <= SPEED_MAX) {
                return Err(bad(key, format!("{speed} is outside 0 < speed <= {SPEED_MAX}")));
            }
        }
        if self.recording.is_none() && self.venues.iter().all(|v| v.symbols.is_empty()) {
            return Err(bad("venues", "names no symbol: give at least one"));
        }
        if self.funding_interval_s == 0 {
            return Err(bad("funding_interval_s", "must be above zero"));
        }
        for (n, venue) in self.venues.iter().enumerate() {
            if self.venues[..n].iter().any(|v| v.venue == venue.venue) {
                return Err(bad("venues", format!("{} is named twice", venue.venue)));
            }
            for (m, symbol) in venue.symbols.iter().enumerate() {
                if venue.symbols[..m].iter().any(|s| s.symbol == symbol.symbol) {
                    return Err(bad("venues.symbols", format!("{}:{} is named twice", venue.venue, symbol.symbol)));
                }
                symbol.parts(venue.venue)?;
            }
        }
        self.faults.check()
    }
}

impl SymbolConfig {
    /// What the dialect needs, and the price at the start in ticks.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where a number is not a positive decimal or the price is below 10 ticks.
    pub fn parts(&self, venue: Venue) -> Result<(Symbol, i64)> {
        let symbol = symbol(venue, &self.symbol, &self.tick, &self.lot, &self.min_notional)?;
        let px = parse_decimal(self.price.as_bytes(), symbol.scale.px_decimals)
            .map_err(|e| bad(&format!("{}.price", self.symbol), e.to_string()))?;
        let ticks = px / symbol.scale.tick;
        if ticks < 10 {
            return Err(bad(&format!("{}.price", self.symbol), "must be at least ten ticks"));
        }
        Ok((symbol, ticks))
    }
}

/// A symbol from its steps: spot prints 8 decimals, futures at least 2 for prices and the lot's own for quantities.
pub(crate) fn symbol(venue: Venue, name: &str, tick: &str, lot: &str, min_notional: &str) -> Result<Symbol> {
    let wrap = |e: tickerml_core::error::Error| bad(name, e.to_string());
    let steps = Instrument::from_steps(venue, name, tick, lot, MetadataSource::Given).map_err(wrap)?;
    let (px_decimals, qty_decimals) =
        if venue.is_futures() { (steps.price_precision.max(2), steps.qty_precision) } else { (8, 8) };
    if steps.price_precision > px_decimals || steps.qty_precision > qty_decimals {
        return Err(bad(name, "tick and lot have at most 8 decimals"));
    }
    let scale = Scale {
        tick: steps.tick * POW10[usize::from(px_decimals - steps.price_precision)],
        px_decimals,
        lot: steps.lot * POW10[usize::from(qty_decimals - steps.qty_precision)],
        qty_decimals,
    };
    parse_decimal(min_notional.as_bytes(), 8).map_err(wrap)?;
    let min_notional = min_notional.to_owned();
    Ok(Symbol { venue, name: name.to_owned(), base: steps.base, quote: steps.quote, min_notional, scale })
}

/// A JSON error without its line and column: a person wrote YAML, whose lines the caller knows.
fn without_place(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(what, _)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_object_is_the_demo() {
        let config = Config::from_json("{}").expect("defaults are sound");
        let names: Vec<String> = config
            .venues
            .iter()
            .flat_map(|v| v.symbols.iter().map(move |s| format!("{}:{}", v.venue, s.symbol)))
            .collect();
        assert_eq!(
            names,
            ["binance_spot:BTCUSDT", "binance_spot:ETHUSDT", "binance_usdm:BTCUSDT", "binance_usdm:ETHUSDT"]
        );
    }

    #[test]
    fn mistakes_name_their_key() {
        for (text, key) in [
            (r#"{"prot":1}"#, "prot"),
            (r#"{"speed":0}"#, "speed"),
            (r#"{"venues":[]}"#, "venues"),
            (r#"{"faults":{"drop":2}}"#, "faults.drop"),
            (
                r#"{"venues":[{"venue":"binance_spot","symbols":[{"symbol":"A","price":"1","tick":"x","lot":"1"}]}]}"#,
                "A",
            ),
            (r#"{"recording":{"files":[],"instrument":"binance_spot:A","speed":-1}}"#, "recording.speed"),
        ] {
            let error = Config::from_json(text).expect_err(text).to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
