//! What the venue says about its instruments, and venues that will never answer.
use super::Supervisor;
use super::books::scale;
use super::lane::Phase;
use crate::rest::{RestAnswer, What};
use crate::tape_port::Tape;
use serde_json::json;
use tickerml_core::instrument::{Instrument, Venue};
use tickerml_core::tape::RecordKind;
use tickerml_core::wire;

/// Symbols named in one exchangeInfo URL; beyond it everything is asked for, to keep URLs short.
const SYMBOLS_NAMED_MAX: usize = 100;
/// Numbers that do not fit make us ask again, for a venue may change a tick; not more often than this.
const SPACING_NS: i64 = 60_000_000_000;
/// A coarser tick shows in no number: the venue is asked again this often. Its answer is a megabyte on futures.
pub const AGAIN_NS: i64 = 6 * 3_600_000_000_000;

impl<T: Tape> Supervisor<T> {
    pub(super) fn want_metadata(&mut self, venue: usize, now_ns: i64) {
        if now_ns - self.venues[venue].metadata_asked_ns >= SPACING_NS {
            self.venues[venue].metadata_asked_ns = now_ns;
            let all = self.plan.venues[venue].symbols.len() > SYMBOLS_NAMED_MAX;
            self.venues[venue].rest.want(What::ExchangeInfo { all }, now_ns);
        }
    }

    pub(super) fn want_metadata_again(&mut self, now_ns: i64) {
        for venue in 0..self.venues.len() {
            if now_ns - self.venues[venue].metadata_asked_ns >= AGAIN_NS {
                self.want_metadata(venue, now_ns);
            }
        }
    }

    /// exchangeInfo came: writes INSTRUMENT records and opens sockets. False when it must be asked for again.
    pub(super) fn apply_metadata(&mut self, venue: usize, all: bool, answer: &RestAnswer, now_ns: i64) -> bool {
        let config = &self.plan.venues[venue];
        if answer.status == 400 && !all {
            // One of the named symbols does not exist, and the answer does not say which.
            self.venues[venue].rest.want(What::ExchangeInfo { all: true }, now_ns);
            return true;
        }
        if answer.status != 200 {
            return false;
        }
        match wire::exchange_info(config.venue, &answer.body, &config.symbols) {
            Ok((_, unknown)) if !unknown.is_empty() => {
                let text = format!(
                    "{}: the venue has no symbol {}; correct `symbols` of this venue in exchanges_config.yaml (Binance writes \
                     BTCUSDT)",
                    config.venue,
                    unknown.join(", ")
                );
                // A symbol that goes while others are recorded is no reason to stop them.
                if self.venues[venue].instruments.is_empty() {
                    self.fatal = Some(text);
                } else {
                    self.errors.push(text);
                }
                true
            }
            Ok((instruments, _)) => {
                self.set_instruments(venue, instruments, now_ns);
                true
            }
            Err(error) => {
                let (name, host) = (config.venue, config.rest_url.clone());
                self.note_failure(venue, &host, &format!("exchangeInfo refused: {error}"));
                self.errors.push(format!("{name}: exchangeInfo refused: {error}"));
                false
            }
        }
    }

    /// Records what is new or has changed; the first time also opens the sockets. Another tick or lot rebuilds the book, in the
    /// scale of before where that holds it, as the tape's readers do.
    fn set_instruments(&mut self, venue: usize, instruments: Vec<Instrument>, now_ns: i64) {
        let before = std::mem::take(&mut self.venues[venue].instruments);
        for told in instruments {
            let old = before.iter().find(|i| i.symbol == told.symbol);
            let held = old.map_or_else(|| told.clone(), |old| told.clone().in_scale_of(old));
            if old != Some(&held) {
                self.append_json(RecordKind::Instrument, 0, now_ns, &json!(told));
            }
            if old.is_none_or(|old| !held.has_steps_of(old))
                && let Some((shard, symbol)) = self.find_book(&held.id())
            {
                self.shards[shard].books[symbol].scale = Some(scale(&held));
                self.counters.gaps += u64::from(self.restart(shard, symbol));
            }
            self.venues[venue].instruments.push(held);
        }
        if before.is_empty() {
            self.venues[venue].contact.since_ns = now_ns;
            self.open_venue(venue, now_ns);
        }
    }

    fn open_venue(&mut self, venue: usize, now_ns: i64) {
        for shard in 0..self.shards.len() {
            if self.shards[shard].plan.venue == venue {
                self.want_lane(shard, 0, now_ns);
            }
        }
    }

    /// HTTP 451 and 403 do not pass by waiting (exchanges.md 1.1): the venue is given up and the way out named.
    pub(super) fn block_venue(&mut self, venue: usize, status: u16, url: String, now_ns: i64) {
        if self.venues[venue].blocked.is_some() {
            return;
        }
        let text = format!(
            "{}: {url} answered HTTP {status}: {}",
            self.plan.venues[venue].venue,
            way_out(self.plan.venues[venue].venue, status)
        );
        self.health(0, now_ns, "venue", "blocked", &text);
        self.errors.push(text.clone());
        self.venues[venue].blocked = Some(text);
        for lane in 0..self.lanes.len() {
            if self.shards[self.lanes[lane].shard].plan.venue == venue {
                self.drop_lane(lane, now_ns, "venue blocked", Phase::Idle);
            }
        }
        self.end_without_venues();
    }
}

fn way_out(venue: Venue, status: u16) -> &'static str {
    match (venue, status) {
        (Venue::BinanceSpot, 451) => {
            "this host does not serve your location. In the United States use binance_us; elsewhere set ws_url to \
             wss://data-stream.binance.vision and rest_url to https://data-api.binance.vision"
        }
        (_, 451) => "this host does not serve your location. In the United States record binance_us instead",
        _ => {
            "this host refuses your address (firewall or ban). Stop for a few minutes, or record another venue such as binance_us"
        }
    }
}
