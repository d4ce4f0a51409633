//! The slow way: a message that the scanner does not take is rewritten by serde_json in its plainest form and read again.
//!
//! That settles what a scanner that never looks back cannot: escapes where plain text belongs, a key that comes twice (the last
//! one counts), fields of other messages with other JSON types, nesting beyond the scanner's bound.
use super::binance::{Channel, channel_of};
use serde_json::{Map, Value};
use std::io::Write;

/// Fields of each message, `b` before `a` as the venue has them.
const fn fields(channel: Channel) -> &'static [&'static str] {
    match channel {
        Channel::Depth => &["E", "T", "U", "u", "pu", "b", "a"],
        Channel::Trade => &["E", "T", "t", "p", "q", "m"],
        Channel::AggTrade => &["E", "T", "a", "p", "q", "f", "l", "m"],
        Channel::Touch => &["E", "T", "b", "B", "a", "A"],
        Channel::Mark => &["E", "T", "p", "i", "r"],
        _ => &[],
    }
}

/// The frame with only the fields that its message has, each once, without needless escapes; none where it is no JSON object or
/// its type is no text.
#[cold]
pub(super) fn frame(text: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let top = value.as_object()?;
    let data = top.get("data").and_then(Value::as_object);
    let Some(payload) = data.or_else(|| (top.contains_key("e") || top.contains_key("u")).then_some(top)) else {
        let plain = if top.contains_key("code") {
            &b"{\"code\":0}"[..]
        } else if top.contains_key("result") {
            &b"{\"result\":null}"[..]
        } else {
            &b"{}"[..]
        };
        return Some(plain.to_vec());
    };
    let event = payload.get("e").map_or(Some(""), Value::as_str)?;
    let mut out = b"{\"data\":{\"e\":\"".to_vec();
    match channel_of(event.as_bytes()) {
        Channel::Unknown if event.is_empty() && is_touch(payload) => {
            out.extend_from_slice(b"bookTicker\"");
            members(payload, fields(Channel::Touch), &mut out);
        }
        channel @ (Channel::Unknown | Channel::Shutdown) => {
            out.extend_from_slice(if channel == Channel::Unknown { b"" } else { event.as_bytes() });
            out.push(b'"');
            let whole = |key: &&str| payload.get(*key).is_some_and(Value::is_i64);
            let stamps: Vec<&str> = ["E", "T"].into_iter().filter(whole).collect();
            members(payload, &stamps, &mut out);
        }
        channel => {
            out.extend_from_slice(event.as_bytes());
            out.push(b'"');
            members(payload, fields(channel), &mut out);
        }
    }
    out.extend_from_slice(b"}}");
    Some(out)
}

/// Spot's bookTicker names no type (exchanges.md 1.4).
fn is_touch(payload: &Map<String, Value>) -> bool {
    let id = payload.get("u").and_then(Value::as_i64);
    id.is_some_and(|id| id >= 0) && payload.get("b").is_some_and(Value::is_string)
}

/// Appends the members named by `keys`, each behind a comma.
fn members(object: &Map<String, Value>, keys: &[&str], out: &mut Vec<u8>) {
    for key in keys {
        if let Some(value) = object.get(*key) {
            // Writing to memory does not fail.
            let _ = write!(out, ",\"{key}\":{value}");
        }
    }
}

/// The same of a depth snapshot.
#[cold]
pub(super) fn snapshot(text: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let mut out = b"{\"plain\":true".to_vec();
    members(value.as_object()?, &["lastUpdateId", "T", "bids", "asks"], &mut out);
    out.push(b'}');
    Some(out)
}
