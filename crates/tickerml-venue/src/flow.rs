//! Order flow: who comes to the venue, when, with what. Drives an [`Engine`]; everything from one seeded generator.
//!
//! A fair value wanders (a random walk with drift and bursts, set by the [`Regime`]). Five kinds of visitor meet the book:
//!
//! 1. patient orders placed behind the touch at log-normal distances, and their cancels, each order with the same hazard;
//! 2. joiners of the touch, and cancels of the youngest order there;
//! 3. takers, in runs of one direction, with log-normal sizes;
//! 4. makers who move: when the fair value leaves the spread, what stands in its way is swept or withdrawn, new quotes are
//!    placed on both sides, and a heavy-tailed burst of patient orders is re-quoted;
//! 5. makers who refill a touch that was eaten, within a few milliseconds.
//!
//! The numbers of [`Profile`] were set by comparing with recordings; the crate's page has the table.
mod law;
mod profile;

use crate::engine::{Engine, Output, Side};
use crate::rng::Rng;
pub use law::CancelLaw;
pub use profile::{Profile, Regime};

/// Prices kept at least on a side, so that a book is never nearly empty, even in a thin market.
pub const LEVELS_MIN: usize = 220;

/// Prices at most on a side: a REST answer of 1,000 levels always holds the whole book.
pub const LEVELS_MAX: usize = 900;

/// Most orders that one burst re-quotes.
const BURST_MAX: f64 = 600.0;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    Any,
    Refill,
    Take(Side),
}

/// The generator of one instrument.
#[derive(Debug)]
pub struct Flow {
    rng: Rng,
    profile: Profile,
    regime: Regime,
    pinned: bool,
    regime_until_ns: i64,
    /// Fair value in ticks; the touch follows it.
    fair: f64,
    start: f64,
    moved_ns: i64,
    next_ns: i64,
    next: Visit,
    /// Orders per side that may be cancelled; ids that no longer rest are dropped when drawn.
    live: [Vec<u64>; 2],
    /// Which order of a level is cancelled; none leaves it to the visitor.
    law: Option<CancelLaw>,
}

impl Flow {
    /// A generator that starts at `now_ns` around `px` ticks. A `regime` given stays; none changes by itself.
    pub fn new(rng: Rng, profile: Profile, regime: Option<Regime>, px: i64, now_ns: i64) -> Flow {
        let fair = px as f64;
        Flow {
            rng,
            profile,
            regime: regime.unwrap_or(Regime::Calm),
            pinned: regime.is_some(),
            regime_until_ns: now_ns,
            fair,
            start: fair,
            moved_ns: now_ns,
            next_ns: now_ns,
            next: Visit::Any,
            live: [Vec::new(), Vec::new()],
            law: None,
        }
    }

    /// From now on every cancel inside a level takes the order that the law says.
    pub fn obey(&mut self, law: CancelLaw) {
        self.law = Some(law);
    }

    /// When the next visitor comes.
    pub fn next_ns(&self) -> i64 {
        self.next_ns
    }

    /// The regime now.
    pub fn regime(&self) -> Regime {
        self.regime
    }

    /// Fixes the regime from now on.
    pub fn pin(&mut self, regime: Regime) {
        (self.regime, self.pinned) = (regime, true);
    }

    /// Fair value, ticks; the index price of futures follows it.
    pub fn fair(&self) -> f64 {
        self.fair
    }

    /// Fills an empty book: a touch on both sides and patient orders behind it.
    pub fn open(&mut self, engine: &mut Engine, out: &mut Vec<Output>) {
        let bid = self.fair as i64;
        self.quote(engine, Side::Bid, bid, out);
        self.quote(engine, Side::Ask, bid + 1, out);
        for side in [Side::Bid, Side::Ask] {
            while engine.depth(side) < self.levels_min() || self.live[side.index()].len() < self.target() as usize {
                self.place_behind(engine, side, out);
            }
        }
    }

    /// Lets the visitor of [`Flow::next_ns`] act and draws the next one.
    pub fn step(&mut self, engine: &mut Engine, out: &mut Vec<Output>) {
        let now_ns = self.next_ns;
        self.turn_regime(now_ns);
        match self.next {
            Visit::Any => self.visit(engine, now_ns, out),
            Visit::Refill => self.refill(engine, out),
            Visit::Take(side) => self.take(engine, side, out),
        }
        self.draw_next(engine, now_ns);
    }

