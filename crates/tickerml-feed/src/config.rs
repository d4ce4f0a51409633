//! What to record: the JSON that Python makes from `exchanges_config.yaml`, and the plan of connections drawn from it.
use serde::Deserialize;
use serde_json::{Value, json};
use tickerml_core::instrument::Venue;

/// Streams on one connection. Venues allow 1,024 (exchanges.md 0.6); a smaller shard loses less when it drops.
pub const STREAMS_PER_CONNECTION_MAX: usize = 200;
/// Connections of one feed: two venues x 5 symbols need 3; the bound keeps slots and memory small.
pub const SHARDS_MAX: usize = 64;

/// Configuration of one feed.
#[derive(Debug, Clone, Deserialize)]
pub struct FeedConfig {
    /// Run to record into; empty lets the recorder name one.
    #[serde(default)]
    pub run: String,
    /// Folder that holds `tapes/` and `runs/`.
    #[serde(default)]
    pub data_dir: String,
    /// `venue` or `loopback`.
    #[serde(default = "source_venue")]
    pub source: String,
    /// `ssd` or `sd`: how often blocks close.
    #[serde(default = "profile_ssd")]
    pub profile: String,
    /// Size of a segment; 0 for the recorder's default.
    #[serde(default)]
    pub segment_bytes: u64,
    /// Total size of tapes kept; 0 keeps all.
    #[serde(default)]
    pub retention_bytes: u64,
    /// Size of a run, bytes, at which `collect` begins another one; 0 for a quarter of `retention_bytes`, or no end at all
    /// where everything is kept. Retention removes whole runs, so there must be several.
    #[serde(default)]
    pub run_bytes: u64,
    /// Where no run is named: go on with the newest unfinished one that matches (rules.md 3), else begin a new one.
    #[serde(default)]
    pub resume: bool,
    /// First record that the engine's tail gives: 0, or what a checkpoint has consumed. Unused without an engine.
    #[serde(default)]
    pub tail_pos: u64,
    /// Memory for an engine that reads behind, bytes; 0 for the usual size of the command.
    #[serde(default)]
    pub engine_bytes: usize,
    /// Payload of the CONFIG record.
    #[serde(default)]
    pub config_record: Value,
    /// Payload of the CARRY record, the first of a new run that goes on from another one's account; null for none.
    #[serde(default)]
    pub carry_record: Value,
    /// Venues to connect to.
    pub venues: Vec<VenueConfig>,
}

