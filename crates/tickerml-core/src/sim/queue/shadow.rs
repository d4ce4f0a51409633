//! The two ends between which the truth lies: an order's place if no cancel was ahead of it, and if every cancel was
//! (simulation.md 3, "Shadows").
//!
//! On price levels `early` is no strict bound: placements and cancels net out inside one message.
use super::decrease::all_ahead;
use serde::{Deserialize, Serialize};

/// Places of one order, base units; they live as long as the order does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shadows {
    /// Quantity ahead where no cancel was.
    pub late: f64,
    /// Quantity ahead where every cancel was.
    pub early: f64,
    /// Venue time at which `early` would have been met, ns; `i64::MAX` where it was not yet.
    pub early_ns: i64,
}

impl Shadows {
    /// Behind everything that is displayed.
    pub const fn behind(displayed: f64) -> Self {
        Shadows { late: displayed, early: displayed, early_ns: i64::MAX }
    }

    pub(super) fn cap(&mut self, displayed: f64) {
        self.late = self.late.min(displayed);
        self.early = self.early.min(displayed);
    }

    pub(super) fn on_trade(&mut self, qty: f64) {
        self.late -= qty;
        self.early -= qty;
    }

    pub(super) fn on_depth(&mut self, cancelled: f64, now: f64) {
        self.early = all_ahead(self.early, cancelled);
        self.cap(now);
    }

    /// After a print at `at_ns`: has it reached the early one by half a lot or more?
    pub fn note_reached(&mut self, lot: f64, at_ns: i64) {
        if -self.early * 2.0 >= lot {
            self.early_ns = self.early_ns.min(at_ns);
        }
    }

    /// The order itself was met: so was the early one.
    pub fn note_met(&mut self, at_ns: i64) {
        self.early_ns = self.early_ns.min(at_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, QueueModel};
    use crate::rng::Rng;

    #[test]
    fn every_model_lies_between_its_shadows() {
        let models = ["risk_averse", "early", "prob_log", "prob_power:3", "prob_power2:3", "prob_power3:3"];
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut level = 1 + rng.below(40) as i64;
            // Each lives until its model says that it was met, as an order does.
            let mut places = models.map(|name| (QueueModel::from_name(name).unwrap(), Place::behind(level as f64)));
            for _ in 0..60 {
                let print = (rng.below(3) as i64).min(level);
                let now = (level - print + rng.below(9) as i64 - 4).max(0);
                for (model, place) in &mut places {
                    if place.front < 0.0 {
                        continue;
                    }
                    if print > 0 {
                        model.on_trade(place, print as f64, print as f64);
                        place.shadows.note_reached(1.0, 7);
                    }
                    if place.front < 0.0 {
                        continue;
                    }
                    model.on_depth(place, level as f64, now as f64);
                    let shadows = place.shadows;
                    assert!(
                        shadows.early <= shadows.late && shadows.late.max(0.0) >= place.front,
                        "{seed} {model:?} {place:?}"
                    );
                    assert!(shadows.early <= place.front.max(0.0) + 1e-9, "{seed} {model:?} {place:?}");
                    assert_eq!(shadows.early_ns == i64::MAX, shadows.early_ns != 7);
                }
                level = now;
            }
            let [risk_averse, early, ..] = places;
            assert_eq!((risk_averse.1.front, early.1.front), (risk_averse.1.shadows.late, early.1.shadows.early));
        }
    }
}
