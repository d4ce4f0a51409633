//! The plan of connections: which streams go on which socket, and each socket's slot on the tape.
use super::{FeedConfig, VenueConfig};
use serde_json::{Value, json};

/// Streams on one connection. Venues allow 1,024 (exchanges.md 0.6); a smaller shard loses less when it drops.
pub const STREAMS_PER_CONNECTION_MAX: usize = 200;
/// Connections of one feed: two venues x 5 symbols need 3; the bound keeps slots and memory small.
pub const SHARDS_MAX: usize = 64;

/// Which of a venue's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Depth, trades, bookTicker.
    Public,
    /// Mark price and other slow channels of futures venues.
    Market,
}

/// One stream of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlan {
    /// Name in the URL and in each frame, for example `btcusdt@depth@100ms`.
    pub name: String,
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// Index of the symbol in the shard.
    pub symbol: usize,
    /// True for the diff channel that builds the book.
    pub is_depth: bool,
    /// True where prices and quantities must fit tick and lot (rules.md 6: depth, trade and bookTicker).
    pub is_scaled: bool,
}

impl StreamPlan {
    /// Instrument and stream, for records and messages.
    pub fn label(&self) -> String {
        format!("{} {}", self.instrument, self.name)
    }
}

/// One pair of slots that carries the same streams; one of them is open, both during a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// Index of the venue in [`Plan::venues`].
    pub venue: usize,
    /// Which socket.
    pub role: Role,
    /// Slot numbers of a and b.
    pub slots: [u16; 2],
    /// URL of the combined stream.
    pub url: String,
    /// Symbols on this connection.
    pub symbols: Vec<String>,
    /// Streams on this connection.
    pub streams: Vec<StreamPlan>,
}

/// Everything the supervisor connects, with slot numbers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Venues as configured.
    pub venues: Vec<VenueConfig>,
    /// REST slot of each venue.
    pub rest_slots: Vec<u16>,
    /// All connections.
    pub shards: Vec<ShardPlan>,
    /// Names of all slots: `slots` of the CONFIG record.
    pub slots: Vec<String>,
    /// Payload of the CONFIG record, with `slots` filled in.
    pub config_record: Value,
    /// Payload of the CARRY record; null for none.
    pub carry_record: Value,
}

impl FeedConfig {
    /// Checks the values and lays out connections and slots.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn plan(&self) -> Result<Plan, String> {
        if self.venues.is_empty() {
            return Err("venues: empty; name at least one venue".to_owned());
        }
        let mut slots = known_slots(&self.config_record);
        let mut plan = Plan {
            venues: self.venues.clone(),
            rest_slots: vec![],
            shards: vec![],
            slots: vec![],
            config_record: Value::Null,
            carry_record: self.carry_record.clone(),
        };
        for (index, venue) in self.venues.iter().enumerate() {
            venue.check()?;
            venue.add_shards(index, Role::Public, &mut slots, &mut plan.shards);
            venue.add_shards(index, Role::Market, &mut slots, &mut plan.shards);
            plan.rest_slots.push(slot(&mut slots, format!("{}/rest", venue.venue)));
        }
        if plan.shards.len() > SHARDS_MAX {
            return Err(format!(
                "symbols: need {} connections, at most {SHARDS_MAX}; record fewer symbols",
                plan.shards.len()
            ));
        }
        plan.config_record = with_slots(&self.config_record, &slots);
        plan.config_record["shards"] = public_shards(&plan.shards, &slots);
        plan.slots = slots;
        Ok(plan)
    }
}

impl VenueConfig {
    fn add_shards(&self, venue: usize, role: Role, slots: &mut Vec<String>, shards: &mut Vec<ShardPlan>) {
        let (base, channels, word) = match role {
            Role::Public => (&self.ws_url, &self.channels, "public"),
            Role::Market => (&self.market_ws_url, &self.market_channels, "market"),
        };
        if base.is_empty() || channels.is_empty() {
            return;
        }
        let symbols_max = (STREAMS_PER_CONNECTION_MAX / channels.len()).max(1);
        for (n, symbols) in self.symbols.chunks(symbols_max).enumerate() {
            let streams = self.streams(symbols, channels);
            let names: Vec<&str> = streams.iter().map(|s| s.name.as_str()).collect();
            shards.push(ShardPlan {
                venue,
                role,
                slots: ["a", "b"].map(|lane| slot(slots, format!("{}/{word}/{n}/{lane}", self.venue))),
                url: format!("{}/stream?streams={}", base.trim_end_matches('/'), names.join("/")),
                symbols: symbols.to_vec(),
                streams,
            });
        }
    }

    fn streams(&self, symbols: &[String], channels: &[String]) -> Vec<StreamPlan> {
        let one = |(symbol, name): (usize, &String)| {
            let lower = name.to_lowercase();
            let instrument = format!("{}:{name}", self.venue);
            channels
                .iter()
                .map(move |channel| {
                    let is_depth = channel == "depth" || channel.starts_with("depth@");
                    StreamPlan {
                        name: format!("{lower}@{channel}"),
                        instrument: instrument.clone(),
                        symbol,
                        is_depth,
                        is_scaled: is_depth || channel == "trade" || channel == "bookTicker",
                    }
                })
                .collect::<Vec<_>>()
        };
        symbols.iter().enumerate().flat_map(one).collect()
    }
}

fn known_slots(record: &Value) -> Vec<String> {
    let named = record.get("slots").and_then(Value::as_array);
    let mut slots: Vec<String> = named.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    if slots.first().is_none_or(|s| s != "/control") {
        slots.retain(|s| s != "/control");
        slots.insert(0, "/control".to_owned());
    }
    slots
}

fn slot(slots: &mut Vec<String>, name: String) -> u16 {
    let at = slots.iter().position(|s| *s == name).unwrap_or_else(|| {
        slots.push(name);
        slots.len() - 1
    });
    at as u16
}

fn with_slots(record: &Value, slots: &[String]) -> Value {
    let mut record = if record.is_object() { record.clone() } else { json!({}) };
    record["slots"] = json!(slots);
    record
}

/// Which symbols each public connection carries, for the tape's readers: `{"binance_spot/public/0": ["BTCUSDT"]}`.
fn public_shards(shards: &[ShardPlan], slots: &[String]) -> Value {
    let name = |shard: &ShardPlan| slots[usize::from(shard.slots[0])].trim_end_matches("/a").to_owned();
    let public = shards.iter().filter(|shard| shard.role == Role::Public);
    Value::Object(public.map(|shard| (name(shard), json!(shard.symbols))).collect())
}
