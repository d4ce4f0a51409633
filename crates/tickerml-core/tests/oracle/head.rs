//! `head` against the oracle: what routes a frame and watches its sequence.
use super::{channel, depth_ids, frame, number::id, payload, scale};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use tickerml_core::wire::{self, Body, Channel, Head};

/// Demands that `head` agrees with what `decode` reads of the same frame.
///
/// `head` stops at the levels once it has seen what it gives, so a key that is repeated behind them, or a frame that is both
/// wrapper and message, is not compared; nor are escaped names, which it refuses.
pub fn check_head(text: &[u8]) {
    let ours = wire::head(text);
    // The finest scale reads whatever some scale reads, except where it overflows.
    let Some((_, body, _)) = frame(text, scale(8, 8)).or_else(|| frame(text, scale(2, 5))) else { return };
    let value: Value = serde_json::from_slice(text).expect("the oracle read it");
    let top = value.as_object().expect("the oracle read it");
    let both = top.get("data").is_some_and(Value::is_object) && (top.contains_key("e") || top.contains_key("u"));
    if both || text.contains(&b'\\') || repeats(text) {
        return;
    }
    let shown = String::from_utf8_lossy(text);
    let ours = ours.unwrap_or_else(|error| panic!("{error}: {shown}"));
    let name = |map: &Map<String, Value>, key| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(String::from_utf8_lossy(ours.stream), name(top, "stream"), "{shown}");
    let Some(payload) = payload(top) else {
        assert_eq!(Body::Other(ours.channel), body, "{shown}");
        return;
    };
    assert_eq!(Some(ours.channel), channel(payload), "{shown}");
    assert_eq!(String::from_utf8_lossy(ours.symbol), name(payload, "s"), "{shown}");
    check_ids(&ours, payload, &shown);
}

fn check_ids(ours: &Head<'_>, payload: &Map<String, Value>, shown: &str) {
    match ours.channel {
        Channel::Depth => assert_eq!(Some(ours.depth), depth_ids(payload), "{shown}"),
        Channel::Trade => assert_eq!(Some(ours.id), id(&payload["t"]), "{shown}"),
        Channel::AggTrade => assert_eq!(Some(ours.id), id(&payload["a"]), "{shown}"),
        _ => assert_eq!(ours.id, 0, "{shown}"),
    }
}

/// Whether a key of the frame or of its payload comes twice.
fn repeats(text: &[u8]) -> bool {
    let twice = |pairs: &Pairs| (1..pairs.0.len()).any(|n| pairs.0[..n].iter().any(|p| p.0 == pairs.0[n].0));
    let top: Pairs = serde_json::from_slice(text).expect("the oracle read it");
    let inner = top.0.iter().filter(|(key, _)| key == "data").any(|(_, raw)| {
        let pairs: Result<Pairs, _> = serde_json::from_str(raw.get());
        pairs.is_ok_and(|pairs| twice(&pairs))
    });
    inner || twice(&top)
}

/// The members of an object as they stand.
struct Pairs(Vec<(String, Box<serde_json::value::RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
