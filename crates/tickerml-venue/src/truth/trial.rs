//! Orders sent one after the other: each truly placed in the market, and told to one simulator a model.
//!
//! Each simulator knows one order only, so no order takes another's print.
use super::market::{Market, Published};
use super::reader::Reader;
use super::{Asked, ORDER_NS, WAY_NS};
use crate::engine::Side;
use crate::error::Result;
use crate::rng::Rng;
use tickerml_core::event::RowKind;
use tickerml_core::sim::{Report, ReportKind};

/// How much longer than its horizon an order is followed: what is known of its end comes as late.
const SLACK_NS: i64 = 1_000_000_000;
/// Distances behind the touch, ticks; drawn evenly.
const BEHIND_TICKS: [i64; 4] = [0, 0, 1, 2];
/// Not within the horizon.
pub const NEVER: i64 = i64::MAX;

/// An order and what was said of it. Times are since it arrived, ns; [`NEVER`] where it was not met within the horizon.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Displayed at its price when it was sent, lots.
    pub displayed: i64,
    pub truth_ns: i64,
    /// One a model.
    pub models_ns: Vec<i64>,
    /// The shadow for which every cancel was ahead.
    pub early_ns: i64,
    /// First print or best of the other side at our price or through it.
    pub touch_ns: i64,
    /// The same strictly through it.
    pub through_ns: i64,
    /// Truth or simulator refused it as a taker: it is not scored.
    pub refused: bool,
}

struct Running {
    side: Side,
    px: i64,
    arrive_ns: i64,
    /// It has reached the matching engine.
    placed: bool,
    readers: Vec<Option<Reader>>,
    trial: Trial,
}

/// Sends the orders and follows each to its end; in the order of sending.
pub fn follow(asked: &Asked, models: &[&str]) -> Result<Vec<Trial>> {
    let mut market = Market::open(asked.law, asked.regime, asked.seed);
    let mut rng = Rng::of(asked.seed, "truth orders");
    let mut bases = models.iter().map(|model| Reader::new(asked, model)).collect::<Result<Vec<_>>>()?;
    for published in market.snapshot() {
        bases.iter_mut().for_each(|base| drop(base.feed(&published)));
    }
    let horizon_ns = i64::from(asked.horizon_s) * 1_000_000_000;
    let mut running: Vec<(usize, Running)> = Vec::new();
    let mut done: Vec<Option<Trial>> = vec![None; asked.orders];
    let (mut sent, mut left) = (0, asked.orders);
    // A look at the market before the first.
    let mut send_ns = market.now_ns() + 2 * ORDER_NS;
    let mut fills = Vec::new();
    while left > 0 {
        let place_ns = running.iter().filter(|r| !r.1.placed).map(|r| r.1.arrive_ns).min().unwrap_or(NEVER);
        let next_ns = market.next_ns();
        if place_ns < next_ns {
            let arriving = running.iter_mut().filter(|r| !r.1.placed && r.1.arrive_ns == place_ns);
            arriving.for_each(|(number, r)| r.enter(*number, &mut market));
        } else if sent < asked.orders && send_ns <= next_ns {
            if let Some(touch) = bases[0].touch() {
                running.push((sent, Running::send(&mut rng, sent, touch, send_ns, &mut bases)));
            } else {
                left -= 1;
            }
            sent += 1;
            send_ns += ORDER_NS;
        } else {
            for published in market.step(&mut fills) {
                bases.iter_mut().for_each(|base| drop(base.feed(&published)));
                running.iter_mut().for_each(|(_, r)| r.feed(&published, bases[0].touch()));
            }
            for (number, at_ns) in fills.drain(..) {
                if let Some((_, r)) = running.iter_mut().find(|r| r.0 == number) {
                    r.trial.truth_ns = at_ns - r.arrive_ns;
                }
            }
            let now_ns = market.now_ns();
            running.retain_mut(|(number, r)| {
                let over = now_ns > r.arrive_ns + horizon_ns + SLACK_NS;
                if over {
                    market.engine.phantoms.cancel(*number, r.side, r.px);
                    done[*number] = Some(r.end(horizon_ns));
                    left -= 1;
                }
                !over
            });
        }
    }
    Ok(done.into_iter().flatten().collect())
}

