//! Checks that a line is what it should be, and learns tick and lot from it on the way (rules.md 6).
use super::steps::Steps;
use serde::de::IgnoredAny;
use tickerml_core::instrument::Venue;
use tickerml_core::units::{STAMP_NS_MAX, STAMP_NS_MIN};
use tickerml_core::wire::scan::{Cursor, Scan};

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
    /// Whether diffs chain `pu`: those of futures do, spot's never do.
    chains: bool,
    /// Diffs of its own kind, and of the other.
    diffs: [u64; 2],
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
    has_prev: bool,
    /// A venue's stamp of no day that is believed.
    bad_stamp: Option<&'a [u8]>,
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
    /// A checker for the streams of `symbol` at `venue`.
    pub(super) fn new(venue: Venue, symbol: &str) -> Checker {
        Checker {
            symbol: symbol.to_ascii_lowercase().into_bytes(),
            chains: venue.is_futures(),
            diffs: [0; 2],
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
        if let Some(stamp) = seen.bad_stamp {
            return Err(format!("venue's stamp {} is of no day from 2009 to 2199", String::from_utf8_lossy(stamp)));
        }
        let is_diff = seen.is_event && seen.channel == Channel::Depth;
        let is_other = is_diff && seen.has_prev != self.chains;
        self.diffs[usize::from(is_other)] += u64::from(is_diff);
        if is_other {
            let (found, wanted) = if self.chains { ("spot", "futures") } else { ("futures", "spot") };
            return Err(format!("a diff of {found}, and the instrument's venue is {wanted}"));
        }
        let snapshot = seen.has_last_update_id && seen.stream.is_empty() && !seen.is_event;
        Ok(if snapshot { Content::Snapshot } else { Content::Frame })
    }

    /// Whether the instrument's venue can have sent none of the diffs.
    pub(super) const fn is_of_another_venue(&self) -> bool {
        self.diffs[0] == 0 && self.diffs[1] > 0
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
            (b"pu", b'0'..=b'9') => {
                seen.has_prev = true;
                cursor.skip_value()
            }
            (b"lastUpdateId", _) => {
                seen.has_last_update_id = true;
                cursor.skip_value()
            }
            (b"E" | b"T", b'0'..=b'9' | b'-') => {
                let start = *cursor;
                if !cursor.integer().is_ok_and(is_believed) {
                    *cursor = start;
                    cursor.skip_value()?;
                    seen.bad_stamp = Some(&cursor.buf[start.at..cursor.at]);
                }
                Ok(())
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

/// Whether a venue's stamp, in ms or us, may be one. Delivery contracts have 0 for a settlement that never comes.
fn is_believed(stamp: i64) -> bool {
    let of = |unit: i64| (STAMP_NS_MIN / unit..=STAMP_NS_MAX / unit).contains(&stamp);
    stamp == 0 || of(1_000_000) || of(1_000)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let mut checker = Checker::new(Venue::BinanceSpot, "BTCUSDT");
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
        for stamp in ["1723161253937", "1723161253937085", "0"] {
            let text = format!(r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{stamp},"T":{stamp}}}}}"#);
            assert_eq!(checker.check(text.as_bytes()), Ok(Content::Frame), "{stamp}");
        }
        for stamp in ["1", "-1", "9223372036854775807", "9223372036854775808", "7258118400001", "1e3"] {
            let text = format!(r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{stamp}}}}}"#);
            assert!(checker.check(text.as_bytes()).unwrap_err().contains(stamp), "{stamp}");
        }
        let diff =
            |prev: &str| format!(r#"{{"stream":"btcusdt@depth","data":{{"e":"depthUpdate","U":1,"u":2{prev}}}}}"#);
        let (spot, futures) = (diff(""), diff(r#","pu":1"#));
        for (venue, own, other) in [(Venue::BinanceUs, &spot, &futures), (Venue::BinanceUsdm, &futures, &spot)] {
            let mut checker = Checker::new(venue, "BTCUSDT");
            assert!(checker.check(other.as_bytes()).unwrap_err().contains("the instrument's venue"), "{other}");
            assert!(checker.is_of_another_venue());
            assert_eq!(checker.check(own.as_bytes()), Ok(Content::Frame));
            assert!(!checker.is_of_another_venue(), "one that is there is proof");
        }
        let escaped = br#"{"stream":"btcusdt@trade","data":{"e":"tr\u0061de","p":"1.10","q":"2"}}"#;
        assert_eq!(checker.check(escaped), Ok(Content::Frame), "escapes are JSON too");
    }
}
