//! The arrays of levels, `[["px","qty"],...]`, of diffs and snapshots.
use super::binance::Scale;
use super::scan::{Cursor, Scan, Token};
use super::{number, usual};
use crate::event::{Row, RowKind};

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
    let mut more = !cursor.accept(b']')?;
    while more {
        let first = cursor.at;
        cursor.at = usual::levels(cursor.buf, first, kind, flags, scale, out);
        if cursor.at != first {
            more = cursor.more(b']')?;
            continue;
        }
        let (px, qty) = level(cursor, scale)?;
        if px | qty < 0 {
            return Err(cursor.bad("negative price or quantity"));
        }
        out.push(Row::new(kind, px, qty, flags)?);
        more = cursor.more(b']')?;
    }
    Ok(())
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
    let at = cursor.at;
    cursor.at = number::quote(cursor.buf, at);
    let value = number::decimal(cursor.buf, at, cursor.at, precision)?;
    cursor.expect(b'"')?;
    Ok(value)
}
