//! The policy `grid` (simulation.md 2) in the market of the truth: what it earns by a model's fills, and by true ones.
//!
//! Both run the same rule on the same published book with the same ways there and back; only who answers differs. After the
//! first fill that differs the two hold different orders: what is compared is what the policy would have made, whole.
use super::market::{DIFF_NS, Market};
use super::reader::Reader;
use super::score::Money;
use super::{Asked, ORDER_NS, WAY_NS};
use crate::engine::Side;
use crate::error::Result;
use std::collections::{BTreeMap, VecDeque};
use tickerml_core::sim::{Report, ReportKind};

const LEVELS: i64 = 3;
const HALF_SPREAD_TICKS: i64 = 1;
const POSITION_MAX: i64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Resting,
    Cancelling,
}

#[derive(Debug, Clone, Copy)]
struct Own {
    side: Side,
    px: i64,
    state: State,
}

/// What an answerer says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Accepted,
    Filled,
    Ended,
}

/// One run: money in half ticks times lots, and fills.
#[derive(Debug, Clone, Copy)]
struct Earned {
    pnl: i64,
    fills: usize,
}

/// Runs the policy by truth and by every model.
pub fn compare(asked: &Asked, models: &[&str]) -> Result<Vec<Money>> {
    let truth = run(asked, "risk_averse", true)?;
    let by = |model: &&str| {
        let said = run(asked, model, false)?;
        Ok(Money {
            pnl_half_ticks: said.pnl,
            true_pnl_half_ticks: truth.pnl,
            fills: said.fills,
            true_fills: truth.fills,
        })
    };
    models.iter().map(by).collect()
}

fn run(asked: &Asked, model: &str, truly: bool) -> Result<Earned> {
    let mut market = Market::open(asked.law, asked.regime, asked.seed);
    let mut reader = Reader::new(asked, model)?;
    for published in market.snapshot() {
        reader.feed(&published);
    }
    let mut venue = Truth::default();
    let mut policy = Grid::default();
    let end_ns = market.now_ns() + asked.orders as i64 * ORDER_NS;
    let mut step_ns = market.now_ns() + DIFF_NS;
    let mut fills = Vec::new();
    let mut news: Vec<(u64, News)> = Vec::new();
    while step_ns < end_ns {
        if market.next_ns() <= step_ns {
            venue.enter_until(market.next_ns(), &mut market);
            for published in market.step(&mut fills) {
                news.extend(reader.feed(&published).iter().filter_map(told));
            }
            for (number, at_ns) in fills.drain(..) {
                venue.met(number, at_ns);
            }
            continue;
        }
        news.extend(reader.advance(step_ns + 1).iter().filter_map(told));
        venue.enter_until(step_ns, &mut market);
        venue.tell(step_ns, &mut news);
        for (id, what) in news.drain(..) {
            policy.learn(id, what);
        }
        if let Some(touch) = reader.touch() {
            policy.decide(touch, |asked| match (asked, truly) {
                (Ask::New(side, px), true) => venue.send(step_ns, side, px),
                (Ask::New(side, px), false) => reader.place(side, px, step_ns),
                (Ask::Cancel(id), true) => venue.cancel(step_ns, id),
                (Ask::Cancel(id), false) => {
                    reader.cancel(id, step_ns);
                    id
                }
            });
        }
        step_ns += DIFF_NS;
    }
    let mid2 = reader.touch().map_or(0, |(bid, ask)| bid + ask);
    Ok(Earned { pnl: policy.cash2 + policy.position * mid2, fills: policy.fills })
}

fn told(report: &Report) -> Option<(u64, News)> {
    let what = match report.kind {
        ReportKind::Accepted => News::Accepted,
        ReportKind::Filled => News::Filled,
        ReportKind::Rejected | ReportKind::Cancelled | ReportKind::Expired => News::Ended,
        _ => return None,
    };
    Some((report.order_id, what))
}

enum Ask {
    New(Side, i64),
    Cancel(u64),
}

