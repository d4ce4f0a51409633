//! A market's frames as a recording, without sockets and in virtual time: the lines that a recorder at the other end of a wire
//! would have kept, `<recv_ns> <json>`, the REST depth answer as a line without a stream (contract.md, `hftbacktest-raw`).
use crate::config::Config;
use crate::error::{Result, bad};
use crate::market::Market;
use crate::rng::Rng;
use crate::stream::Channel;

/// When every recording begins: the same seed gives the same bytes. 2023-11-14T22:13:20Z.
pub const START_NS: i64 = 1_700_000_000_000_000_000;

/// The way from the venue to us: the fastest frame, and what comes on top on average. Frames of one wire never overtake.
const WIRE_LEAST_NS: i64 = 5_000_000;
const WIRE_MORE_NS: f64 = 2_000_000.0;

/// The snapshot is asked for once diffs flow, as the venue demands; levels a side.
const SNAPSHOT_AFTER_NS: i64 = 500_000_000;
const SNAPSHOT_LEVELS: usize = 1_000;

/// Virtual time a chunk covers: small against what a recording holds in memory.
const CHUNK_NS: i64 = 1_000_000_000;

/// The lines of one symbol, a virtual second at a time.
#[derive(Debug)]
pub struct RawLines {
    market: Market,
    symbol: usize,
    rng: Rng,
    end_ns: i64,
    last_recv_ns: i64,
    asked: bool,
    lines: u64,
}

impl RawLines {
    /// Opens the market; `instrument` is `venue:SYMBOL`, needed where the configuration names several.
    ///
    /// # Errors
    /// [`crate::error::Error::BadConfig`] where the market cannot be opened, or does not name the one instrument.
    pub fn open(config: &Config, instrument: Option<&str>, duration_ns: i64) -> Result<RawLines> {
        if config.recording.is_some() {
            return Err(bad("recording", "is one already; leave it out to record a generated market"));
        }
        let mut names = config.venues.iter().flat_map(|v| v.symbols.iter().map(move |s| (v, s)));
        let id =
            |(v, s): &(&crate::config::VenueConfig, &crate::config::SymbolConfig)| format!("{}:{}", v.venue, s.symbol);
        let all: Vec<String> = names.clone().map(|name| id(&name)).collect();
        let wanted = match (instrument, all.as_slice()) {
            (Some(wanted), _) => wanted,
            (None, [only]) => only,
            (None, _) => return Err(bad("instrument", format!("give one of {}", all.join(", ")))),
        };
        let Some((venue, symbol)) = names.find(|name| id(name) == wanted) else {
            return Err(bad("instrument", format!("{wanted} is not in this market; give one of {}", all.join(", "))));
        };
        let mut market = Market::open(config, venue, START_NS)?;
        let at = market.find(&symbol.symbol).ok_or_else(|| bad("instrument", "is not listed"))?;
        market.want_all(false);
        for channel in Channel::of(venue.venue) {
            let kept = [Channel::Depth(100), Channel::Trade, Channel::BookTicker, Channel::MarkPrice(1000)];
            market.want(at, *channel, kept.contains(channel));
        }
        Ok(RawLines {
            market,
            symbol: at,
            rng: Rng::of(config.seed, &format!("{wanted}/wire")),
            end_ns: START_NS.saturating_add(duration_ns.max(0)),
            last_recv_ns: START_NS,
            asked: false,
            lines: 0,
        })
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Stamp of the last line.
    pub fn last_recv_ns(&self) -> i64 {
        self.last_recv_ns
    }

    fn keep(&mut self, sent_ns: i64, text: &str, out: &mut String) {
        let way_ns = WIRE_LEAST_NS + self.rng.exp(WIRE_MORE_NS) as i64;
        self.last_recv_ns = self.last_recv_ns.max(sent_ns + way_ns);
        self.lines += 1;
        out.push_str(&self.last_recv_ns.to_string());
        out.push(' ');
        out.push_str(text);
        out.push('\n');
    }

    fn advance(&mut self, to_ns: i64, out: &mut String) {
        for frame in self.market.advance(to_ns) {
            if frame.symbol == self.symbol {
                self.keep(frame.ts_ns, &frame.text, out);
            }
        }
    }
}

impl Iterator for RawLines {
    type Item = String;

    /// The lines of the next second; none at the end.
    fn next(&mut self) -> Option<String> {
        let now_ns = self.market.now_ns();
        if now_ns >= self.end_ns {
            return None;
        }
        let (mut out, to_ns) = (String::new(), self.end_ns.min(now_ns + CHUNK_NS));
        if !self.asked && to_ns > START_NS + SNAPSHOT_AFTER_NS {
            self.asked = true;
            self.advance(START_NS + SNAPSHOT_AFTER_NS, &mut out);
            if let Some(body) = self.market.snapshot(self.symbol, SNAPSHOT_LEVELS) {
                self.keep(self.market.now_ns(), &body, &mut out);
            }
        }
        self.advance(to_ns, &mut out);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(config: &str, instrument: Option<&str>) -> Result<Vec<String>> {
        let config = Config::from_json(config)?;
        let text: String = RawLines::open(&config, instrument, 3_000_000_000)?.collect();
        Ok(text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn lines_are_what_a_recorder_keeps() {
        let lines = recorded("{}", Some("binance_usdm:BTCUSDT")).expect("the demo");
        let stamps: Vec<i64> =
            lines.iter().map(|l| l.split_once(' ').expect("a stamp").0.parse().expect("ns")).collect();
        assert!(stamps.is_sorted() && stamps[0] >= START_NS + WIRE_LEAST_NS);
        assert!(*stamps.last().expect("lines") <= START_NS + 3_100_000_000);
        let snapshots: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].contains(" {\"lastUpdateId\"")).collect();
        assert_eq!(snapshots.len(), 1);
        let depth = |n: &usize| lines[*n].contains("depthUpdate");
        assert!((0..snapshots[0]).any(|n| depth(&n)) && (snapshots[0]..lines.len()).any(|n| depth(&n)));
        for stream in ["btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@markPrice@1s"] {
            assert!(lines.iter().any(|l| l.contains(&format!("{{\"stream\":\"{stream}\""))), "{stream}");
        }
        assert_eq!(
            recorded("{}", Some("binance_usdm:BTCUSDT")).expect("again"),
            lines,
            "the same seed, the same bytes"
        );
        assert_ne!(recorded(r#"{"seed":2}"#, Some("binance_usdm:BTCUSDT")).expect("another"), lines);
    }

    #[test]
    fn one_instrument_is_named() {
        for (instrument, said) in
            [(None, "give one of binance_spot:BTCUSDT"), (Some("binance_spot:X"), "not in this market")]
        {
            let error = recorded("{}", instrument).expect_err("several").to_string();
            assert!(error.contains(said), "{error}");
        }
        let one =
            r#"{"venues":[{"venue":"binance_spot","symbols":[{"symbol":"A","price":"5","tick":"0.01","lot":"1"}]}]}"#;
        assert!(!recorded(one, None).expect("the only one").is_empty());
    }
}
