//! Which connection carries what: slots by number, streams and symbols by name.
use super::line::Line;
use crate::instrument::{Instrument, Venue};
use crate::wire::Channel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Depth, trades, best bid and ask.
    Public,
    /// USD-M's second entry point: mark prices (exchanges.md 3.1).
    Market,
    /// Requests and answers.
    Rest,
    /// Our own records.
    Control,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    venue: Option<Venue>,
    role: Role,
    /// Which of the venue's connections: each carries its own symbols.
    shard: u16,
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    venue: Venue,
    /// Upper-case symbol.
    symbol: Vec<u8>,
    /// Lower-case symbol, as in stream names.
    lower: Vec<u8>,
    index: usize,
}

/// The names of a run's connections and instruments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slots {
    slots: Vec<Slot>,
    names: Vec<Name>,
    /// Symbols of each public shard, as the CONFIG record says.
    plan: Vec<(Venue, u16, String)>,
}

impl Slots {
    /// Takes the names of the CONFIG record; connections that were open stay so.
    pub fn set_names(&mut self, names: &[String]) {
        let open: Vec<bool> = self.slots.iter().map(|s| s.open).collect();
        self.slots = names.iter().map(|name| parse(name)).collect();
        for (slot, was_open) in self.slots.iter_mut().zip(open) {
            slot.open = was_open;
        }
    }

    /// Takes the symbols of each public shard (`binance_spot/public/0`).
    pub fn set_plan(&mut self, shards: &BTreeMap<String, Vec<String>>) {
        self.plan.clear();
        for (name, symbols) in shards {
            if let Slot { venue: Some(venue), role: Role::Public, shard, .. } = parse(name) {
                self.plan.extend(symbols.iter().map(|symbol| (venue, shard, symbol.clone())));
            }
        }
    }

    /// Shard of an instrument: as planned, or the only one that its venue has.
    pub fn shard_of(&self, instrument: &Instrument) -> Option<u16> {
        let planned = self.plan.iter().find(|(venue, _, s)| *venue == instrument.venue && *s == instrument.symbol);
        planned.map(|(_, shard, _)| *shard).or_else(|| {
            let public = |s: &&Slot| s.role == Role::Public && s.venue == Some(instrument.venue);
            let mut shards = self.slots.iter().filter(public).map(|s| s.shard);
            let first = shards.next()?;
            shards.all(|shard| shard == first).then_some(first)
        })
    }

    /// Shard of a public connection.
    pub fn shard(&self, slot: u16) -> Option<u16> {
        self.slots.get(usize::from(slot)).filter(|s| s.role == Role::Public).map(|s| s.shard)
    }

    pub fn is_open(&self, slot: u16) -> bool {
        self.slots.get(usize::from(slot)).is_some_and(|s| s.open)
    }

    pub fn add_instrument(&mut self, instrument: &Instrument, index: usize) {
        self.names.push(Name {
            venue: instrument.venue,
            symbol: instrument.symbol.as_bytes().to_vec(),
            lower: instrument.symbol.to_lowercase().into_bytes(),
            index,
        });
    }

    pub fn venue(&self, slot: u16) -> Option<Venue> {
        self.slots.get(usize::from(slot)).and_then(|s| s.venue)
    }

    /// Something arrived by this connection: its instruments are as old as that.
    #[inline]
    pub fn heard(&self, slot: u16, ts_ns: i64, lines: &mut [Line]) -> Option<Venue> {
        let slot = self.slots.get(usize::from(slot))?;
        if slot.role == Role::Public {
            let carried =
                |line: &&mut Line| line.shard == Some(slot.shard) && Some(line.instrument.venue) == slot.venue;
            for line in lines.iter_mut().filter(carried) {
                line.last_frame_ns = ts_ns;
            }
        }
        slot.venue
    }

    /// Instrument and channel of a stream name such as `btcusdt@depth@100ms`.
    #[inline]
    pub fn stream(&self, venue: Option<Venue>, name: &[u8]) -> Option<(usize, Channel)> {
        let at = name.iter().position(|&b| b == b'@')?;
        let (symbol, rest) = (&name[..at], &name[at + 1..]);
        let channel = match rest {
            b"trade" => Channel::Trade,
            b"bookTicker" => Channel::Touch,
            b"aggTrade" => Channel::AggTrade,
            // depth5, depth10 and depth20 are snapshots of the top: not for books.
            b"depth" => Channel::Depth,
            _ if rest.starts_with(b"depth@") => Channel::Depth,
            _ if rest.starts_with(b"markPrice") => Channel::Mark,
            _ => return None,
        };
        let name = self.names.iter().find(|n| Some(n.venue) == venue && n.lower == symbol)?;
        Some((name.index, channel))
    }

    /// Instrument of an upper-case symbol.
    pub fn symbol(&self, venue: Option<Venue>, symbol: &[u8]) -> Option<usize> {
        self.names.iter().find(|n| Some(n.venue) == venue && n.symbol == symbol).map(|n| n.index)
    }

    /// Venue and shard of a public connection that opened.
    pub fn connected(&mut self, slot: u16) -> Option<(Venue, u16)> {
        self.set_open(slot, true)
    }

    /// The same of one that closed.
    pub fn disconnected(&mut self, slot: u16) -> Option<(Venue, u16)> {
        self.set_open(slot, false)
    }

    /// Another open connection of this shard.
    pub fn open_public(&self, venue: Venue, shard: u16) -> Option<u16> {
        let hit = |s: &Slot| s.open && s.role == Role::Public && s.venue == Some(venue) && s.shard == shard;
        self.slots.iter().position(hit).map(|n| n as u16)
    }

    pub fn forget_connections(&mut self) {
        self.slots.iter_mut().for_each(|s| s.open = false);
    }

    fn set_open(&mut self, slot: u16, open: bool) -> Option<(Venue, u16)> {
        let slot = self.slots.get_mut(usize::from(slot))?;
        slot.open = open;
        slot.venue.filter(|_| slot.role == Role::Public).map(|venue| (venue, slot.shard))
    }
}

/// `binance_usdm/public/0/a`, `binance_usdm/rest`, `/control`.
fn parse(name: &str) -> Slot {
    let mut parts = name.split('/');
    let venue = parts.next().and_then(|v| v.parse().ok());
    let role = match (venue, parts.next()) {
        (Some(_), Some("public")) => Role::Public,
        (Some(_), Some("market")) => Role::Market,
        (Some(_), Some("rest")) => Role::Rest,
        _ => Role::Control,
    };
    let shard = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Slot { venue, role, shard, open: false }
}
