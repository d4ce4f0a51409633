//! Binance market streams: spot, Binance.US, USD-M and COIN-M (exchanges.md 1 to 3).
//!
//! The hot messages (depthUpdate, trade, aggTrade, bookTicker, markPriceUpdate) are read by hand; field order does not matter,
//! unknown fields are skipped, a repeated field's last value counts, as serde_json has it. What the scanner does not take is
//! rewritten once by serde_json and read again ([`super::binance_plain`]).
use super::binance_body::{ASK, ASK_QTY, BID, BID_QTY, Fields, I, P, Q, R, Text, body, stamp_ns, text};
use super::binance_levels::levels;
use super::binance_plain;
use super::scan::{Cursor, Scan, Token};
use crate::error::{Error, Result};
use crate::event::{Row, RowKind};
use crate::units::UNDEF_TS_NS;

/// Scale of an instrument's integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Decimals of prices.
    pub price_precision: u8,
    /// Decimals of quantities.
    pub qty_precision: u8,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// depthUpdate.
    Depth,
    /// trade: one event a fill.
    Trade,
    /// aggTrade: fills of one taker order at one price.
    AggTrade,
    /// bookTicker.
    Touch,
    /// markPriceUpdate.
    Mark,
    /// serverShutdown: the venue will close this socket.
    Shutdown,
    /// Answer to a subscription.
    Ack,
    /// `{"code":..,"msg":..}`.
    Error,
    /// A type that we do not read; ignored and counted.
    Unknown,
}

/// Update ids of a diff. `prev` is `pu` on futures, none on spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepthIds {
    /// `U`: first update id of the event.
    pub first: u64,
    /// `u`: final update id.
    pub last: u64,
    /// `pu`: final update id of the event before.
    pub prev: Option<u64>,
}

/// A decoded message. Its rows were appended to the caller's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The venue's time: T, else E (of a mark price always E), ns since 1970; [`UNDEF_TS_NS`] where it gives none.
    pub ts_event_ns: i64,
    /// What it says.
    pub body: Body,
}

/// What a decoded message says beyond its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A diff; its levels are rows.
    Depth(DepthIds),
    /// A trade. Price and quantity "0" (an id without a public fill, exchanges.md 3.3) gives no row.
    Trade {
        /// Dense per symbol.
        id: u64,
    },
    /// An aggregated trade.
    AggTrade {
        /// Dense per symbol, an id space of its own.
        id: u64,
        /// First and last trade id inside.
        trades: (u64, u64),
    },
    /// Best bid and ask: two rows.
    Touch,
    /// Mark and index price and the running funding rate: up to three rows.
    Mark,
    /// Nothing that reaches a book.
    Other(Channel),
}

pub(super) fn channel_of(event: &[u8]) -> Channel {
    match event {
        b"depthUpdate" => Channel::Depth,
        b"trade" => Channel::Trade,
        b"aggTrade" => Channel::AggTrade,
        b"bookTicker" => Channel::Touch,
        b"markPriceUpdate" => Channel::Mark,
        b"serverShutdown" => Channel::Shutdown,
        _ => Channel::Unknown,
    }
}

/// Reads a frame of an instrument with this scale and appends its rows to `out`.
///
/// # Errors
/// [`Error::BadMessage`] for text that is not the message that it says to be, [`Error::BadNumber`] for a price or quantity
/// that is negative or does not fit the scale. `out` is then as before.
pub fn decode(frame: &[u8], scale: Scale, out: &mut Vec<Row>) -> Result<Decoded> {
    let before = out.len();
    let mut result = read_frame(frame, scale, out);
    if let Err(first) = result {
        out.truncate(before);
        result = read_again(frame, scale, out, first);
    }
    if matches!(result, Err(_) | Ok(Decoded { body: Body::Other(_), .. })) {
        out.truncate(before);
    }
    result.map_err(|token| match token {
        Token::Bad(error) => error,
        Token::Escape => Error::BadMessage { what: "binance frame", offset: 0, reason: "escaped text" },
    })
}

/// Reads the frame as serde_json rewrites it; where that does not help, `first` is what was wrong.
#[cold]
fn read_again(frame: &[u8], scale: Scale, out: &mut Vec<Row>, first: Token) -> Scan<Decoded> {
    let Some(text) = binance_plain::frame(frame) else { return Err(first) };
    read_frame(&text, scale, out).map_err(|second| if first == Token::Escape { second } else { first })
}

