//! What our own executions took from the displayed book: the venue's updates never saw them, so they are missing afterwards and
//! come back with a half-life (simulation.md 3: effective = max(0, displayed - consumed x 2^(-dt / half-life))).
use super::order::Side;
use serde::{Deserialize, Serialize};

/// Half-life of what we took.
const HALF_LIFE_NS: f64 = 5e9;
/// After this many half-lives nothing is left: below a millionth.
const FORGOTTEN_HALF_LIVES: f64 = 20.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Taken {
    side: Side,
    px: i64,
    qty: f64,
    at_ns: i64,
}

/// Quantities taken by us, by the side and price of the level that they were taken from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Consumed(Vec<Taken>);

impl Consumed {
    /// What is left of a displayed quantity of the level, in whole lots.
    pub fn effective(&self, side: Side, px: i64, displayed: i64, now_ns: i64, lot: i64) -> i64 {
        let missing: f64 =
            self.0.iter().filter(|t| t.side == side && t.px == px).map(|t| t.qty * left(t.at_ns, now_ns)).sum();
        let effective = (displayed - missing.ceil() as i64).max(0);
        effective - effective % lot
    }

    /// We took `qty` of the level.
    pub fn take(&mut self, side: Side, px: i64, qty: i64, now_ns: i64) {
        self.0.retain(|t| left(t.at_ns, now_ns) > 0.0);
        match self.0.iter_mut().find(|t| t.side == side && t.px == px) {
            Some(taken) => {
                taken.qty = taken.qty * left(taken.at_ns, now_ns) + qty as f64;
                taken.at_ns = now_ns;
            }
            None => self.0.push(Taken { side, px, qty: qty as f64, at_ns: now_ns }),
        }
    }

    /// Takes up to `want` of `levels`, best first; gives (price, quantity) of each level that was met.
    pub fn walk(
        &mut self,
        side: Side,
        levels: impl Iterator<Item = (i64, i64)>,
        want: i64,
        now_ns: i64,
        lot: i64,
    ) -> Vec<(i64, i64)> {
        let mut met = Vec::new();
        let mut rest = want;
        for (px, displayed) in levels {
            if rest == 0 {
                break;
            }
            let qty = self.effective(side, px, displayed, now_ns, lot).min(rest);
            if qty > 0 {
                met.push((px, qty));
                rest -= qty;
            }
        }
        for &(px, qty) in &met {
            self.take(side, px, qty, now_ns);
        }
        met
    }
}

/// The part that is still missing.
fn left(at_ns: i64, now_ns: i64) -> f64 {
    let half_lives = now_ns.saturating_sub(at_ns).max(0) as f64 / HALF_LIFE_NS;
    if half_lives > FORGOTTEN_HALF_LIVES { 0.0 } else { libm::exp2(-half_lives) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back() {
        let mut c = Consumed::default();
        assert_eq!(c.walk(Side::Sell, [(10, 5), (11, 8)].into_iter(), 9, 0, 1), [(10, 5), (11, 4)]);
        assert_eq!(c.effective(Side::Sell, 10, 5, 0, 1), 0);
        assert_eq!(c.effective(Side::Sell, 11, 8, 5_000_000_000, 1), 6, "half of four is missing after a half-life");
        assert_eq!(c.effective(Side::Buy, 11, 8, 0, 1), 8, "the other side is another level");
        assert_eq!(c.effective(Side::Sell, 10, 5, 200_000_000_000, 1), 5);
        assert_eq!(c.effective(Side::Sell, 11, 8, 0, 3), 3, "whole lots");
    }
}
