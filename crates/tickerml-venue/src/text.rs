//! Numbers as a venue writes them, into a growing text without intermediate strings.
use std::fmt::Write;

/// Scales of an instrument's integers and how many decimals its venue prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// One tick, as an integer of 10^-`px_decimals`.
    pub tick: i64,
    /// Decimals printed after a price.
    pub px_decimals: u8,
    /// One lot, as an integer of 10^-`qty_decimals`.
    pub lot: i64,
    /// Decimals printed after a quantity.
    pub qty_decimals: u8,
}

impl Scale {
    /// Writes a price given in ticks.
    pub fn px(&self, out: &mut String, ticks: i64) {
        fixed(out, ticks * self.tick, self.px_decimals);
    }

    /// Writes a quantity given in lots.
    pub fn qty(&self, out: &mut String, lots: i64) {
        fixed(out, lots * self.lot, self.qty_decimals);
    }

    /// `["px","qty"],...` without the outer brackets.
    pub fn levels(&self, out: &mut String, levels: impl Iterator<Item = (i64, i64)>) {
        for (n, (px, qty)) in levels.enumerate() {
            out.push_str(if n == 0 { "[\"" } else { ",[\"" });
            self.px(out, px);
            out.push_str("\",\"");
            self.qty(out, qty);
            out.push_str("\"]");
        }
    }
}

/// Writes an integer of 10^-`decimals` with exactly that many decimals.
pub fn fixed(out: &mut String, value: i64, decimals: u8) {
    let scale = 10_u64.pow(u32::from(decimals));
    let magnitude = value.unsigned_abs();
    if value < 0 {
        out.push('-');
    }
    int(out, magnitude / scale);
    if decimals > 0 {
        let _ = write!(out, ".{:0width$}", magnitude % scale, width = usize::from(decimals));
    }
}

/// Writes an unsigned integer.
pub fn int(out: &mut String, value: u64) {
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_padded() {
        let scale = Scale { tick: 1_000_000, px_decimals: 8, lot: 1000, qty_decimals: 8 };
        let mut text = String::new();
        scale.levels(&mut text, [(6_168_599, 125_869), (1, 0)].into_iter());
        assert_eq!(text, r#"["61685.99000000","1.25869000"],["0.01000000","0.00000000"]"#);
        text.clear();
        fixed(&mut text, -5, 0);
        fixed(&mut text, -5, 2);
        assert_eq!(text, "-5-0.05");
    }
}
