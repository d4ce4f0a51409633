//! The world between a venue and the feed: sockets that open late, links with faults, a REST desk, one virtual clock.
use crate::reader::{Live, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tickerml_core::event::BookState;
use tickerml_feed::clock::{Anchor, Wall};
use tickerml_feed::config::FeedConfig;
use tickerml_feed::rest::RestAnswer;
use tickerml_feed::supervisor::{Action, Closed, ConnId, Start, Supervisor};
use tickerml_feed::tape_port::MemoryTape;
use tickerml_venue::config::{Config, VenueConfig};
use tickerml_venue::faults::desk::Desk;
use tickerml_venue::faults::link::{Delivery, Link};
use tickerml_venue::faults::{Fault, Injector, Mix};
use tickerml_venue::flow::Regime;
use tickerml_venue::market::{Market, OutFrame};
use tickerml_venue::rng::Rng;

const MS: i64 = 1_000_000;
const START_NS: i64 = 1_790_000_000_000_000_000;
/// Fault opportunities come at every diff: some forty a second.
const CHANCE: f64 = 0.004;

/// Chance that one of two sockets ends, each 10 ms of a hand-over: they last some seconds.
const HANDOVER_CHANCE: f64 = 0.03;

/// Chance that a diff has a digit beyond the instrument's scale.
const SPOIL_CHANCE: f64 = 0.002;

/// What will happen at a moment that was decided earlier.
enum Later {
    Opened(ConnId, String),
    Answer(u64, RestAnswer),
}

/// One open socket.
struct Socket {
    conn: ConnId,
    link: Link,
    streams: BTreeSet<String>,
    sent: Vec<Arc<OutFrame>>,
    /// When each diff arrived.
    got: BTreeMap<(Arc<str>, u64), i64>,
}

pub struct World {
    seed: u64,
    now_ns: i64,
    market: Market,
    desk: Desk,
    injector: Injector,
    rng: Rng,
    feed: Supervisor<MemoryTape>,
    later: Vec<(i64, Later)>,
    sockets: Vec<Socket>,
    /// Diffs that sockets brought which are closed now.
    gone: BTreeSet<(Arc<str>, u64)>,
    pub reader: Reader,
    /// Moments at which two sockets carried the same streams: a hand-over.
    doubled_ns: BTreeSet<i64>,
    troubled: bool,
    /// Snapshots that came since the hand-over began that is going on.
    handover_snapshots: u64,
    /// Hand-overs that lost their new socket before any snapshot, behind one, and that lost their old socket.
    pub broken_handovers: [u64; 3],
    /// Diffs with a digit too many.
    pub spoiled: u64,
    /// Diffs that never arrived though a later one did on the same socket: stream, id, when it was sent, when that later one
    /// arrived.
    pub lost: Vec<(Arc<str>, u64, i64, i64)>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::of(seed, "world");
        let regime = [Regime::Thin, Regime::Thin, Regime::Calm, Regime::Volatile][rng.below(4) as usize];
        let config = Config { seed, regime: Some(regime), ..Config::default() };
        let venue = &config.venues[(seed % 2) as usize];
        let market = Market::open(&config, venue, START_NS).expect("opens");
        let plan = FeedConfig::from_json(&feed_config(venue)).and_then(|c| c.plan()).expect("a sound plan");
        let reader = Reader::new(&plan.slots);
        let start = Start { seed, ..Start::default() };
        let mut feed = Supervisor::new(plan, MemoryTape::default(), Anchor::new(START_NS, START_NS, None), start);
        feed.begin(Wall { ns: START_NS, synced: true }, START_NS);
        World {
            seed,
            now_ns: START_NS,
            market,
            desk: Desk::new(),
            injector: Injector::new(Rng::of(seed, "faults"), Mix::default()),
            rng,
            feed,
            later: Vec::new(),
            sockets: Vec::new(),
            gone: BTreeSet::new(),
            doubled_ns: BTreeSet::new(),
            troubled: false,
            handover_snapshots: 0,
            broken_handovers: [0; 3],
            spoiled: 0,
            reader,
            lost: Vec::new(),
        }
    }

    /// Turns faults on or off. Faults that end the connection are rarer, so that the others get their time.
    pub fn trouble(&mut self, on: bool) {
        let place = |f: Fault| if f.place() == tickerml_venue::faults::Place::Snapshot { 0.06 } else { CHANCE };
        let ending = |f: Fault| f.place() == tickerml_venue::faults::Place::Frame || f == Fault::Silence;
        let mix = Fault::ALL
            .iter()
            .fold(Mix::default(), |mix, &f| mix.with(f, if ending(f) { place(f) / 8.0 } else { place(f) }));
        self.injector.set_mix(if on { mix } else { Mix::default() });
        self.troubled = on;
    }

    pub fn counts(&self) -> &BTreeMap<Fault, u64> {
        self.injector.counts()
    }

    /// Lets `ns` of virtual time pass.
    pub fn run(&mut self, ns: i64) {
        let end_ns = self.now_ns + ns;
        while self.now_ns < end_ns {
            self.now_ns += 10 * MS;
            let frames: Vec<_> = self.market.advance(self.now_ns).into_iter().map(Arc::new).collect();
            self.carry(&frames);
            self.watch_handover();
            self.happen();
            self.feed.tick(self.now_ns);
            self.act();
            self.reader.read(&self.feed.tape().records, &self.market);
            self.hand_wants();
            self.agree();
            assert_eq!(self.feed.fatal(), None, "seed {}", self.seed);
        }
    }

    /// The reader's wishes reach the feed as an engine's do: only who applies a diff sees that it crosses the book.
    fn hand_wants(&mut self) {
        let wishes = &mut self.feed.tape_mut().engine;
        self.reader.books.hand_wants(|want| {
            wishes.push_back(want.record());
            true
        });
        self.feed.tick(self.now_ns);
        self.reader.read(&self.feed.tape().records, &self.market);
    }

    /// The feed and the reader of its tape think alike of every book: a loss is a gap for both or for neither.
    fn agree(&self) {
        let is_true = |state: BookState| matches!(state, BookState::Live | BookState::Stale);
        for line in &self.reader.books.lines {
            let id = line.instrument.id();
            let feed = self.feed.book_state(&id).expect("a book of the plan");
            assert_eq!(is_true(line.state), is_true(feed), "seed {}: {id}: {}", self.seed, self.describe());
        }
    }

    /// While two sockets carry the same streams, one of them may end.
    fn watch_handover(&mut self) {
        let newest = (0..self.sockets.len()).rev().find(|n| {
            let older = &self.sockets[..*n];
            older.iter().any(|s| s.streams == self.sockets[*n].streams)
        });
        let Some(newest) = newest else {
            self.handover_snapshots = 0;
            return;
        };
        self.doubled_ns.insert(self.now_ns);
        if !self.troubled || !self.rng.chance(HANDOVER_CHANCE) {
            return;
        }
        let streams = &self.sockets[newest].streams;
        let oldest = self.sockets.iter().position(|s| s.streams == *streams).expect("it is doubled");
        let (n, kind) = match (self.rng.below(4), self.handover_snapshots) {
            (0, _) => (oldest, 2),
            (_, 0) => (newest, 0),
            _ => (newest, 1),
        };
        self.broken_handovers[kind] += 1;
        let conn = self.sockets[n].conn;
        self.drop_socket(n);
        self.feed.closed(conn, self.now_ns, &Closed::because("reset in a hand-over"));
    }

    /// Whether every book is Live for the feed and for the reader of its tape, on sound sockets.
    pub fn well(&self) -> bool {
        let sound = self.sockets.iter().all(|s| s.link.is_sound(self.now_ns));
        let live = |l: &tickerml_core::market::Line| {
            l.is_live() && self.feed.book_state(&l.instrument.id()) == Some(BookState::Live)
        };
        sound && self.reader.books.lines.len() == 2 && self.reader.books.lines.iter().all(live)
    }

    pub fn describe(&self) -> String {
        let line = |l: &tickerml_core::market::Line| {
            let id = l.instrument.id();
            format!("{id}: tape {:?}, feed {:?}; ", l.state, self.feed.book_state(&id))
        };
        let states: String = self.reader.books.lines.iter().map(line).collect();
        states + "\nthe tape but for frames, its last records:\n" + &self.tail()
    }

    /// The last records that are neither frames nor ticks, and the ids around the last snapshot answer.
    fn tail(&self) -> String {
        use tickerml_core::tape::RecordKind;
        let text = |r: &tickerml_feed::tape_port::OwnedRecord| {
            let ms = (r.stamp.recv_ns - START_NS) / MS;
            let text: String = r.text().chars().take(330).map(|c| if c == '\n' { ' ' } else { c }).collect();
            format!("{ms} ms {:?} slot {}: {text}\n", r.kind, r.slot)
        };
        let plain =
            |r: &&tickerml_feed::tape_port::OwnedRecord| !matches!(r.kind, RecordKind::Frame | RecordKind::Tick);
        let mut lines: Vec<String> = self.feed.tape().records.iter().rev().filter(plain).take(20).map(text).collect();
        lines.reverse();
        lines.concat()
    }

    /// Every lost diff lies in a gap with a cause and a span, or where the book was not Live.
    pub fn judge_losses(&mut self) {
        for n in 0..self.sockets.len() {
            self.note_lost(n);
        }
        // In a hand-over a diff lost on the socket that is not the book's yet is no gap of the book.
        for (stream, id, sent_ns, told_ns) in self.lost.iter().filter(|l| !self.doubled_ns.contains(&l.3)) {
            let symbol = stream.split('@').next().unwrap_or("").to_uppercase();
            let index = self.reader.books.lines.iter().position(|l| l.instrument.symbol == symbol).expect("known");
            // A book says Live until the next diff shows that one is missing; by then there must be a gap, unless the
            // book was not Live, or had its resync for another reason, in between. What its snapshot had is not missing.
            let mut spans = self.reader.gaps.iter().filter(|g| usize::from(g.instrument) == index && g.to_ts_ns != 0);
            let in_gap = spans.any(|g| g.from_ts_ns <= *told_ns && *sent_ns <= g.to_ts_ns);
            let has_missed = |live: &Live| live.from_ns < *sent_ns && *told_ns <= live.to_ns && live.from_id < *id;
            let was_live = self.reader.live.iter().any(|live| live.index == index && has_missed(live));
            let ms = (told_ns - START_NS) / MS;
            let told = || format!("{stream} {id}, told at {ms} ms, was lost without a gap; {}", self.tail());
            assert!(in_gap || !was_live, "seed {}: {}", self.seed, told());
        }
    }

    /// Puts frames through every socket's link.
    fn carry(&mut self, frames: &[Arc<OutFrame>]) {
        for n in 0..self.sockets.len() {
            let (socket, mut out) = (&mut self.sockets[n], Vec::new());
            for frame in frames.iter().filter(|f| socket.streams.contains(&*f.stream)) {
                if frame.diff && !socket.link.ended() {
                    socket.sent.push(Arc::clone(frame));
                }
                socket.link.push(self.now_ns, Arc::clone(frame), &mut self.injector, &mut out);
            }
            socket.link.poll(self.now_ns, &mut out);
            out.into_iter().for_each(|delivery| self.deliver(n, delivery));
        }
        for n in (0..self.sockets.len()).rev().filter(|n| self.sockets[*n].link.ended()).collect::<Vec<_>>() {
            self.drop_socket(n);
        }
    }

    fn deliver(&mut self, socket: usize, delivery: Delivery) {
        let Socket { conn, got, .. } = &mut self.sockets[socket];
        match delivery {
            Delivery::Frame(frame) if frame.diff && self.troubled && self.rng.chance(SPOIL_CHANCE) => {
                self.spoiled += 1;
                self.feed.frame(*conn, self.now_ns, spoil(&frame.text).as_bytes());
            }
            Delivery::Frame(frame) => {
                got.insert((Arc::clone(&frame.stream), frame.last_id), self.now_ns);
                self.feed.frame(*conn, self.now_ns, frame.text.as_bytes());
            }
            Delivery::Text(text) => self.feed.frame(*conn, self.now_ns, text.as_bytes()),
            Delivery::End(fault) => self.feed.closed(*conn, self.now_ns, &Closed::because(fault.name())),
            Delivery::Frozen | Delivery::Thawed => {}
        }
    }

    /// Forgets a socket; what it still held back is lost with the connection, which is a gap of its own.
    fn drop_socket(&mut self, n: usize) {
        self.note_lost(n);
        self.gone.extend(self.sockets.remove(n).got.into_keys());
    }

    /// Diffs before the last one delivered that never came.
    fn note_lost(&mut self, n: usize) {
        let Socket { sent, got, .. } = &self.sockets[n];
        for frame in sent {
            let key = (Arc::clone(&frame.stream), frame.last_id);
            // During a hand-over two sockets carry it; lost is what neither brought.
            let missing = !self.sockets.iter().any(|s| s.got.contains_key(&key)) && !self.gone.contains(&key);
            // Without a later diff of the stream nobody can tell that one is missing.
            let later = got.range(key..).next().filter(|((stream, _), _)| *stream == frame.stream);
            if let Some((_, told_ns)) = later.filter(|_| missing) {
                self.lost.push((Arc::clone(&frame.stream), frame.last_id, frame.ts_ns, *told_ns));
            }
        }
    }

    /// What was decided earlier and is due.
    fn happen(&mut self) {
        let now_ns = self.now_ns;
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now_ns);
        self.later = later;
        for (_, event) in Vec::from_iter::<Vec<(i64, Later)>>(due) {
            match event {
                Later::Opened(conn, url) => {
                    let names = url.split_once("streams=").map_or("", |(_, names)| names);
                    let streams = names.split('/').map(str::to_owned).collect();
                    self.sockets.push(Socket { conn, link: Link::new(), streams, sent: vec![], got: BTreeMap::new() });
                    self.feed.opened(conn, now_ns);
                }
                Later::Answer(id, answer) => {
                    self.handover_snapshots += 1;
                    self.feed.answered(id, now_ns, &answer);
                }
            }
        }
    }

    fn act(&mut self) {
        let mut actions = Vec::new();
        self.feed.take_actions(&mut actions);
        for action in actions {
            let soon_ns = self.now_ns + (1 + self.rng.below(60) as i64) * MS;
            match action {
                Action::Open { conn, url } => self.later.push((soon_ns, Later::Opened(conn, url))),
                Action::Ping { conn } => {
                    let answers = self.sockets.iter().any(|s| s.conn == conn && !s.link.frozen());
                    if answers {
                        self.feed.control(conn, "pong", self.now_ns);
                    }
                }
                Action::Close { conn } => {
                    if let Some(n) = self.sockets.iter().position(|s| s.conn == conn) {
                        self.drop_socket(n);
                    }
                }
                Action::Request { id, url } => {
                    let (ready_ns, answer) = self.answer(&url);
                    self.later.push((ready_ns.max(soon_ns), Later::Answer(id, answer)));
                }
            }
        }
    }

    fn answer(&mut self, url: &str) -> (i64, RestAnswer) {
        let value = |key: &str| url.split(['?', '&']).find_map(|p| p.strip_prefix(key)).unwrap_or("");
        if url.contains("exchangeInfo") {
            let body = self.market.exchange_info().into_bytes();
            return (self.now_ns, RestAnswer { status: 200, body, ..RestAnswer::default() });
        }
        let query = (value("symbol="), value("limit=").parse().unwrap_or(100));
        let answer = self.desk.depth(&self.market, query, &mut self.injector, self.now_ns);
        let headers = answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let body = answer.body.into_bytes();
        (answer.ready_ns, RestAnswer { status: answer.status, headers, body, error: String::new() })
    }
}

