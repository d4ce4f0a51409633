//! Binance market streams: spot, Binance.US, USD-M and COIN-M (exchanges.md 1 to 3).
//!
//! The hot messages (depthUpdate, trade, aggTrade, bookTicker, markPriceUpdate) are read by hand; field order does not matter,
//! unknown fields are skipped, a repeated field's last value counts, as serde_json has it. What the scanner does not take is
//! rewritten once by serde_json and read again ([`super::binance_plain`]).
use super::binance_plain;
use super::number;
use super::scan::{Cursor, Scan, Token};
use crate::error::{Error, Result};
use crate::event::{Row, RowKind, flag};
use crate::units::UNDEF_TS_NS;

/// Decimals of mark prices in rows of kind 9 (contract.md, "Event files").
const MARK_PRECISION: u8 = 8;
/// Decimals of funding rates in rows of kind 8.
const RATE_PRECISION: u8 = 12;

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

/// Fields of any hot message, each the raw text or number of its last occurrence.
#[derive(Default)]
struct Fields<'a> {
    event: &'a [u8],
    event_time: Option<i64>,
    match_time: Option<i64>,
    depth: DepthIds,
    has_first: bool,
    has_last: bool,
    id: Option<u64>,
    aggregate_id: Option<u64>,
    trades: (u64, u64),
    maker_is_buyer: Option<bool>,
    /// Offsets just behind the opening quote of p, q, i, r, b, B, a, A.
    text_at: [Option<usize>; 8],
}

const P: usize = 0;
const Q: usize = 1;
const I: usize = 2;
const R: usize = 3;
const BID: usize = 4;
const BID_QTY: usize = 5;
const ASK: usize = 6;
const ASK_QTY: usize = 7;

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
                (fields.aggregate_id, fields.text_at[ASK]) = (Some(id(cursor)?), None);
            }
            b"p" => fields.text_at[P] = Some(text(cursor)?),
            b"q" => fields.text_at[Q] = Some(text(cursor)?),
            b"i" => fields.text_at[I] = Some(text(cursor)?),
            b"r" => fields.text_at[R] = Some(text(cursor)?),
            b"b" if cursor.peek()? == b'"' => fields.text_at[BID] = Some(text(cursor)?),
            b"b" => {
                fields.text_at[BID] = None;
                cursor.skip_value()?;
            }
            b"B" => fields.text_at[BID_QTY] = Some(text(cursor)?),
            b"a" => (fields.text_at[ASK], fields.aggregate_id) = (Some(text(cursor)?), None),
            b"A" => fields.text_at[ASK_QTY] = Some(text(cursor)?),
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

/// Skips a string or other value and returns where its text starts; a value that is no string is left for [`price`] to refuse.
#[inline]
fn text(cursor: &mut Cursor<'_>) -> Scan<usize> {
    if cursor.peek()? != b'"' {
        cursor.skip_value()?;
        return Ok(usize::MAX);
    }
    let at = cursor.at + 1;
    cursor.string()?;
    Ok(at)
}

fn body(c: &Cursor<'_>, f: &Fields<'_>, scale: Scale, sides: (bool, bool), out: &mut Vec<Row>) -> Scan<Body> {
    let channel = match f.event {
        // Spot's bookTicker names no type (exchanges.md 1.4).
        b"" if f.has_last && f.text_at[BID].is_some() => Channel::Touch,
        event => channel_of(event),
    };
    if channel != Channel::Depth && (sides.0 || sides.1) {
        return match channel {
            Channel::Unknown => Ok(Body::Other(channel)),
            _ => Err(c.bad("levels in a message that is no diff")),
        };
    }
    match channel {
        Channel::Depth => {
            if !(f.has_first && f.has_last && sides.0 && sides.1) {
                return Err(c.bad("a diff without U, u, b or a"));
            }
            Ok(Body::Depth(f.depth))
        }
        Channel::Trade | Channel::AggTrade => trade(c, f, channel, scale, out),
        Channel::Touch => {
            for (kind_flag, px_at, qty_at) in [(0, BID, BID_QTY), (flag::ASK_SIDE, ASK, ASK_QTY)] {
                let px = price(c, f.text_at[px_at], scale.price_precision)?;
                let qty = price(c, f.text_at[qty_at], scale.qty_precision)?;
                out.push(Row::new(RowKind::Touch, px, qty, kind_flag)?);
            }
            Ok(Body::Touch)
        }
        Channel::Mark => {
            out.push(Row::new(RowKind::Mark, price(c, f.text_at[P], MARK_PRECISION)?, 0, 0)?);
            if f.text_at[I].is_some() {
                out.push(Row::new(RowKind::Mark, price(c, f.text_at[I], MARK_PRECISION)?, 0, flag::ASK_SIDE)?);
            }
            if let (Some(at), Some(settles)) = (f.text_at[R], f.match_time) {
                if at == usize::MAX {
                    return Err(c.bad("a funding rate is no text"));
                }
                // An empty rate is that of an instrument without funding.
                if c.buf.get(at) != Some(&b'"') {
                    out.push(Row::new(RowKind::Funding, signed(c, at, RATE_PRECISION)?, settles, 0)?);
                }
            }
            Ok(Body::Mark)
        }
        other => Ok(Body::Other(other)),
    }
}

