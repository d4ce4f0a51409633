//! Prints how generated flow compares with recordings: `cargo run --release -p tickerml-venue --example statistics [RECORDING]...`.
//!
//! Without arguments: ten minutes of BTCUSDT on spot and on USD-M, mixed regimes and calm. With recordings
//! (hftbacktest-raw, gzip): the same numbers for each, the tick inferred.
use serde_json::Value;
use std::collections::BTreeMap;
use tickerml_venue::config::{Config, RecordingConfig};
use tickerml_venue::error::Error;
use tickerml_venue::flow::Regime;
use tickerml_venue::market::{Market, OutFrame};
use tickerml_venue::recording::Player;

const SECONDS: i64 = 600;
const START_NS: i64 = 1_700_000_000_000_000_000;

fn main() -> Result<(), Error> {
    println!(
        "{:<34} {:>6} {:>6} {:>6} {:>17} {:>5} {:>7} {:>6} {:>7} {:>12} {:>20} {:>6}",
        "source",
        "diff/s",
        "bbo/s",
        "trd/s",
        "lev/msg 10 50 90",
        "mean",
        "delete%",
        "1tick%",
        "touch/s",
        "sigma_1s_bps",
        "distance 10 50 90",
        "qty50"
    );
    for (n, cadence) in [(0, "depth@100ms"), (1, "depth@0ms")] {
        for regime in [None, Some(Regime::Calm), Some(Regime::Volatile), Some(Regime::Thin)] {
            let config = Config { regime, ..Config::default() };
            let venue = &config.venues[n];
            let mut market = Market::open(&config, venue, START_NS)?;
            let mut stats = Stats::new(venue.symbols[0].tick.parse().unwrap_or(1.0));
            for second in 1..=SECONDS {
                let frames = market.advance(START_NS + second * 1_000_000_000);
                frames.iter().filter(|f| f.symbol == 0).for_each(|f| stats.take(f, cadence));
            }
            stats.print(&format!("{} {:?}", venue.venue, regime));
        }
    }
    for file in std::env::args().skip(1) {
        let instrument = if file.contains("usdm") { "binance_usdm:BTCUSDT" } else { "binance_spot:BTCUSDT" };
        let config = RecordingConfig {
            files: vec![file.clone()],
            instrument: instrument.to_owned(),
            speed: 1000.0,
            tick: None,
            lot: None,
            min_notional: None,
        };
        let mut player = Player::load(&config)?;
        let scale = player.symbol().scale.clone();
        let mut stats = Stats::new(scale.tick as f64 / 10f64.powi(i32::from(scale.px_decimals)));
        player.start(0);
        for step in 0.. {
            player.advance(step * 1_000_000, usize::MAX).iter().for_each(|f| stats.take(f, "depth"));
            if player.ended() {
                break;
            }
        }
        stats.print(file.rsplit('/').next().unwrap_or(&file));
    }
    Ok(())
}

/// Counts of one symbol's streams.
struct Stats {
    tick: f64,
    span_ns: (i64, i64),
    counts: [u64; 3],
    levels: Vec<f64>,
    deletes: u64,
    one_tick: u64,
    touch_moves: u64,
    touch: (f64, f64),
    mids: BTreeMap<i64, f64>,
    distances: Vec<f64>,
    sizes: Vec<f64>,
}

impl Stats {
    fn new(tick: f64) -> Stats {
        Stats {
            tick,
            span_ns: (i64::MAX, 0),
            counts: [0; 3],
            levels: vec![],
            deletes: 0,
            one_tick: 0,
            touch_moves: 0,
            touch: (0.0, 0.0),
            mids: BTreeMap::new(),
            distances: vec![],
            sizes: vec![],
        }
    }

    fn take(&mut self, frame: &OutFrame, cadence: &str) {
        let channel = frame.stream.split_once('@').map_or("", |(_, c)| c);
        let Ok(data) = serde_json::from_str::<Value>(frame.data()) else { return };
        self.span_ns = (self.span_ns.0.min(frame.ts_ns), self.span_ns.1.max(frame.ts_ns));
        if frame.diff && channel.starts_with(cadence) {
            self.diff(&data);
        } else if channel == "trade" && number(&data["q"]) > 0.0 {
            self.counts[2] += 1;
            self.sizes.push(number(&data["q"]));
        } else if channel == "bookTicker" {
            self.ticker(&data, frame.ts_ns);
        }
    }

    fn diff(&mut self, data: &Value) {
        self.counts[0] += 1;
        let mut levels = 0.0;
        for (side, touch, sign) in [("b", self.touch.0, 1.0), ("a", self.touch.1, -1.0)] {
            for level in data[side].as_array().into_iter().flatten() {
                levels += 1.0;
                self.deletes += u64::from(number(&level[1]) == 0.0);
                self.distances.push(sign * (touch - number(&level[0])) / self.tick);
            }
        }
        self.levels.push(levels);
    }

    fn ticker(&mut self, data: &Value, ts_ns: i64) {
        self.counts[1] += 1;
        let touch = (number(&data["b"]), number(&data["a"]));
        self.one_tick += u64::from((touch.1 - touch.0) / self.tick < 1.5);
        self.touch_moves += u64::from(touch != self.touch);
        self.touch = touch;
        self.mids.insert(ts_ns / 1_000_000_000, (touch.0 + touch.1) / 2.0);
    }

    fn print(mut self, name: &str) {
        let span_s = (self.span_ns.1 - self.span_ns.0) as f64 / 1e9;
        let rate = |n: u64| n as f64 / span_s;
        let total: f64 = self.levels.iter().sum();
        let mids: Vec<f64> = self.mids.values().copied().collect();
        let moves: Vec<f64> = mids.windows(2).map(|w| (w[1] / w[0] - 1.0) * 1e4).collect();
        let sigma = (moves.iter().map(|m| m * m).sum::<f64>() / moves.len().max(1) as f64).sqrt();
        let (levels, distances, sizes) =
            (quantiles(&mut self.levels), quantiles(&mut self.distances), quantiles(&mut self.sizes));
        println!(
            "{name:<34} {:>6.1} {:>6.1} {:>6.1} {:>5.0}{:>6.0}{:>6.0} {:>5.1} {:>7.1} {:>6.1} {:>7.1} {sigma:>12.2} {:>6.0}{:>7.0}{:>7.0} {:>6.4}",
            rate(self.counts[0]),
            rate(self.counts[1]),
            rate(self.counts[2]),
            levels[0],
            levels[1],
            levels[2],
            total / self.counts[0] as f64,
            100.0 * self.deletes as f64 / total,
            100.0 * self.one_tick as f64 / self.counts[1] as f64,
            rate(self.touch_moves),
            distances[0],
            distances[1],
            distances[2],
            sizes[1]
        );
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

/// 10, 50 and 90 percent.
fn quantiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.1, 0.5, 0.9].map(|p| values.get((values.len() as f64 * p) as usize).copied().unwrap_or(f64::NAN))
}