fn read_frame(frame: &[u8], scale: Scale, out: &mut Vec<Row>) -> Scan<Decoded> {
    let mut cursor = Cursor::new(frame, "binance frame");
    let mut decoded = None;
    let mut other = Channel::Unknown;
    let start = cursor;
    cursor.expect(b'{')?;
    let mut more = !cursor.accept(b'}')?;
    while more {
        match cursor.key()? {
            b"data" if decoded.is_some() => return Err(Token::Escape),
            b"data" if cursor.peek()? == b'{' => decoded = Some(read_payload(&mut cursor, scale, out)?),
            b"e" | b"u" if decoded.is_none() => {
                // No wrapper: the object itself is the payload.
                cursor = start;
                decoded = Some(read_payload(&mut cursor, scale, out)?);
                break;
            }
            key => {
                other = match key {
                    b"code" => Channel::Error,
                    b"result" if other == Channel::Unknown => Channel::Ack,
                    _ => other,
                };
                cursor.skip_value()?;
            }
        }
        more = cursor.more(b'}')?;
    }
    cursor.end()?;
    Ok(decoded.unwrap_or(Decoded { ts_event_ns: UNDEF_TS_NS, body: Body::Other(other) }))
}

fn read_payload(cursor: &mut Cursor<'_>, scale: Scale, out: &mut Vec<Row>) -> Scan<Decoded> {
    let mut fields = Fields::default();
    let (mut bids, mut asks) = (false, false);
    cursor.expect(b'{')?;
    let mut more = !cursor.accept(b'}')?;
    while more {
        let key = cursor.key()?;
        match key {
            b"e" => fields.event = cursor.string()?,
            b"E" => fields.event_time = Some(cursor.integer()?),
            b"T" => fields.match_time = Some(cursor.integer()?),
            b"U" => (fields.depth.first, fields.has_first) = (id(cursor)?, true),
            b"u" => (fields.depth.last, fields.has_last) = (id(cursor)?, true),
            b"pu" => fields.depth.prev = Some(id(cursor)?),
            b"t" => fields.id = Some(id(cursor)?),
            b"f" => fields.trades.0 = id(cursor)?,
            b"l" => fields.trades.1 = id(cursor)?,
            b"m" => fields.maker_is_buyer = Some(cursor.boolean()?),
            b"b" if cursor.peek()? == b'[' => levels(cursor, RowKind::Bid, 0, scale, out, &mut bids)?,
            b"a" if cursor.peek()? == b'[' => levels(cursor, RowKind::Ask, 0, scale, out, &mut asks)?,
            // The last of a repeated key counts, and this one holds no levels.
            b"b" if bids => return Err(Token::Escape),
            b"a" if asks => return Err(Token::Escape),
            b"a" if cursor.peek()? != b'"' => {
                (fields.aggregate_id, fields.texts[ASK]) = (Some(id(cursor)?), Text::Absent);
            }
            b"p" => text(cursor, &mut fields.texts[P])?,
            b"q" => text(cursor, &mut fields.texts[Q])?,
            b"i" => text(cursor, &mut fields.texts[I])?,
            b"r" => text(cursor, &mut fields.texts[R])?,
            b"b" if cursor.peek()? == b'"' => text(cursor, &mut fields.texts[BID])?,
            b"b" => {
                fields.texts[BID] = Text::Absent;
                cursor.skip_value()?;
            }
            b"B" => text(cursor, &mut fields.texts[BID_QTY])?,
            b"a" => {
                fields.aggregate_id = None;
                text(cursor, &mut fields.texts[ASK])?;
            }
            b"A" => text(cursor, &mut fields.texts[ASK_QTY])?,
            // A wrapper that has a type of its own: the payload is what counts.
            b"data" if cursor.peek()? == b'{' => return Err(Token::Escape),
            _ => cursor.skip_value()?,
        }
        more = cursor.more(b'}')?;
    }
    let body = body(cursor, &fields, scale, (bids, asks), out)?;
    // A mark price's T is the next settlement, not a time of the message (exchanges.md 3.3).
    let stamp = if body == Body::Mark { fields.event_time } else { fields.match_time.or(fields.event_time) };
    let ts = stamp.map_or(Ok(UNDEF_TS_NS), |t| stamp_ns(cursor, t))?;
    Ok(Decoded { ts_event_ns: ts, body })
}

/// An id that is not negative.
#[inline]
fn id(cursor: &mut Cursor<'_>) -> Scan<u64> {
    u64::try_from(cursor.integer()?).map_err(|_| cursor.bad("negative id"))
}
