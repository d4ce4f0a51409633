//! What is made of the trials: how often a model is wrong about whether and when, and whether its band holds the truth.
use super::Asked;
use super::market::DIFF_NS;
use super::trial::{NEVER, Trial};
use serde::Serialize;

/// Horizons of the Brier score, ns: within each an order is met or not.
const HORIZONS_NS: [i64; 4] = [1_000_000_000, 3_000_000_000, 10_000_000_000, 30_000_000_000];
/// Horizon of the calibration table.
const CALIBRATION_NS: i64 = 10_000_000_000;
const BINS: usize = 5;

/// The table of one law in one regime. Times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Law of cancels.
    pub law: String,
    /// Mood of the market.
    pub regime: crate::flow::Regime,
    /// Decides everything.
    pub seed: u64,
    /// Horizon, s.
    pub horizon_s: u32,
    /// Orders that were scored.
    pub orders: usize,
    /// Orders that would have taken when they arrived, or when a reader thought they did: not scored.
    pub refused: usize,
    /// Share of the orders truly met within the horizon.
    pub filled_frac: f64,
    /// One a model.
    pub models: Vec<Row>,
    /// From the shadows: `[early, late]`.
    pub band: Band,
    /// Met at the first touch, or only when traded through.
    pub naive: Band,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name as in `--set queue=`.
    pub model: String,
    /// Share of the orders that it says are met within the horizon.
    pub filled_frac: f64,
    /// Mean over orders and horizons (1, 3, 10, 30 s) of (met by the model - truly met) squared; a model says 0 or 1.
    pub brier: f64,
    /// Difference of the Brier score to the best fixed model's, and its standard error over orders.
    pub brier_over_best: f64,
    /// See `brier_over_best`.
    pub brier_over_best_se: f64,
    /// Mean |model - truth| of the time until met, an order not met counted at the horizon, s.
    pub time_error_s: f64,
    /// Mean of (model - truth), s: above zero is too late.
    pub time_bias_s: f64,
    /// Mean of |said - true| over `calibration`, weighted by orders.
    pub calibration_error: f64,
    /// By the quantity displayed at the order's price when it was sent.
    pub calibration: Vec<Bin>,
    /// What `grid` earned by this model and in truth, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Money>,
}

/// Orders with about as much displayed before them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// Least displayed, lots.
    pub displayed_min: i64,
    /// Orders.
    pub orders: usize,
    /// Share that the model says is met within 10 s.
    pub said_frac: f64,
    /// Share that is.
    pub true_frac: f64,
}

/// A pair of times between which the truth should lie.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// Share of the orders whose truth lies in it; what only a diff shows happened since the diff before, so the early end counts
    /// from there.
    pub coverage_frac: f64,
    /// The same without that allowance.
    pub coverage_strict_frac: f64,
    /// Share of the orders that were met before it.
    pub before_frac: f64,
    /// Share of the orders that were met after it, or not at all though it ended.
    pub after_frac: f64,
    /// Mean width, s; an order not met counts at the horizon.
    pub width_s: f64,
    /// Mean width in probability: share of (order, horizon) in which the two ends differ.
    pub width_frac: f64,
}

/// The policy `grid` by a model's fills and by true ones. Half ticks times lots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Money {
    /// Profit by the model.
    pub pnl_half_ticks: i64,
    /// Profit in truth.
    pub true_pnl_half_ticks: i64,
    /// Fills by the model.
    pub fills: usize,
    /// Fills in truth.
    pub true_fills: usize,
}