/// The same diff with a digit too many in its first price.
fn spoil(text: &str) -> String {
    let Some(start) = text.find("[[\"").map(|at| at + 3) else { return text.to_owned() };
    let end = start + text[start..].find('"').expect("a price in quotes");
    let digit = if text[start..end].contains('.') { "7" } else { ".7" };
    format!("{}{digit}{}", &text[..end], &text[end..])
}

fn feed_config(venue: &VenueConfig) -> String {
    let futures = venue.venue.is_futures();
    let (limit, most, weight) = if futures { (1_000, 2_400, 20) } else { (5_000, 6_000, 250) };
    let (market, market_channels) =
        if futures { ("ws://127.0.0.1:1/market", vec!["markPrice@1s"]) } else { ("", Vec::new()) };
    let depth = if futures { "depth@0ms" } else { "depth@100ms" };
    let symbols: Vec<&str> = venue.symbols.iter().map(|s| s.symbol.as_str()).collect();
    serde_json::json!({"venues": [{
        "venue": venue.venue, "ws_url": "ws://127.0.0.1:1/public", "market_ws_url": market,
        "rest_url": "http://127.0.0.1:1", "symbols": symbols, "channels": [depth, "trade", "bookTicker"],
        "market_channels": market_channels, "snapshot_limit": limit, "weight_per_min": most, "snapshot_weight": weight,
    }], "config_record": {}})
    .to_string()
}
