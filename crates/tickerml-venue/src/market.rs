//! A venue in virtual time: symbols that share a clock (and, on futures, the update ids). No sockets, no wall clock.
//!
//! ```
//! use tickerml_venue::{config::Config, market::Market};
//! let config = Config::default();
//! let mut market = Market::open(&config, &config.venues[0], 1_700_000_000_000_000_000)?;
//! let frames = market.advance(1_700_000_001_000_000_000);
//! assert!(frames[0].text.starts_with("{\"stream\":\""));
//! # Ok::<(), tickerml_venue::error::Error>(())
//! ```
use crate::config::{Config, VenueConfig};
use crate::dialect;
use crate::error::Result;
use crate::flow::Regime;
use crate::history::Levels;
use crate::listing::{Listing, Opening};
use crate::rng::Rng;
use crate::stream::Channel;
use std::sync::Arc;
use tickerml_core::instrument::Venue;

/// Flow before the doors open, so that the first snapshot shows a book in its usual state.
const WARM_UP_NS: i64 = 20_000_000_000;

/// A frame that the venue publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutFrame {
    /// Number of the symbol in its market.
    pub symbol: usize,
    /// Name of its stream, for example `btcusdt@depth@100ms`.
    pub stream: Arc<str>,
    /// Whether it is a depth diff.
    pub diff: bool,
    /// Venue time when it was sent, ns.
    pub ts_ns: i64,
    /// U of a diff, else the id of the message; 0 where it has none.
    pub first_id: u64,
    /// u of a diff, else the id of the message.
    pub last_id: u64,
    /// The frame in its combined-stream wrapper.
    pub text: String,
    /// Where the payload begins.
    pub data_at: usize,
}

impl OutFrame {
    /// The payload without the wrapper, as raw streams (`/ws/<stream>`) carry it.
    pub fn data(&self) -> &str {
        &self.text[self.data_at..self.text.len() - 1]
    }
}

/// Where update ids come from. Spot counts each symbol by one; on futures symbols share one counter with the whole venue,
/// so that consecutive diffs of a symbol leave holes between `pu` and `U`.
#[derive(Debug)]
pub(crate) struct Ids {
    last: u64,
    hole: f64,
    rng: Rng,
}

impl Ids {
    fn new(seed: u64, label: &str, start_ns: i64, per_s: u64, hole: f64) -> Ids {
        Ids { last: (start_ns / 1_000_000_000).unsigned_abs() * per_s, hole, rng: Rng::of(seed, label) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        if self.hole > 0.0 {
            self.last += self.rng.exp(self.hole) as u64;
        }
        self.last
    }
}

/// A venue and its symbols.
#[derive(Debug)]
pub struct Market {
    venue: Venue,
    listings: Vec<Listing>,
    /// One for each symbol, or a single shared one.
    ids: Vec<Ids>,
    now_ns: i64,
}

impl Market {
    /// Opens a venue whose doors open at `start_ns` (its clock is that of the caller, ns since 1970).
    ///
    /// # Errors
    /// [`crate::error::Error::BadConfig`] for a symbol that cannot be traded.
    pub fn open(config: &Config, venue: &VenueConfig, start_ns: i64) -> Result<Market> {
        let opening = Opening {
            venue: venue.venue,
            seed: config.seed,
            start_ns: start_ns - WARM_UP_NS,
            regime: config.regime,
            funding_interval_s: config.funding_interval_s,
        };
        let mut market = Market { venue: venue.venue, listings: Vec::new(), ids: Vec::new(), now_ns: opening.start_ns };
        for (n, symbol) in venue.symbols.iter().enumerate() {
            market.add_ids(&opening, &symbol.symbol);
            let ids = market.ids.last_mut().expect("just made");
            market.listings.push(Listing::open(symbol, &opening, ids, n)?);
        }
        market.want_all(false);
        market.advance(start_ns);
        market.want_all(true);
        Ok(market)
    }

    fn add_ids(&mut self, opening: &Opening, symbol: &str) {
        if !self.venue.is_futures() {
            self.ids.push(Ids::new(opening.seed, symbol, opening.start_ns, 20_000, 0.0));
        } else if self.ids.is_empty() {
            self.ids.push(Ids::new(opening.seed, "futures ids", opening.start_ns, 1_000_000, 60.0));
        }
    }

    /// The venue.
    pub fn venue(&self) -> Venue {
        self.venue
    }

    /// Virtual time reached, ns.
    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// The symbols.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Number of the symbol with this name, in either case.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.listings.iter().position(|l| l.symbol().name.eq_ignore_ascii_case(name))
    }

    /// Turns the writing of all frames on or off; nothing else depends on it.
    pub fn want_all(&mut self, wanted: bool) {
        for listing in &mut self.listings {
            for channel in Channel::of(self.venue) {
                listing.want(*channel, wanted);
            }
        }
    }

    /// Turns the writing of one stream on or off.
    pub fn want(&mut self, symbol: usize, channel: Channel, wanted: bool) {
        if let Some(listing) = self.listings.get_mut(symbol) {
            listing.want(channel, wanted);
        }
    }

    /// Fixes the regime of all symbols.
    pub fn pin(&mut self, regime: Regime) {
        self.listings.iter_mut().for_each(|l| l.pin(regime));
    }

    /// Lets everything happen that is due up to and including `to_ns`; the frames come in venue time.
    pub fn advance(&mut self, to_ns: i64) -> Vec<OutFrame> {
        let mut frames = Vec::new();
        while let Some((n, next_ns)) = self.listings.iter().map(Listing::next_ns).enumerate().min_by_key(|(_, ns)| *ns)
        {
            if next_ns > to_ns {
                break;
            }
            let ids = n.min(self.ids.len() - 1);
            self.listings[n].step(&mut self.ids[ids], &mut frames);
        }
        self.now_ns = self.now_ns.max(to_ns);
        frames
    }

    /// Body of a true REST depth answer now, at most `limit` levels a side.
    pub fn snapshot(&self, symbol: usize, limit: usize) -> Option<String> {
        let listing = self.listings.get(symbol)?;
        Some(listing.body(listing.history().levels(), listing.history().last_id(), limit, self.now_ns))
    }

    /// The venue's own book at an update id, ticks to lots; none where that lies ahead or is forgotten.
    pub fn book_at(&self, symbol: usize, id: u64) -> Option<Levels> {
        self.listings.get(symbol)?.history().at(id)
    }

    /// Body of exchangeInfo.
    pub fn exchange_info(&self) -> String {
        let symbols: Vec<_> = self.listings.iter().map(|l| l.symbol().clone()).collect();
        dialect::exchange_info(self.venue, &symbols, self.now_ns / 1_000_000)
    }
}
