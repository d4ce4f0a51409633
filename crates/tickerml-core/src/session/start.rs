//! How a session begins: what it waits for before it decides anything, and what the run before handed on.
use crate::error::{Error, Result};
use crate::market::Market;
use crate::tape::{Record, RecordKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A session decides about a fixed set of instruments: boundaries begin at the first market frame that comes when every
/// instrument of the CONFIG record is known or its venue is recorded as blocked. One that comes later is for the next run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Configured instruments without metadata, by id.
    awaited: Vec<String>,
    begun: bool,
    carry: Option<String>,
    /// What the run before held, by instrument: the venue has it too.
    held: Carried,
}

/// The account of the CARRY record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Positions.
    pub lots: Vec<Held>,
    /// Decimal text by currency.
    #[serde(default)]
    pub cash: BTreeMap<String, String>,
}

/// A position of the CARRY record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// Signed quantity, decimal text.
    pub qty: String,
    /// Spot, perpetual or inverse.
    #[serde(default)]
    pub kind: String,
    /// The currency that a position on spot is of.
    #[serde(default)]
    pub base: String,
}

impl Start {
    /// Whether an instrument is still missing.
    #[inline]
    pub const fn awaits(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// The set is fixed from here on. Returns what is held, once.
    pub fn begin(&mut self) -> Carried {
        self.begun = true;
        std::mem::take(&mut self.held)
    }

    /// Goes on from the account that a CARRY record's text tells.
    pub fn carry_on(&mut self, text: &str) {
        self.held = carried(text);
        self.carry = Some(text.to_owned());
    }

    /// Payload of the CARRY record, where the run has one.
    pub fn carry(&self) -> Option<&str> {
        self.carry.as_deref()
    }

    /// Whether the record brings an instrument that comes too late for this session.
    pub fn is_late(&self, record: &Record<'_>, market: &Market) -> bool {
        #[derive(Deserialize)]
        struct Id<'a> {
            venue: &'a str,
            symbol: String,
        }
        if record.kind != RecordKind::Instrument || !self.begun {
            return false;
        }
        serde_json::from_slice::<Id<'_>>(record.bytes)
            .is_ok_and(|id| market.index_of(&format!("{}:{}", id.venue, id.symbol)).is_none())
    }

    /// Reads a record that the market has consumed.
    ///
    /// # Errors
    /// [`Error::BadMessage`] for a CARRY record that is no text.
    pub fn note(&mut self, record: &Record<'_>, market: &Market) -> Result<()> {
        match record.kind {
            RecordKind::Carry => {
                let text = std::str::from_utf8(record.bytes);
                let bad = Error::BadMessage { what: "CARRY record", offset: 0, reason: "not text" };
                self.carry_on(text.map_err(|_| bad)?);
            }
            RecordKind::Config if !self.begun => self.awaited = configured(record.bytes),
            RecordKind::Health if self.awaits() => {
                if let Some(venue) = blocked_venue(record.bytes) {
                    self.awaited.retain(|id| id.split(':').next() != Some(&venue));
                }
            }
            RecordKind::Instrument => {}
            _ => return Ok(()),
        }
        self.awaited.retain(|id| market.index_of(id).is_none());
        Ok(())
    }
}

/// What a CARRY record says that is held; nothing where it says nothing.
fn carried(text: &str) -> Carried {
    #[derive(Deserialize)]
    struct Carry {
        portfolio: Carried,
    }
    serde_json::from_str(text).map_or_else(|_| Carried::default(), |carry: Carry| carry.portfolio)
}

/// `instruments` of a CONFIG record; none where it names none.
fn configured(bytes: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        instruments: Vec<String>,
    }
    serde_json::from_slice(bytes).map_or_else(|_| Vec::new(), |config: Config| config.instruments)
}

/// The venue of a HEALTH record that says it is blocked: its detail begins with the name.
fn blocked_venue(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Health {
        name: String,
        state: String,
        detail: String,
    }
    let health: Health = serde_json::from_slice(bytes).ok()?;
    let blocked = health.name == "venue" && health.state == "blocked";
    blocked.then(|| health.detail.split(':').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_run_before_held_is_taken_over_once() {
        let text = r#"{"source_run":"x","portfolio":{"cash":{"USDT":"1"},"lots":[
            {"instrument":"binance_spot:XUSDT","kind":"spot","base":"X","qty":"1.5","cost":"3"}]}}"#;
        let [instrument, qty, kind, base] = ["binance_spot:XUSDT", "1.5", "spot", "X"].map(str::to_owned);
        let cash = BTreeMap::from([("USDT".to_owned(), "1".to_owned())]);
        let held = Carried { lots: vec![Held { instrument, qty, kind, base }], cash };
        let mut start = Start { held: carried(text), ..Start::default() };
        assert_eq!((start.begin(), start.begin()), (held, Carried::default()));
        assert_eq!(carried("{}"), Carried::default());
    }
}
