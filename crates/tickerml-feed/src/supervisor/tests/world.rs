//! A venue in virtual time that loses, repeats, swaps, delays and garbles what it sends, and answers REST as badly.
use super::rig::{MS, Rig, S, exchange_info, ok, spot, status, usdm};
use crate::backoff::Rng;
use crate::rest::RestAnswer;
use crate::supervisor::{Action, Closed, ConnId};
use std::collections::{BTreeMap, VecDeque};
use tickerml_core::event::BookState;
use tickerml_core::market::{BooksOnly, Market};
use tickerml_core::tape::Record;

/// The venue's own books after each update id: price index -> quantity.
type Levels = BTreeMap<i64, u64>;

/// A connection: frames with their delivery time, and whether it is frozen.
type Link = (ConnId, VecDeque<(i64, Vec<u8>)>, bool);

pub struct World {
    pub rig: Rig,
    pub rng: Rng,
    pub market: Market,
    fed: usize,
    futures: bool,
    names: Vec<&'static str>,
    books: Vec<(u64, Levels)>,
    history: Vec<BTreeMap<u64, Levels>>,
    links: Vec<Link>,
    answers: Vec<(i64, u64, RestAnswer)>,
    last_id: u64,
    /// How often each fault was made.
    pub hits: BTreeMap<&'static str, u32>,
    pub lost: u32,
}

