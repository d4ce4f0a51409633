//! Which resting order of a level is cancelled: what a queue model guesses at.
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// How strongly a heavy end draws: the place is u^3 of the way from that end, u uniform.
const STEEPNESS: i32 = 3;

/// A law of cancels inside one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelLaw {
    /// Each order is as likely.
    Uniform,
    /// Mostly the youngest.
    TailHeavy,
    /// Mostly the oldest.
    HeadHeavy,
    /// Each lot is as likely: the large orders go.
    SizeProportional,
}

impl CancelLaw {
    /// All laws.
    pub const ALL: [CancelLaw; 4] =
        [CancelLaw::Uniform, CancelLaw::TailHeavy, CancelLaw::HeadHeavy, CancelLaw::SizeProportional];

    /// Name in tables and settings.
    pub const fn name(self) -> &'static str {
        match self {
            CancelLaw::Uniform => "uniform",
            CancelLaw::TailHeavy => "tail_heavy",
            CancelLaw::HeadHeavy => "head_heavy",
            CancelLaw::SizeProportional => "size_proportional",
        }
    }

    /// The order that goes, of a queue (id, lots) with its oldest first; none of an empty one.
    pub fn pick(self, rng: &mut Rng, queue: impl Iterator<Item = (u64, i64)>) -> Option<u64> {
        let orders: Vec<(u64, i64)> = queue.collect();
        let near = |rng: &mut Rng| {
            let u = rng.unit();
            ((0..STEEPNESS).map(|_| u).product::<f64>() * orders.len() as f64) as usize
        };
        let at = match self {
            CancelLaw::Uniform => rng.below(orders.len() as u64) as usize,
            CancelLaw::HeadHeavy => near(rng),
            CancelLaw::TailHeavy => orders.len().checked_sub(1 + near(rng))?,
            CancelLaw::SizeProportional => {
                let mut lot = rng.below(orders.iter().map(|o| o.1).sum::<i64>() as u64) as i64;
                orders.iter().position(|o| {
                    lot -= o.1;
                    lot < 0
                })?
            }
        };
        orders.get(at).map(|o| o.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_picks_where_it_says() {
        let queue = [(1, 10), (2, 1), (3, 1), (4, 8)];
        let share = |law: CancelLaw, id| {
            let mut rng = Rng::new(5);
            (0..4000).filter(|_| law.pick(&mut rng, queue.into_iter()) == Some(id)).count() as f64 / 4000.0
        };
        for (law, id, want) in [
            (CancelLaw::Uniform, 1, 0.25),
            (CancelLaw::HeadHeavy, 1, 0.63),
            (CancelLaw::HeadHeavy, 4, 0.09),
            (CancelLaw::TailHeavy, 4, 0.63),
            (CancelLaw::SizeProportional, 1, 0.5),
            (CancelLaw::SizeProportional, 2, 0.05),
        ] {
            assert!((share(law, id) - want).abs() < 0.025, "{law:?} {id} {}", share(law, id));
        }
        assert!(CancelLaw::ALL.iter().all(|law| law.pick(&mut Rng::new(1), std::iter::empty()).is_none()));
    }
}
