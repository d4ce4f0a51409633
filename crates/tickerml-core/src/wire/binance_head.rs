//! The outside of a Binance frame: enough to route it and to watch its sequence, without touching levels.
use super::binance::{Channel, DepthIds, channel_of};
use super::scan::{Cursor, Scan, Token};
use crate::error::{Error, Result};

/// The outside of a frame: enough to route it and to watch its sequence, without touching levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What it is.
    pub channel: Channel,
    /// Symbol in upper case as the payload has it, or empty.
    pub symbol: &'a [u8],
    /// Stream name of the combined wrapper (`btcusdt@depth@100ms`), or empty.
    pub stream: &'a [u8],
    /// Ids of a diff.
    pub depth: DepthIds,
    /// Trade id (`t`, or `a` of an aggTrade); 0 for others.
    pub id: u64,
}

/// Stream name of a combined frame in its usual form, without reading further.
#[inline]
pub fn stream_name(frame: &[u8]) -> Option<&[u8]> {
    let rest = frame.strip_prefix(b"{\"stream\":\"")?;
    // The longest name, a symbol of 24 letters with @markPrice@1s, is far shorter.
    let end = rest.iter().take(64).position(|&b| b == b'"')?;
    Some(&rest[..end])
}

/// Routes a frame without reading its levels. Fields may come in any order; reading stops at the levels or the price once all
/// is known, so of a key repeated behind them the first one counts, and what stands there is not proven to be JSON.
///
/// # Errors
/// [`Error::BadMessage`] for text that is no message of this venue, or whose names hold escapes.
pub fn head(frame: &[u8]) -> Result<Head<'_>> {
    let mut cursor = Cursor::new(frame, "binance frame");
    read_head(&mut cursor).map_err(|token| match token {
        Token::Bad(error) => error,
        Token::Escape => Error::BadMessage { what: "binance frame", offset: cursor.at, reason: "escaped text" },
    })
}

/// What the outside of an object told so far.
#[derive(Default)]
struct Seen<'a> {
    event: Option<&'a [u8]>,
    symbol: Option<&'a [u8]>,
    first: Option<u64>,
    last: Option<u64>,
    prev: Option<u64>,
    trade: Option<u64>,
    aggregate: Option<u64>,
    bid_is_text: bool,
    has_last: bool,
    result: bool,
    code: bool,
    /// Stopped at the levels or the price.
    stopped: bool,
}

fn read_head<'a>(cursor: &mut Cursor<'a>) -> Scan<Head<'a>> {
    let mut stream: &[u8] = b"";
    let mut payload = None;
    let mut top = Seen::default();
    cursor.expect(b'{')?;
    let mut more = !cursor.accept(b'}')?;
    while more {
        match cursor.key()? {
            b"stream" => stream = name(cursor)?,
            b"data" if cursor.peek()? == b'{' => {
                let mut seen = Seen::default();
                seen.read_object(cursor, !stream.is_empty())?;
                if seen.stopped {
                    return Ok(seen.head(stream));
                }
                payload = Some(seen);
            }
            b"data" => {
                payload = None;
                cursor.skip_value()?;
            }
            key => top.read_member(key, cursor, true)?,
        }
        if top.stopped {
            break;
        }
        more = cursor.more(b'}')?;
    }
    if let Some(payload) = payload {
        return Ok(payload.head(stream));
    }
    if top.event.is_some() || top.has_last {
        return Ok(top.head(stream));
    }
    let channel = match (top.code, top.result) {
        (true, _) => Channel::Error,
        (false, true) => Channel::Ack,
        _ => Channel::Unknown,
    };
    Ok(Head { channel, symbol: b"", stream, depth: DepthIds::default(), id: 0 })
}

impl<'a> Seen<'a> {
    fn read_object(&mut self, cursor: &mut Cursor<'a>, may_stop: bool) -> Scan<()> {
        cursor.expect(b'{')?;
        let mut more = !cursor.accept(b'}')?;
        while more && !self.stopped {
            let key = cursor.key()?;
            self.read_member(key, cursor, may_stop)?;
            more = !self.stopped && cursor.more(b'}')?;
        }
        Ok(())
    }

    #[inline]
    fn read_member(&mut self, key: &[u8], cursor: &mut Cursor<'a>, may_stop: bool) -> Scan<()> {
        match key {
            b"e" => self.event = Some(cursor.string()?),
            b"s" => self.symbol = Some(name(cursor)?),
            b"U" => self.first = id(cursor)?,
            b"u" => (self.last, self.has_last) = (id(cursor)?, true),
            b"pu" => self.prev = id(cursor)?,
            b"t" => self.trade = id(cursor)?,
            b"b" | b"a" | b"p" if may_stop && self.is_known(cursor) => self.stopped = true,
            b"a" => self.aggregate = id(cursor)?,
            b"b" => {
                self.bid_is_text = cursor.peek()? == b'"';
                cursor.skip_value()?;
            }
            b"result" => {
                self.result = true;
                cursor.skip_value()?;
            }
            b"code" => {
                self.code = true;
                cursor.skip_value()?;
            }
            _ => cursor.skip_value()?,
        }
        Ok(())
    }

    /// Whether nothing that the head gives can stand behind this place.
    #[inline]
    fn is_known(&self, cursor: &Cursor<'_>) -> bool {
        if self.symbol.is_none() {
            return false;
        }
        match self.channel() {
            Channel::Depth => {
                let ids = self.first.is_some() && self.last.is_some();
                // Spot has no `pu`; its levels hold no letters.
                ids && (self.prev.is_some() || !holds(&cursor.buf[cursor.at..], b'p'))
            }
            Channel::Trade => self.trade.is_some(),
            Channel::AggTrade => self.aggregate.is_some(),
            Channel::Touch | Channel::Mark => self.event.is_some(),
            _ => false,
        }
    }

    fn channel(&self) -> Channel {
        match self.event.unwrap_or_default() {
            // Spot's bookTicker names no type (exchanges.md 1.4).
            b"" if self.last.is_some() && self.bid_is_text => Channel::Touch,
            event => channel_of(event),
        }
    }

    fn head(&self, stream: &'a [u8]) -> Head<'a> {
        let channel = self.channel();
        let id = match channel {
            Channel::Trade => self.trade,
            Channel::AggTrade => self.aggregate,
            _ => None,
        };
        let ids = if channel == Channel::Depth { (self.first, self.last, self.prev) } else { (None, None, None) };
        Head {
            channel,
            symbol: self.symbol.unwrap_or_default(),
            stream,
            depth: DepthIds { first: ids.0.unwrap_or(0), last: ids.1.unwrap_or(0), prev: ids.2 },
            id: id.unwrap_or(0),
        }
    }
}

/// A text, or empty where the value is none.
#[inline]
fn name<'a>(cursor: &mut Cursor<'a>) -> Scan<&'a [u8]> {
    if cursor.peek()? == b'"' {
        return cursor.string();
    }
    cursor.skip_value()?;
    Ok(b"")
}

/// An id, or none where the value is none: the field may be another message's.
#[inline]
fn id(cursor: &mut Cursor<'_>) -> Scan<Option<u64>> {
    let at = cursor.at;
    if let Ok(n) = cursor.integer() {
        return Ok(u64::try_from(n).ok());
    }
    cursor.at = at;
    cursor.skip_value()?;
    Ok(None)
}

/// Whether `byte` is in `text`: without a branch a byte, so that the compiler looks at many at once.
#[inline]
fn holds(text: &[u8], byte: u8) -> bool {
    text.iter().fold(0u8, |hit, &b| hit | u8::from(b == byte)) != 0
}
