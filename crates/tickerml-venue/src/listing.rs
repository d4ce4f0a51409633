//! One listed symbol: its engine and flow, and everything that the venue publishes about it, in virtual time.
mod publish;

use crate::config::SymbolConfig;
use crate::dialect::{Snapshot, Symbol};
use crate::engine::{Engine, Output, Side};
use crate::error::Result;
use crate::flow::{Flow, Profile, Regime};
use crate::history::{Change, History, Levels};
use crate::market::{Ids, OutFrame};
use crate::rng::Rng;
use crate::stream::Channel;
use publish::Publisher;
use tickerml_core::instrument::Venue;

/// A symbol on sale. See [`crate::market::Market`] for the way it is driven.
#[derive(Debug)]
pub struct Listing {
    symbol: Symbol,
    engine: Engine,
    flow: Flow,
    history: History,
    publisher: Publisher,
    outputs: Vec<Output>,
}

/// What all symbols of a market share at the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub venue: Venue,
    pub seed: u64,
    pub start_ns: i64,
    pub regime: Option<Regime>,
    pub funding_interval_s: u32,
}

impl Listing {
    pub(crate) fn open(config: &SymbolConfig, opening: &Opening, ids: &mut Ids, number: usize) -> Result<Listing> {
        let (symbol, px) = config.parts(opening.venue)?;
        let tick = symbol.scale.tick as f64 / 10f64.powi(i32::from(symbol.scale.px_decimals));
        let lot = symbol.scale.lot as f64 / 10f64.powi(i32::from(symbol.scale.qty_decimals));
        let price = px as f64 * tick;
        let profile =
            if opening.venue.is_futures() { Profile::usdm(price, tick, lot) } else { Profile::spot(price, tick, lot) };
        let label = format!("{}:{}", opening.venue, symbol.name);
        let flow = Flow::new(Rng::of(opening.seed, &label), profile, opening.regime, px, opening.start_ns);
        let publisher = Publisher::new(&symbol, opening, number, Rng::of(opening.seed, &format!("{label}/publish")));
        let (engine, history) = (Engine::new(), History::default());
        let mut listing = Listing { symbol, engine, flow, history, publisher, outputs: Vec::new() };
        let mut outputs = Vec::new();
        listing.flow.open(&mut listing.engine, &mut outputs);
        listing.outputs = outputs;
        listing.settle(opening.start_ns, ids, &mut Vec::new());
        Ok(listing)
    }

    /// Names, scales and dialect.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The matching engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The venue's own book at recent update ids.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The regime now.
    pub fn regime(&self) -> Regime {
        self.flow.regime()
    }

    /// Fixes the regime.
    pub fn pin(&mut self, regime: Regime) {
        self.flow.pin(regime);
    }

    /// Whether frames of this channel are written as text. Order flow and ids do not depend on it.
    pub fn want(&mut self, channel: Channel, wanted: bool) {
        self.publisher.want(channel, wanted);
    }

    /// Body of a REST depth answer at `id` with at most `limit` levels a side; none for an id not remembered.
    pub fn snapshot_at(&self, id: u64, limit: usize, now_ns: i64) -> Option<String> {
        let levels = self.history.at(id)?;
        Some(self.body(&levels, id, limit, now_ns))
    }

    /// Body of a REST depth answer that gives `levels` as the book at `id`, true or not.
    pub(crate) fn body(&self, levels: &Levels, id: u64, limit: usize, now_ns: i64) -> String {
        let bids: Vec<_> = levels[0].iter().rev().take(limit).map(|(p, q)| (*p, *q)).collect();
        let asks: Vec<_> = levels[1].iter().take(limit).map(|(p, q)| (*p, *q)).collect();
        let mut out = String::with_capacity(64 * (bids.len() + asks.len()) + 128);
        self.symbol.snapshot(&mut out, &Snapshot { id, sent_ms: now_ns / 1_000_000, bids: &bids, asks: &asks });
        out
    }

    pub(crate) fn next_ns(&self) -> i64 {
        self.flow.next_ns().min(self.publisher.next_ns())
    }

    /// Lets happen what is due at [`Listing::next_ns`].
    pub(crate) fn step(&mut self, ids: &mut Ids, frames: &mut Vec<OutFrame>) {
        let now_ns = self.next_ns();
        if self.publisher.next_ns() <= now_ns {
            self.publisher.timers(now_ns, &self.symbol, &self.engine, self.flow.fair(), frames);
        } else {
            self.flow.step(&mut self.engine, &mut self.outputs);
            self.settle(now_ns, ids, frames);
        }
    }

    /// Gives ids to what the engine did, remembers it and publishes trades and the touch.
    fn settle(&mut self, now_ns: i64, ids: &mut Ids, frames: &mut Vec<OutFrame>) {
        for output in std::mem::take(&mut self.outputs) {
            let id = ids.next();
            let Output { side, px, before, after, .. } = output;
            self.history.push(Change { id, side, px, before, after });
            self.publisher.change(now_ns, id, &output);
            if let Some(fill) = output.fill {
                self.publisher.fill(now_ns, &self.symbol, px, fill.qty, side == Side::Bid, frames);
            }
        }
        self.publisher.touch(now_ns, &self.symbol, &self.engine, self.history.last_id(), frames);
    }
}
