//! What a Binance message says, read from serde_json's `Value` alone, and the checks that hold the decoders against it.
//!
//! It shares no code with the decoders: decimals are read by lengths of strings, and every rule is written a second time.
//! Property tests, the seed corpus and the fuzz targets call the same `check_*` functions.
#![allow(dead_code, unused_imports, reason = "each test and each fuzz target uses its part")]
use serde_json::{Map, Value};
use tickerml_core::error::Error;
use tickerml_core::event::{ROW_PX_MAX, Row, RowKind, flag};
use tickerml_core::units::UNDEF_TS_NS;
use tickerml_core::wire::{self, Body, Channel, DepthIds, Scale};

mod head;
mod info;
mod number;
mod tape;

pub use head::check_head;
pub use info::check_exchange_info;
use number::{decimal, id, integer};
pub use tape::check_tape;

/// Scales that every text is read at: spot, futures, the finest, whole numbers.
pub const SCALES: [Scale; 4] = [scale(2, 5), scale(1, 3), scale(8, 8), scale(0, 0)];

/// A scale with these decimals of price and quantity.
pub const fn scale(price_precision: u8, qty_precision: u8) -> Scale {
    Scale { price_precision, qty_precision }
}

/// What the oracle reads: time, body and rows, bids before asks.
pub type Reading = (i64, Body, Vec<Row>);

/// Reads a frame; none where it is no message.
pub fn frame(text: &[u8], scale: Scale) -> Option<Reading> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let top = value.as_object()?;
    let Some(payload) = payload(top) else {
        let named = [("code", Channel::Error), ("result", Channel::Ack)];
        let channel = named.iter().find(|(key, _)| top.contains_key(*key)).map_or(Channel::Unknown, |(_, c)| *c);
        return Some((UNDEF_TS_NS, Body::Other(channel), Vec::new()));
    };
    let channel = channel(payload)?;
    let mut rows = Vec::new();
    let body = match channel {
        Channel::Depth => diff(payload, scale, &mut rows)?,
        Channel::Trade | Channel::AggTrade => trade(payload, channel, scale, &mut rows)?,
        Channel::Touch => touch(payload, scale, &mut rows)?,
        Channel::Mark => mark(payload, &mut rows)?,
        other => Body::Other(other),
    };
    Some((time(payload, channel)?, body, rows))
}

/// The object that holds the message: `data` of a combined frame, or the frame itself.
pub fn payload(top: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let data = top.get("data").and_then(Value::as_object);
    data.or_else(|| (top.contains_key("e") || top.contains_key("u")).then_some(top))
}

/// What a payload is; none where its type is no text.
pub fn channel(payload: &Map<String, Value>) -> Option<Channel> {
    let event = payload.get("e").map_or(Some(""), Value::as_str)?;
    Some(match event {
        "depthUpdate" => Channel::Depth,
        "trade" => Channel::Trade,
        "aggTrade" => Channel::AggTrade,
        "bookTicker" => Channel::Touch,
        "markPriceUpdate" => Channel::Mark,
        "serverShutdown" => Channel::Shutdown,
        "" if payload.get("u").and_then(id).is_some() && payload.get("b").is_some_and(Value::is_string) => {
            Channel::Touch
        }
        _ => Channel::Unknown,
    })
}

/// T, else E, in ns. A mark price's T is the next settlement, so its time is E.
fn time(payload: &Map<String, Value>, channel: Channel) -> Option<i64> {
    let lenient = matches!(channel, Channel::Unknown | Channel::Shutdown);
    let read = |key: &str| match payload.get(key) {
        None => Some(None),
        Some(value) if lenient => Some(integer(value)),
        Some(value) => integer(value).map(Some),
    };
    let (matched, event) = (read("T")?, read("E")?);
    let stamp = if channel == Channel::Mark { event } else { matched.or(event) };
    let Some(stamp) = stamp else { return Some(UNDEF_TS_NS) };
    believable(stamp)
}

/// Milliseconds or microseconds as ns, from 1970 to 2200.
fn believable(stamp: i64) -> Option<i64> {
    let ns = i128::from(stamp) * if stamp >= 100_000_000_000_000 { 1_000 } else { 1_000_000 };
    i64::try_from(ns).ok().filter(|ns| (0..=7_258_118_400_000_000_000).contains(ns))
}

/// Ids of a diff.
pub fn depth_ids(payload: &Map<String, Value>) -> Option<DepthIds> {
    let prev = match payload.get("pu") {
        Some(value) => Some(id(value)?),
        None => None,
    };
    Some(DepthIds { first: id(payload.get("U")?)?, last: id(payload.get("u")?)?, prev })
}

fn diff(payload: &Map<String, Value>, scale: Scale, rows: &mut Vec<Row>) -> Option<Body> {
    levels(payload.get("b")?, RowKind::Bid, 0, scale, rows)?;
    levels(payload.get("a")?, RowKind::Ask, 0, scale, rows)?;
    depth_ids(payload).map(Body::Depth)
}

fn levels(value: &Value, kind: RowKind, flags: u8, scale: Scale, rows: &mut Vec<Row>) -> Option<()> {
    for level in value.as_array()? {
        let px = positive(level.get(0), scale.price_precision)?;
        let qty = positive(level.get(1), scale.qty_precision)?;
        rows.push(row(kind, px, qty, flags)?);
    }
    Some(())
}

fn positive(value: Option<&Value>, precision: u8) -> Option<i64> {
    decimal(value?.as_str()?, precision).filter(|&n| n >= 0)
}

