//! How much stands ahead of a resting order: one seam, one file a family of models (simulation.md 2, "Models").
//!
//! A [`Place`] is an estimate in base units, as floats: ln(1 + x) is not free of scale, so the models need the units that the
//! market trades in. It becomes lots again at the fill test, [`Place::reached`], and nowhere else.
mod decrease;
mod fit;
mod fitted;
mod prob;
mod shadow;

pub use fit::{Observed, QueueFit};
pub use fitted::{FITTED_KNOTS, Fitted};
pub use prob::Curve;
pub use shadow::Shadows;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where an order stands in the queue of its level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Quantity ahead, base units; below zero by what a print has left for us. Infinite until a true book says.
    pub front: f64,
    /// Printed at this level since its quantity last changed: what the next decrease owes to trades.
    traded: f64,
    /// The same order where no cancel, and where every cancel was ahead of it.
    pub shadows: Shadows,
}

impl Place {
    /// Behind everything that is displayed.
    pub const fn behind(displayed: f64) -> Self {
        Place { front: displayed, traded: 0.0, shadows: Shadows::behind(displayed) }
    }

    /// Placed while nobody knows what is displayed.
    pub const UNKNOWN: Place = Place::behind(f64::INFINITY);

    /// Nobody can be ahead who is not displayed.
    pub fn cap(&mut self, displayed: f64) {
        self.front = self.front.min(displayed);
        self.shadows.cap(displayed);
    }

    /// Lots that the prints so far have left for us; then the front of the queue is ours.
    pub fn reached(&mut self, lot: f64) -> i64 {
        let lots = (-self.front / lot).round();
        if lots > 0.0 {
            self.front = 0.0;
            lots as i64
        } else {
            0
        }
    }
}

/// A model of the queue ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum QueueModel {
    /// Only prints move us forward; cancels were behind us, except that no more can be ahead than is displayed.
    RiskAverse,
    /// A part of every cancel was ahead, by a curve over the quantities before and behind us.
    Prob(Curve),
    /// A part of every cancel was ahead, as was measured where the true places were known.
    Fitted(Fitted),
    /// Every cancel was ahead of us: the other end of the band.
    Early,
}

impl QueueModel {
    /// The model with this name (contract.md, "Settings by name"): `risk_averse`, `prob_log`, `prob_power:3`, ...
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a name that is not known, or an exponent that is not above 0.
    pub fn from_name(name: &str) -> Result<QueueModel> {
        match name {
            "risk_averse" => return Ok(QueueModel::RiskAverse),
            "early" => return Ok(QueueModel::Early),
            _ => {}
        }
        Curve::from_name(name)
            .map(QueueModel::Prob)
            .map_err(|reason| Error::BadSetting { key: "queue".to_owned(), reason })
    }

    /// A print at our price, of which `qty` reaches us and `printed` was printed.
    #[inline]
    pub fn on_trade(&self, place: &mut Place, qty: f64, printed: f64) {
        place.front -= qty;
        place.traded += printed;
        place.shadows.on_trade(qty);
    }

    /// The level went from `before` to `now`.
    #[inline]
    pub fn on_depth(&self, place: &mut Place, before: f64, now: f64) {
        // What was printed has moved us already.
        let cancelled = before - now - std::mem::take(&mut place.traded);
        place.shadows.on_depth(cancelled, now);
        place.front = match self {
            QueueModel::RiskAverse => place.front.min(now),
            QueueModel::Early => decrease::all_ahead(place.front, cancelled).min(now),
            QueueModel::Prob(curve) => {
                decrease::shared_out(place.front, before, now, cancelled, |front, back| curve.behind(front, back))
            }
            QueueModel::Fitted(fitted) => {
                decrease::shared_out(place.front, before, now, cancelled, |front, back| fitted.behind(front, back))
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prints_and_the_level_itself_move_the_risk_averse() {
        let q = QueueModel::RiskAverse;
        let mut place = Place::behind(10.0);
        q.on_depth(&mut place, 10.0, 14.0);
        q.on_depth(&mut place, 14.0, 12.0);
        assert_eq!(place.front, 10.0);
        q.on_depth(&mut place, 12.0, 7.0);
        assert_eq!(place.front, 7.0);
        q.on_trade(&mut place, 5.0, 5.0);
        assert_eq!((place.front, place.reached(1.0)), (2.0, 0));
        q.on_trade(&mut place, 5.0, 5.0);
        assert_eq!((place.reached(1.0), place.front), (3, 0.0));
    }

    #[test]
    fn half_a_lot_counts_as_one() {
        let mut place = Place::behind(-0.5);
        assert_eq!(place.reached(1.0), 1, "halves go away from zero");
        let mut place = Place::behind(-0.49);
        assert_eq!((place.reached(1.0), place.front), (0, -0.49));
        let mut place = Place::UNKNOWN;
        QueueModel::RiskAverse.on_trade(&mut place, 1e9, 1e9);
        assert_eq!(place.reached(1.0), 0);
        place.cap(4.0);
        assert_eq!(place.front, 4.0);
    }

    #[test]
    fn a_decrease_owes_first_to_trades_and_then_to_both_sides() {
        let q = QueueModel::from_name("prob_power:1").unwrap();
        let mut place = Place::behind(6.0);
        q.on_trade(&mut place, 2.0, 2.0);
        // 10 -> 8 is the print: nothing was cancelled.
        q.on_depth(&mut place, 10.0, 8.0);
        assert_eq!(place.front, 4.0);
        // 8 -> 6: two cancelled with 4 of 8 ahead: one of them was ahead.
        q.on_depth(&mut place, 8.0, 6.0);
        assert_eq!(place.front, 3.0);
        q.on_depth(&mut place, 6.0, 9.0);
        assert_eq!(place.front, 3.0);
        q.on_depth(&mut place, 9.0, 2.0);
        assert!(place.front <= 2.0, "no more is ahead than is displayed");
    }

    #[test]
    fn names_are_read_and_mistakes_are_named() {
        for name in
            ["risk_averse", "early", "prob_log", "prob_log2", "prob_power:2.5", "prob_power2:3", "prob_power3:3"]
        {
            assert!(QueueModel::from_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "prob", "prob_log:2", "prob_power", "prob_power:0", "prob_power:-1", "prob_power:x", "prob_power:inf"]
        {
            assert!(QueueModel::from_name(name).is_err(), "{name}");
        }
    }
}