impl Running {
    fn send(rng: &mut Rng, number: usize, touch: (i64, i64), sent_ns: i64, bases: &mut [Reader]) -> Running {
        let behind = BEHIND_TICKS[rng.below(BEHIND_TICKS.len() as u64) as usize];
        let (side, px) =
            if number.is_multiple_of(2) { (Side::Bid, touch.0 - behind) } else { (Side::Ask, touch.1 + behind) };
        let displayed = bases[0].displayed(side, px);
        let mut readers: Vec<Reader> = bases.to_vec();
        for reader in &mut readers {
            reader.advance(sent_ns);
            reader.place(side, px, sent_ns);
        }
        let models_ns = vec![NEVER; readers.len()];
        let trial = Trial {
            displayed,
            truth_ns: NEVER,
            models_ns,
            early_ns: NEVER,
            touch_ns: NEVER,
            through_ns: NEVER,
            refused: false,
        };
        let readers = readers.into_iter().map(Some).collect();
        Running { side, px, arrive_ns: sent_ns + WAY_NS, placed: false, readers, trial }
    }

    /// The order reaches the matching engine.
    fn enter(&mut self, number: usize, market: &mut Market) {
        self.placed = true;
        self.trial.refused = !market.engine.place_phantom(number, self.side, self.px);
    }

    /// Whether a price is our own or beyond it, by `ticks` at least, for somebody who meets us.
    fn is_through(&self, px: i64, ticks: i64) -> bool {
        if self.side == Side::Bid { px + ticks <= self.px } else { px - ticks >= self.px }
    }

    fn feed(&mut self, published: &Published, touch: Option<(i64, i64)>) {
        for n in 0..self.readers.len() {
            let Some(reader) = &mut self.readers[n] else { continue };
            let reports = reader.feed(published);
            if n == 0 {
                self.trial.early_ns = since(reader.early_ns, self.arrive_ns);
            }
            if self.learn(n, &reports) {
                self.readers[n] = None;
            }
        }
        let (message, rows) = published;
        if message.ts_event_ns < self.arrive_ns {
            return;
        }
        let reached = match rows[0].kind() {
            RowKind::SellTrade if self.side == Side::Bid => Some(rows[0].px()),
            RowKind::BuyTrade if self.side == Side::Ask => Some(rows[0].px()),
            RowKind::Bid | RowKind::Ask => touch.map(|(bid, ask)| if self.side == Side::Bid { ask } else { bid }),
            _ => None,
        };
        let at_ns = message.ts_event_ns - self.arrive_ns;
        if reached.is_some_and(|px| self.is_through(px, 0)) {
            self.trial.touch_ns = self.trial.touch_ns.min(at_ns);
        }
        if reached.is_some_and(|px| self.is_through(px, 1)) {
            self.trial.through_ns = self.trial.through_ns.min(at_ns);
        }
    }

    /// What a simulator says; true when that was its last word.
    fn learn(&mut self, model: usize, reports: &[Report]) -> bool {
        for report in reports {
            match (report.kind, &report.fill) {
                (ReportKind::Filled, Some(fill)) => {
                    self.trial.models_ns[model] = fill.ts_event_ns - self.arrive_ns;
                    return true;
                }
                (ReportKind::Accepted, _) => {}
                _ => {
                    self.trial.refused = true;
                    return true;
                }
            }
        }
        false
    }

    fn end(&mut self, horizon_ns: i64) -> Trial {
        let mut trial = self.trial.clone();
        let Trial { truth_ns, early_ns, touch_ns, through_ns, models_ns, .. } = &mut trial;
        let times = [truth_ns, early_ns, touch_ns, through_ns];
        for time in times.into_iter().chain(models_ns.iter_mut()).filter(|t| **t > horizon_ns) {
            *time = NEVER;
        }
        trial
    }
}

fn since(at_ns: i64, from_ns: i64) -> i64 {
    if at_ns == i64::MAX { NEVER } else { at_ns - from_ns }
}
