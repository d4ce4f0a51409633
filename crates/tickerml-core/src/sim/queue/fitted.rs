//! The share of a decrease that was ahead of us, as a function of our relative place, measured where true places are known.
//!
//! `share[n]` stands for the place n / (knots - 1) of the way from the front of the level to its end; between two knots it is
//! straight. What is measured is what a model meets: the decrease that a diff shows, beyond what was printed.
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Points of the curve.
pub const FITTED_KNOTS: usize = 17;
/// Largest share: above 1 where placements hide cancels between two diffs, so that more was gone ahead than was seen to go.
pub const SHARE_MAX: f64 = 4.0;

/// The curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    share: [f64; FITTED_KNOTS],
}

impl Fitted {
    /// A curve from its points.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless there are [`FITTED_KNOTS`] of them, each from 0 to [`SHARE_MAX`].
    pub fn new(share: &[f64]) -> Result<Fitted> {
        let bad = |reason: String| Error::BadSetting { key: "queue_share".to_owned(), reason };
        let found: [f64; FITTED_KNOTS] =
            share.try_into().map_err(|_| bad(format!("has {} points, not {FITTED_KNOTS}", share.len())))?;
        match found.iter().find(|s| !(0.0..=SHARE_MAX).contains(*s)) {
            Some(wrong) => Err(bad(format!("{wrong} is no share from 0 to {SHARE_MAX}"))),
            None => Ok(Fitted { share: found }),
        }
    }

    /// The part of a decrease that was behind.
    pub fn behind(&self, front: f64, back: f64) -> f64 {
        let (front, back) = (front.max(0.0), back.max(0.0));
        if front + back <= 0.0 {
            return 0.0;
        }
        1.0 - self.ahead(front / (front + back))
    }

    /// The part that was ahead, at this relative place.
    pub fn ahead(&self, place: f64) -> f64 {
        let (knot, part) = knot_of(place);
        self.share[knot] + part * (self.share[knot + 1] - self.share[knot])
    }
}

/// The knot at or before a relative place, and how far it lies on the way to the next.
pub(super) fn knot_of(place: f64) -> (usize, f64) {
    let at = place.clamp(0.0, 1.0) * (FITTED_KNOTS - 1) as f64;
    let knot = (at as usize).min(FITTED_KNOTS - 2);
    (knot, at - knot as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_curve_shares_by_quantity() {
        let line: Vec<f64> = (0..FITTED_KNOTS).map(|n| n as f64 / (FITTED_KNOTS - 1) as f64).collect();
        let fitted = Fitted::new(&line).unwrap();
        for (front, back, behind) in
            [(3.0, 1.0, 0.25), (0.0, 5.0, 1.0), (5.0, 0.0, 0.0), (0.0, 0.0, 0.0), (7.0, 9.0, 0.5625)]
        {
            assert!((fitted.behind(front, back) - behind).abs() < 1e-12, "{front} {back}");
        }
        assert!(Fitted::new(&line[1..]).is_err() && Fitted::new(&[4.5; FITTED_KNOTS]).is_err());
        assert!(Fitted::new(&[f64::NAN; FITTED_KNOTS]).is_err());
    }
}
