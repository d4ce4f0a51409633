//! A supervisor with a tape in memory, a hand on the clock, and a plan of one or more venues.
use crate::clock::{Anchor, Wall};
use crate::config::FeedConfig;
use crate::rest::RestAnswer;
use crate::supervisor::{Action, ConnId, Start, Supervisor};
use crate::tape_port::MemoryTape;
use serde_json::json;
use tickerml_core::tape::RecordKind;

pub const MS: i64 = 1_000_000;
pub const S: i64 = 1_000 * MS;
/// 2026-01-01.
pub const WALL: i64 = 1_767_225_600 * S;

pub const fn synced(ns: i64) -> Wall {
    Wall { ns, synced: true }
}

pub struct Rig {
    pub sup: Supervisor<MemoryTape>,
    pub now: i64,
    pub actions: Vec<Action>,
}

pub fn spot(symbols: &[&str]) -> serde_json::Value {
    json!({"venue": "binance_spot", "ws_url": "wss://w", "rest_url": "https://r", "symbols": symbols,
           "channels": ["depth@100ms", "trade"], "snapshot_limit": 5000, "weight_per_min": 6000, "snapshot_weight": 250})
}

pub fn usdm(symbols: &[&str]) -> serde_json::Value {
    json!({"venue": "binance_usdm", "ws_url": "wss://w/public", "market_ws_url": "wss://w/market", "rest_url": "https://f",
           "symbols": symbols, "channels": ["depth@100ms", "trade"], "market_channels": ["markPrice@1s"],
           "snapshot_limit": 1000, "weight_per_min": 2400, "snapshot_weight": 20})
}

pub fn exchange_info(symbols: &[&str]) -> Vec<u8> {
    let one = |s: &&str| {
        json!({"symbol": s, "baseAsset": "BTC", "quoteAsset": "USDT", "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "5"}]})
    };
    json!({"symbols": symbols.iter().map(one).collect::<Vec<_>>()}).to_string().into_bytes()
}

pub fn diff(stream: &str, first: u64, last: u64, prev: Option<u64>) -> Vec<u8> {
    let symbol = stream.split('@').next().unwrap().to_uppercase();
    let pu = prev.map_or(String::new(), |pu| format!(r#""pu":{pu},"#));
    format!(
        r#"{{"stream":"{stream}","data":{{"e":"depthUpdate","E":1,"s":"{symbol}","U":{first},"u":{last},{pu}"b":[["1.00","2"]],"a":[]}}}}"#
    )
    .into_bytes()
}

pub fn trade(stream: &str, id: u64) -> Vec<u8> {
    let symbol = stream.split('@').next().unwrap().to_uppercase();
    format!(r#"{{"stream":"{stream}","data":{{"e":"trade","E":1,"s":"{symbol}","t":{id},"p":"1.00","q":"1","T":1,"m":true}}}}"#)
        .into_bytes()
}

pub fn ok(body: &[u8]) -> RestAnswer {
    RestAnswer { status: 200, body: body.to_vec(), ..RestAnswer::default() }
}

pub fn status(status: u16) -> RestAnswer {
    RestAnswer { status, body: b"<html>no</html>".to_vec(), ..RestAnswer::default() }
}

pub fn snapshot(id: u64) -> RestAnswer {
    ok(format!(r#"{{"lastUpdateId":{id},"bids":[["1.00","1"]],"asks":[["2.00","1"]]}}"#).as_bytes())
}

impl Rig {
    pub fn new(venues: &[serde_json::Value], seed: u64) -> Rig {
        let config = json!({"venues": venues, "config_record": {"command": "collect"}}).to_string();
        let plan = FeedConfig::from_json(&config).unwrap().plan().unwrap();
        let start = Start { epoch: 0, code_version: "test".into(), seed };
        let mut sup = Supervisor::new(plan, MemoryTape::default(), Anchor::new(WALL, 0, None), start);
        sup.begin(synced(WALL), 0);
        let mut rig = Rig { sup, now: 0, actions: Vec::new() };
        rig.take();
        rig
    }

    /// One spot venue, BTCUSDT, metadata answered, connection a open.
    pub fn connected() -> (Rig, ConnId) {
        let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
        let (id, _) = rig.request();
        rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
        let (conn, _) = rig.open();
        rig.sup.opened(conn, rig.now);
        (rig, conn)
    }

    /// As [`Rig::connected`], and its book Live at 10.
    pub fn live() -> (Rig, ConnId) {
        let (mut rig, conn) = Rig::connected();
        rig.frame(conn, &diff("btcusdt@depth@100ms", 9, 10, None));
        let (id, _) = rig.request();
        rig.answer(id, &snapshot(10));
        assert_eq!(rig.state("binance_spot:BTCUSDT"), "Live");
        (rig, conn)
    }

    pub fn take(&mut self) {
        self.sup.take_actions(&mut self.actions);
    }

    /// Lets time pass in ticks of 10 ms.
    pub fn pass(&mut self, ns: i64) {
        let end = self.now + ns;
        while self.now < end {
            self.now = (self.now + 10 * MS).min(end);
            self.sup.tick(self.now);
        }
        self.take();
    }

    pub fn frame(&mut self, conn: ConnId, bytes: &[u8]) {
        self.sup.frame(conn, self.now, bytes);
        self.take();
    }

    pub fn answer(&mut self, id: u64, answer: &RestAnswer) {
        self.sup.answered(id, self.now, answer);
        self.take();
    }

    pub fn closed(&mut self, conn: ConnId, end: &super::super::Closed) {
        self.sup.closed(conn, self.now, end);
        self.take();
    }

    /// Takes the only action that `pick` knows; panics where there is none.
    pub fn expect<R>(&mut self, what: &str, pick: impl Fn(&Action) -> Option<R>) -> R {
        let at = self.actions.iter().position(|a| pick(a).is_some());
        let at = at.unwrap_or_else(|| panic!("no {what} in {:?}", self.actions));
        pick(&self.actions.remove(at)).unwrap()
    }

    pub fn request(&mut self) -> (u64, String) {
        self.expect("request", |a| match a {
            Action::Request { id, url } => Some((*id, url.clone())),
            _ => None,
        })
    }

    pub fn open(&mut self) -> (ConnId, String) {
        self.expect("open", |a| match a {
            Action::Open { conn, url } => Some((*conn, url.clone())),
            _ => None,
        })
    }

    pub fn has(&self, pick: impl Fn(&Action) -> bool) -> bool {
        self.actions.iter().any(pick)
    }

    pub fn state(&self, instrument: &str) -> String {
        format!("{:?}", self.sup.book_state(instrument).unwrap())
    }

    pub fn kinds(&self) -> Vec<RecordKind> {
        self.sup.tape().records.iter().map(|r| r.kind).collect()
    }

    /// Payloads of one kind, as text.
    pub fn records(&self, kind: RecordKind) -> Vec<String> {
        self.sup.tape().records.iter().filter(|r| r.kind == kind).map(crate::tape_port::OwnedRecord::text).collect()
    }
}
