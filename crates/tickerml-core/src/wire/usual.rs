//! Levels as Binance writes them, `["px","qty"],["px","qty"],`: without white space, a field always with as many decimals.
//!
//! Most levels that we read are written so, and their loop is the one that was counted in instructions. Read one by one, each
//! number would wait for the end of the one before. So the first level of an array tells a form: how many decimals each field
//! has, and how many digits a price has in front of its point, since neighbours on a ladder have equally many. The places of a
//! level are then known before it is read, save those behind the quantity's point, and the processor works on several at once.
//!
//! The form is a guess and no more: each byte is proven to be what the form says. A level that is not so may have a form of its
//! own; one that has none is left to the careful reader.
use super::binance::Scale;
use super::number::{Form, quote};
use super::swar::padded;
use crate::event::{Row, RowKind};

/// Bytes that a level may take, what is loaded behind it included: one bound for all of its loads, known to the compiler.
const WINDOW: usize = 64;

/// Reads levels from `at`, an opening bracket, as far as they have the usual form. Returns the place behind the last one.
pub(super) fn levels(buf: &[u8], at: usize, kind: RowKind, flags: u8, scale: Scale, out: &mut Vec<Row>) -> usize {
    let mut rest = buf.get(at..).unwrap_or_default();
    let mut done = at;
    let mut spare = [0; WINDOW];
    // Again where a level is not of the form of those before: a price with a digit less, say.
    while let Some(form) = LevelForm::of(window(rest, &mut spare), scale) {
        let before = done;
        loop {
            let window = window(rest, &mut spare);
            let Some((px, qty, len)) = form.read(window) else { break };
            out.push(Row::small(kind, px, qty, flags));
            done = buf.len() - rest.len() + len;
            if window.get(len..len + 2) != Some(b",[") {
                return done;
            }
            rest = &rest[len + 1..];
        }
        if done == before {
            break;
        }
    }
    done
}

/// The start of `text`; at the end of a frame a copy with zeros behind, which are no part of any level.
#[inline(always)]
fn window<'a>(text: &'a [u8], spare: &'a mut [u8; WINDOW]) -> &'a [u8; WINDOW] {
    match text.first_chunk() {
        Some(window) => window,
        None => {
            *spare = padded(text);
            spare
        }
    }
}

/// How the levels of an array are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LevelForm {
    px: Form,
    /// Digits in front of the price's point.
    px_point: usize,
    qty: Form,
}

impl LevelForm {
    /// Place of a level's price.
    const PX: usize = 2;

    /// The form of the level that starts `window`. Out of line: the loop has the registers to itself.
    #[inline(never)]
    fn of(window: &[u8; WINDOW], scale: Scale) -> Option<LevelForm> {
        let comma = quote(window, Self::PX);
        let (px, px_point) = Form::of(window, Self::PX, comma, scale.price_precision)?;
        let (qty, _) = Form::of(window, comma + 3, quote(window, comma + 3), scale.qty_precision)?;
        Some(LevelForm { px, px_point, qty })
    }

    /// Price, quantity and length of the level that starts `window`, if it has this form.
    #[inline(always)]
    fn read(&self, window: &[u8; WINDOW]) -> Option<(i64, i64, usize)> {
        let px = self.px.read(window, Self::PX, self.px_point)?;
        let comma = Self::PX + self.px_point + self.px.tail();
        if window.get(..2)? != b"[\"" || window.get(comma..comma + 3)? != b"\",\"" {
            return None;
        }
        let at = comma + 3;
        let point = self.qty.point(window, at)?;
        let qty = self.qty.read(window, at, point)?;
        let end = at + point + self.qty.tail();
        if window.get(end..end + 2)? != b"\"]" {
            return None;
        }
        Some((px, qty, end + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::parse_decimal;
    use proptest::prelude::*;

    const SCALE: Scale = Scale { price_precision: 2, qty_precision: 3 };

    fn read(text: &str, scale: Scale) -> (Vec<(i64, i64)>, usize) {
        let mut rows = Vec::new();
        let end = levels(text.as_bytes(), 0, RowKind::Bid, 0, scale, &mut rows);
        (rows.iter().map(|row| (row.px(), row.qty)).collect(), end)
    }

    /// The level at `at`, read by splitting.
    fn split(text: &str, at: usize, scale: Scale) -> Option<(i64, i64, usize)> {
        let (px, rest) = text[at..].strip_prefix("[\"")?.split_once('"')?;
        let (qty, rest) = rest.strip_prefix(",\"")?.split_once('"')?;
        let px = parse_decimal(px.as_bytes(), scale.price_precision).ok()?;
        let qty = parse_decimal(qty.as_bytes(), scale.qty_precision).ok()?;
        Some((px, qty, text.len() - rest.strip_prefix(']')?.len()))
    }

    /// Whatever the text, each level read is what splitting finds there.
    fn agrees(text: &str, scale: Scale) {
        let (rows, end) = read(text, scale);
        let mut at = 0;
        for (n, &row) in rows.iter().enumerate() {
            at += usize::from(n > 0);
            let (px, qty, next) = split(text, at, scale).unwrap_or_else(|| panic!("level {n} of {text}"));
            assert_eq!(row, (px, qty), "level {n} of {text}");
            at = next;
        }
        assert_eq!(end, at, "{text}");
    }

    #[test]
    fn forms_may_change_on_the_way() {
        let text = r#"["9999.90","1.000"],["10000.00","12345678.001"],["10000.1000","7.0000"],["5.00","1"]]}"#;
        let rows = vec![(999_990, 1000), (1_000_000, 12_345_678_001), (1_000_010, 7000)];
        assert_eq!(read(text, SCALE), (rows, text.len() - 15));
        let whole = r#"["12","12345678"],["7","3"]]"#;
        let scale = Scale { price_precision: 0, qty_precision: 0 };
        assert_eq!(read(whole, scale), (vec![(12, 12_345_678), (7, 3)], whole.len() - 1));
        // A comma that no level follows is left to the careful reader.
        assert_eq!(read(r#"["1.00","1.000"],]"#, SCALE), (vec![(100, 1000)], 16));
        assert_eq!(read("", SCALE), (vec![], 0));
    }

    prop_compose! {
        fn array()(decimals in (0usize..10, 0usize..10), parts in prop::collection::vec((0u64..1_000_000_000, 0u64..1_000_000, 0u32..9), 0..9)) -> String {
            let field = |whole: u64, decimals: usize| if decimals == 0 { whole.to_string() } else { format!("{whole}.{:0decimals$}", whole % 3) };
            let level = |&(px, qty, cut): &(u64, u64, u32)| format!("[\"{}\",\"{}\"]", field(px / 10u64.pow(cut), decimals.0), field(qty, decimals.1));
            parts.iter().map(level).collect::<Vec<_>>().join(",") + "]}}"
        }
    }

    proptest! {
        #[test]
        fn any_array_reads_as_by_splitting(text in array(), px in 0u8..10, qty in 0u8..10) {
            agrees(&text, Scale { price_precision: px, qty_precision: qty });
        }

        #[test]
        fn any_injured_array_reads_as_by_splitting(text in array(), at in any::<prop::sample::Index>(), byte in "[-\"\\[\\],.:/ 0a\u{1}\u{7f}]", px in 0u8..4) {
            let mut text = text;
            let at = at.index(text.len());
            text.replace_range(at..=at, &byte);
            agrees(&text, Scale { price_precision: px, qty_precision: px });
        }
    }
}
