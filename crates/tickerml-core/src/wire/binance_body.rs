//! What the fields of a Binance payload say together: the body of the message and its rows.
use super::binance::{Body, Channel, DepthIds, Scale, channel_of};
use super::number;
use super::scan::{Cursor, Scan};
use crate::event::{Row, RowKind, flag};
use crate::units::STAMP_NS_MAX;

/// Decimals of mark prices in rows of kind 9 (contract.md, "Event files").
const MARK_PRECISION: u8 = 8;
/// Decimals of funding rates in rows of kind 8.
const RATE_PRECISION: u8 = 12;

/// Fields of any hot message, each the raw text or number of its last occurrence.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) event: &'a [u8],
    pub(super) event_time: Option<i64>,
    pub(super) match_time: Option<i64>,
    pub(super) depth: DepthIds,
    pub(super) has_first: bool,
    pub(super) has_last: bool,
    pub(super) id: Option<u64>,
    pub(super) aggregate_id: Option<u64>,
    pub(super) trades: (u64, u64),
    pub(super) maker_is_buyer: Option<bool>,
    /// Where the texts of p, q, i, r, b, B, a, A stand.
    pub(super) texts: [Text; 8],
}

/// A field whose value should be a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Text {
    #[default]
    Absent,
    /// Between these places.
    At(usize, usize),
    /// A value that is no text, to be refused if it counts.
    Other,
}

pub(super) const P: usize = 0;
pub(super) const Q: usize = 1;
pub(super) const I: usize = 2;
pub(super) const R: usize = 3;
pub(super) const BID: usize = 4;
pub(super) const BID_QTY: usize = 5;
pub(super) const ASK: usize = 6;
pub(super) const ASK_QTY: usize = 7;

/// Passes the value of a field and notes where its text stands. (In place: a copy would wait for the parts to be written.)
pub(super) fn text(cursor: &mut Cursor<'_>, to: &mut Text) -> Scan<()> {
    let before = cursor.at;
    if cursor.plain_string().is_some() {
        *to = Text::At(before + 1, cursor.at - 1);
        return Ok(());
    }
    if cursor.peek()? != b'"' {
        *to = Text::Other;
        return cursor.skip_value();
    }
    let at = cursor.at + 1;
    cursor.string()?;
    *to = Text::At(at, cursor.at - 1);
    Ok(())
}

/// What the fields say, its rows appended to `out`; `sides` tells whether bids and asks were there.
pub(super) fn body(
    c: &Cursor<'_>,
    f: &Fields<'_>,
    scale: Scale,
    sides: (bool, bool),
    out: &mut Vec<Row>,
) -> Scan<Body> {
    let channel = match f.event {
        // Spot's bookTicker names no type (exchanges.md 1.4).
        b"" if f.has_last && f.texts[BID] != Text::Absent => Channel::Touch,
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
                let px = price(c, &f.texts[px_at], scale.price_precision)?;
                let qty = price(c, &f.texts[qty_at], scale.qty_precision)?;
                out.push(Row::new(RowKind::Touch, px, qty, kind_flag)?);
            }
            Ok(Body::Touch)
        }
        Channel::Mark => {
            out.push(Row::new(RowKind::Mark, price(c, &f.texts[P], MARK_PRECISION)?, 0, 0)?);
            if f.texts[I] != Text::Absent {
                out.push(Row::new(RowKind::Mark, price(c, &f.texts[I], MARK_PRECISION)?, 0, flag::ASK_SIDE)?);
            }
            match (f.texts[R], f.match_time) {
                // An empty rate is that of an instrument without funding.
                (Text::At(at, end), Some(settles @ 0..)) if at < end => {
                    let rate = number::decimal(c.buf, at, end, RATE_PRECISION)?;
                    out.push(Row::new(RowKind::Funding, rate, settles, 0)?);
                }
                (Text::At(at, end), Some(_)) if at < end => return Err(c.bad("a settlement before 1970")),
                (Text::Other, Some(_)) => return Err(c.bad("a funding rate is no text")),
                _ => {}
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
    let px = price(c, &f.texts[P], scale.price_precision)?;
    let qty = price(c, &f.texts[Q], scale.qty_precision)?;
    if qty > 0 {
        let kind = if maker_is_buyer { RowKind::SellTrade } else { RowKind::BuyTrade };
        out.push(Row::new(kind, px, qty, 0)?);
    }
    Ok(if channel == Channel::Trade { Body::Trade { id } } else { Body::AggTrade { id, trades: f.trades } })
}

/// A price or quantity: never negative.
#[inline]
fn price(c: &Cursor<'_>, text: &Text, precision: u8) -> Scan<i64> {
    let &Text::At(at, end) = text else { return Err(c.bad("a price or quantity is missing or no text")) };
    let value = number::decimal(c.buf, at, end, precision)?;
    if value < 0 { Err(c.bad("negative price or quantity")) } else { Ok(value) }
}

/// Milliseconds, or microseconds where the stream was asked for them (exchanges.md 0.4), as ns.
pub(super) fn stamp_ns(c: &Cursor<'_>, stamp: i64) -> Scan<i64> {
    /// Stamps from here on are microseconds: as milliseconds this would be the year 5138.
    const MICROSECONDS_FROM: i64 = 100_000_000_000_000;
    let scale = if stamp >= MICROSECONDS_FROM { 1_000 } else { 1_000_000 };
    let ns = stamp.checked_mul(scale).filter(|ns| (0..=STAMP_NS_MAX).contains(ns));
    ns.ok_or_else(|| c.bad("time out of range"))
}
