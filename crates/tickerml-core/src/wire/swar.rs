//! Eight bytes of text at a time, in one register: what every reader of this module stands on.
//!
//! Plain integer arithmetic, so that it is the same on every machine; a word is little-endian, its lowest byte is the first one
//! of the text.

pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGHS: u64 = 0x8080_8080_8080_8080;
/// Eight times `'0'`.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight bytes from `at` on, none where the text ends before.
#[inline]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The high bit of each byte of `word` that may equal `byte`; the lowest one set is exact, borrows raise false ones only
/// behind it.
#[inline]
pub(super) const fn hits(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * byte as u64);
    x.wrapping_sub(ONES) & !x & HIGHS
}

/// Lifts a byte of 10 and above over its high bit. What would carry into its neighbour has its own high bit already.
const LIFT: u64 = 0x7676_7676_7676_7676;

/// Whether each byte of `digits` is a digit's value, 0 to 9.
#[inline]
pub(super) const fn are_digits(digits: u64) -> bool {
    (digits.wrapping_add(LIFT) | digits) & HIGHS == 0
}

/// The number that eight digits' values spell, the first one the highest: pairs, then the four pairs in two products that do
/// not wait for each other.
#[inline]
pub(super) const fn value(digits: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00FF_0000_00FF;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let outer = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let inner = (pairs >> 16 & PAIRS).wrapping_mul(1 + (10_000 << 32));
    outer.wrapping_add(inner) >> 32
}

/// The value of the first `count` (1..=8) ASCII digits of `text`, none where one of them is no digit.
#[inline(always)]
pub(super) fn leading(text: u64, count: usize) -> Option<u64> {
    debug_assert!((1..=8).contains(&count));
    // The places in front become zeros.
    let digits = (text ^ ZEROS) << (64 - 8 * count);
    are_digits(digits).then(|| value(digits))
}

/// The whole number of at most fifteen digits at `at`, without a sign or a needless zero, and its length; a comma or a closing
/// brace must follow. A length of 0 stands for anything else, right or wrong: two plain integers come back in registers, which
/// counts where half of a message is ids and times.
pub(super) fn whole(text: &[u8], at: usize) -> (i64, usize) {
    let rest = text.get(at..).unwrap_or_default();
    let bytes: [u8; 16] = rest.first_chunk().copied().unwrap_or_else(|| padded(rest));
    let [head, tail] = [0, 8].map(|at| word(&bytes, at).unwrap_or_default() ^ ZEROS);
    let (number, len) = match (length(head), length(tail)) {
        (8, 8) => return (0, 0),
        (8, more) => (value(head) * TENS[more] + value(first(tail, more)), 8 + more),
        (len, _) => (value(first(head, len)), len),
    };
    let usual = (bytes[0] != b'0' || len == 1) && matches!(bytes[len], b',' | b'}');
    if usual { (number as i64, len) } else { (0, 0) }
}

/// The last bytes of a text with zeros behind, which are no digits.
#[inline]
pub(super) fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(text).for_each(|(to, &from)| *to = from);
    bytes
}

/// 10^n for the up to seven digits of a second word.
const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The first `count` (0..=7) digits' values with zeros in front.
#[inline]
const fn first(digits: u64, count: usize) -> u64 {
    digits << 8 << (56 - 8 * count)
}

/// How many bytes from the first on are digits' values.
#[inline]
const fn length(digits: u64) -> usize {
    ((digits.wrapping_add(LIFT) | digits) & HIGHS).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_digits(word in any::<u64>(), text in "[0-9]{8}") {
            prop_assert_eq!(are_digits(word), word.to_le_bytes().iter().all(|&b| b <= 9));
            let text_word = word_of(&text);
            prop_assert!(are_digits(text_word ^ ZEROS));
            for count in 1..=8 {
                prop_assert_eq!(leading(text_word, count), text[..count].parse().ok());
            }
        }

        #[test]
        fn whole_numbers_are_whole(text in "[0-9]{0,18}[,} .e0]{0,3}") {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let sound = (1..=15).contains(&digits) && (digits == 1 || !text.starts_with('0'));
            let closed = text[digits..].starts_with([',', '}']);
            let want = if sound && closed { (text[..digits].parse().unwrap(), digits) } else { (0, 0) };
            prop_assert_eq!(whole(text.as_bytes(), 0), want);
            prop_assert_eq!(whole(format!("x{text} behind it, as in a frame").as_bytes(), 1), if closed { want } else { (0, 0) });
        }

        #[test]
        fn the_first_hit_is_exact(text in "[./0\u{1}]{8}") {
            let first = text.find('.').map_or(64, |at| 8 * at as u32 + 7);
            prop_assert_eq!(hits(word_of(&text), b'.').trailing_zeros(), first);
        }
    }

    fn word_of(text: &str) -> u64 {
        word(text.as_bytes(), 0).unwrap()
    }
}