/// The rule, and what it knows of its orders.
#[derive(Default)]
struct Grid {
    own: BTreeMap<u64, Own>,
    position: i64,
    cash2: i64,
    fills: usize,
}

impl Grid {
    fn learn(&mut self, id: u64, what: News) {
        match what {
            News::Accepted => {
                if let Some(own) = self.own.get_mut(&id).filter(|own| own.state == State::Pending) {
                    own.state = State::Resting;
                }
            }
            News::Ended => drop(self.own.remove(&id)),
            News::Filled => {
                if let Some(own) = self.own.remove(&id) {
                    let sign = if own.side == Side::Bid { 1 } else { -1 };
                    self.position += sign;
                    self.cash2 -= sign * 2 * own.px;
                    self.fills += 1;
                }
            }
        }
    }

    fn decide(&mut self, (bid, ask): (i64, i64), mut send: impl FnMut(Ask) -> u64) {
        let bid0 = (bid + ask - 2 * HALF_SPREAD_TICKS).min(2 * bid).div_euclid(2);
        let ask0 = -(-(bid + ask + 2 * HALF_SPREAD_TICKS).max(2 * ask)).div_euclid(2);
        let buys = (0..LEVELS).filter(|_| self.position < POSITION_MAX).map(|n| (Side::Bid, bid0 - n));
        let sells = (0..LEVELS).filter(|_| self.position > -POSITION_MAX).map(|n| (Side::Ask, ask0 + n));
        let wanted: Vec<(Side, i64)> = buys.chain(sells).collect();
        for (id, own) in &mut self.own {
            if own.state == State::Resting && !wanted.contains(&(own.side, own.px)) {
                own.state = State::Cancelling;
                send(Ask::Cancel(*id));
            }
        }
        for (side, px) in wanted {
            if !self.own.values().any(|own| own.px == px) {
                let id = send(Ask::New(side, px));
                self.own.insert(id, Own { side, px, state: State::Pending });
            }
        }
    }
}

/// When a request arrives, the order, and its side and price; none for a cancel.
type Sent = (i64, u64, Option<(Side, i64)>);

/// The venue's own answers: phantoms in its queues, requests and reports under way.
#[derive(Default)]
struct Truth {
    sent: VecDeque<Sent>,
    resting: BTreeMap<u64, (Side, i64)>,
    reports: VecDeque<(i64, u64, News)>,
    last_id: u64,
}

impl Truth {
    fn send(&mut self, now_ns: i64, side: Side, px: i64) -> u64 {
        self.last_id += 1;
        self.sent.push_back((now_ns + WAY_NS, self.last_id, Some((side, px))));
        self.last_id
    }

    fn cancel(&mut self, now_ns: i64, id: u64) -> u64 {
        self.sent.push_back((now_ns + WAY_NS, id, None));
        id
    }

    /// Requests that arrive before `until_ns` act.
    fn enter_until(&mut self, until_ns: i64, market: &mut Market) {
        while let Some(&(at_ns, id, what)) = self.sent.front().filter(|s| s.0 < until_ns) {
            self.sent.pop_front();
            let news = match what {
                Some((side, px)) if market.engine.place_phantom(id as usize, side, px) => {
                    self.resting.insert(id, (side, px));
                    News::Accepted
                }
                Some(_) => News::Ended,
                None => match self.resting.remove(&id) {
                    Some((side, px)) => {
                        market.engine.phantoms.cancel(id as usize, side, px);
                        News::Ended
                    }
                    None => continue,
                },
            };
            self.reports.push_back((at_ns + WAY_NS, id, news));
        }
    }

    fn met(&mut self, number: usize, at_ns: i64) {
        if self.resting.remove(&(number as u64)).is_some() {
            self.reports.push_back((at_ns + WAY_NS, number as u64, News::Filled));
        }
    }

    fn tell(&mut self, now_ns: i64, news: &mut Vec<(u64, News)>) {
        while let Some(&(_, id, what)) = self.reports.front().filter(|r| r.0 <= now_ns) {
            self.reports.pop_front();
            news.push((id, what));
        }
    }
}
