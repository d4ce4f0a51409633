//! Execution settings by the names of `contract.md`: a flat JSON object, checked whole before anything runs.
use crate::error::{Error, Result};
use crate::instrument::Venue;
use crate::sim::{ClockKind, Exchange, Fees, Fitted, Latency, LatencyColumns, QueueModel, Recorded, ReportRule, Rules};
use crate::units::parse_e18;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One value for all venues, or one for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum PerVenue {
    All(serde_json::Number),
    Each(BTreeMap<Venue, Option<serde_json::Number>>),
}

impl PerVenue {
    fn get(&self, venue: Venue) -> Option<String> {
        match self {
            PerVenue::All(n) => Some(n.to_string()),
            PerVenue::Each(map) => map.get(&venue)?.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    step_ms: i64,
    #[serde(default = "risk_averse")]
    queue: String,
    /// Curve of the queue model `fitted`; Python reads it from `queue_file`.
    #[serde(default)]
    queue_share: Vec<f64>,
    #[serde(default = "shared")]
    exchange: String,
    #[serde(default = "causal")]
    report_rule: String,
    #[serde(default = "causal")]
    clock: String,
    #[serde(default = "reorder_ms")]
    reorder_ms: serde_json::Number,
    #[serde(default = "base_latency_ms")]
    base_latency_ms: serde_json::Number,
    #[serde(default = "constant")]
    latency: String,
    #[serde(default)]
    seed: u64,
    decision_ms: serde_json::Number,
    entry_ms: PerVenue,
    response_ms: PerVenue,
    /// Fees by date: from when (ns), maker and taker in bps.
    #[serde(default)]
    fees: BTreeMap<Venue, Vec<(i64, serde_json::Number, serde_json::Number)>>,
    /// What a liquidation costs beside the taker's fee, bps.
    #[serde(default)]
    liquidation_bps: Option<PerVenue>,
    /// Decimal text by currency; none keeps no balances at the venues.
    #[serde(default)]
    balance: Option<BTreeMap<String, String>>,
    #[serde(default)]
    short_spot: bool,
    #[serde(default)]
    maker_bps: Option<PerVenue>,
    #[serde(default)]
    taker_bps: Option<PerVenue>,
}

fn risk_averse() -> String {
    "risk_averse".to_owned()
}

fn shared() -> String {
    "shared".to_owned()
}

fn constant() -> String {
    "constant".to_owned()
}

fn causal() -> String {
    "causal".to_owned()
}

fn reorder_ms() -> serde_json::Number {
    250.into()
}

fn base_latency_ms() -> serde_json::Number {
    5.into()
}

/// What a session needs to know besides its input. Keys that belong to others (toxic_ahead_ratio, ...) are not read here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Time between timed decisions, ns.
    pub step_ns: i64,
    /// From a view's time to the sending of what was decided on it, ns.
    pub decision_ns: i64,
    /// What the simulated venues are told.
    pub rules: Rules,
}

impl Settings {
    /// Reads settings from JSON. `recorded` holds the rows of the file that `latency` names, where it names one: core reads no
    /// files.
    ///
    /// # Errors
    /// [`Error::BadSetting`] naming the key, what is wrong and what would be right; [`Error::BadLatency`] for those rows.
    pub fn from_json(json: &str, recorded: Option<LatencyColumns<'_>>) -> Result<Settings> {
        let raw: Raw = serde_json::from_str(json)
            .map_err(|e| Error::BadSetting { key: "settings".to_owned(), reason: e.to_string() })?;
        if !(1..=60_000).contains(&raw.step_ms) {
            return Err(bad("step_ms", "must be 1 to 60000"));
        }
        let exchange = word("exchange", &raw.exchange, &EXCHANGES)?;
        let report_rule = word("report_rule", &raw.report_rule, &REPORT_RULES)?;
        let mut ways = BTreeMap::new();
        let (mut own, mut liquidation) = (BTreeMap::new(), BTreeMap::new());
        for venue in Venue::ALL {
            let ns = |key: &str, value: &PerVenue| match value.get(venue) {
                Some(text) => milliseconds(&format!("{key}.{venue}"), &text),
                None => Err(bad(&format!("{key}.{venue}"), "is missing")),
            };
            ways.insert(venue, (ns("entry_ms", &raw.entry_ms)?, ns("response_ms", &raw.response_ms)?));
            let fee = |value: &Option<PerVenue>| value.as_ref().and_then(|value| value.get(venue));
            liquidation.extend(fee(&raw.liquidation_bps).map(|bps| (venue, bps)));
            own.insert(venue, (fee(&raw.maker_bps), fee(&raw.taker_bps)));
        }
        let text = |(from_ns, maker, taker): &(i64, serde_json::Number, serde_json::Number)| {
            (*from_ns, maker.to_string(), taker.to_string())
        };
        let dated = raw.fees.iter().map(|(venue, rows)| (*venue, rows.iter().map(text).collect())).collect();
        let ns = |key: &str, value: &serde_json::Number| milliseconds(key, &value.to_string());
        let base_latency_ns = ns("base_latency_ms", &raw.base_latency_ms)?;
        let latency = match (raw.latency.as_str(), recorded) {
            ("constant", _) => Latency::constant(ways),
            ("venue", _) => Latency::venue(ways, raw.seed),
            ("feed", _) => Latency::feed(ways, base_latency_ns),
            (other, recorded) => match other.strip_prefix("file:").zip(recorded) {
                Some((file, columns)) => Latency::file(Recorded::new(file, columns)?),
                None => {
                    return Err(bad(
                        "latency",
                        &format!("{other:?} is not known, or its file was not read; write {LATENCIES}"),
                    ));
                }
            },
        };
        Ok(Settings {
            step_ns: raw.step_ms * 1_000_000,
            decision_ns: ns("decision_ms", &raw.decision_ms)?,
            rules: Rules {
                latency,
                fees: Fees::new(&dated, &own)?.with_liquidation(&liquidation)?,
                queue: match raw.queue.as_str() {
                    "fitted" => QueueModel::Fitted(Fitted::new(&raw.queue_share)?),
                    name => QueueModel::from_name(name)?,
                },
                exchange,
                report_rule,
                reorder_ns: ns("reorder_ms", &raw.reorder_ms)?,
                base_latency_ns,
                clock: clock(&raw.clock)?,
                balances: balances(&raw, exchange)?,
            },
        })
    }
}

const LATENCIES: &str = "constant, venue, feed, or file: and the path of an .npz or .npy";
const EXCHANGES: [(&str, Exchange); 3] =
    [("shared", Exchange::Shared), ("no_partial", Exchange::NoPartial), ("partial", Exchange::Partial)];
const REPORT_RULES: [(&str, ReportRule); 2] = [("causal", ReportRule::Causal), ("venue", ReportRule::Venue)];

/// One of a few words.
fn word<T: Copy>(key: &str, given: &str, known: &[(&str, T)]) -> Result<T> {
    let names: Vec<&str> = known.iter().map(|k| k.0).collect();
    known
        .iter()
        .find(|k| k.0 == given)
        .map(|k| k.1)
        .ok_or_else(|| bad(key, &format!("{given:?} is not known; write {}", names.join(" or "))))
}

/// `causal`, `fixed:` and the offset in ns, or `fixed` for the least of a whole input.
fn clock(given: &str) -> Result<ClockKind> {
    match given {
        "causal" => return Ok(ClockKind::Causal),
        "fixed" => return Ok(ClockKind::Least),
        _ => {}
    }
    let offset =
        given.strip_prefix("fixed:").and_then(|ns| ns.parse().ok()).filter(|ns: &i64| ns.unsigned_abs() < 1 << 60);
    offset.map(ClockKind::Fixed).ok_or_else(|| {
        bad("clock", &format!("{given:?} is no clock; write causal, or fixed: and a number of nanoseconds"))
    })
}

/// What the venues keep as balances; hftbacktest's do not, nor does one that lets spot be sold short.
fn balances(raw: &Raw, exchange: Exchange) -> Result<Option<BTreeMap<String, i128>>> {
    let read = |(currency, text): (&String, &String)| match parse_e18(text) {
        Ok(amount) if amount >= 0 => Ok((currency.clone(), amount)),
        _ => Err(bad(
            &format!("balance.{currency}"),
            &format!("{text:?} is no amount (at most 18 decimals, not below zero)"),
        )),
    };
    let kept = raw.balance.as_ref().map(|given| given.iter().map(read).collect()).transpose()?;
    Ok(kept.filter(|_| exchange == Exchange::Shared && !raw.short_spot))
}

fn bad(key: &str, reason: &str) -> Error {
    Error::BadSetting { key: key.to_owned(), reason: reason.to_owned() }
}

/// Milliseconds with at most six decimals, as ns.
fn milliseconds(key: &str, text: &str) -> Result<i64> {
    crate::units::parse_decimal(text.as_bytes(), 6)
        .ok()
        .filter(|ns| (0..=60_000_000_000).contains(ns))
        .ok_or_else(|| bad(key, &format!("{text} is not 0 to 60000 ms")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Entry;

    const GOOD: &str = r#"{"step_ms":100,"queue":"risk_averse","exchange":"shared","decision_ms":1,
        "entry_ms":40,"response_ms":{"binance_spot":10.5,"binance_us":1,"binance_usdm":2,"binance_coinm":3},
        "maker_bps":10,"taker_bps":7.5,"balance":{"USDT":"10000"},"seed":1}"#;

    #[test]
    fn good_settings_are_read() {
        let s = Settings::from_json(GOOD, None).unwrap();
        assert_eq!((s.step_ns, s.decision_ns), (100_000_000, 1_000_000));
        let mut latency = s.rules.latency;
        assert_eq!(latency.entry(Venue::BinanceCoinm, 0, 0), Entry::Arrives(40_000_000));
        assert_eq!(latency.response_ns(Venue::BinanceSpot, 0, 0), 10_500_000);
    }

    #[test]
    fn balances_are_kept_where_they_may_bind() {
        let kept = |from: &str, to: &str| Settings::from_json(&GOOD.replace(from, to), None).unwrap().rules.balances;
        let owned = BTreeMap::from([("USDT".to_owned(), 10_000 * crate::units::MONEY_ONE)]);
        assert_eq!(kept("", ""), Some(owned));
        for (from, to) in
            [("\"seed\":1", "\"short_spot\":true"), ("\"shared\"", "\"no_partial\""), ("\"balance\"", "\"another\"")]
        {
            assert_eq!(kept(from, to), None, "{to}");
        }
    }

    #[test]
    fn every_mistake_names_its_key() {
        for (from, to, key) in [
            ("\"step_ms\":100", "\"step_ms\":0", "step_ms"),
            ("risk_averse", "lucky", "queue"),
            ("\"shared\"", "\"kind\"", "exchange"),
            ("\"binance_us\":1,", "", "response_ms.binance_us"),
            ("\"entry_ms\":40", "\"entry_ms\":-1", "entry_ms.binance_spot"),
            ("7.5", "7.55555", "taker_bps.binance_spot"),
            ("\"10000\"", "\"-1\"", "balance.USDT"),
            ("\"10000\"", "\"much\"", "balance.USDT"),
            ("\"seed\":1", "\"latency\":\"quick\"", "latency"),
            ("\"seed\":1", "\"latency\":\"file:unread.npz\"", "latency"),
        ] {
            let json = GOOD.replace(from, to);
            let Err(Error::BadSetting { key: named, .. }) = Settings::from_json(&json, None) else { panic!("{to}") };
            assert_eq!(named, key);
        }
        assert!(Settings::from_json("[]", None).is_err());
    }
}
