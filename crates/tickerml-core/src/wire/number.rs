//! Decimal text to scaled integers, eight digits at a time.
//!
//! The venues send prices and quantities as short quoted decimals (`"61685.99000000"`). [`quoted`] reads one by looking at
//! sixteen bytes at once: find the point, keep the digits that the scale keeps, prove that only zeros stand between them and
//! the closing quote, and close the point's hole. Anything unusual goes to [`crate::units::parse_decimal`], which is the meaning.
use crate::error::Result;
use crate::units::parse_decimal;

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
    match fixed(buf, at, precision) {
        Some((value, end)) => Ok((value, end)),
        None => long(buf, at, precision),
    }
}

/// The same for text in a venue's usual form (at least `precision` decimals, at most 16 bytes and 15 digits kept); none for
/// anything else, right or wrong.
#[inline]
pub fn fixed(buf: &[u8], at: usize, precision: u8) -> Option<(i64, usize)> {
    let (low, high) = window(buf, at)?;
    let hit = if precision == 8 { split(low, high) } else { eight(low, high, u32::from(precision)) };
    let (value, len) = match hit {
        Some(hit) => hit,
        None => sixteen(low, high, u32::from(precision))?,
    };
    Some((value, at + len))
}

/// Eight decimals and then the quote, behind at most six digits: spot's quantities, of which half are zero.
#[inline]
fn split(low: u64, high: u64) -> Option<(i64, usize)> {
    let point = hits(low, b'.').trailing_zeros() / 8;
    if point.wrapping_sub(1) >= 6 {
        return None;
    }
    let shift = 8 * (point + 1);
    // The eight bytes behind the point; for a point at 7 the shift would be 64, which is excluded above.
    let decimals = low >> shift | high << (64 - shift);
    if (high >> shift) as u8 != b'"' {
        return None;
    }
    let whole = if point == 1 { digit(low as u8)? } else { eight_digits(low, point)? };
    if decimals == ZEROS {
        return Some((whole * 100_000_000, (point + 9) as usize));
    }
    Some((whole * 100_000_000 + eight_digits(decimals, 8)?, (point + 9) as usize))
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(i64::from(digit))
}

#[inline]
fn window(buf: &[u8], at: usize) -> Option<(u64, u64)> {
    let bytes = buf.get(at..at + WINDOW)?;
    let low = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let high = u64::from_le_bytes(bytes[8..].try_into().ok()?);
    Some((low, high))
}

/// The high bit of each byte of `word` that may equal `byte`; the lowest one set is exact.
#[inline]
fn hits(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * u64::from(byte));
    x.wrapping_sub(ONES) & !x & HIGHS
}

/// At most eight digits kept, the point among the first eight bytes: nearly every price and quantity.
#[inline]
fn eight(low: u64, high: u64, precision: u32) -> Option<(i64, usize)> {
    let point = (hits(low, if precision == 0 { b'"' } else { b'.' })).trailing_zeros() / 8;
    let count = point + precision;
    if count.wrapping_sub(1) >= 8 || point == 0 || point >= 8 {
        return None;
    }
    // Behind the kept digits only zeros may stand, then the quote.
    let kept = if precision == 0 { point } else { count + 1 };
    let rest = if kept < 8 { (low ^ ZEROS) >> (8 * kept) } else { 0 };
    let end = if rest != 0 {
        kept + rest.trailing_zeros() / 8
    } else {
        // At nine kept bytes the ninth is the last digit, proven below.
        let tail = if kept == 9 { (high ^ ZEROS) & !0xFF } else { high ^ ZEROS };
        8 + tail.trailing_zeros() / 8
    };
    let stop = if end < 8 { low >> (8 * end) } else { high.checked_shr(8 * (end - 8)).unwrap_or(0) };
    if stop as u8 != b'"' {
        return None;
    }
    let whole_mask = (1u64 << (8 * point)) - 1;
    let digits = (low & whole_mask) | ((low >> 8 | high << 56) & !whole_mask);
    let digits = if precision == 0 { low } else { digits };
    Some((eight_digits(digits, count)?, end as usize))
}

/// At most fifteen digits kept, anywhere in sixteen bytes.
#[inline(never)]
fn sixteen(low: u64, high: u64, precision: u32) -> Option<(i64, usize)> {
    let find = |byte: u8| match (hits(low, byte), hits(high, byte)) {
        (0, h) => 8 + h.trailing_zeros() / 8,
        (l, _) => l.trailing_zeros() / 8,
    };
    let end = find(b'"');
    let point = find(b'.').min(end);
    let count = point + precision;
    let len = if point < end { end - 1 } else { end };
    if end >= 16 || point == 0 || count > len || count > 15 || point + 1 == end {
        return None;
    }
    let text = u128::from(high) << 64 | u128::from(low);
    let whole_mask = (1u128 << (8 * point)) - 1;
    let closed = if point < end { (text & whole_mask) | ((text >> 8) & !whole_mask) } else { text };
    let digits = closed & ((1u128 << (8 * len)) - 1);
    let zeros = (u128::from(ZEROS) << 64 | u128::from(ZEROS)) & ((1u128 << (8 * len)) - 1);
    if (digits ^ zeros) >> (8 * count) != 0 {
        return None;
    }
    let value = if count <= 8 {
        eight_digits(digits as u64, count)?
    } else {
        let head = count - 8;
        eight_digits(digits as u64, head)? * 100_000_000 + eight_digits((digits >> (8 * head)) as u64, 8)?
    };
    Some((value, end as usize))
}

/// The value of the first `count` (1..=8) ASCII digits, none where one of them is no digit.
#[inline]
fn eight_digits(text: u64, count: u32) -> Option<i64> {
    debug_assert!((1..=8).contains(&count));
    let shift = 64 - 8 * count;
    // Leading places become '0'.
    let padded = (text << shift) | (ZEROS & ((1u64 << shift) - 1));
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
