//! Decimal text to scaled integers, eight digits at a time.
//!
//! The venues send prices and quantities as short quoted decimals (`"61685.99000000"`). [`quoted`] reads one by looking at
//! sixteen bytes at once: find the closing quote and the point, close the point's hole, keep the digits that the scale keeps,
//! and prove that the rest are zeros. Anything unusual goes to [`crate::units::parse_decimal`], which is the meaning.
use crate::error::Result;
use crate::units::{POW10, parse_decimal};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Bytes that [`quoted`] wants behind the start of a number to take the short way.
pub const WINDOW: usize = 16;

/// Reads the decimal that starts at `at` (behind the opening quote) and ends before the next quote.
/// Returns the value scaled by `precision` and the index of the closing quote.
///
/// # Errors
/// [`crate::error::Error::BadNumber`] for text that is not a decimal of this precision.
#[inline]
pub fn quoted(buf: &[u8], at: usize, precision: u8) -> Result<(i64, usize)> {
    match window(buf, at).and_then(|(low, high)| short(low, high, precision)) {
        Some((value, len)) => Ok((value, at + len)),
        None => long(buf, at, precision),
    }
}

#[inline]
fn window(buf: &[u8], at: usize) -> Option<(u64, u64)> {
    let bytes = buf.get(at..at + WINDOW)?;
    let low = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let high = u64::from_le_bytes(bytes[8..].try_into().ok()?);
    Some((low, high))
}

/// Index of the first `byte` in sixteen bytes, or 16.
#[inline]
fn find(low: u64, high: u64, byte: u8) -> u32 {
    let hit = |word: u64| {
        let x = word ^ (ONES * u64::from(byte));
        x.wrapping_sub(ONES) & !x & HIGHS
    };
    let (a, b) = (hit(low), hit(high));
    if a != 0 { a.trailing_zeros() / 8 } else { 8 + b.trailing_zeros() / 8 }
}

/// The number in a window of sixteen bytes; none where it is longer, has more than eight kept digits, or is unusual.
#[inline]
fn short(low: u64, high: u64, precision: u8) -> Option<(i64, usize)> {
    let end = find(low, high, b'"');
    let point = find(low, high, b'.').min(end);
    if end >= 16 || point == 0 {
        return None;
    }
    let text = u128::from(high) << 64 | u128::from(low);
    let whole_mask = (1u128 << (8 * point)) - 1;
    let (digits, len) =
        if point < end { ((text & whole_mask) | ((text >> 8) & !whole_mask), end - 1) } else { (text, end) };
    let digits = digits & ((1u128 << (8 * len)) - 1);
    let keep = point + u32::from(precision);
    let (kept, missing) = if keep <= len { (keep, 0) } else { (len, keep - len) };
    if kept > 8 || (point < end && point + 1 == end) {
        return None;
    }
    // Behind the kept digits only zeros may stand.
    let rest_zeros = (u128::from(ZEROS) << 64 | u128::from(ZEROS)) & ((1u128 << (8 * len)) - 1);
    if (digits ^ rest_zeros) >> (8 * kept) != 0 {
        return None;
    }
    let value = eight_digits(digits as u64, kept)?;
    if missing == 0 {
        return Some((value, end as usize));
    }
    // At most 8 digits x 10^missing: checked, since a scale may have up to 18 decimals.
    value.checked_mul(*POW10.get(missing as usize)?).map(|v| (v, end as usize))
}

/// The value of the first `count` (1..=8) ASCII digits, none where one of them is no digit.
#[inline]
fn eight_digits(text: u64, count: u32) -> Option<i64> {
    let shift = 64 - 8 * count;
    // Leading places become '0'.
    let padded = (text << shift) | (ZEROS & !(u64::MAX.checked_shl(shift).unwrap_or(0)));
    let digits = padded.wrapping_sub(ZEROS);
    if (padded.wrapping_add(0x4646_4646_4646_4646) | digits) & HIGHS != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    let eights = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF;
    Some(eights as i64)
}

#[cold]
#[inline(never)]
fn long(buf: &[u8], at: usize, precision: u8) -> Result<(i64, usize)> {
    let rest = buf.get(at..).unwrap_or_default();
    let len = rest.iter().position(|&b| b == b'"').unwrap_or(rest.len());
    Ok((parse_decimal(&rest[..len], precision)?, at + len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(text: &str, precision: u8) {
        let padded = format!("{text}\",\"1.25869000\"],[");
        let want = parse_decimal(text.as_bytes(), precision).map(|v| (v, text.len()));
        assert_eq!(quoted(padded.as_bytes(), 0, precision), want, "{text} at {precision}");
    }

    #[test]
    fn the_short_way_means_what_the_long_way_means() {
        for text in [
            "61685.99000000",
            "0.010",
            "0",
            "0.00000000",
            "1",
            "12345678",
            "123456789",
            "1.",
            ".5",
            "",
            "-1.5",
            "1e5",
            "1.2.3",
            "99999999.99",
            "0.00000001",
            "00012.50",
            "1 2",
            "61685.9",
            "1:2",
            "1/2",
            "61685.99900000",
            "123456789012345",
            "1234567890123456",
            "12345678901234567890",
            "\u{fffd}1",
        ] {
            for precision in 0..=18 {
                both(text, precision);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_alike(text in "[0-9.\\-e ]{0,20}", precision in 0u8..=18) {
            both(&text, precision);
        }

        #[test]
        fn any_decimal_reads_alike(whole in 0u64..100_000_000_000, frac in 0u64..100_000_000, width in 0usize..9, precision in 0u8..=10) {
            let digits = format!("{frac:08}");
            let text = if width == 0 { whole.to_string() } else { format!("{whole}.{}", &digits[..width]) };
            both(&text, precision);
        }
    }
}
