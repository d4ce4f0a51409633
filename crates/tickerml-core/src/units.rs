//! Numbers: prices and quantities are scaled integers, money is integers of 10^-18. Floats appear only at the edge, in
//! [`to_f64`].
use crate::error::{Error, Result};

/// 10^n for n in 0..=18.
pub const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut n = 1;
    while n < 19 {
        table[n] = table[n - 1] * 10;
        n += 1;
    }
    table
};

/// Decimals of money: amounts are integers of 10^-18 of the currency.
pub const MONEY_PRECISION: u8 = 18;

/// One unit of a currency as money.
pub const MONEY_ONE: i128 = 1_000_000_000_000_000_000;

/// An absent time stamp.
pub const UNDEF_TS_NS: i64 = i64::MIN;

/// Earliest stamp that is believed where one is read: 2009 UTC, before there was anything to trade.
pub const STAMP_NS_MIN: i64 = 1_230_768_000_000_000_000;

/// Latest stamp that is believed: 2200 UTC. Sums with what a stamp is held against then stay far from 63 bits.
pub const STAMP_NS_MAX: i64 = 7_258_118_400_000_000_000;

/// An absent price.
pub const UNDEF_PX: i64 = i64::MIN;

/// Reads a plain decimal (`-?digits[.digits]`) as an integer of 10^-`precision`.
///
/// # Errors
/// [`Error::BadNumber`] on anything else, on overflow of 63 bits and on a digit other than 0 beyond `precision`.
pub fn parse_decimal(text: &[u8], precision: u8) -> Result<i64> {
    let bad = |reason| Error::BadNumber {
        text: String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned(),
        precision,
        reason,
    };
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    let mut decimals: Option<u8> = None;
    let mut any = false;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                any = true;
                let digit = i64::from(byte - b'0');
                if let Some(n) = decimals.as_mut() {
                    if *n == precision {
                        if digit != 0 {
                            return Err(bad("digits beyond the scale"));
                        }
                        continue;
                    }
                    *n += 1;
                }
                value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or_else(|| bad("too large"))?;
            }
            b'.' if decimals.is_none() && any => decimals = Some(0),
            _ => return Err(bad("not a decimal")),
        }
    }
    if !any {
        return Err(bad("not a decimal"));
    }
    let missing = usize::from(precision - decimals.unwrap_or(0));
    let scale = POW10.get(missing).ok_or_else(|| bad("precision above 18"))?;
    let value = value.checked_mul(*scale).ok_or_else(|| bad("too large"))?;
    Ok(if negative { -value } else { value })
}

/// Reads an amount of money given as text with at most 8 decimals, as 10^-18 of its currency.
///
/// # Errors
/// [`Error::BadNumber`] as [`parse_decimal`].
pub fn parse_money(text: &str) -> Result<i128> {
    const TEXT_PRECISION: u8 = 8;
    let value = parse_decimal(text.as_bytes(), TEXT_PRECISION)?;
    Ok(i128::from(value) * i128::from(POW10[usize::from(MONEY_PRECISION - TEXT_PRECISION)]))
}

/// Reads an amount of money with at most 18 decimals, as 10^-18 of its currency.
///
/// # Errors
/// [`Error::BadNumber`] as [`parse_decimal`], for the digits before the point or for those behind it.
pub fn parse_e18(text: &str) -> Result<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let one = parse_decimal(whole.as_bytes(), 0)?;
    let rest = parse_decimal(format!("0.{part}").as_bytes(), MONEY_PRECISION)?;
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Ok(i128::from(one) * MONEY_ONE + sign * i128::from(rest))
}

/// Writes an integer of 10^-`precision` as a decimal without trailing zeros after the point beyond those needed.
pub fn format_decimal(value: i128, precision: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    let scale = 10u128.pow(u32::from(precision));
    let (whole, rest) = (magnitude / scale, magnitude % scale);
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let decimals = format!("{rest:0width$}", width = usize::from(precision));
    format!("{sign}{whole}.{}", decimals.trim_end_matches('0'))
}

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The one conversion from scaled integers to a float: for features and reports, never for money.
pub fn to_f64(value: i64, precision: u8) -> f64 {
    value as f64 / POW10[usize::from(precision)] as f64
}

/// price x quantity as money (10^-18 of the quote currency), exact.
///
/// # Errors
/// [`Error::Invariant`] when the precisions together exceed 18 decimals or the product leaves 127 bits.
pub fn notional(px: i64, qty: i64, price_precision: u8, qty_precision: u8) -> Result<i128> {
    let decimals = price_precision + qty_precision;
    let shift = MONEY_PRECISION
        .checked_sub(decimals)
        .ok_or_else(|| Error::Invariant(format!("price and quantity precision sum to {decimals}, above 18")))?;
    (i128::from(px) * i128::from(qty))
        .checked_mul(10i128.pow(u32::from(shift)))
        .ok_or_else(|| Error::Invariant("notional above 127 bits".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(parse_decimal(b"61685.99000000", 2), Ok(6_168_599));
        assert_eq!(parse_decimal(b"0", 8), Ok(0));
        assert_eq!(parse_decimal(b"-1.5", 1), Ok(-15));
        assert_eq!(parse_decimal(b"7", 3), Ok(7000));
        for bad in ["", ".", "-", ".5", "1e5", "1.2.3", " 1", "0.001", "99999999999999999999", "+1"] {
            assert!(parse_decimal(bad.as_bytes(), 2).is_err(), "{bad}");
        }
    }

    #[test]
    fn formatting_reads_back() {
        for (value, precision, text) in [(6_168_599, 2, "61685.99"), (-5, 1, "-0.5"), (100, 2, "1"), (0, 8, "0")] {
            assert_eq!(format_decimal(value, precision), text);
            assert_eq!(i128::from(parse_decimal(text.as_bytes(), precision).unwrap()), value);
        }
    }

    #[test]
    fn money_of_eighteen_decimals_is_exact() {
        for (text, value) in [("10000", 10_000 * MONEY_ONE), ("-0.000000000000000001", -1), ("1.50", 3 * MONEY_ONE / 2)]
        {
            assert_eq!(parse_e18(text), Ok(value));
        }
        for bad in ["", ".5", "1.0000000000000000001", "1.2.3", "1.-2", "1e3", "99999999999999999999"] {
            assert!(parse_e18(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn notional_is_exact() {
        assert_eq!(notional(6_168_599, 100_000, 2, 5), Ok(61_685_990_000_000_000_000_000));
        assert!(notional(1, 1, 10, 10).is_err());
    }
}
