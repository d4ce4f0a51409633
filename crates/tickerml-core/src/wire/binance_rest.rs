//! Binance REST bodies: the depth snapshot (read by hand: it has thousands of levels) and exchangeInfo.
use super::binance::Scale;
use super::binance_body::stamp_ns;
use super::binance_levels::levels;
use super::binance_plain;
use super::scan::{Cursor, Scan, Token};
use crate::error::{Error, Result};
use crate::event::{Row, RowKind, flag};
use crate::instrument::{Against, Band, Instrument, Kind, MetadataSource, Venue};
use crate::units::{UNDEF_TS_NS, parse_decimal};
use serde::Deserialize;

/// Reads a depth snapshot and appends its levels to `out`, bids first. Returns `lastUpdateId` and the venue's time in ns
/// (futures: T; spot gives none).
///
/// # Errors
/// [`Error::BadMessage`] where the body is no snapshot, [`Error::BadNumber`] where a level does not fit the scale; `out` is
/// then as before.
pub fn depth_snapshot(body: &[u8], scale: Scale, out: &mut Vec<Row>) -> Result<(u64, i64)> {
    let before = out.len();
    read_snapshot(body, scale, out).or_else(|first| {
        out.truncate(before);
        let second = binance_plain::snapshot(body).map(|text| read_snapshot(&text, scale, out));
        if let Some(Ok(read)) = second {
            return Ok(read);
        }
        out.truncate(before);
        match (first, second) {
            (Token::Bad(error), _) | (Token::Escape, Some(Err(Token::Bad(error)))) => Err(error),
            _ => Err(Error::BadMessage { what: "depth snapshot", offset: 0, reason: "escaped text" }),
        }
    })
}

fn read_snapshot(body: &[u8], scale: Scale, out: &mut Vec<Row>) -> Scan<(u64, i64)> {
    let mut c = Cursor::new(body, "depth snapshot");
    let (mut id, mut ts_ms) = (None, None);
    let (mut bids, mut asks) = (false, false);
    c.expect(b'{')?;
    let mut more = !c.accept(b'}')?;
    while more {
        match c.key()? {
            b"lastUpdateId" => id = u64::try_from(c.integer()?).ok(),
            b"T" => ts_ms = Some(c.integer()?),
            b"bids" => levels(&mut c, RowKind::Bid, flag::SNAPSHOT, scale, out, &mut bids)?,
            b"asks" => levels(&mut c, RowKind::Ask, flag::SNAPSHOT, scale, out, &mut asks)?,
            _ => c.skip_value()?,
        }
        more = c.more(b'}')?;
    }
    c.end()?;
    match (id, bids, asks) {
        (Some(id), true, true) => {
            let ts = ts_ms.map_or(Ok(UNDEF_TS_NS), |t| stamp_ns(&c, t))?;
            Ok((id, ts))
        }
        _ => Err(c.bad("no lastUpdateId, bids or asks")),
    }
}