impl World {
    pub fn new(seed: u64) -> World {
        let futures = seed % 2 == 1;
        let names = vec!["BTCUSDT", "ETHUSDT"];
        let venue = if futures { usdm(&names) } else { spot(&names) };
        let rig = Rig::new(&[venue], seed);
        let mut market = Market::new();
        let slots: Vec<String> = rig.sup.plan.slots.clone();
        market.set_slots(&slots);
        let books = vec![(100, Levels::new()); names.len()];
        World {
            rig,
            rng: Rng::new(seed ^ 0xfeed),
            market,
            fed: 0,
            futures,
            history: vec![BTreeMap::new(); names.len()],
            names,
            books,
            links: Vec::new(),
            answers: Vec::new(),
            last_id: 100,
            hits: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Runs for `ns`, with faults or without, judging every Live book as it goes.
    pub fn run(&mut self, ns: i64, faults: bool) {
        let end = self.rig.now + ns;
        while self.rig.now < end {
            self.rig.pass(10 * MS);
            if self.rig.now % (100 * MS) == 0 {
                (0..self.names.len()).for_each(|s| self.update(s, faults));
            }
            self.act(faults);
            self.deliver();
            self.read_tape();
        }
    }

    fn hit(&mut self, fault: &'static str, on: bool, one_in: i64) -> bool {
        let hit = on && self.rng.upto(one_in - 1) == 0;
        if hit {
            *self.hits.entry(fault).or_default() += 1;
        }
        hit
    }

    /// One venue event: some levels change, every open link gets the diff in its own fashion.
    fn update(&mut self, symbol: usize, faults: bool) {
        let prev = self.books[symbol].0;
        // Futures ids are shared by all symbols; spot ids are dense in one.
        let first = if self.futures { self.last_id + 1 } else { prev + 1 };
        let last = first + self.rng.upto(3) as u64;
        self.last_id = self.last_id.max(last);
        let mut sides = [String::new(), String::new()];
        for id in first..=last {
            let level = self.rng.upto(49);
            let side = self.rng.upto(1);
            let qty = if self.rng.upto(4) == 0 { 0 } else { id };
            let px = 100 + side * 100 + level;
            self.books[symbol].1.insert(px, qty);
            sides[side as usize] = format!(r#"["{px}.00","{qty}"],{}"#, sides[side as usize]);
        }
        // A level that changed twice says so twice, newest first; keep the newest by sending the final state.
        let levels = self.books[symbol].1.clone();
        let text = |side: i64| {
            let one = |(px, qty): (&i64, &u64)| format!(r#"["{px}.00","{qty}"]"#);
            let touched = |(px, _): &(&i64, &u64)| sides[side as usize].contains(&format!(r#""{px}.00""#));
            let range = (100 + side * 100)..(200 + side * 100);
            levels.range(range).filter(touched).map(one).collect::<Vec<_>>().join(",")
        };
        let name = self.names[symbol];
        let pu = if self.futures { format!(r#""pu":{prev},"#) } else { String::new() };
        let frame = format!(
            r#"{{"stream":"{}@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"{name}","U":{first},"u":{last},{pu}"b":[{}],"a":[{}]}}}}"#,
            name.to_lowercase(),
            text(0),
            text(1)
        );
        self.books[symbol].0 = last;
        self.history[symbol].insert(last, levels);
        self.publish(frame.into_bytes(), faults);
    }

    fn publish(&mut self, frame: Vec<u8>, faults: bool) {
        for link in 0..self.links.len() {
            if self.links[link].2 {
                continue; // frozen
            }
            let now = self.rig.now;
            if self.hit("drop", faults, 60) {
                self.lost += 1;
                continue;
            }
            if self.hit("duplicate", faults, 60) {
                self.links[link].1.push_back((now, frame.clone()));
            }
            if self.hit("truncate", faults, 300) {
                let cut = 1 + self.rng.upto(frame.len() as i64 - 2) as usize;
                self.links[link].1.push_back((now, frame[..cut].to_vec()));
                continue;
            }
            let delay = if self.hit("delay", faults, 60) { 700 * MS } else { 0 };
            self.links[link].1.push_back((now + delay, frame.clone()));
            if self.hit("swap", faults, 80) {
                let queue = &mut self.links[link].1;
                let n = queue.len();
                if n >= 2 {
                    queue.swap(n - 1, n - 2);
                }
            }
        }
    }

    fn act(&mut self, faults: bool) {
        for action in std::mem::take(&mut self.rig.actions) {
            match action {
                Action::Open { conn, .. } if self.hit("refuse", faults, 6) => {
                    self.rig.closed(conn, &Closed { reason: "HTTP 503".into(), status: 503, retry_after_s: None });
                }
                Action::Open { conn, url } => {
                    self.rig.sup.opened(conn, self.rig.now);
                    if !url.contains("/market/") {
                        self.links.push((conn, VecDeque::new(), false));
                    }
                }
                Action::Close { conn } => self.links.retain(|l| l.0 != conn),
                Action::Ping { conn } => {
                    if self.links.iter().any(|l| l.0 == conn && !l.2) {
                        self.rig.sup.control(conn, "pong", self.rig.now);
                    }
                }
                Action::Request { id, url } => self.request(id, &url, faults),
            }
        }
        if !self.links.is_empty() {
            let at = self.rng.upto(self.links.len() as i64 - 1) as usize;
            let conn = self.links[at].0;
            if self.hit("close", faults, 1_500) {
                self.links.remove(at);
                self.rig.closed(conn, &Closed::because("reset"));
            } else if self.hit("freeze", faults, 3_000) {
                self.links[at].2 = true;
            } else if self.hit("shutdown", faults, 2_000) {
                self.rig.frame(conn, br#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#);
            }
        }
    }

    fn request(&mut self, id: u64, url: &str, faults: bool) {
        let now = self.rig.now;
        if url.contains("exchangeInfo") {
            return self.answers.push((now, id, ok(&exchange_info(&self.names))));
        }
        let symbol = self.names.iter().position(|n| url.contains(n)).unwrap();
        let body = |book: &(u64, Levels)| {
            let side = |from: i64| {
                let held = book.1.range(from..from + 100).filter(|(_, q)| **q > 0);
                held.map(|(px, qty)| format!(r#"["{px}.00","{qty}"]"#)).collect::<Vec<_>>().join(",")
            };
            ok(format!(r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#, book.0, side(100), side(200)).as_bytes())
        };
        let mut answer = body(&self.books[symbol]);
        let mut delay = 20 * MS + self.rng.upto(300 * MS);
        for (fault, code) in [("429", 429), ("418", 418), ("5xx", 502)] {
            if self.hit(fault, faults, 20) {
                answer = status(code);
                answer.headers = vec![("retry-after".into(), "2".into())];
            }
        }
        if self.hit("html", faults, 20) {
            answer = ok(b"<html>maintenance</html>");
        }
        if self.hit("stale snapshot", faults, 8) {
            let old = self.history[symbol].iter().rev().nth(30).map(|(id, levels)| (*id, levels.clone()));
            answer = old.map_or(answer, |old| body(&old));
        }
        if self.hit("mismatched snapshot", faults, 30) {
            answer = body(&(self.books[symbol].0 + 1_000_000, Levels::from([(150, 1)])));
        }
        if self.hit("slow snapshot", faults, 20) {
            delay += 5 * S;
        }
        if self.hit("no answer", faults, 30) {
            return;
        }
        self.answers.push((now + delay, id, answer));
    }

    fn deliver(&mut self) {
        let now = self.rig.now;
        for link in 0..self.links.len() {
            let conn = self.links[link].0;
            while self.links.get(link).is_some_and(|l| l.0 == conn && l.1.front().is_some_and(|f| f.0 <= now)) {
                let (_, frame) = self.links[link].1.pop_front().unwrap();
                self.rig.sup.frame(conn, now, &frame);
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.answers).into_iter().partition(|a| a.0 <= now);
        self.answers = later;
        for (_, id, answer) in due {
            self.rig.sup.answered(id, now, &answer);
        }
        self.rig.take();
    }

    /// What every reader of the tape sees; a book that it calls Live must be the venue's at that id.
    fn read_tape(&mut self) {
        for pos in self.fed..self.rig.sup.tape().records.len() {
            let record = &self.rig.sup.tape().records[pos];
            let record = Record {
                pos: pos as u64,
                kind: record.kind,
                slot: record.slot,
                ts_recv_ns: record.stamp.recv_ns,
                ts_mono_ns: record.stamp.mono_ns,
                bytes: &record.bytes,
            };
            self.market.record(&record, &mut BooksOnly).unwrap();
        }
        self.fed = self.rig.sup.tape().records.len();
    }

    /// What both sides think of each book, for messages.
    pub fn states(&self) -> Vec<String> {
        let one = |line: &tickerml_core::market::Line| {
            let id = line.instrument.id();
            format!("{id}: tape {:?}, feed {:?}", line.state, self.rig.sup.book_state(&id))
        };
        self.market.lines.iter().map(one).collect()
    }

    /// Books that are Live for the reader of the tape, checked against the venue's at the feed's update id.
    pub fn live_books(&self) -> usize {
        let mut live = 0;
        for (symbol, name) in self.names.iter().enumerate() {
            let venue = if self.futures { "binance_usdm" } else { "binance_spot" };
            let id = format!("{venue}:{name}");
            let Some(line) = self.market.index_of(&id).map(|i| &self.market.lines[i]) else { continue };
            if line.state != BookState::Live || self.rig.sup.book_state(&id) != Some(BookState::Live) {
                continue;
            }
            let (shard, index) = self.rig.sup.find_book(&id).unwrap();
            let track = self.rig.sup.track(shard, index, self.rig.sup.shards[shard].active);
            let Some(truth) = self.history[symbol].get(&track.update_id().unwrap()) else { continue };
            let truth: Vec<(i64, i64)> =
                truth.iter().filter(|(_, q)| **q > 0).map(|(px, q)| (px * 100, *q as i64 * 1_000)).collect();
            let mut held: Vec<(i64, i64)> = line.book.bids().chain(line.book.asks()).collect();
            held.sort_unstable();
            assert_eq!(held, truth, "{id} at {:?}", track.update_id());
            live += 1;
        }
        live
    }
}