fn trade(c: &Cursor<'_>, f: &Fields<'_>, channel: Channel, scale: Scale, out: &mut Vec<Row>) -> Scan<Body> {
    // Binance.US trades carry order ids `b` and `a` beside `t` (exchanges.md 2).
    let id = if channel == Channel::Trade { f.id } else { f.aggregate_id };
    let (Some(id), Some(maker_is_buyer)) = (id, f.maker_is_buyer) else {
        return Err(c.bad("a trade without id or side"));
    };
    let px = price(c, f.text_at[P], scale.price_precision)?;
    let qty = price(c, f.text_at[Q], scale.qty_precision)?;
    if qty > 0 {
        let kind = if maker_is_buyer { RowKind::SellTrade } else { RowKind::BuyTrade };
        out.push(Row::new(kind, px, qty, 0)?);
    }
    Ok(if channel == Channel::Trade { Body::Trade { id } } else { Body::AggTrade { id, trades: f.trades } })
}

/// A price or quantity whose text starts at `at`: never negative.
#[inline]
fn price(c: &Cursor<'_>, at: Option<usize>, precision: u8) -> Scan<i64> {
    let at = at.filter(|&at| at != usize::MAX).ok_or_else(|| c.bad("a price or quantity is missing or no text"))?;
    let value = signed(c, at, precision)?;
    if value < 0 { Err(c.bad("negative price or quantity")) } else { Ok(value) }
}

#[inline]
fn signed(c: &Cursor<'_>, at: usize, precision: u8) -> Scan<i64> {
    Ok(number::quoted(c.buf, at, precision)?.0)
}

/// Milliseconds, or microseconds where the stream was asked for them (exchanges.md 0.4), as ns.
fn stamp_ns(c: &Cursor<'_>, stamp: i64) -> Scan<i64> {
    /// Stamps from here on are microseconds: as milliseconds this would be the year 5138.
    const MICROSECONDS_FROM: i64 = 100_000_000_000_000;
    let scale = if stamp >= MICROSECONDS_FROM { 1_000 } else { 1_000_000 };
    stamp.checked_mul(scale).ok_or_else(|| c.bad("time out of range"))
}

/// Reads `[["px","qty"],...]`. A repeated array takes the slow way.
pub(super) fn levels(
    cursor: &mut Cursor<'_>,
    kind: RowKind,
    flags: u8,
    scale: Scale,
    out: &mut Vec<Row>,
    seen: &mut bool,
) -> Scan<()> {
    if *seen {
        // serde_json keeps the last one.
        return Err(Token::Escape);
    }
    *seen = true;
    cursor.expect(b'[')?;
    let first = cursor.at;
    cursor.at = usual_levels(cursor.buf, first, kind, flags, scale, out);
    // Behind a comma another level must follow.
    let mut more = cursor.at != first || !cursor.accept(b']')?;
    while more {
        let (px, qty) = level(cursor, scale)?;
        if px | qty < 0 {
            return Err(cursor.bad("negative price or quantity"));
        }
        out.push(Row::new(kind, px, qty, flags)?);
        more = cursor.more(b']')?;
    }
    Ok(())
}

/// Reads levels as Binance writes them, `["px","qty"],` without white space, as far as they go: up to the last one (which no
/// comma follows), the end of the text or anything unusual. Returns where it stopped.
fn usual_levels(buf: &[u8], mut at: usize, kind: RowKind, flags: u8, scale: Scale, out: &mut Vec<Row>) -> usize {
    let one = |at: usize| {
        let text_at = buf.get(at..at + 2).filter(|text| text == b"[\"").map(|_| at + 2)?;
        let (px, end) = number::fixed(buf, text_at, scale.price_precision)?;
        let text_at = buf.get(end..end + 3).filter(|text| text == b"\",\"").map(|_| end + 3)?;
        let (qty, end) = number::fixed(buf, text_at, scale.qty_precision)?;
        let next = buf.get(end..end + 3).filter(|text| text == b"\"],").map(|_| end + 3)?;
        Some((Row::small(kind, px, qty, flags), next))
    };
    while let Some((row, next)) = one(at) {
        out.push(row);
        at = next;
    }
    at
}

#[inline]
fn level(cursor: &mut Cursor<'_>, scale: Scale) -> Scan<(i64, i64)> {
    open_text(cursor, b'[')?;
    let px = quoted(cursor, scale.price_precision)?;
    open_text(cursor, b',')?;
    let qty = quoted(cursor, scale.qty_precision)?;
    if cursor.buf.get(cursor.at) == Some(&b']') {
        cursor.at += 1;
        return Ok((px, qty));
    }
    // Older messages carry a third, empty element.
    while cursor.more(b']')? {
        cursor.skip_value()?;
    }
    Ok((px, qty))
}

/// Consumes `byte` and the quote behind it.
#[inline]
fn open_text(cursor: &mut Cursor<'_>, byte: u8) -> Scan<()> {
    if cursor.buf.get(cursor.at..cursor.at + 2) == Some(&[byte, b'"']) {
        cursor.at += 2;
        return Ok(());
    }
    cursor.expect(byte)?;
    cursor.expect(b'"')
}

#[inline]
fn quoted(cursor: &mut Cursor<'_>, precision: u8) -> Scan<i64> {
    let (value, end) = number::quoted(cursor.buf, cursor.at, precision)?;
    cursor.at = end;
    cursor.expect(b'"')?;
    Ok(value)
}