/// One venue's endpoints, symbols and limits.
#[derive(Debug, Clone, Deserialize)]
pub struct VenueConfig {
    /// Which protocol.
    pub venue: Venue,
    /// Base of the public socket, without `/stream`.
    pub ws_url: String,
    /// Base of the market socket of futures venues (exchanges.md 3.1); empty for none.
    #[serde(default)]
    pub market_ws_url: String,
    /// Base of the REST API.
    pub rest_url: String,
    /// Symbols as the venue writes them.
    pub symbols: Vec<String>,
    /// Channels of the public socket, for example `depth@100ms`.
    pub channels: Vec<String>,
    /// Channels of the market socket, for example `markPrice@1s`.
    #[serde(default)]
    pub market_channels: Vec<String>,
    /// Levels a side of a snapshot.
    pub snapshot_limit: u32,
    /// REST weight per minute.
    pub weight_per_min: u32,
    /// Weight of one snapshot.
    pub snapshot_weight: u32,
}

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
    /// Reads the JSON.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn from_json(text: &str) -> Result<FeedConfig, String> {
        serde_json::from_str(text).map_err(|e| format!("feed configuration: {e}"))
    }

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
    /// Path of the order book and of the metadata on the REST host.
    pub const fn rest_paths(&self) -> (&'static str, &'static str) {
        match self.venue {
            Venue::BinanceSpot | Venue::BinanceUs => ("/api/v3/depth", "/api/v3/exchangeInfo"),
            Venue::BinanceUsdm => ("/fapi/v1/depth", "/fapi/v1/exchangeInfo"),
            Venue::BinanceCoinm => ("/dapi/v1/depth", "/dapi/v1/exchangeInfo"),
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = self.venue;
        if self.symbols.is_empty() || self.channels.is_empty() {
            return Err(format!("{name}: symbols and channels must name at least one each"));
        }
        let odd = |s: &&String| s.is_empty() || s.contains(|c: char| c.is_whitespace() || "/?&#@".contains(c));
        if let Some(bad) = self.symbols.iter().find(odd) {
            return Err(format!("{name}: symbols: {bad:?} is not a symbol"));
        }
        for url in [&self.ws_url, &self.market_ws_url, &self.rest_url].into_iter().filter(|u| !u.is_empty()) {
            Url::parse(url).map_err(|e| format!("{name}: {e}"))?;
        }
        if self.rest_url.is_empty() || self.ws_url.is_empty() {
            return Err(format!("{name}: ws_url and rest_url must be set"));
        }
        Ok(())
    }

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

/// The parts of a URL that a connection needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// True for `https` and `wss`.
    pub tls: bool,
    /// Host without brackets.
    pub host: String,
    /// Port, the scheme's own where none is given.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

impl Url {
    /// Reads `http`, `https`, `ws` and `wss` URLs. Without TLS only loopback is allowed: market data over plain text
    /// could be changed by anyone on the way.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let bad = |why: &str| format!("URL {text:?}: {why}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no scheme"))?;
        let tls = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(bad("scheme must be http, https, ws or wss")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("must not hold a user or password"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("has a bad port"))?;
        if host.is_empty() || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("has no host, or spaces in its path"));
        }
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !tls && !loopback {
            return Err(bad("plain text is allowed on loopback only; use https or wss"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { tls, host: host.to_owned(), port, path })
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
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

fn source_venue() -> String {
    "venue".to_owned()
}

fn profile_ssd() -> String {
    "ssd".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FeedConfig {
        FeedConfig::from_json(
            r#"{"config_record":{"slots":["/control","binance_spot/rest"]},"venues":[
            {"venue":"binance_spot","ws_url":"wss://stream.binance.com:9443","rest_url":"https://api.binance.com",
             "symbols":["BTCUSDT","ETHUSDT"],"channels":["depth@100ms","trade"],"snapshot_limit":5000,"weight_per_min":6000,
             "snapshot_weight":250},
            {"venue":"binance_usdm","ws_url":"ws://127.0.0.1:1/public","market_ws_url":"ws://127.0.0.1:1/market/",
             "rest_url":"http://[::1]:8080","symbols":["BTCUSDT"],"channels":["depth@0ms"],"market_channels":["markPrice@1s"],
             "snapshot_limit":1000,"weight_per_min":2400,"snapshot_weight":20}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_plan_names_slots_and_urls() {
        let plan = config().plan().unwrap();
        let expected = [
            "/control",
            "binance_spot/rest",
            "binance_spot/public/0/a",
            "binance_spot/public/0/b",
            "binance_usdm/public/0/a",
            "binance_usdm/public/0/b",
            "binance_usdm/market/0/a",
            "binance_usdm/market/0/b",
            "binance_usdm/rest",
        ];
        assert_eq!(plan.slots, expected);
        assert_eq!(plan.config_record["slots"][8], "binance_usdm/rest");
        assert_eq!(plan.config_record["shards"]["binance_spot/public/0"], json!(["BTCUSDT", "ETHUSDT"]));
        assert!(plan.config_record["shards"]["binance_usdm/market/0"].is_null());
        assert_eq!((plan.rest_slots[0], plan.shards[0].slots, plan.shards[2].slots), (1, [2, 3], [6, 7]));
        assert_eq!(
            plan.shards[0].url,
            "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade/ethusdt@depth@100ms/ethusdt@trade"
        );
        assert_eq!(plan.shards[2].url, "ws://127.0.0.1:1/market/stream?streams=btcusdt@markPrice@1s");
        assert!(plan.shards[0].streams[2].is_depth && !plan.shards[0].streams[3].is_depth);
    }

    #[test]
    fn many_symbols_are_sharded_by_whole_symbols() {
        let mut config = config();
        config.venues.truncate(1);
        config.venues[0].symbols = (0..250).map(|i| format!("S{i}USDT")).collect();
        let plan = config.plan().unwrap();
        assert_eq!(plan.shards.iter().map(|s| s.symbols.len()).collect::<Vec<_>>(), [100, 100, 50]);
        assert!(plan.shards.iter().all(|s| s.streams.len() <= STREAMS_PER_CONNECTION_MAX));
        config.venues[0].symbols = (0..7_000).map(|i| format!("S{i}USDT")).collect();
        assert!(config.plan().is_err());
    }

    #[test]
    fn urls_without_tls_are_for_loopback_only() {
        let url = Url::parse("http://[::1]:8080/a?b=c").unwrap();
        assert_eq!(url, Url { tls: false, host: "::1".into(), port: 8080, path: "/a?b=c".into() });
        assert_eq!(Url::parse("wss://h").unwrap(), Url { tls: true, host: "h".into(), port: 443, path: "/".into() });
        for bad in ["http://example.com", "ftp://h", "h", "https://", "https://h:x", "https://u:p@h", "https://h/a b"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let mut config = config();
        config.venues[0].symbols = vec!["BTC/USDT".into()];
        assert!(config.plan().unwrap_err().contains("BTC/USDT"));
        config.venues.clear();
        assert!(config.plan().unwrap_err().contains("venues"));
        assert!(FeedConfig::from_json("{").is_err());
    }
}