    /// Fewest levels of a side. Of a price of few ticks not so many exist.
    fn levels_min(&self) -> usize {
        LEVELS_MIN.min(self.start as usize / 8)
    }

    fn target(&self) -> f64 {
        self.profile.orders_per_side * self.regime.depth()
    }

    fn turn_regime(&mut self, now_ns: i64) {
        if !self.pinned && now_ns >= self.regime_until_ns {
            self.regime = Regime::drawn(self.rng.below(20));
            self.regime_until_ns = now_ns + (self.rng.exp(60.0) * 1e9) as i64 + 10_000_000_000;
        }
    }

    fn draw_next(&mut self, engine: &Engine, now_ns: i64) {
        let spread = engine.best(Side::Ask).zip(engine.best(Side::Bid)).map_or(i64::MAX, |(a, b)| a - b);
        let wait_s = if let Visit::Take(_) = self.next {
            self.rng.exp(0.0008)
        } else if spread > self.regime.spread_ticks() {
            self.next = Visit::Refill;
            self.rng.exp(self.regime.refill_s())
        } else {
            self.rng.exp(1.0 / (self.profile.visits_per_s() * self.regime.pace()))
        };
        self.next_ns = now_ns + (wait_s * 1e9) as i64 + 1_000;
    }

    fn visit(&mut self, engine: &mut Engine, now_ns: i64, out: &mut Vec<Output>) {
        let p = &self.profile;
        let (behind, touch, take) = (p.behind_per_s, p.touch_per_s, p.take_per_s);
        let mut at = self.rng.unit() * p.visits_per_s();
        let side = self.any_side();
        for (rate, kind) in [(behind, 0), (behind, 1), (touch, 2), (touch, 3), (take, 4)] {
            if at < rate {
                return match kind {
                    0 => self.place_behind(engine, side, out),
                    1 => self.cancel_behind(engine, side, out),
                    2 => self.join(engine, side, out),
                    3 => self.leave(engine, side, out),
                    _ => self.take(engine, side, out),
                };
            }
            at -= rate;
        }
        self.move_fair(engine, now_ns, out);
    }

    fn any_side(&mut self) -> Side {
        if self.rng.chance(0.5) { Side::Bid } else { Side::Ask }
    }

    fn place_behind(&mut self, engine: &mut Engine, side: Side, out: &mut Vec<Output>) {
        let touch = engine.best(side).unwrap_or(self.fair as i64);
        let ticks = if self.rng.chance(0.01) {
            self.rng.unit() * 0.3 * self.start
        } else {
            self.rng.log_normal(self.profile.distance_ticks, self.profile.distance_sigma)
        };
        let ticks = (ticks.min(0.5 * self.start) as i64).max(1);
        let mut px = if side == Side::Bid { (touch - ticks).max(1) } else { touch + ticks };
        if engine.qty_at(side, px) == 0 && engine.depth(side) >= LEVELS_MAX {
            // A side as wide as it may be gets thicker: the order joins another's level.
            let Some((_, joined)) = self.draw_live(engine, side).and_then(|id| engine.place_of(id)) else { return };
            px = joined;
        }
        let qty = self.lots(self.profile.order_lots, self.profile.order_sigma);
        self.rest(engine, side, px, qty, out);
    }

    /// Cancels a random order, with a chance that grows with their number, so that the number stays near its target.
    fn cancel_behind(&mut self, engine: &mut Engine, side: Side, out: &mut Vec<Output>) {
        let crowd = self.live[side.index()].len() as f64 / self.target();
        if engine.depth(side) <= self.levels_min() || self.rng.unit() > 0.5 * crowd * crowd {
            return self.place_or_skip(engine, side, crowd, out);
        }
        let Some(id) = self.draw_live(engine, side) else { return };
        let id = self.lawful(engine, id);
        let alone =
            engine.place_of(id).is_some_and(|(s, px)| engine.best(s) == Some(px) && engine.orders_at(s, px) == 1);
        if !alone {
            engine.cancel(id, out);
        }
    }