#[derive(Deserialize)]
struct Info {
    symbols: Vec<Symbol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol {
    symbol: String,
    base_asset: String,
    quote_asset: String,
    #[serde(default)]
    contract_size: Option<serde_json::Number>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    filter_type: String,
    #[serde(default)]
    tick_size: Option<String>,
    #[serde(default)]
    step_size: Option<String>,
    #[serde(default)]
    min_notional: Option<String>,
    #[serde(default)]
    notional: Option<String>,
    #[serde(default)]
    multiplier_up: Option<String>,
    #[serde(default)]
    multiplier_down: Option<String>,
    #[serde(default)]
    bid_multiplier_up: Option<String>,
    #[serde(default)]
    bid_multiplier_down: Option<String>,
    #[serde(default)]
    ask_multiplier_up: Option<String>,
    #[serde(default)]
    ask_multiplier_down: Option<String>,
    #[serde(default)]
    avg_price_mins: u32,
}

/// Instruments of an exchangeInfo body, those of `symbols` only, in the order of `symbols`; the second value names the symbols
/// that the body does not have. Steps come from the filters, never from the precisions (exchanges.md 1.7, 3.5).
///
/// # Errors
/// [`Error::BadMessage`] where the body is no exchangeInfo, [`Error::BadSetting`] where a filter is missing.
pub fn exchange_info(venue: Venue, body: &[u8], symbols: &[String]) -> Result<(Vec<Instrument>, Vec<String>)> {
    let bad = |reason| Error::BadMessage { what: "exchangeInfo", offset: 0, reason };
    // Of text that is skipped serde_json would not prove this.
    let text = std::str::from_utf8(body).map_err(|_| bad("not UTF-8"))?;
    let info: Info = serde_json::from_str(text).map_err(|_| bad("not an exchangeInfo"))?;
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for name in symbols {
        match info.symbols.iter().find(|s| &s.symbol == name) {
            Some(symbol) => known.push(instrument(venue, symbol)?),
            None => unknown.push(name.clone()),
        }
    }
    Ok((known, unknown))
}

fn instrument(venue: Venue, symbol: &Symbol) -> Result<Instrument> {
    let find = |kind: &str| symbol.filters.iter().find(|f| f.filter_type == kind);
    let need = |value: Option<&String>, key: &str| {
        value.cloned().ok_or_else(|| Error::BadSetting {
            key: format!("{venue}:{}", symbol.symbol),
            reason: format!("exchangeInfo has no {key}"),
        })
    };
    let tick = need(find("PRICE_FILTER").and_then(|f| f.tick_size.as_ref()), "PRICE_FILTER.tickSize")?;
    let lot = need(find("LOT_SIZE").and_then(|f| f.step_size.as_ref()), "LOT_SIZE.stepSize")?;
    let notional = find("NOTIONAL").or_else(|| find("MIN_NOTIONAL"));
    let min_notional = notional.and_then(|f| f.min_notional.clone().or_else(|| f.notional.clone()));
    let mut i = Instrument::from_steps(venue, &symbol.symbol, &tick, &lot, MetadataSource::Venue)?;
    i.base = symbol.base_asset.clone();
    i.quote = symbol.quote_asset.clone();
    i.min_notional = min_notional.unwrap_or_else(|| "0".to_owned());
    i.band = match venue.is_futures() {
        true => find("PERCENT_PRICE").map(mark_band),
        false => find("PERCENT_PRICE_BY_SIDE").or_else(|| find("PERCENT_PRICE")).map(print_band),
    };
    if i.kind == Kind::Inverse {
        i.contract_size = symbol.contract_size.as_ref().map_or_else(|| "1".to_owned(), ToString::to_string);
    }
    Ok(i)
}

/// Futures: a buy at most `multiplierUp` times the mark price, a sell at least `multiplierDown` times.
fn mark_band(filter: &Filter) -> Band {
    let (up, down) = (multiple_e8(filter.multiplier_up.as_ref()), multiple_e8(filter.multiplier_down.as_ref()));
    Band { against: Against::Mark, buy_e8: [None, up], sell_e8: [down, None] }
}

/// Spot: both ends for either side, which PERCENT_PRICE of before does not tell apart.
fn print_band(filter: &Filter) -> Band {
    let ends = |down: &Option<String>, up: &Option<String>| {
        [
            multiple_e8(down.as_ref().or(filter.multiplier_down.as_ref())),
            multiple_e8(up.as_ref().or(filter.multiplier_up.as_ref())),
        ]
    };
    Band {
        against: Against::Prints { minutes: filter.avg_price_mins },
        buy_e8: ends(&filter.bid_multiplier_down, &filter.bid_multiplier_up),
        sell_e8: ends(&filter.ask_multiplier_down, &filter.ask_multiplier_up),
    }
}

/// A multiplier x 10^8. One that cannot be read is none: it bounds paper orders and must not keep a recorder from its work.
fn multiple_e8(text: Option<&String>) -> Option<i64> {
    text.and_then(|text| parse_decimal(text.as_bytes(), 8).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { price_precision: 4, qty_precision: 2 };

    #[test]
    fn a_snapshot_is_read_or_refused() {
        let mut rows = Vec::new();
        let body = br#"{"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": [["0.0026","100.00", []]], "x": {}}"#;
        assert_eq!(depth_snapshot(body, SCALE, &mut rows), Ok((160, UNDEF_TS_NS)));
        assert_eq!((rows[0].px(), rows[0].qty, rows[1].px(), rows[1].qty), (24, 1000, 26, 10_000));
        let futures = br#"{"lastUpdateId":5,"E":2,"T":3,"bids":[],"asks":[]}"#;
        assert_eq!(depth_snapshot(futures, SCALE, &mut rows), Ok((5, 3_000_000)));
        for bad in ["<html>", "{}", r#"{"lastUpdateId":1,"bids":[["0.00001","1"]],"asks":[]}"#, r#"{"code":-1003}"#] {
            assert!(depth_snapshot(bad.as_bytes(), SCALE, &mut rows).is_err(), "{bad}");
            assert_eq!(rows.len(), 2);
        }
    }

    #[test]
    fn filters_give_the_steps() {
        let body =
            br#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","status":"TRADING","filters":[
            {"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":"0.001"},
            {"filterType":"MIN_NOTIONAL","notional":"100"}]}]}"#;
        let names = ["BTCUSDT".to_owned(), "NOPE".to_owned()];
        let (known, unknown) = exchange_info(Venue::BinanceUsdm, body, &names).unwrap();
        assert_eq!((known[0].price_precision, known[0].qty_precision, known[0].min_notional.as_str()), (1, 3, "100"));
        assert_eq!(unknown, ["NOPE"]);
        assert_eq!(known[0].band, None);
    }

    #[test]
    fn percent_filters_give_the_band() {
        let band = |venue, filter: &str| {
            let body = format!(
                r#"{{"symbols":[{{"symbol":"X","baseAsset":"X","quoteAsset":"U","filters":[
                {{"filterType":"PRICE_FILTER","tickSize":"0.10"}},{{"filterType":"LOT_SIZE","stepSize":"0.001"}},{filter}]}}]}}"#
            );
            exchange_info(venue, body.as_bytes(), &["X".to_owned()]).unwrap().0[0].band.unwrap()
        };
        let futures =
            r#"{"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":4}"#;
        let want =
            Band { against: Against::Mark, buy_e8: [None, Some(105_000_000)], sell_e8: [Some(95_000_000), None] };
        assert_eq!(band(Venue::BinanceUsdm, futures), want);
        assert_eq!(band(Venue::BinanceCoinm, futures), want);
        let by_side = r#"{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2",
            "askMultiplierUp":"4","askMultiplierDown":"0.25","avgPriceMins":5}"#;
        let want = Band {
            against: Against::Prints { minutes: 5 },
            buy_e8: [Some(20_000_000), Some(500_000_000)],
            sell_e8: [Some(25_000_000), Some(400_000_000)],
        };
        assert_eq!(band(Venue::BinanceSpot, by_side), want);
        let old = r#"{"filterType":"PERCENT_PRICE","multiplierUp":"1.3","multiplierDown":"0.7","avgPriceMins":0}"#;
        let want = Some(130_000_000);
        assert_eq!((band(Venue::BinanceUs, old).buy_e8[1], band(Venue::BinanceUs, old).sell_e8[1]), (want, want));
        let odd = r#"{"filterType":"PERCENT_PRICE","multiplierUp":"lots"}"#;
        assert_eq!(band(Venue::BinanceUsdm, odd).buy_e8, [None, None]);
    }
}
