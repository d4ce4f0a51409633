//! Decimal text to scaled integers, eight digits at a time.
//!
//! The venues send prices and quantities as short quoted decimals (`"61685.99000000"`). A [`Form`] says where such a text has
//! its parts; reading by a form proves that each byte is what the form says and converts the digits that the scale keeps, both
//! without a step per byte. Anything unusual goes to [`crate::units::parse_decimal`], which is the meaning.
use super::swar::{ZEROS, hits, leading, word};
use crate::error::Result;
use crate::units::{POW10, parse_decimal};

/// Longest text that has a form: eight digits, the point, eight decimals kept and seven zeros.
const LEN_MAX: usize = 24;
/// Most decimals kept, and most digits in front of the stop: as many as are converted at once.
const KEPT_MAX: u8 = 8;

/// Reads the decimal between quotes, from `at` to before `end`, scaled by `precision`.
///
/// # Errors
/// [`crate::error::Error::BadNumber`] for text that is not a decimal of this precision.
#[inline]
pub fn decimal(buf: &[u8], at: usize, end: usize, precision: u8) -> Result<i64> {
    match Form::of(buf, at, end, precision).and_then(|(form, point)| form.read(buf, at, point)) {
        Some(value) => Ok(value),
        None => careful(buf.get(at..end).unwrap_or_default(), precision),
    }
}

#[cold]
#[inline(never)]
fn careful(text: &[u8], precision: u8) -> Result<i64> {
    parse_decimal(text, precision)
}

/// The place of the first quote from `at` on, or the length.
#[inline]
pub(super) fn quote(buf: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(buf, at) {
        let bit = hits(word, b'"').trailing_zeros() as usize;
        if bit < 64 {
            return at + bit / 8;
        }
        at += 8;
    }
    let rest = buf.get(at..).unwrap_or_default();
    rest.iter().position(|&b| b == b'"').map_or(buf.len(), |n| at + n)
}

/// How a field's texts are written. Venues give a field always as many decimals, so the first text tells the form of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Ends the whole digits: the point, or the closing quote of a text without one.
    stop: u8,
    /// Decimals that the scale keeps.
    kept: u8,
    /// Bytes from the stop to the closing quote.
    tail: u8,
    /// The bytes behind the kept decimals that must be zeros, as a mask of a word.
    dropped: u64,
    /// 10^kept.
    one: i64,
}

impl Form {
    /// The form of the text from `at` to before `end`, and how many digits it has in front of its stop.
    #[inline(always)]
    pub(super) fn of(buf: &[u8], at: usize, end: usize, precision: u8) -> Option<(Form, usize)> {
        let len = end.checked_sub(at).filter(|len| (1..=LEN_MAX).contains(len))?;
        let point = hits(word(buf, at)?, b'.').trailing_zeros() as usize / 8;
        let (stop, point) = if point < len && *buf.get(at + point)? == b'.' { (b'.', point) } else { (b'"', len) };
        // A point wants decimals behind it, and those behind the kept ones are looked at in one word.
        let tail = (len - point) as u8;
        let dropped = tail.saturating_sub(1).checked_sub(precision).filter(|&n| n < 8)?;
        if tail == 1 || precision > KEPT_MAX {
            return None;
        }
        let dropped = (1 << (8 * dropped)) - 1;
        let one = POW10[usize::from(precision)];
        Some((Form { stop, kept: precision, tail, dropped, one }, point))
    }

    /// Bytes from the stop to the closing quote.
    #[inline]
    pub(super) fn tail(&self) -> usize {
        usize::from(self.tail)
    }

    /// Digits in front of the stop of the text at `at`; 8 where it is not among the first eight bytes.
    #[inline]
    pub(super) fn point(&self, buf: &[u8], at: usize) -> Option<usize> {
        Some(hits(word(buf, at)?, self.stop).trailing_zeros() as usize / 8)
    }

    /// The number at `at` if it has this form, its stop behind `point` digits. All is proven but the closing quote, which
    /// callers compare together with what follows it.
    #[inline(always)]
    pub(super) fn read(&self, buf: &[u8], at: usize, point: usize) -> Option<i64> {
        let kept = usize::from(self.kept);
        if !(1..=8).contains(&point) || *buf.get(at + point)? != self.stop {
            return None;
        }
        if self.dropped != 0 && (word(buf, at + point + 1 + kept)? ^ ZEROS) & self.dropped != 0 {
            return None;
        }
        let low = word(buf, at)?;
        if point + kept <= 8 {
            // All digits fit a word once the hole of the point is closed.
            let whole = u64::MAX >> (64 - 8 * point);
            let closed = low & whole | word(buf, at + 1)? & !whole;
            return Some(leading(closed, point + kept)? as i64);
        }
        let whole = leading(low, point)? as i64;
        let decimals = leading(word(buf, at + point + 1)?, kept)? as i64;
        // Eight and eight digits at most: this cannot overflow.
        Some(whole.wrapping_mul(self.one).wrapping_add(decimals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(text: &str, precision: u8) {
        let padded = format!("{text}\",\"1.25869000\"],[");
        assert_eq!(quote(padded.as_bytes(), 0), text.len());
        let want = parse_decimal(text.as_bytes(), precision);
        assert_eq!(decimal(padded.as_bytes(), 0, text.len(), precision), want, "{text} at {precision}");
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