    fn place_or_skip(&mut self, engine: &mut Engine, side: Side, crowd: f64, out: &mut Vec<Output>) {
        if crowd < 0.9 || engine.depth(side) <= self.levels_min() {
            self.place_behind(engine, side, out);
        }
    }

    /// A random resting order of a side; ids of orders that traded away are dropped on the way.
    fn draw_live(&mut self, engine: &Engine, side: Side) -> Option<u64> {
        let live = &mut self.live[side.index()];
        while !live.is_empty() {
            let at = self.rng.below(live.len() as u64) as usize;
            if engine.place_of(live[at]).is_some() {
                return Some(live[at]);
            }
            live.swap_remove(at);
        }
        None
    }

    /// The order of the same level that the law would cancel.
    fn lawful(&mut self, engine: &Engine, id: u64) -> u64 {
        match (self.law, engine.place_of(id)) {
            (Some(law), Some((side, px))) => law.pick(&mut self.rng, engine.queue(side, px)).unwrap_or(id),
            _ => id,
        }
    }

    fn join(&mut self, engine: &mut Engine, side: Side, out: &mut Vec<Output>) {
        let Some(px) = engine.best(side) else { return };
        if engine.orders_at(side, px) < 40 {
            let qty = self.lots(self.profile.touch_lots, 1.2);
            self.rest(engine, side, px, qty, out);
        }
    }

    fn leave(&mut self, engine: &mut Engine, side: Side, out: &mut Vec<Output>) {
        let Some(px) = engine.best(side) else { return };
        let last = engine.orders_at(side, px) == 1;
        if let Some(id) = engine.youngest(side, px).filter(|_| !last || self.rng.chance(0.03)) {
            let id = self.lawful(engine, id);
            engine.cancel(id, out);
        }
    }

    /// A taker; with `take_again` another of the same direction follows at once.
    fn take(&mut self, engine: &mut Engine, side: Side, out: &mut Vec<Output>) {
        let touch = engine.best(side.other());
        let qty = self.lots(self.profile.take_lots, self.profile.take_sigma);
        if let Some(px) = touch {
            let reach = (self.profile.distance_ticks * 0.05) as i64;
            let limit = if side == Side::Bid { px + reach } else { (px - reach).max(1) };
            engine.immediate(side, limit, qty, out);
        }
        self.next = if self.rng.chance(self.profile.take_again) { Visit::Take(side) } else { Visit::Any };
    }

    /// The fair value moves; the touch follows when it has left the spread.
    fn move_fair(&mut self, engine: &mut Engine, now_ns: i64, out: &mut Vec<Output>) {
        let dt_s = ((now_ns - self.moved_ns) as f64 / 1e9).min(5.0);
        self.moved_ns = now_ns;
        let sigma = self.start * 1e-4 * self.profile.sigma_bps * self.regime.sigma();
        let fat = if self.rng.chance(0.1) { 2.5 } else { 0.7 };
        let pull = (self.start - self.fair) * dt_s / 7_200.0;
        let drift = self.regime.drift() * sigma * dt_s * self.trend();
        self.fair += self.rng.normal() * fat * sigma * libm::sqrt(dt_s) + drift + pull;
        self.fair = self.fair.clamp(0.5 * self.start, 2.0 * self.start);
        self.follow(engine, out);
        let burst = self.rng.log_normal(self.profile.burst_orders, 1.4).min(BURST_MAX) * self.regime.depth();
        for _ in 0..burst as usize {
            let side = self.any_side();
            self.cancel_behind(engine, side, out);
            self.place_or_skip(engine, side, self.live[side.index()].len() as f64 / self.target(), out);
        }
    }

    /// Direction of a trend: decided by the regime's end, so that it lasts as long as the regime.
    fn trend(&self) -> f64 {
        if (self.regime_until_ns / 1_000_000) & 1 == 0 { 1.0 } else { -1.0 }
    }

    fn follow(&mut self, engine: &mut Engine, out: &mut Vec<Output>) {
        let bid = (self.fair as i64).max(2);
        let gap = if self.rng.chance(self.regime.wide()) { 1 + self.rng.below(20) as i64 } else { 0 };
        self.clear_way(engine, Side::Ask, bid + gap, out);
        self.clear_way(engine, Side::Bid, bid + 1, out);
        if engine.best(Side::Bid).is_none_or(|px| px < bid) {
            self.quote(engine, Side::Bid, bid, out);
        }
        if engine.best(Side::Ask).is_none_or(|px| px > bid + 1 + gap) {
            self.quote(engine, Side::Ask, bid + 1 + gap, out);
        }
    }

