//! Faults by chance and on request: what goes wrong between a venue and its client, decided by one seeded [`Injector`].
//!
//! [`link::Link`] stands between the venue's frames and one connection, [`desk::Desk`] between its book and REST answers.
//! Both live in virtual time and know no socket: the server carries out what they say, a test looks at it.
//! The injector counts each fault that really happened, so that a run of seeds can show that every kind was met.
pub mod desk;
pub mod link;

use crate::error::{Result, bad};
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest number of faults that wait to be carried out: a control script's mistake must not grow without bound.
pub const PENDING_MAX: usize = 1_024;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A diff is never sent.
    Drop,
    /// A diff is sent twice.
    Duplicate,
    /// A diff is sent after the next one.
    Reorder,
    /// The connection lags: this diff and all that follows come late, in order.
    Delay,
    /// A diff's JSON is cut in the middle, the WebSocket frame is sound.
    Malformed,
    /// A diff whose last id is [`MISNUMBER`] times too large.
    Misnumbered,
    /// One stream falls silent for a while, the others go on.
    Silence,
    /// The server closes with a close frame.
    Close,
    /// TCP reset.
    Reset,
    /// Nothing is sent or answered for a while, the socket stays open.
    Freeze,
    /// A frame's header promises more bytes than come before the socket ends.
    Truncated,
    /// A frame's header promises 64 MiB.
    Oversized,
    /// A text frame that is not UTF-8.
    BadUtf8,
    /// Notice of a planned shutdown, then a close.
    ServerShutdown,
    /// A snapshot of some time ago.
    Stale,
    /// A snapshot whose id fits no diff that this client can have.
    Mismatched,
    /// A snapshot that takes seconds.
    Slow,
    /// 429 with Retry-After.
    #[serde(rename = "status_429")]
    Status429,
    /// 418 with a longer Retry-After.
    #[serde(rename = "status_418")]
    Status418,
    /// 500, 502, 503 or 504.
    #[serde(rename = "status_5xx")]
    Status5xx,
    /// 200 with a page of HTML.
    Html,
    /// 200 with a JSON body that ends in the middle.
    HalfBody,
}

/// What a misnumbered diff's last id is multiplied by.
pub const MISNUMBER: u64 = 1_000;

/// Where a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a depth diff on a connection.
    Diff,
    /// At any frame on a connection when asked for; by chance only at depth diffs, so that all chances compare.
    Frame,
    /// At a REST depth request.
    Snapshot,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 22] = [
        Fault::Drop,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Delay,
        Fault::Malformed,
        Fault::Misnumbered,
        Fault::Silence,
        Fault::Close,
        Fault::Reset,
        Fault::Freeze,
        Fault::Truncated,
        Fault::Oversized,
        Fault::BadUtf8,
        Fault::ServerShutdown,
        Fault::Stale,
        Fault::Mismatched,
        Fault::Slow,
        Fault::Status429,
        Fault::Status418,
        Fault::Status5xx,
        Fault::Html,
        Fault::HalfBody,
    ];

    /// Where it strikes.
    pub const fn place(self) -> Place {
        match self {
            Fault::Drop
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::Delay
            | Fault::Malformed
            | Fault::Misnumbered
            | Fault::Silence => Place::Diff,
            Fault::Close
            | Fault::Reset
            | Fault::Freeze
            | Fault::Truncated
            | Fault::Oversized
            | Fault::BadUtf8
            | Fault::ServerShutdown => Place::Frame,
            _ => Place::Snapshot,
        }
    }

    /// Name in configuration, control commands and counters.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => unreachable!("a unit variant is a JSON string"),
        }
    }
}

/// Chance of each fault at each opportunity, 0 to 1; what is not named never happens by itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Mix(BTreeMap<Fault, f64>);

impl Mix {
    /// The same chance for every fault.
    pub fn uniform(chance: f64) -> Mix {
        Mix(Fault::ALL.into_iter().map(|f| (f, chance)).collect())
    }

    /// This mix with another chance for one fault.
    #[must_use]
    pub fn with(mut self, fault: Fault, chance: f64) -> Mix {
        self.0.insert(fault, chance);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.0.iter().find(|(_, chance)| !(0.0..=1.0).contains(*chance)) {
            Some((fault, chance)) => {
                Err(bad(&format!("faults.{}", fault.name()), format!("{chance} is outside 0..=1")))
            }
            None => Ok(()),
        }
    }
}

/// A fault asked for by a test or an operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRequest {
    /// What.
    pub kind: Fault,
    /// Only on this venue.
    #[serde(default)]
    pub venue: Option<tickerml_core::instrument::Venue>,
    /// Only for this symbol.
    #[serde(default)]
    pub symbol: Option<String>,
    /// How many times, at most 1,000.
    #[serde(default = "once")]
    pub count: u32,
    /// How long, for faults that last; drawn where absent.
    #[serde(default)]
    pub ms: Option<u32>,
}

