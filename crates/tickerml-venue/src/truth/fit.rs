//! The curve of the queue model `fitted`, from the market of the truth: many phantoms, whose places are known, and the diffs.
use super::market::{DIFF_NS, Market};
use super::{Asked, ORDER_NS};
use crate::engine::Side;
use crate::rng::Rng;
use std::collections::HashMap;
use tickerml_core::event::RowKind;
use tickerml_core::sim::{Observed, QueueFit};

/// Between two phantoms.
const SPACING_NS: i64 = DIFF_NS;
/// A phantom is followed this long.
const LIFE_NS: i64 = 30_000_000_000;

struct Seen {
    number: usize,
    side: Side,
    px: i64,
    until_ns: i64,
    /// Displayed and truly ahead at the last diff; none before its first.
    last: Option<(i64, i64)>,
}

/// Measures over as long a market as `asked.orders` trials take. Returns the sums and the market's last time, ns.
pub fn fit(asked: &Asked) -> (QueueFit, i64) {
    let mut market = Market::open(asked.law, asked.regime, asked.seed);
    let mut rng = Rng::of(asked.seed, "truth fit");
    let end_ns = market.now_ns() + asked.orders as i64 * ORDER_NS;
    let mut fit = QueueFit::new();
    let mut seen: Vec<Seen> = Vec::new();
    let mut traded: HashMap<(Side, i64), i64> = HashMap::new();
    let mut fills = Vec::new();
    let (mut number, mut place_ns) = (0, market.now_ns());
    while market.now_ns() < end_ns {
        let looked = market.next_ns();
        let is_diff = market.is_diff_next();
        for (_, rows) in market.step(&mut fills) {
            if matches!(rows[0].kind(), RowKind::BuyTrade | RowKind::SellTrade) {
                let side = if rows[0].kind() == RowKind::SellTrade { Side::Bid } else { Side::Ask };
                *traded.entry((side, rows[0].px())).or_default() += rows[0].qty;
            }
        }
        for (filled, _) in fills.drain(..) {
            seen.retain(|s| s.number != filled);
        }
        if !is_diff {
            continue;
        }
        let engine = &mut market.engine;
        seen.retain_mut(|s| {
            let (Some(ahead), true) = (engine.phantoms.ahead_of(s.number, s.side, s.px), looked < s.until_ns) else {
                engine.phantoms.cancel(s.number, s.side, s.px);
                return false;
            };
            let displayed = engine.qty_at(s.side, s.px);
            if let Some((before, front)) = s.last.replace((displayed, ahead)) {
                fit.observe(Observed {
                    before: before as f64,
                    now: displayed as f64,
                    traded: traded.get(&(s.side, s.px)).copied().unwrap_or(0) as f64,
                    front_before: front as f64,
                    front_now: ahead as f64,
                });
            }
            true
        });
        traded.clear();
        if looked >= place_ns
            && let (Some(bid), Some(ask)) = (engine.best(Side::Bid), engine.best(Side::Ask))
        {
            let behind = rng.below(3) as i64;
            let (side, px) = if rng.chance(0.5) { (Side::Bid, bid - behind) } else { (Side::Ask, ask + behind) };
            engine.place_phantom(number, side, px);
            seen.push(Seen { number, side, px, until_ns: looked + LIFE_NS, last: None });
            (number, place_ns) = (number + 1, looked + SPACING_NS);
        }
    }
    (fit, market.now_ns())
}
