//! Numbers of the oracle: by lengths of strings, without arithmetic until the digits are whole.
use serde_json::Value;

/// A whole number of 63 bits and a sign.
pub fn integer(value: &Value) -> Option<i64> {
    value.as_i64()
}

/// A whole number of 63 bits that is not negative.
pub fn id(value: &Value) -> Option<u64> {
    u64::try_from(integer(value)?).ok()
}

/// A decimal as an integer of 10^-`precision`: an optional minus, digits, and optionally a point and digits. None where a
/// digit other than 0 lies beyond the precision or the value needs more than 63 bits.
pub fn decimal(text: &str, precision: u8) -> Option<i64> {
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let kept = fraction.trim_end_matches('0');
    let missing = usize::from(precision).checked_sub(kept.len())?;
    let joined = format!("{whole}{kept}{}", "0".repeat(missing));
    let joined = joined.trim_start_matches('0');
    if joined.is_empty() {
        return Some(0);
    }
    let magnitude: i64 = joined.parse().ok()?;
    Some(if minus { -magnitude } else { magnitude })
}