fn once() -> u32 {
    1
}

/// A fault decided on, with how long it lasts (0 for those that do not last).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// What.
    pub fault: Fault,
    /// How long, ns.
    pub lasts_ns: i64,
}

/// Decides what goes wrong, and counts what did.
#[derive(Debug)]
pub struct Injector {
    rng: Rng,
    mix: Mix,
    pending: Vec<FaultRequest>,
    counts: BTreeMap<Fault, u64>,
}

impl Injector {
    /// An injector for one venue.
    pub fn new(rng: Rng, mix: Mix) -> Injector {
        Injector { rng, mix, pending: Vec::new(), counts: Fault::ALL.into_iter().map(|f| (f, 0)).collect() }
    }

    /// Asks for a fault at the next opportunities. False where too many wait already.
    pub fn request(&mut self, request: FaultRequest) -> bool {
        let room = self.pending.len() < PENDING_MAX && request.count <= 1_000;
        if room && request.count > 0 {
            self.pending.push(request);
        }
        room
    }

    /// Replaces the chances.
    pub fn set_mix(&mut self, mix: Mix) {
        self.mix = mix;
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> &BTreeMap<Fault, u64> {
        &self.counts
    }

    /// The injector's chance, for the details of a fault.
    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// What strikes at this place for this symbol (in either case): a fault asked for, else (with `chance`) one by chance.
    pub(crate) fn strike(&mut self, place: Place, symbol: &str, chance: bool) -> Option<Strike> {
        let strike = self.requested(place, symbol).or_else(|| if chance { self.by_chance(place) } else { None })?;
        *self.counts.entry(strike.fault).or_default() += 1;
        Some(strike)
    }

    fn requested(&mut self, place: Place, symbol: &str) -> Option<Strike> {
        let fits = |r: &FaultRequest| {
            r.kind.place() == place && r.symbol.as_ref().is_none_or(|s| s.eq_ignore_ascii_case(symbol))
        };
        let at = self.pending.iter().position(fits)?;
        let request = &mut self.pending[at];
        request.count -= 1;
        let (fault, ms) = (request.kind, request.ms);
        if request.count == 0 {
            self.pending.remove(at);
        }
        let lasts_ns = ms.map_or_else(|| self.duration(fault), |ms| i64::from(ms) * 1_000_000);
        Some(Strike { fault, lasts_ns })
    }

    fn by_chance(&mut self, place: Place) -> Option<Strike> {
        let rng = &mut self.rng;
        let hit = self.mix.0.iter().find(|(f, chance)| f.place() == place && **chance > 0.0 && rng.chance(**chance));
        let fault = *hit?.0;
        Some(Strike { fault, lasts_ns: self.duration(fault) })
    }

    /// How long a fault lasts by itself.
    fn duration(&mut self, fault: Fault) -> i64 {
        let (low_ms, high_ms): (i64, i64) = match fault {
            Fault::Delay => (20, 3_000),
            Fault::Silence => (2_000, 40_000),
            Fault::Freeze => (12_000, 60_000),
            Fault::ServerShutdown => (3_000, 10_000),
            Fault::Slow => (1_000, 8_000),
            Fault::Stale => (500, 20_000),
            Fault::Status429 => (1_000, 3_000),
            Fault::Status418 => (3_000, 10_000),
            _ => return 0,
        };
        (low_ms + self.rng.below((high_ms - low_ms) as u64) as i64) * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_first_and_only_where_they_fit() {
        let mut injector = Injector::new(Rng::new(1), Mix::default());
        let request = |text: &str| serde_json::from_str::<FaultRequest>(text).expect(text);
        assert!(injector.request(request(r#"{"kind":"drop","symbol":"ETHUSDT","count":2}"#)));
        assert!(injector.request(request(r#"{"kind":"status_429","ms":1500}"#)));
        assert_eq!(injector.strike(Place::Diff, "btcusdt", true), None);
        for _ in 0..2 {
            assert_eq!(injector.strike(Place::Diff, "ethusdt", true), Some(Strike { fault: Fault::Drop, lasts_ns: 0 }));
        }
        assert_eq!(injector.strike(Place::Diff, "ethusdt", true), None);
        let strike = injector.strike(Place::Snapshot, "x", true);
        assert_eq!(strike, Some(Strike { fault: Fault::Status429, lasts_ns: 1_500_000_000 }));
        assert_eq!((injector.counts()[&Fault::Drop], injector.counts()[&Fault::Status429]), (2, 1));
        assert!(serde_json::from_str::<FaultRequest>(r#"{"kind":"dorp"}"#).is_err());
    }

    #[test]
    fn names_read_back() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::from_value::<Fault>(fault.name().into()).ok(), Some(fault));
        }
    }
}
