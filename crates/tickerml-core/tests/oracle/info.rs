//! `exchange_info` against the oracle.
use super::number::decimal;
use serde::de::IgnoredAny;
use serde_json::Value;
use tickerml_core::instrument::{Instrument, Venue};
use tickerml_core::wire;

/// Demands that `exchange_info`, where it reads `text`, reads what serde_json's `Value` holds, for every venue, asking for the
/// symbols that the body has and one that it has not.
pub fn check_exchange_info(text: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(text).ok();
    let mut names: Vec<String> = value.iter().flat_map(entries).map(|entry| name(entry, "symbol")).take(4).collect();
    names.push("no such symbol".to_owned());
    for venue in Venue::ALL {
        let Ok((known, unknown)) = wire::exchange_info(venue, text, &names) else { continue };
        let shown = String::from_utf8_lossy(text);
        assert!(std::str::from_utf8(text).is_ok(), "not UTF-8: {shown}");
        assert!(serde_json::from_slice::<IgnoredAny>(text).is_ok(), "not JSON: {shown}");
        let Some(value) = &value else { continue };
        assert_eq!(known.len() + unknown.len(), names.len(), "{shown}");
        assert_eq!(unknown.last().map(String::as_str), Some("no such symbol"), "{shown}");
        for instrument in &known {
            let entry = entries(value).find(|entry| name(entry, "symbol") == instrument.symbol);
            check_instrument(instrument, entry.expect("the body has it"), &shown);
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.get("symbols").and_then(Value::as_array).into_iter().flatten()
}

fn name(entry: &Value, key: &str) -> String {
    entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn check_instrument(ours: &Instrument, entry: &Value, shown: &str) {
    let filter = |kind: &str| {
        let filters = entry.get("filters").and_then(Value::as_array);
        filters.and_then(|list| list.iter().find(|f| name(f, "filterType") == kind))
    };
    let tick = name(filter("PRICE_FILTER").expect("a tick"), "tickSize");
    let lot = name(filter("LOT_SIZE").expect("a lot"), "stepSize");
    assert_eq!((decimal(&tick, ours.price_precision), ours.tick > 0), (Some(ours.tick), true), "{shown}");
    assert_eq!((decimal(&lot, ours.qty_precision), ours.lot > 0), (Some(ours.lot), true), "{shown}");
    for (text, precision) in [(&tick, ours.price_precision), (&lot, ours.qty_precision)] {
        let fewer = precision.checked_sub(1).and_then(|p| decimal(text, p));
        assert_eq!(fewer, None, "the precision is not the smallest: {shown}");
    }
    assert_eq!((&ours.base, &ours.quote), (&name(entry, "baseAsset"), &name(entry, "quoteAsset")), "{shown}");
    let notional = filter("NOTIONAL").or_else(|| filter("MIN_NOTIONAL"));
    let amount = notional.and_then(|f| ["minNotional", "notional"].iter().find_map(|key| f.get(*key)?.as_str()));
    assert_eq!(ours.min_notional, amount.unwrap_or("0"), "{shown}");
    let size = entry.get("contractSize").filter(|size| ours.venue == Venue::BinanceCoinm && size.is_number());
    assert_eq!(ours.contract_size, size.map_or_else(|| "1".to_owned(), Value::to_string), "{shown}");
}
