//! What a venue says about one symbol, and when: trades and touches at once, diffs at their cadence, marks by the clock.
use super::Opening;
use crate::dialect::{AggTrade, Diff, Mark, Symbol, Touch, Trade, usdm};
use crate::engine::{Engine, Output, Side};
use crate::market::OutFrame;
use crate::rng::Rng;
use crate::stream::Channel;
use std::collections::BTreeMap;
use std::sync::Arc;

const MS: i64 = 1_000_000;

/// Futures sum up fills of one price and direction over this long (exchanges.md 3.3).
const AGGREGATE_NS: i64 = 100 * MS;

/// Share of futures trade ids spent without a public fill.
const SPENT_SHARE: f64 = 0.01;

/// Changes since the last diff of one cadence.
#[derive(Debug)]
struct Cadence {
    channel: Channel,
    period_ms: u16,
    next_ns: i64,
    first_id: u64,
    last_id: u64,
    prev_id: u64,
    match_ns: i64,
    changed: [BTreeMap<i64, i64>; 2],
}

/// A stream: its channel, the start of its combined wrapper, whether anybody listens.
#[derive(Debug)]
struct Stream {
    channel: Channel,
    name: Arc<str>,
    head: String,
    wanted: bool,
}

/// The publishing side of a listing.
#[derive(Debug)]
pub(super) struct Publisher {
    number: usize,
    futures: bool,
    streams: Vec<Stream>,
    cadences: Vec<Cadence>,
    rng: Rng,
    trade_id: u64,
    agg_id: u64,
    agg: Option<AggTrade>,
    agg_until_ns: i64,
    touch: Option<[(i64, i64); 2]>,
    mark_next_ns: i64,
    funding_ns: i64,
    premium: f64,
}

impl Publisher {
    pub fn new(symbol: &Symbol, opening: &Opening, number: usize, rng: Rng) -> Publisher {
        let start_ns = opening.start_ns;
        let lower = symbol.name.to_lowercase();
        let channels = Channel::of(symbol.venue);
        let futures = symbol.venue.is_futures();
        // Ids grow from one start of the venue to the next, at well above the rate at which they are spent.
        let trade_id = (start_ns / 1_000_000_000).unsigned_abs() * 300;
        Publisher {
            number,
            futures,
            streams: channels.iter().map(|c| stream(&lower, *c)).collect(),
            cadences: channels.iter().filter_map(|c| cadence(*c, start_ns)).collect(),
            rng,
            trade_id,
            agg_id: trade_id / 2,
            agg: None,
            agg_until_ns: i64::MAX,
            touch: None,
            mark_next_ns: if futures { round_up(start_ns, 1000 * MS) } else { i64::MAX },
            funding_ns: i64::from(opening.funding_interval_s) * 1000 * MS,
            premium: 0.0,
        }
    }

    pub fn want(&mut self, channel: Channel, wanted: bool) {
        if let Some(stream) = self.streams.iter_mut().find(|s| s.channel == channel) {
            stream.wanted = wanted;
        }
    }

    pub fn next_ns(&self) -> i64 {
        let diffs = self.cadences.iter().map(|c| c.next_ns).min().unwrap_or(i64::MAX);
        diffs.min(self.agg_until_ns).min(self.mark_next_ns)
    }

    /// Notes a level change for the next diffs.
    pub fn change(&mut self, now_ns: i64, id: u64, output: &Output) {
        for cadence in &mut self.cadences {
            if cadence.first_id == 0 {
                cadence.first_id = id;
            }
            cadence.last_id = id;
            cadence.match_ns = now_ns;
            cadence.changed[output.side.index()].insert(output.px, output.after);
        }
    }

    /// Publishes a fill; now and then a futures venue spends an id on something that it does not show.
    pub fn fill(&mut self, now: i64, symbol: &Symbol, px: i64, qty: i64, bought: bool, frames: &mut Vec<OutFrame>) {
        if self.futures && self.rng.chance(SPENT_SHARE) {
            self.trade(now, symbol, 0, 0, bought, frames);
        }
        let trade = self.trade(now, symbol, px, qty, bought, frames);
        match self.agg.as_mut().filter(|a| a.sum.px == px && a.sum.maker_bought == bought) {
            Some(agg) => {
                agg.sum.qty += qty;
                agg.trades.1 = trade.id;
            }
            None => {
                self.flush_agg(now, symbol, frames);
                self.agg_id += 1;
                self.agg = Some(AggTrade { id: self.agg_id, trades: (trade.id, trade.id), sum: trade });
                self.agg_until_ns = if self.futures { now + AGGREGATE_NS } else { i64::MAX };
            }
        }
    }

    fn trade(&mut self, now: i64, symbol: &Symbol, px: i64, qty: i64, bought: bool, out: &mut Vec<OutFrame>) -> Trade {
        self.trade_id += 1;
        let ms = now / MS;
        let trade = Trade { sent_ms: ms, match_ms: ms, id: self.trade_id, px, qty, maker_bought: bought };
        self.emit(Channel::Trade, now, (trade.id, trade.id), out, |text| symbol.trade(text, &trade));
        trade
    }

    fn flush_agg(&mut self, now_ns: i64, symbol: &Symbol, frames: &mut Vec<OutFrame>) {
        self.agg_until_ns = i64::MAX;
        let Some(mut agg) = self.agg.take() else { return };
        agg.sum.sent_ms = now_ns / MS;
        self.emit(Channel::AggTrade, now_ns, (agg.id, agg.id), frames, |text| symbol.agg_trade(text, &agg));
    }