fn row(kind: RowKind, px: i64, qty: i64, flags: u8) -> Option<Row> {
    assert_eq!(ROW_PX_MAX, (1 << 54) - 1);
    Row::new(kind, px, qty, flags).ok()
}

fn trade(payload: &Map<String, Value>, channel: Channel, scale: Scale, rows: &mut Vec<Row>) -> Option<Body> {
    let kind = if payload.get("m")?.as_bool()? { RowKind::SellTrade } else { RowKind::BuyTrade };
    let px = positive(payload.get("p"), scale.price_precision)?;
    let qty = positive(payload.get("q"), scale.qty_precision)?;
    if qty > 0 {
        rows.push(row(kind, px, qty, 0)?);
    }
    if channel == Channel::Trade {
        return Some(Body::Trade { id: id(payload.get("t")?)? });
    }
    let inside = |key| payload.get(key).map_or(Some(0), id);
    Some(Body::AggTrade { id: id(payload.get("a")?)?, trades: (inside("f")?, inside("l")?) })
}

fn touch(payload: &Map<String, Value>, scale: Scale, rows: &mut Vec<Row>) -> Option<Body> {
    for (px, qty, flags) in [("b", "B", 0), ("a", "A", flag::ASK_SIDE)] {
        let px = positive(payload.get(px), scale.price_precision)?;
        rows.push(row(RowKind::Touch, px, positive(payload.get(qty), scale.qty_precision)?, flags)?);
    }
    Some(Body::Touch)
}

fn mark(payload: &Map<String, Value>, rows: &mut Vec<Row>) -> Option<Body> {
    rows.push(row(RowKind::Mark, positive(payload.get("p"), 8)?, 0, 0)?);
    if let Some(index) = payload.get("i") {
        rows.push(row(RowKind::Mark, positive(Some(index), 8)?, 0, flag::ASK_SIDE)?);
    }
    if let (Some(rate), Some(settles)) = (payload.get("r"), payload.get("T")) {
        let rate = rate.as_str()?;
        if !rate.is_empty() {
            rows.push(row(RowKind::Funding, decimal(rate, 12)?, Some(integer(settles)?).filter(|ns| *ns >= 0)?, 0)?);
        }
    }
    Some(Body::Mark)
}

/// Reads a depth snapshot: `lastUpdateId`, time, rows.
pub fn snapshot(text: &[u8], scale: Scale) -> Option<(u64, i64, Vec<Row>)> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let top = value.as_object()?;
    let mut rows = Vec::new();
    levels(top.get("bids")?, RowKind::Bid, flag::SNAPSHOT, scale, &mut rows)?;
    levels(top.get("asks")?, RowKind::Ask, flag::SNAPSHOT, scale, &mut rows)?;
    let ts = match top.get("T") {
        Some(value) => believable(integer(value)?)?,
        None => UNDEF_TS_NS,
    };
    Some((id(top.get("lastUpdateId")?)?, ts, rows))
}

/// serde_json keeps keys of this name for itself and refuses what is sound JSON: there it is no judge.
fn is_private(text: &[u8]) -> bool {
    text.windows(PRIVATE.len()).any(|part| part == PRIVATE)
}

const PRIVATE: &[u8] = b"$serde_json::private::";

/// Demands that `decode` reads `text` exactly as the oracle does, at every scale, and `head` with them.
pub fn check_frame(text: &[u8]) {
    for scale in SCALES {
        check_decode(text, scale);
    }
    check_head(text);
}

/// Demands that `decode` reads `text` at `scale` exactly as the oracle does: the same reading, or refused by both.
pub fn check_decode(text: &[u8], scale: Scale) {
    if is_private(text) {
        return;
    }
    let marker = Row::new(RowKind::Clear, 1, 2, 0).expect("a small price");
    let mut rows = vec![marker];
    let ours = wire::decode(text, scale, &mut rows);
    assert_eq!(rows.remove(0), marker, "rows before the message changed");
    rows.sort_by_key(|row| row.kind() == RowKind::Ask);
    let shown = String::from_utf8_lossy(text);
    match (frame(text, scale), ours) {
        (Some((ts, body, expected)), Ok(decoded)) => {
            assert_eq!((decoded.ts_event_ns, decoded.body), (ts, body), "{shown}");
            assert_eq!(rows, expected, "{shown}");
        }
        (None, Err(_)) => assert!(rows.is_empty(), "rows of a refused message stayed: {shown}"),
        (expected, ours) => panic!("at {scale:?} serde_json says {expected:?}, decode {ours:?}: {shown}"),
    }
}

/// Demands that `depth_snapshot` reads `text` exactly as the oracle does, at every scale.
pub fn check_snapshot(text: &[u8]) {
    if is_private(text) {
        return;
    }
    for scale in SCALES {
        let mut rows = Vec::new();
        let ours: Result<(u64, i64), Error> = wire::depth_snapshot(text, scale, &mut rows);
        rows.sort_by_key(|row| row.kind() == RowKind::Ask);
        let shown = String::from_utf8_lossy(text);
        match (snapshot(text, scale), ours) {
            (Some((id, ts, expected)), Ok(read)) => {
                assert_eq!(read, (id, ts), "{shown}");
                assert_eq!(rows, expected, "{shown}");
            }
            (None, Err(_)) => assert!(rows.is_empty(), "rows of a refused snapshot stayed: {shown}"),
            (expected, ours) => panic!("at {scale:?} serde_json says {expected:?}, depth_snapshot {ours:?}: {shown}"),
        }
    }
}
