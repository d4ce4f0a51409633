//! The curves that tell which part of a cancel was behind us, given the quantities before (`front`) and behind us (`back`).
//!
//! All are f over the relative place: none was fitted, each is a guess with a shape (simulation.md 2). `n` is the exponent.
use serde::{Deserialize, Serialize};

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Curve {
    /// ln(1 + back) / (ln(1 + back) + ln(1 + front)).
    Log,
    /// ln(1 + back) / ln(1 + back + front).
    Log2,
    /// back^n / (back^n + front^n).
    Power(f64),
    /// back^n / (back + front)^n.
    Power2(f64),
    /// 1 - (front / (front + back))^n.
    Power3(f64),
}

impl Curve {
    /// The curve with this name; what is wrong with it otherwise.
    pub fn from_name(name: &str) -> Result<Curve, String> {
        let (family, exponent) = name.split_once(':').map_or((name, None), |(family, n)| (family, Some(n)));
        let power: fn(f64) -> Curve = match (family, exponent) {
            ("prob_log", None) => return Ok(Curve::Log),
            ("prob_log2", None) => return Ok(Curve::Log2),
            ("prob_power", Some(_)) => Curve::Power,
            ("prob_power2", Some(_)) => Curve::Power2,
            ("prob_power3", Some(_)) => Curve::Power3,
            ("prob_power" | "prob_power2" | "prob_power3", None) => {
                return Err(format!("{name:?} has no exponent; write {family}:3"));
            }
            _ => {
                return Err(format!(
                    "{name:?} is not known; write risk_averse, early, prob_log, prob_log2, prob_power:3, prob_power2:3, prob_power3:3 or fitted"
                ));
            }
        };
        let n = exponent.and_then(|n| n.parse::<f64>().ok()).filter(|n| *n > 0.0 && n.is_finite());
        n.map(power).ok_or_else(|| format!("the exponent of {name:?} is no number above 0"))
    }

    /// The part of a cancel that was behind; NaN or infinite where the formula has none.
    pub fn behind(self, front: f64, back: f64) -> f64 {
        let ln1 = |x: f64| libm::log(1.0 + x);
        match self {
            Curve::Log => ln1(back) / (ln1(back) + ln1(front)),
            Curve::Log2 => ln1(back) / ln1(back + front),
            Curve::Power(n) => libm::pow(back, n) / (libm::pow(back, n) + libm::pow(front, n)),
            Curve::Power2(n) => libm::pow(back, n) / libm::pow(back + front, n),
            Curve::Power3(n) => 1.0 - libm::pow(front / (front + back), n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_by_hand() {
        for (name, want) in [
            ("prob_log", 2f64.ln() / (2f64.ln() + 4f64.ln())),
            ("prob_log2", 2f64.ln() / 5f64.ln()),
            ("prob_power:2", 1.0 / 10.0),
            ("prob_power2:2", 1.0 / 16.0),
            ("prob_power3:2", 1.0 - 9.0 / 16.0),
        ] {
            let got = Curve::from_name(name).unwrap().behind(3.0, 1.0);
            assert!((got - want).abs() < 1e-15, "{name}: {got} {want}");
        }
    }
}