    /// Publishes the touch where it differs from the one before. On spot this also ends the taker's aggregate.
    pub fn touch(&mut self, now_ns: i64, symbol: &Symbol, engine: &Engine, id: u64, frames: &mut Vec<OutFrame>) {
        if !self.futures {
            self.flush_agg(now_ns, symbol, frames);
        }
        let best = |side| engine.best(side).map(|px| (px, engine.qty_at(side, px)));
        let (Some(bid), Some(ask)) = (best(Side::Bid), best(Side::Ask)) else { return };
        if self.touch.replace([bid, ask]) != Some([bid, ask]) {
            let touch = Touch { id, sent_ms: now_ns / MS, bid, ask };
            self.emit(Channel::BookTicker, now_ns, (id, id), frames, |text| symbol.touch(text, &touch));
        }
    }

    /// Publishes what is due by the clock.
    pub fn timers(&mut self, now: i64, symbol: &Symbol, engine: &Engine, fair: f64, frames: &mut Vec<OutFrame>) {
        if self.agg_until_ns <= now {
            self.flush_agg(now, symbol, frames);
        }
        for n in 0..self.cadences.len() {
            if self.cadences[n].next_ns <= now {
                self.diff(n, now, symbol, frames);
            }
        }
        if self.mark_next_ns <= now {
            self.mark(now, symbol, engine, fair, frames);
        }
    }

    fn diff(&mut self, n: usize, now_ns: i64, symbol: &Symbol, frames: &mut Vec<OutFrame>) {
        let wait_ns = match self.cadences[n].period_ms {
            // As fast as the venue makes them: recorded gaps lie around 50 ms, seldom below 25.
            0 => 30 * MS + (self.rng.exp(22.0) * MS as f64) as i64,
            ms => i64::from(ms) * MS,
        };
        let cadence = &mut self.cadences[n];
        cadence.next_ns = now_ns + wait_ns;
        if cadence.first_id == 0 {
            return;
        }
        let changed = std::mem::take(&mut cadence.changed).map(|side| side.into_iter().collect::<Vec<_>>());
        let (first_id, last_id, prev_id) = (std::mem::take(&mut cadence.first_id), cadence.last_id, cadence.prev_id);
        cadence.prev_id = last_id;
        let (sent_ms, match_ms) = (now_ns / MS, cadence.match_ns / MS);
        let diff = Diff { sent_ms, match_ms, first_id, last_id, prev_id, bids: &changed[0], asks: &changed[1] };
        let channel = cadence.channel;
        self.emit(channel, now_ns, (first_id, last_id), frames, |text| symbol.diff(text, &diff));
    }

    fn mark(&mut self, now_ns: i64, symbol: &Symbol, engine: &Engine, fair: f64, frames: &mut Vec<OutFrame>) {
        self.mark_next_ns += 1000 * MS;
        let mid = engine.best(Side::Bid).zip(engine.best(Side::Ask)).map_or(fair, |(b, a)| (a + b) as f64 / 2.0);
        // The index wanders a basis point around the fair value; the smoothed premium over it moves the rate.
        let index = fair * (1.0 + 1e-4 * (1.0 - 2.0 * self.rng.unit()));
        self.premium += 0.02 * ((mid - index) / index - self.premium);
        // Ticks to integers of 10^-8: mark and index are printed with eight decimals.
        let unit = symbol.scale.tick as f64 * 10f64.powi(8 - i32::from(symbol.scale.px_decimals));
        let mark = Mark {
            sent_ms: now_ns / MS,
            mark_e8: (index * (1.0 + self.premium) * unit) as i64,
            index_e8: (index * unit) as i64,
            rate_e8: ((1e-4 + self.premium).clamp(-7.5e-3, 7.5e-3) * 1e8) as i64,
            next_ms: round_up(now_ns + 1, self.funding_ns) / MS,
        };
        self.emit(Channel::MarkPrice(1000), now_ns, (0, 0), frames, |text| usdm::mark(symbol, text, &mark));
        if now_ns / (1000 * MS) % 3 == 0 {
            self.emit(Channel::MarkPrice(3000), now_ns, (0, 0), frames, |text| usdm::mark(symbol, text, &mark));
        }
    }

    /// Writes a frame, if anybody wants it.
    fn emit(
        &self,
        channel: Channel,
        ts_ns: i64,
        ids: (u64, u64),
        frames: &mut Vec<OutFrame>,
        write: impl FnOnce(&mut String),
    ) {
        let Some(stream) = self.streams.iter().find(|s| s.channel == channel && s.wanted) else { return };
        let mut text = String::with_capacity(256);
        text.push_str(&stream.head);
        write(&mut text);
        text.push('}');
        frames.push(OutFrame {
            symbol: self.number,
            stream: Arc::clone(&stream.name),
            diff: matches!(channel, Channel::Depth(_)),
            ts_ns,
            first_id: ids.0,
            last_id: ids.1,
            text,
            data_at: stream.head.len(),
        });
    }
}

fn stream(symbol: &str, channel: Channel) -> Stream {
    let name = format!("{symbol}@{}", channel.suffix());
    let head = format!("{{\"stream\":\"{name}\",\"data\":");
    Stream { channel, name: name.into(), head, wanted: true }
}

fn cadence(channel: Channel, start_ns: i64) -> Option<Cadence> {
    let Channel::Depth(period_ms) = channel else { return None };
    Some(Cadence {
        channel,
        period_ms,
        next_ns: start_ns + i64::from(period_ms) * MS,
        first_id: 0,
        last_id: 0,
        prev_id: 0,
        match_ns: start_ns,
        changed: [BTreeMap::new(), BTreeMap::new()],
    })
}

fn round_up(ns: i64, period_ns: i64) -> i64 {
    (ns + period_ns - 1).div_euclid(period_ns) * period_ns
}