/// The whole table. `money` is one a model, or nothing.
pub fn score(asked: &Asked, models: &[&str], trials: &[Trial], money: &[Money]) -> Report {
    let scored: Vec<&Trial> = trials.iter().filter(|t| !t.refused).collect();
    let horizon_ns = i64::from(asked.horizon_s) * 1_000_000_000;
    let wrong: Vec<Vec<f64>> = (0..models.len()).map(|m| scored.iter().map(|t| wrong(t, m)).collect()).collect();
    let fixed = models.iter().take_while(|m| **m != "fitted").count();
    let best = (0..fixed).min_by(|a, b| mean(&wrong[*a]).total_cmp(&mean(&wrong[*b]))).unwrap_or(0);
    let rows = models.iter().enumerate().map(|(m, name)| {
        let errors: Vec<f64> =
            scored.iter().map(|t| seconds(t.models_ns[m], horizon_ns) - seconds(t.truth_ns, horizon_ns)).collect();
        let over: Vec<f64> = wrong[m].iter().zip(&wrong[best]).map(|(a, b)| a - b).collect();
        let calibration = calibration(&scored, m);
        let off = calibration.iter().map(|b| b.orders as f64 * (b.said_frac - b.true_frac).abs()).sum::<f64>();
        Row {
            model: (*name).to_owned(),
            filled_frac: mean_of(&scored, |t| met(t.models_ns[m], horizon_ns)),
            brier: mean(&wrong[m]),
            brier_over_best: mean(&over),
            brier_over_best_se: standard_error(&over),
            time_error_s: mean(&errors.iter().map(|e| e.abs()).collect::<Vec<_>>()),
            time_bias_s: mean(&errors),
            calibration_error: off / scored.len().max(1) as f64,
            calibration,
            grid: money.get(m).copied(),
        }
    });
    let late = models.iter().position(|m| *m == "risk_averse").unwrap_or(0);
    Report {
        law: asked.law.name().to_owned(),
        regime: asked.regime,
        seed: asked.seed,
        horizon_s: asked.horizon_s,
        orders: scored.len(),
        refused: trials.len() - scored.len(),
        filled_frac: mean_of(&scored, |t| met(t.truth_ns, horizon_ns)),
        models: rows.collect(),
        band: band(&scored, horizon_ns, |t| (t.early_ns, t.models_ns[late])),
        naive: band(&scored, horizon_ns, |t| (t.touch_ns, t.through_ns)),
    }
}

fn wrong(t: &Trial, model: usize) -> f64 {
    let at = |h: &i64| (met(t.models_ns[model], *h) - met(t.truth_ns, *h)).powi(2);
    HORIZONS_NS.iter().map(at).sum::<f64>() / HORIZONS_NS.len() as f64
}

fn met(at_ns: i64, horizon_ns: i64) -> f64 {
    f64::from(at_ns <= horizon_ns)
}

fn seconds(at_ns: i64, horizon_ns: i64) -> f64 {
    at_ns.min(horizon_ns) as f64 / 1e9
}

fn band(scored: &[&Trial], horizon_ns: i64, ends: impl Fn(&Trial) -> (i64, i64)) -> Band {
    let holds = |slack_ns: i64| {
        mean_of(scored, |t| {
            let (early, late) = ends(t);
            let early = if early == NEVER { NEVER } else { early - slack_ns };
            f64::from(early <= t.truth_ns && t.truth_ns <= late)
        })
    };
    let apart = |t: &Trial| {
        let (early, late) = ends(t);
        HORIZONS_NS.iter().map(|&h| (met(early, h) - met(late, h)).abs()).sum::<f64>() / HORIZONS_NS.len() as f64
    };
    Band {
        coverage_frac: holds(DIFF_NS),
        coverage_strict_frac: holds(0),
        before_frac: mean_of(scored, |t| f64::from(t.truth_ns < ends(t).0.saturating_sub(DIFF_NS))),
        after_frac: mean_of(scored, |t| f64::from(t.truth_ns > ends(t).1)),
        width_s: mean_of(scored, |t| seconds(ends(t).1, horizon_ns) - seconds(ends(t).0, horizon_ns)),
        width_frac: mean_of(scored, apart),
    }
}

fn calibration(scored: &[&Trial], model: usize) -> Vec<Bin> {
    let mut sorted = scored.to_vec();
    sorted.sort_by_key(|t| t.displayed);
    let size = sorted.len().div_ceil(BINS).max(1);
    let bin = |trials: &[&Trial]| Bin {
        displayed_min: trials[0].displayed,
        orders: trials.len(),
        said_frac: mean_of(trials, |t| met(t.models_ns[model], CALIBRATION_NS)),
        true_frac: mean_of(trials, |t| met(t.truth_ns, CALIBRATION_NS)),
    };
    sorted.chunks(size).map(bin).collect()
}

fn mean_of(trials: &[&Trial], value: impl Fn(&Trial) -> f64) -> f64 {
    trials.iter().map(|t| value(t)).sum::<f64>() / trials.len().max(1) as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let middle = mean(values);
    let variance = values.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / values.len().max(2) as f64;
    libm::sqrt(variance / values.len().max(1) as f64)
}
