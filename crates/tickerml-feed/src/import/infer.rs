//! Checks that a line is what it should be, and learns tick and lot from it on the way (rules.md 6).
use serde::de::IgnoredAny;
use tickerml_core::units::format_decimal;
use tickerml_core::wire::scan::{Cursor, Scan, Token};

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A message of the socket.
    Frame,
    /// A REST answer with an order book.
    Snapshot,
}

/// Reads payloads of one instrument.
pub(super) struct Checker {
    /// Symbol in lower case: what a stream's name begins with.
    symbol: Vec<u8>,
    prices: Steps,
    quantities: Steps,
}

/// What a payload showed of itself so far.
#[derive(Default)]
struct Seen<'a> {
    stream: &'a [u8],
    channel: Channel,
    has_last_update_id: bool,
    is_event: bool,
}

/// Channels that count for inferred metadata; others may carry more digits.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Depth,
    Trade,
    Touch,
    #[default]
    Other,
}

impl Checker {
    /// A checker for the streams of `symbol`.
    pub(super) fn new(symbol: &str) -> Checker {
        Checker {
            symbol: symbol.to_ascii_lowercase().into_bytes(),
            prices: Steps::default(),
            quantities: Steps::default(),
        }
    }

    /// Says what `payload` is.
    pub(super) fn check(&mut self, payload: &[u8]) -> Result<Content, String> {
        let mut cursor = Cursor::new(payload, "line");
        let mut seen = Seen::default();
        let scanned = self.object(&mut cursor, &mut seen);
        if scanned.is_err() || cursor.at != payload.len() {
            // Unusual, or no JSON at all: let serde_json say which.
            serde_json::from_slice::<std::collections::BTreeMap<String, IgnoredAny>>(payload)
                .map_err(|e| e.to_string())?;
        }
        let foreign = !seen.stream.is_empty() && seen.stream[0] != b'!' && !self.is_ours(seen.stream);
        if foreign {
            return Err(format!("stream {} of another instrument", String::from_utf8_lossy(seen.stream)));
        }
        let snapshot = seen.has_last_update_id && seen.stream.is_empty() && !seen.is_event;
        Ok(if snapshot { Content::Snapshot } else { Content::Frame })
    }

    /// Price step, if any price was seen.
    pub(super) fn tick(&self) -> Option<String> {
        self.prices.text()
    }

    /// Quantity step, if any quantity was seen.
    pub(super) fn lot(&self) -> Option<String> {
        self.quantities.text()
    }

    fn is_ours(&self, stream: &[u8]) -> bool {
        stream.strip_prefix(&self.symbol[..]).is_some_and(|rest| rest.first() == Some(&b'@'))
    }

    fn object<'a>(&mut self, cursor: &mut Cursor<'a>, seen: &mut Seen<'a>) -> Scan<()> {
        cursor.expect(b'{')?;
        if cursor.accept(b'}')? {
            return Ok(());
        }
        loop {
            let key = cursor.key()?;
            self.member(key, cursor, seen)?;
            if !cursor.more(b'}')? {
                return Ok(());
            }
        }
    }

    #[inline]
    fn member<'a>(&mut self, key: &[u8], cursor: &mut Cursor<'a>, seen: &mut Seen<'a>) -> Scan<()> {
        let next = cursor.peek()?;
        match (key, next) {
            (b"b" | b"a", b'[') if seen.channel == Channel::Depth => self.levels(cursor),
            (b"b" | b"a", b'"') if seen.channel == Channel::Touch => self.prices.read(cursor),
            (b"B" | b"A", b'"') if seen.channel == Channel::Touch => self.quantities.read(cursor),
            (b"p", b'"') if seen.channel == Channel::Trade => self.prices.read(cursor),
            (b"q", b'"') if seen.channel == Channel::Trade => self.quantities.read(cursor),
            (b"stream", b'"') => {
                seen.stream = cursor.string()?;
                let at = seen.stream.iter().position(|&b| b == b'@').map_or(0, |at| at + 1);
                seen.channel = channel_of(&seen.stream[at..]);
                Ok(())
            }
            (b"data", b'{') => self.object(cursor, seen),
            (b"e", b'"') => {
                let event = cursor.string()?;
                seen.is_event = true;
                if seen.stream.is_empty() {
                    seen.channel = channel_of(event);
                }
                Ok(())
            }
            (b"lastUpdateId", _) => {
                seen.has_last_update_id = true;
                cursor.skip_value()
            }
            (_, b'0'..=b'9') => {
                let start = *cursor;
                cursor.integer().map(drop).or_else(|_| {
                    *cursor = start;
                    cursor.skip_value()
                })
            }
            _ => cursor.skip_value(),
        }
    }

    fn levels(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        cursor.expect(b'[')?;
        if cursor.accept(b']')? {
            return Ok(());
        }
        loop {
            cursor.expect(b'[')?;
            self.prices.read(cursor)?;
            cursor.expect(b',')?;
            self.quantities.read(cursor)?;
            cursor.expect(b']')?;
            if !cursor.more(b']')? {
                return Ok(());
            }
        }
    }
}

/// Channel of a stream's name behind the `@`, or of an event type.
fn channel_of(name: &[u8]) -> Channel {
    match name {
        b"trade" | b"aggTrade" => Channel::Trade,
        b"bookTicker" => Channel::Touch,
        _ if name.starts_with(b"depth") => Channel::Depth,
        _ => Channel::Other,
    }
}

/// The finest step that all numbers seen are multiples of: most decimals, greatest common divisor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Steps {
    decimals: usize,
    /// Common divisor, in 10^-decimals; 0 before the first number.
    unit: u64,
}

impl Steps {
    /// Reads a quoted decimal.
    #[inline]
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
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

    fn text(&self) -> Option<String> {
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

    #[test]
    fn lines_are_told_apart() {
        let mut checker = Checker::new("BTCUSDT");
        let frame = br#"{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"1.10","q":"2"}}"#;
        assert_eq!(checker.check(frame), Ok(Content::Frame));
        assert_eq!((checker.tick().as_deref(), checker.lot().as_deref()), (Some("1.1"), Some("2")));
        let mark = br#"{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","p":"1.12345678"}}"#;
        assert_eq!(checker.check(mark), Ok(Content::Frame));
        assert_eq!(checker.tick().as_deref(), Some("1.1"), "only depth, trade and bookTicker count");
        assert_eq!(checker.check(br#"{"lastUpdateId":1,"bids":[["1.5","3"]],"asks":[]}"#), Ok(Content::Snapshot));
        assert_eq!(checker.check(br#"{"result":null,"id":1}"#), Ok(Content::Frame));
        for bad in [&b"{\"stream\":\"btcusdt@trade\",\"da"[..], b"", b"hello", b"[1]", b"{} x", b"\xff\xfe"] {
            assert!(checker.check(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(checker.check(br#"{"stream":"ethusdt@trade","data":{}}"#).unwrap_err().contains("another instrument"));
        let escaped = br#"{"stream":"btcusdt@trade","data":{"e":"tr\u0061de","p":"1.10","q":"2"}}"#;
        assert_eq!(checker.check(escaped), Ok(Content::Frame), "escapes are JSON too");
    }
}
