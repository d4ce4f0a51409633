//! Tick and lot of an instrument, learned from its prices and quantities (rules.md 6).
use tickerml_core::units::format_decimal;
use tickerml_core::wire::scan::{Cursor, Scan, Token};

/// The finest step that all numbers seen are multiples of: most decimals, greatest common divisor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    decimals: usize,
    /// Common divisor, in 10^-decimals; 0 before the first number.
    unit: u64,
}

impl Steps {
    /// Reads a quoted decimal.
    #[inline]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        cursor.expect(b'"')?;
        let start = cursor.at;
        let rest = &cursor.buf[start..];
        let whole = digits(rest);
        let fraction = if rest.get(whole) == Some(&b'.') { 1 + digits(&rest[whole + 1..]) } else { 0 };
        let end = whole + fraction;
        if whole == 0 || fraction == 1 || rest.get(end) != Some(&b'"') {
            return Err(Token::Escape);
        }
        cursor.at = start + end + 1;
        let fraction = &rest[end.min(whole + 1)..end];
        let fits = fraction.get(self.decimals..).is_none_or(|more| more.iter().all(|&b| b == b'0'));
        if self.unit == 1 && fits { Ok(()) } else { self.learn(&rest[..whole], fraction).ok_or(Token::Escape) }
    }

    /// Takes a number into account; none where it is too large for 64 bits.
    fn learn(&mut self, whole: &[u8], fraction: &[u8]) -> Option<()> {
        let significant = fraction.iter().rposition(|&b| b != b'0').map_or(0, |at| at + 1);
        let decimals = significant.max(self.decimals);
        let zeros = std::iter::repeat(&b'0');
        let mut value: u64 = 0;
        for digit in whole.iter().chain(fraction.iter().chain(zeros).take(decimals)) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        let unit = self.unit.checked_mul(10u64.checked_pow((decimals - self.decimals) as u32)?)?;
        self.decimals = decimals;
        self.unit = common_divisor(unit, value);
        Some(())
    }

    /// The step as decimal text; none before the first number above 0.
    pub(super) fn text(&self) -> Option<String> {
        (self.unit > 0).then(|| format_decimal(i128::from(self.unit), self.decimals as u8))
    }
}

/// Digits at the start of `bytes`, eight at a time: most numbers are shorter than that on either side of the point.
#[inline]
fn digits(bytes: &[u8]) -> usize {
    let mut seen = 0;
    while let Some(eight) = bytes[seen..].first_chunk::<8>() {
        // A byte is a digit where its high half is 3 and stays 3 when 6 is added.
        let word = u64::from_le_bytes(*eight);
        let high = (word & HIGH) ^ THREES;
        let carried = (word.wrapping_add(SIXES) & HIGH) ^ THREES;
        let other = high | carried;
        if other != 0 {
            return seen + (other.trailing_zeros() / 8) as usize;
        }
        seen += 8;
    }
    seen + bytes[seen..].iter().take_while(|b| b.is_ascii_digit()).count()
}

const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
const THREES: u64 = 0x3030_3030_3030_3030;
const SIXES: u64 = 0x0606_0606_0606_0606;

const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(texts: &[&str]) -> Option<String> {
        let mut steps = Steps::default();
        for text in texts {
            let quoted = format!("\"{text}\"");
            steps.read(&mut Cursor::new(quoted.as_bytes(), "test")).unwrap();
        }
        steps.text()
    }

    #[test]
    fn steps_are_most_decimals_and_common_divisor() {
        assert_eq!(steps(&["61685.99000000", "0.00000000", "61686.00"]).as_deref(), Some("0.01"));
        assert_eq!(steps(&["10.5", "11.0", "12"]).as_deref(), Some("0.5"));
        assert_eq!(steps(&["100", "250", "1000"]).as_deref(), Some("50"));
        assert_eq!(steps(&["1", "0.00000001"]).as_deref(), Some("0.00000001"));
        assert_eq!((steps(&["0.000"]), steps(&[])), (None, None));
        assert_eq!(steps(&["7.0", "7.25"]).as_deref(), Some("0.25"), "what came before is scaled with it");
    }

    #[test]
    fn digits_are_counted_at_any_length() {
        for length in 0..40 {
            for end in [&b""[..], b".", b"\"", b"/", b":", b"\xff\xff", b"\x00", b"a1234567890"] {
                let text = [&b"9081726354"[..].repeat(4)[..length], end].concat();
                assert_eq!(digits(&text), length, "{length} {end:?}");
            }
        }
    }
}
