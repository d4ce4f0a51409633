//! Prints how right the fills are, as JSON: `cargo run --release -p tickerml-venue --example truth -- '{"law":"uniform",...}'`.
use tickerml_venue::truth::{Asked, fit, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for text in std::env::args().skip(1) {
        let mut asked = Asked::from_json(&text)?;
        let (curve, _) = fit(&Asked { seed: asked.seed + 1_000_000, orders: 4000, ..asked.clone() });
        asked.queue_share = curve.share();
        println!(
            "{:?} {}",
            asked.queue_share.iter().map(|s| (s * 100.0).round() as i64).collect::<Vec<_>>(),
            curve.error()
        );
        let r = run(&asked)?;
        println!("{} {:?} orders {} refused {} filled {:.3}", r.law, r.regime, r.orders, r.refused, r.filled_frac);
        println!("band {:?}\nnaive {:?}", r.band, r.naive);
        for m in r.models {
            println!(
                "{:14} filled {:.3} brier {:.4} over {:+.4} se {:.4} err {:.2} bias {:+.2} cal {:.3} {:?}",
                m.model,
                m.filled_frac,
                m.brier,
                m.brier_over_best,
                m.brier_over_best_se,
                m.time_error_s,
                m.time_bias_s,
                m.calibration_error,
                m.grid
            );
        }
    }
    Ok(())
}
