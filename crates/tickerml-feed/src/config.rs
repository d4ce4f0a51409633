//! What to record: the JSON that Python makes from `exchanges_config.yaml`, and the plan of connections drawn from it.
mod plan;
mod url;

pub use plan::{Plan, Role, SHARDS_MAX, STREAMS_PER_CONNECTION_MAX, ShardPlan, StreamPlan};
use serde::Deserialize;
use serde_json::Value;
use tickerml_core::instrument::Venue;
pub use url::Url;

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

impl FeedConfig {
    /// Reads the JSON.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn from_json(text: &str) -> Result<FeedConfig, String> {
        serde_json::from_str(text).map_err(|e| format!("feed configuration: {e}"))
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
    use serde_json::json;

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
    fn mistakes_are_named() {
        let mut config = config();
        config.venues[0].symbols = vec!["BTC/USDT".into()];
        assert!(config.plan().unwrap_err().contains("BTC/USDT"));
        config.venues.clear();
        assert!(config.plan().unwrap_err().contains("venues"));
        assert!(FeedConfig::from_json("{").is_err());
    }
}
