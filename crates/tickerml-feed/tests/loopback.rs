//! The whole feed against the loopback venue, over real sockets, with faults: what is recorded is true in the end.
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tickerml_core::event::BookState;
use tickerml_core::market::{BooksOnly, Market, Survey, Visitor};
use tickerml_core::tape::RecordKind;
use tickerml_core::units::parse_decimal;
use tickerml_feed::config::FeedConfig;
use tickerml_feed::reader::{TapeReader, scan_tape};
use tickerml_feed::recording::Recording;
use tickerml_feed::shell::http::Answer;
use tickerml_feed::stats::Stats;
use tickerml_feed::store::{RunInfo, RunState};
use tickerml_venue::config::Config;
use tickerml_venue::server::Server;

/// A test that waits longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    server: Server,
    recording: Recording,
    data: tempfile::TempDir,
}

impl Bench {
    fn start(venue: &str) -> Bench {
        Bench::start_with(venue, 0)
    }

    /// Runs are cut at `run_bytes`; 0 for one run.
    fn start_with(venue: &str, run_bytes: u64) -> Bench {
        let server = Server::start(&Config::from_json(venue).unwrap()).unwrap();
        let data = tempfile::tempdir().unwrap();
        let config = FeedConfig { run_bytes, ..feed_config(server.address(), data.path()) };
        let recording = Recording::start(&config).unwrap();
        Bench { server, recording, data }
    }

    /// Waits until the feed's statistics satisfy `fits`.
    fn until(&mut self, what: &str, fits: impl Fn(&Stats) -> bool) -> Stats {
        let end = Instant::now() + PATIENCE;
        loop {
            let stats = self.recording.stats();
            if fits(&stats) {
                return stats;
            }
            assert!(Instant::now() < end, "{what}: {stats:#?}");
            assert_eq!(self.recording.error(), None);
            assert!(!self.recording.join(Duration::from_millis(20)).unwrap(), "it runs until it is stopped");
        }
    }

    fn all_live(&mut self) -> Stats {
        self.until("all books are live", |s| s.books.len() == 4 && s.books.iter().all(|b| b.state == "live"))
    }

    fn fault(&self, kind: &str, count: u32) {
        let body = json!({"kind": kind, "count": count}).to_string();
        let (status, text) = http(self.server.address(), "POST", "/control/fault", &body);
        assert_eq!(status, 200, "{text}");
    }

    /// How often each fault has happened, over venues.
    fn hits(&self) -> BTreeMap<String, u64> {
        let (_, text) = http(self.server.address(), "GET", "/control/faults", "");
        let mut hits = BTreeMap::new();
        count(&serde_json::from_str(&text).unwrap(), "", &mut hits);
        hits
    }

    /// Stops the feed and compares every book at the end of the tape with the venue's own at the same update id.
    fn judge(mut self) -> Market {
        self.recording.stop("test");
        assert!(self.recording.join(PATIENCE).unwrap());
        let tape = self.data.path().join("tapes").join(self.recording.run().as_str());
        let market = read(&tape);
        for line in &market.lines {
            assert_eq!(line.state, BookState::Live, "{}", line.instrument.id());
            let i = &line.instrument;
            let path = format!("/control/book?venue={}&symbol={}&id={}", i.venue, i.symbol, line.stats.last_seq);
            let (status, text) = http(self.server.address(), "GET", &path, "");
            assert_eq!(status, 200, "{text}");
            let truth: Value = serde_json::from_str(&text).unwrap();
            let side = |key: &str| -> Vec<(i64, i64)> {
                let text = |v: &Value, precision| parse_decimal(v.as_str().unwrap().as_bytes(), precision).unwrap();
                let level = |l: &Value| (text(&l[0], i.price_precision), text(&l[1], i.qty_precision));
                truth[key].as_array().unwrap().iter().map(level).collect()
            };
            assert_eq!(line.book.bids().collect::<Vec<_>>(), side("bids"), "{}", i.id());
            assert_eq!(line.book.asks().collect::<Vec<_>>(), side("asks"), "{}", i.id());
        }
        market
    }
}

/// The market as it stood when the feed was stopped.
fn read(tape: &Path) -> Market {
    read_with(tape, &mut BooksOnly)
}

fn read_with<V: Visitor>(tape: &Path, visitor: &mut V) -> Market {
    let mut market = Market::new();
    let mut reader = TapeReader::open(tape).unwrap();
    let (mut pos, mut last_ns) = (0, i64::MIN);
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.pos, pos, "dense");
        assert!(record.ts_recv_ns >= last_ns, "stamps never go back");
        (pos, last_ns) = (record.pos + 1, record.ts_recv_ns);
        if record.kind == RecordKind::Config {
            let config: Value = serde_json::from_slice(record.bytes).unwrap();
            let names = config["slots"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned());
            market.set_slots(&names.collect::<Vec<_>>());
        }
        if record.kind == RecordKind::Stop {
            return market;
        }
        market.record(&record, visitor).unwrap();
    }
    panic!("the tape does not say that it was stopped");
}

fn feed_config(address: SocketAddr, data: &Path) -> FeedConfig {
    let (_, info) = http(address, "GET", "/control/info", "");
    let info: Value = serde_json::from_str(&info).unwrap();
    let venue = |v: &Value| {
        let futures = v["venue"] == "binance_usdm";
        json!({
            "venue": v["venue"], "ws_url": v["ws_url"], "market_ws_url": if futures { v["market_ws_url"].clone() } else { json!("") },
            "rest_url": v["rest_url"], "symbols": v["symbols"], "channels": ["depth@100ms", "trade", "bookTicker"],
            "market_channels": if futures { json!(["markPrice@1s"]) } else { json!([]) },
            "snapshot_limit": if futures { 1000 } else { 5000 }, "weight_per_min": 1_000_000, "snapshot_weight": 1,
        })
    };
    let venues: Vec<Value> = info["venues"].as_array().unwrap().iter().map(venue).collect();
    let config = json!({"data_dir": data, "source": "loopback", "venues": venues,
                        "config_record": {"command": "collect", "code_version": "test", "config_hash": "0", "seed": 1}});
    FeedConfig::from_json(&config.to_string()).unwrap()
}

fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        tcp,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reader = Answer::default();
    let mut buffer = vec![0; 65_536];
    loop {
        let n = tcp.read(&mut buffer).unwrap();
        let done = if n == 0 { reader.end() } else { reader.push(&buffer[..n]) };
        if done.unwrap() {
            let answer = reader.into_answer();
            return (answer.status, String::from_utf8(answer.body).unwrap());
        }
    }
}

/// Sums every number below a key by that key, whatever the nesting.
fn count(value: &Value, key: &str, hits: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| count(v, k, hits)),
        Value::Array(list) => list.iter().for_each(|v| count(v, key, hits)),
        Value::Number(n) => *hits.entry(key.to_owned()).or_default() += n.as_u64().unwrap_or(0),
        _ => {}
    }
}

#[test]
fn two_venues_are_recorded_without_a_gap() {
    let mut bench = Bench::start(r#"{"speed":4}"#);
    bench.all_live();
    let stats = bench.until("frames of every stream", |s| s.streams.iter().all(|s| s.frames > 3));
    assert_eq!((stats.counters.gaps, stats.counters.reconnects, stats.counters.bad_frames), (0, 0, 0), "{stats:#?}");
    assert_eq!(stats.open.len(), 3);
    let market = bench.judge();
    assert!(market.lines.iter().all(|l| l.stats.trade_id_gaps == 0 && l.stats.crossed == 0 && l.stats.snapshots == 1));
}

/// A recording that is cut into runs loses no frame: ids go on from the end of one tape to the start of the next.
#[test]
fn a_long_recording_is_cut_into_runs_and_loses_nothing() {
    let mut bench = Bench::start_with(r#"{"speed":4}"#, 400_000);
    bench.until("two more runs", |s| s.runs.len() >= 2);
    bench.all_live();
    bench.recording.stop("test");
    assert!(bench.recording.join(PATIENCE).unwrap());
    let stats = bench.recording.stats();
    assert_eq!((stats.counters.gaps, stats.counters.reconnects, bench.recording.error()), (0, 0, None), "{stats:#?}");
    let first = bench.recording.run().to_string();
    let (mut frames, mut last_ns, mut ids) = (0, i64::MIN, BTreeMap::new());
    for run in std::iter::once(&first).chain(&stats.runs) {
        let tape = bench.data.path().join("tapes").join(run);
        let scan = scan_tape(&tape).unwrap();
        assert_eq!((scan.damaged.len(), scan.missing_records, scan.cut_bytes), (0, 0, 0), "{scan:?}");
        assert!(scan.first_ts_recv_ns.unwrap() >= last_ns, "one order over all runs");
        last_ns = scan.last_ts_recv_ns.unwrap();
        let info = RunInfo::read(&bench.data.path().join("runs").join(run)).unwrap();
        assert_eq!((info.state, info.records, info.command.as_str()), (RunState::Ended, scan.records, "collect"));
        frames += info.other["frames"].as_u64().unwrap();
        let mut survey = Survey::new();
        let mut market = read_with(&tape, &mut survey);
        assert_eq!((market.stats.disconnects, market.lines.len()), (0, 4));
        for line in &market.lines {
            assert_eq!((line.stats.trade_id_gaps, line.stats.missing_updates, line.stats.crossed), (0, 0, 0));
        }
        for trades in survey.report(&mut market, last_ns).1.into_iter().filter(|s| s.stream.ends_with("@trade")) {
            let before = ids.insert(trades.stream, trades.last_seq.unwrap());
            let begin = trades.first_seq.unwrap();
            assert!(before.is_none_or(|before| begin == before + 1), "{run}: {before:?} {begin}");
        }
    }
    assert_eq!(frames, stats.counters.frames);
    assert!(ids.len() == 4);
}

#[test]
fn every_fault_is_survived_and_every_lost_diff_leads_to_a_snapshot() {
    let mut bench = Bench::start(r#"{"speed":4}"#);
    bench.all_live();
    let diffs = ["drop", "duplicate", "reorder", "malformed"];
    // Each end of a connection makes the next attempt slower: a few are enough here, seeds in virtual time do the rest.
    let frames = ["reset", "oversized", "bad_utf8", "server_shutdown"];
    for kind in diffs.into_iter().chain(frames) {
        let before = bench.hits().get(kind).copied().unwrap_or(0);
        let snapshots = bench.recording.stats().counters.snapshots;
        bench.fault(kind, 1);
        let end = Instant::now() + PATIENCE;
        while bench.hits().get(kind).copied().unwrap_or(0) == before {
            assert!(Instant::now() < end, "{kind} never happened");
            bench.recording.join(Duration::from_millis(20)).unwrap();
        }
        if ["drop", "reset"].contains(&kind) {
            bench.until(kind, |s| s.counters.snapshots > snapshots);
        }
        bench.all_live();
    }
    for kind in ["stale", "mismatched", "status_5xx", "html", "half_body", "status_429"] {
        bench.fault(kind, 1);
        bench.fault("drop", 1);
    }
    bench.until("snapshots", |s| s.counters.rest_errors >= 3);
    bench.all_live();
    let stats = bench.all_live();
    assert!(stats.counters.gaps > 0 && stats.counters.reconnects > 0);
    bench.judge();
}
