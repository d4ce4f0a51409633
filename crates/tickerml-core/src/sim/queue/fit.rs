//! Measures the curve of [`Fitted`] where true places are known: order-by-order recordings, or the venue on loopback.
//!
//! One observation is an order between two looks at its level (two diffs): how far it stood, by how much the level shrank beyond
//! what was printed, and by how much the quantity ahead truly shrank beyond it. The share at a place is the sum of the latter over
//! the sum of the former, so that a model which believes it moves as far as the orders did, on average. Where placements hide
//! cancels inside one look the share comes out higher than that of the cancels alone: it is what a reader of levels needs.
use super::fitted::{FITTED_KNOTS, SHARE_MAX, knot_of};
use serde::{Deserialize, Serialize};

/// An order between two looks; quantities in any one unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Displayed at the first look.
    pub before: f64,
    /// Displayed at the second.
    pub now: f64,
    /// Printed at the price in between.
    pub traded: f64,
    /// Truly ahead at the first look.
    pub front_before: f64,
    /// Truly ahead at the second.
    pub front_now: f64,
}

/// Sums over observations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QueueFit {
    ahead: [f64; FITTED_KNOTS],
    shrunk: [f64; FITTED_KNOTS],
    /// Observations in which the level shrank or the order moved.
    pub observations: u64,
}

impl QueueFit {
    /// Nothing seen.
    pub fn new() -> Self {
        QueueFit::default()
    }

    /// Adds an order's step.
    pub fn observe(&mut self, o: Observed) {
        let shrunk = (o.before - o.now - o.traded).max(0.0);
        let ahead = (o.front_before - o.front_now - o.traded.min(o.front_before)).max(0.0);
        if o.before <= 0.0 || (shrunk == 0.0 && ahead == 0.0) {
            return;
        }
        self.observations += 1;
        let (knot, upper) = knot_of(o.front_before / o.before);
        for (n, weight) in [(knot, 1.0 - upper), (knot + 1, upper)] {
            self.ahead[n] += weight * ahead;
            self.shrunk[n] += weight * shrunk;
        }
    }

    /// Points of the curve, never falling: neighbours that would fall are pooled. With nothing to go by, by quantity.
    pub fn share(&self) -> Vec<f64> {
        let mut pools: Vec<(f64, f64, usize)> = Vec::new();
        for n in 0..FITTED_KNOTS {
            let mut pool = (self.ahead[n], self.shrunk[n], 1);
            if pool.1 <= 0.0 {
                pool = (n as f64 / (FITTED_KNOTS - 1) as f64 * 1e-9, 1e-9, 1);
            }
            while let Some(&last) = pools.last()
                && last.0 * pool.1 > pool.0 * last.1
            {
                pools.pop();
                pool = (last.0 + pool.0, last.1 + pool.1, last.2 + pool.2);
            }
            pools.push(pool);
        }
        pools.iter().flat_map(|p| std::iter::repeat_n((p.0 / p.1).clamp(0.0, SHARE_MAX), p.2)).collect()
    }

    /// Root mean square difference between the curve and each point that was measured, weighted by what shrank there.
    pub fn error(&self) -> f64 {
        let share = self.share();
        let (mut sum, mut weight) = (0.0, 0.0);
        for n in (0..FITTED_KNOTS).filter(|&n| self.shrunk[n] > 0.0) {
            let wrong = self.ahead[n] / self.shrunk[n] - share[n];
            sum += self.shrunk[n] * wrong * wrong;
            weight += self.shrunk[n];
        }
        if weight > 0.0 { libm::sqrt(sum / weight) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Fitted;

    #[test]
    fn a_known_law_is_found_again() {
        let mut fit = QueueFit::new();
        for n in 0..=160 {
            let front = f64::from(n);
            // 10 of 160 go beyond 4 that traded, by the square of the place.
            let gone = 10.0 * (front / 160.0).powi(2);
            let front_now = (front - 4.0_f64.min(front) - gone).max(0.0);
            fit.observe(Observed { before: 160.0, now: 146.0, traded: 4.0, front_before: front, front_now });
        }
        let fitted = Fitted::new(&fit.share()).unwrap();
        for place in [0.25, 0.5, 0.75, 1.0] {
            assert!((fitted.ahead(place) - place * place).abs() < 0.06, "{place} {}", fitted.ahead(place));
        }
        assert_eq!(QueueFit::new().share()[8], 0.5);
        assert!(fit.error() < 1e-9 && fit.share().is_sorted());
    }
}
