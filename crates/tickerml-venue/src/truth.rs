//! How right the fills are: orders in true queues, against what the simulator says of them from price levels alone.
//!
//! ```text
//! flow (one law of cancels, one regime) -> engine: true queues, phantoms in them ------> the truth: met, and when
//!                                            '-- diffs every 100 ms, trades --> core's Sim, one a model --> its word
//! ```
//!
//! Everything is virtual time and one seed. Phantoms weigh nothing (see [`crate::engine::Phantoms`]), so the flow cannot react to
//! them and what is published needs no stripping. Orders are of one lot, post-only, sent at the touch or up to two ticks behind.
mod fit;
mod grid;
mod market;
mod reader;
mod score;
mod trial;

pub use fit::fit;
pub use score::{Band, Bin, Money, Report, Row};

use crate::error::{Result, bad};
use crate::flow::{CancelLaw, Regime};
use serde::Deserialize;
use tickerml_core::sim::Fitted;

/// The fixed models that are scored, by the names of contract.md.
pub const MODELS: [&str; 6] =
    ["risk_averse", "prob_log", "prob_log2", "prob_power:3", "prob_power2:3", "prob_power3:3"];

/// Market for each order asked for: the trials send one after the other.
pub(crate) const ORDER_NS: i64 = 500_000_000;
/// Way of a request to the venue, and of a report back.
pub(crate) const WAY_NS: i64 = 10_000_000;

/// What is asked for. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Law of cancels.
    pub law: CancelLaw,
    /// Mood of the market.
    pub regime: Regime,
    /// Orders to follow.
    pub orders: usize,
    /// Decides the market and the orders.
    pub seed: u64,
    /// An order that is not met within this is said not to be met.
    #[serde(default = "thirty")]
    pub horizon_s: u32,
    /// Points of a fitted curve, which is scored beside the others; empty for none.
    #[serde(default)]
    pub queue_share: Vec<f64>,
    /// Whether the policy `grid` is run by every model.
    #[serde(default)]
    pub grid: bool,
}

fn thirty() -> u32 {
    30
}

impl Asked {
    /// Reads what is asked for from JSON.
    ///
    /// # Errors
    /// [`crate::error::Error::BadConfig`] naming what does not fit.
    pub fn from_json(text: &str) -> Result<Asked> {
        let asked: Asked = serde_json::from_str(text).map_err(|e| bad("truth", e.to_string()))?;
        if !(1..=1_000_000).contains(&asked.orders) {
            return Err(bad("orders", format!("{} is not 1 to 1000000", asked.orders)));
        }
        if !(1..=3600).contains(&asked.horizon_s) {
            return Err(bad("horizon_s", format!("{} is not 1 to 3600", asked.horizon_s)));
        }
        if !asked.queue_share.is_empty() {
            Fitted::new(&asked.queue_share).map_err(|e| bad("queue_share", e.to_string()))?;
        }
        Ok(asked)
    }

    /// The queue models to score.
    fn models(&self) -> Vec<&'static str> {
        let fitted = (!self.queue_share.is_empty()).then_some("fitted");
        MODELS.into_iter().chain(fitted).collect()
    }
}

/// Follows the orders and scores every model.
///
/// # Errors
/// [`crate::error::Error::BadConfig`] for a curve that cannot be read.
pub fn run(asked: &Asked) -> Result<Report> {
    let models = asked.models();
    let trials = trial::follow(asked, &models)?;
    let money = if asked.grid { grid::compare(asked, &models)? } else { Vec::new() };
    Ok(score::score(asked, &models, &trials, &money))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Side;
    use market::Market;
    use reader::Reader;

    fn asked(law: CancelLaw) -> Asked {
        let law = serde_json::to_string(&law).unwrap();
        Asked::from_json(&format!(r#"{{"law":{law},"regime":"calm","orders":150,"seed":3}}"#)).unwrap()
    }

    #[test]
    fn the_flow_never_sees_a_phantom() {
        let [mut with, mut without] = [(); 2].map(|()| Market::open(CancelLaw::Uniform, Regime::Volatile, 4));
        let (mut fills, mut none) = (Vec::new(), Vec::new());
        for n in 0..20_000 {
            assert_eq!(with.step(&mut fills), without.step(&mut none));
            let (side, other) = if n % 2 == 0 { (Side::Bid, Side::Ask) } else { (Side::Ask, Side::Bid) };
            if let (Some(px), Some(_)) = (with.engine.best(side), with.engine.best(other)) {
                with.engine.place_phantom(n, side, px);
            }
        }
        assert!(fills.len() > 1_000 && none.is_empty());
    }

    #[test]
    fn one_seed_gives_one_table_and_another_another() {
        let mut asked = asked(CancelLaw::HeadHeavy);
        asked.grid = true;
        let first = run(&asked).unwrap();
        assert_eq!(first, run(&asked).unwrap());
        asked.seed = 4;
        assert_ne!(first, run(&asked).unwrap());
        assert!(first.orders + first.refused == 150 && first.models.len() == MODELS.len());
    }

    /// The shadows of the order that is last to be met are the runs of the two models.
    #[test]
    fn the_early_shadow_is_the_early_model() {
        let asked = asked(CancelLaw::Uniform);
        let trials = trial::follow(&asked, &["risk_averse", "early", "prob_power:3"]).unwrap();
        let (mut met, mut same) = (0, 0);
        for t in trials.iter().filter(|t| !t.refused) {
            assert!(t.early_ns <= t.models_ns[1] && t.models_ns[2] <= t.models_ns[0], "{t:?}");
            met += usize::from(t.models_ns[1] != trial::NEVER);
            same += usize::from(t.models_ns[1] != trial::NEVER && t.early_ns == t.models_ns[1]);
        }
        assert!(met > 80 && same == met, "{same} of {met}");
    }

    #[test]
    fn what_cannot_be_asked_names_its_key() {
        for (text, key) in [
            (r#"{"law":"uniform","regime":"calm","orders":0,"seed":1}"#, "orders"),
            (r#"{"law":"uniform","regime":"calm","orders":9,"seed":1,"horizon_s":0}"#, "horizon_s"),
            (r#"{"law":"uniform","regime":"calm","orders":9,"seed":1,"queue_share":[1]}"#, "queue_share"),
            (r#"{"law":"odd","regime":"calm","orders":9,"seed":1}"#, "truth"),
        ] {
            let error = Asked::from_json(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert!(Reader::new(&asked(CancelLaw::Uniform), "lucky").is_err());
    }
}
