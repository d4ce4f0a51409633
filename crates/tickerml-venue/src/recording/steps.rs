//! Tick and lot of a recording without metadata: the greatest common divisors of its prices and quantities.
use crate::market::OutFrame;
use serde_json::Value;
use std::sync::Arc;
use tickerml_core::units::{format_decimal, parse_decimal};

/// Decimals that venues print at most.
const DECIMALS: u8 = 8;

/// (tick, lot) as decimal text, from diffs and trades; one where nothing tells.
pub(super) fn infer(frames: &[Arc<OutFrame>]) -> (String, String) {
    let (mut tick, mut lot) = (0, 0);
    for frame in frames.iter().filter(|f| f.diff || f.stream.ends_with("@trade")) {
        let Ok(data) = serde_json::from_str::<Value>(frame.data()) else { continue };
        fold(&mut tick, data.get("p"));
        fold(&mut lot, data.get("q"));
        for level in ["b", "a"].iter().filter_map(|side| data.get(side)?.as_array()).flatten() {
            fold(&mut tick, level.get(0));
            fold(&mut lot, level.get(1));
        }
    }
    let text = |step: i64| if step == 0 { "1".to_owned() } else { format_decimal(i128::from(step), DECIMALS) };
    (text(tick), text(lot))
}

fn fold(step: &mut i64, number: Option<&Value>) {
    let parsed = number.and_then(Value::as_str).and_then(|t| parse_decimal(t.as_bytes(), DECIMALS).ok());
    if let Some(value) = parsed.filter(|v| *v > 0) {
        *step = gcd(*step, value);
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
