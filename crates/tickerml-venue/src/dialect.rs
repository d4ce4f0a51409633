//! JSON exactly as a venue writes it (exchanges.md 1.4, 1.5, 1.7, 3.3 to 3.5), one file a family.
//!
//! Spot and Binance.US share one writer, linear and inverse futures the other; what differs inside a family is a condition
//! on the venue there.
pub mod spot;
pub mod usdm;

use crate::text::Scale;
use tickerml_core::instrument::Venue;

/// What every writer must know about a symbol.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// The venue whose dialect is spoken.
    pub venue: Venue,
    /// Upper-case symbol.
    pub name: String,
    /// Currency bought.
    pub base: String,
    /// Currency paid.
    pub quote: String,
    /// Smallest price x quantity, decimal text.
    pub min_notional: String,
    /// Scales.
    pub scale: Scale,
}

/// A depth diff.
#[derive(Debug, Clone, Copy)]
pub struct Diff<'a> {
    /// When it was sent, ms.
    pub sent_ms: i64,
    /// When its last change happened, ms.
    pub match_ms: i64,
    /// U.
    pub first_id: u64,
    /// u.
    pub last_id: u64,
    /// pu: the u of the diff before.
    pub prev_id: u64,
    /// Changed bids, ascending: (ticks, lots).
    pub bids: &'a [(i64, i64)],
    /// Changed asks, ascending.
    pub asks: &'a [(i64, i64)],
}

/// A fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// When it was sent, ms.
    pub sent_ms: i64,
    /// When it happened, ms.
    pub match_ms: i64,
    /// Dense id.
    pub id: u64,
    /// Ticks; 0 for an id spent without a public fill.
    pub px: i64,
    /// Lots.
    pub qty: i64,
    /// Whether the taker sold.
    pub maker_bought: bool,
}

/// Fills taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggTrade {
    /// Dense id of its own.
    pub id: u64,
    /// First and last trade id.
    pub trades: (u64, u64),
    /// The fill with the summed quantity.
    pub sum: Trade,
}

/// Best bid and ask: (ticks, lots) each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// Update id.
    pub id: u64,
    /// When it was sent, ms.
    pub sent_ms: i64,
    /// Best bid.
    pub bid: (i64, i64),
    /// Best ask.
    pub ask: (i64, i64),
}

/// Mark price of a perpetual, prices as integers of 10^-8, rate of 10^-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When it was sent, ms.
    pub sent_ms: i64,
    /// Mark price.
    pub mark_e8: i64,
    /// Index price.
    pub index_e8: i64,
    /// Estimated funding rate of the settlement at `next_ms`.
    pub rate_e8: i64,
    /// Next settlement, ms.
    pub next_ms: i64,
}

/// The book as a REST answer.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// lastUpdateId.
    pub id: u64,
    /// When it was made, ms.
    pub sent_ms: i64,
    /// Bids, best first: (ticks, lots).
    pub bids: &'a [(i64, i64)],
    /// Asks, best first.
    pub asks: &'a [(i64, i64)],
}

macro_rules! per_family {
    ($($(#[$doc:meta])* $name:ident($message:ty);)*) => {
        impl Symbol {
            $($(#[$doc])* pub fn $name(&self, out: &mut String, message: &$message) {
                if self.venue.is_futures() { usdm::$name(self, out, message) } else { spot::$name(self, out, message) }
            })*
        }
    };
}

per_family! {
    /// Writes a depthUpdate.
    diff(Diff<'_>);
    /// Writes a trade.
    trade(Trade);
    /// Writes an aggTrade.
    agg_trade(AggTrade);
    /// Writes a bookTicker.
    touch(Touch);
    /// Writes the body of a REST depth answer.
    snapshot(Snapshot<'_>);
}

/// Writes the body of exchangeInfo for these symbols of one venue.
pub fn exchange_info(venue: Venue, symbols: &[Symbol], now_ms: i64) -> String {
    let (family, weight) = if venue.is_futures() { ("futuresType\":\"U_MARGINED\",\"", 2400) } else { ("", 6000) };
    let mut out = format!(
        "{{\"timezone\":\"UTC\",\"serverTime\":{now_ms},\"{family}rateLimits\":[{{\"rateLimitType\":\"REQUEST_WEIGHT\",\
         \"interval\":\"MINUTE\",\"intervalNum\":1,\"limit\":{weight}}}],\"exchangeFilters\":[],\"symbols\":["
    );
    for (n, symbol) in symbols.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        if venue.is_futures() { usdm::info(symbol, &mut out) } else { spot::info(symbol, &mut out) }
    }
    out.push_str("]}");
    out
}

/// Notice of a planned shutdown, as a combined stream.
pub fn server_shutdown(now_ms: i64) -> String {
    format!("{{\"stream\":\"!serverShutdown\",\"data\":{{\"e\":\"serverShutdown\",\"E\":{now_ms}}}}}")
}

/// `{"code":..,"msg":".."}`, the body of every error.
pub fn error_body(code: i32, message: &str) -> String {
    serde_json::json!({"code": code, "msg": message}).to_string()
}

/// `tick` or `lot` (integer of 10^-decimals) as text with that many decimals.
pub(crate) fn step_text(value: i64, decimals: u8) -> String {
    let mut out = String::new();
    crate::text::fixed(&mut out, value, decimals);
    out
}