    /// Removes what stands at `limit` or better on `side`: now and then a sweep, mostly withdrawals.
    fn clear_way(&mut self, engine: &mut Engine, side: Side, limit: i64, out: &mut Vec<Output>) {
        let stands = |e: &Engine| e.best(side).filter(|px| if side == Side::Ask { *px <= limit } else { *px >= limit });
        let sweep = self.rng.chance(self.profile.sweep);
        while let Some(px) = stands(engine) {
            if sweep {
                engine.immediate(side.other(), px, engine.qty_at(side, px), out);
            } else if let Some(id) = engine.youngest(side, px) {
                engine.cancel(id, out);
            }
        }
    }

    /// Quotes a touch that was eaten: half the time where it was, half the time the other side closes up.
    fn refill(&mut self, engine: &mut Engine, out: &mut Vec<Output>) {
        self.next = Visit::Any;
        let (Some(bid), Some(ask)) = (engine.best(Side::Bid), engine.best(Side::Ask)) else {
            return self.follow(engine, out);
        };
        let (low, high) = (bid as f64, ask as f64 - 1.0);
        self.fair = if self.fair < low || self.fair > high || self.rng.chance(0.5) {
            if self.rng.chance(0.5) { low } else { high }
        } else {
            self.fair
        };
        self.follow(engine, out);
    }

    /// A new touch: a few makers, one after the other.
    fn quote(&mut self, engine: &mut Engine, side: Side, px: i64, out: &mut Vec<Output>) {
        for _ in 0..1 + self.rng.below(3) {
            let qty = self.lots(self.profile.touch_lots, 1.2);
            self.rest(engine, side, px, qty, out);
        }
    }

    fn rest(&mut self, engine: &mut Engine, side: Side, px: i64, qty: i64, out: &mut Vec<Output>) {
        let id = engine.limit(side, px, qty, out);
        self.live[side.index()].push(id);
    }

    fn lots(&mut self, median: f64, sigma: f64) -> i64 {
        (self.rng.log_normal(median, sigma).min(median * 3_000.0) as i64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten ticks are the least that a configuration may ask for.
    #[test]
    fn a_price_of_few_ticks_opens_too() {
        for ticks in [10, 200, 1_000] {
            let (mut engine, mut out) = (Engine::new(), Vec::new());
            let profile = Profile::spot(ticks as f64 / 100.0, 0.01, 0.1);
            let mut flow = Flow::new(Rng::new(3), profile, None, ticks, 0);
            flow.open(&mut engine, &mut out);
            while flow.next_ns() < 1_000_000_000 {
                flow.step(&mut engine, &mut out);
            }
            assert!(engine.best(Side::Bid).is_some() && engine.best(Side::Ask).is_some());
        }
    }

    #[test]
    fn every_regime_keeps_a_deep_uncrossed_book() {
        // On so fine a tick the perpetual has more orders than it may have levels.
        let profiles = [Profile::spot(60_000.0, 0.01, 0.00001), Profile::usdm(60_000.0, 0.01, 0.001)];
        for (profile, regime) in profiles.iter().flat_map(|p| Regime::ALL.map(|regime| (p, regime))) {
            let mut engine = Engine::new();
            let mut flow = Flow::new(Rng::new(3), profile.clone(), Some(regime), 6_000_000, 0);
            let mut out = Vec::new();
            flow.open(&mut engine, &mut out);
            while flow.next_ns() < 20_000_000_000 {
                flow.step(&mut engine, &mut out);
                let (bid, ask) = (engine.best(Side::Bid), engine.best(Side::Ask));
                assert!(bid.zip(ask).is_none_or(|(b, a)| b < a), "{regime:?}");
                out.clear();
            }
            for side in [Side::Bid, Side::Ask] {
                assert!((200..=LEVELS_MAX + 5).contains(&engine.depth(side)), "{regime:?} {}", engine.depth(side));
            }
        }
    }
}
