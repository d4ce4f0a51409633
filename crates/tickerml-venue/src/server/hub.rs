//! What all connections share: the venues, their clock, the clients and their queues. One lock, held for moments.
use super::client::Door;
use crate::config::{Config, RecordingConfig};
use crate::dialect::Symbol;
use crate::error::Result;
use crate::faults::desk::{Answer, Desk};
use crate::faults::link::{Delivery, Link};
use crate::faults::{FaultRequest, Injector};
use crate::market::{Market, OutFrame};
use crate::recording::{Depth, Player};
use crate::rng::Rng;
use crate::stream::{Channel, canonical, channel_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tickerml_core::instrument::Venue;
use tokio::sync::{mpsc, watch};

/// How long sockets stay open after the last frame of a recording.
const LINGER_NS: i64 = 1_000_000_000;

/// Deliveries queued for one connection: some ten seconds of the busiest. A client that lets it fill is cut off.
const QUEUE_MAX: usize = 16_384;

/// A venue as `/info` tells it.
#[derive(Debug, Clone, Serialize)]
pub struct VenueInfo {
    /// Name.
    pub venue: Venue,
    /// WebSocket base (futures: of the public door).
    pub ws_url: String,
    /// WebSocket base of the futures' market door, else empty.
    pub market_ws_url: String,
    /// REST base.
    pub rest_url: String,
    /// Symbols.
    pub symbols: Vec<String>,
}

/// A venue being served.
#[derive(Debug)]
pub(super) struct Floor {
    pub market: Market,
    pub desk: Desk,
    pub injector: Injector,
}

/// A recording being served.
#[derive(Debug)]
pub(super) struct Stage {
    pub player: Player,
    pub injector: Injector,
    /// Real time when its last frame was handed out, ns.
    ended_ns: Option<i64>,
}

/// A connected client.
#[derive(Debug)]
struct Client {
    door: Door,
    streams: BTreeSet<String>,
    /// Served from a recording.
    any_depth: bool,
    link: Link,
    queue: mpsc::Sender<Delivery>,
}

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub floors: Vec<Floor>,
    pub stage: Option<Stage>,
    clients: BTreeMap<u64, Client>,
    last_client: u64,
    /// Clients cut off because they did not read.
    pub slow_clients: u64,
    /// Subscriptions to streams that the door does not carry.
    pub wrong_streams: u64,
}

/// See the module's page.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    venues: Vec<VenueInfo>,
    clock: Clock,
    connections: AtomicUsize,
    stop: watch::Sender<bool>,
    ended: Mutex<bool>,
    ended_signal: Condvar,
}

/// Venue time: the wall clock at the start, then monotonic, `speed` times as fast.
#[derive(Debug)]
struct Clock {
    start_ns: i64,
    started: Instant,
    speed: f64,
}

impl Clock {
    fn new(speed: f64) -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start_ns: since.as_nanos() as i64, started: Instant::now(), speed }
    }

    fn now_ns(&self) -> i64 {
        self.start_ns + (self.started.elapsed().as_nanos() as f64 * self.speed) as i64
    }
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Guard(Arc<Hub>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    pub(super) fn open(config: &Config, port: u16) -> Result<Hub> {
        let clock = Clock::new(if config.recording.is_some() { 1.0 } else { config.speed });
        let stage = config.recording.as_ref().map(|r| Stage::open(config, r)).transpose()?;
        let mut floors = Vec::new();
        for venue in config.venues.iter().filter(|_| stage.is_none()) {
            let mut market = Market::open(config, venue, clock.start_ns)?;
            market.want_all(false);
            let rng = Rng::of(config.seed, &format!("{}/faults", venue.venue));
            floors.push(Floor { market, desk: Desk::new(), injector: Injector::new(rng, config.faults.clone()) });
        }
        let recorded = stage.iter().map(|s| urls(s.player.venue(), port, vec![s.player.symbol().name.clone()]));
        let venues = floors.iter().map(|f: &Floor| info(&f.market, port)).chain(recorded).collect();
        let clients = BTreeMap::new();
        let state = State { floors, stage, clients, last_client: 0, slow_clients: 0, wrong_streams: 0 };
        Ok(Hub {
            state: Mutex::new(state),
            venues,
            clock,
            connections: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
            ended: Mutex::new(false),
            ended_signal: Condvar::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is a bug that has been printed; the state is still whole enough to stop.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(super) fn venues(&self) -> &[VenueInfo] {
        &self.venues
    }

    pub(super) fn serves(&self, venue: Venue) -> bool {
        self.venues.iter().any(|v| v.venue == venue)
    }

    pub(super) fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    /// Real time that `venue_ns` of venue time take.
    pub(super) fn real(&self, venue_ns: i64) -> Duration {
        Duration::from_nanos((venue_ns.max(0) as f64 / self.clock.speed) as u64)
    }

    pub(super) fn enter(self: &Arc<Hub>, most: usize) -> Option<Guard> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let guard = Guard(Arc::clone(self));
        (before < most).then_some(guard)
    }

    /// Waits until the venue is told to stop.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(super) fn shut_down(&self) {
        self.stop.send_replace(true);
        self.end();
    }

    fn end(&self) {
        *self.ended.lock().unwrap_or_else(|e| e.into_inner()) = true;
        self.ended_signal.notify_all();
    }

    pub(super) fn wait_ended(&self, timeout: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.ended_signal.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(|e| e.into_inner()).0
    }

    pub(super) fn ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Moves the clock to now and hands out what happened.
    pub(super) fn advance(&self) {
        let now_ns = self.now_ns();
        let mut state = self.lock();
        let State { floors, stage, clients, slow_clients, .. } = &mut *state;
        if let Some(stage) = stage {
            stage.advance(now_ns, clients, slow_clients);
            if stage.ended_ns.is_some_and(|at| now_ns - at >= LINGER_NS) {
                // Dropping the queues makes each connection close in the normal way once it has sent everything.
                clients.clear();
                self.end();
            }
        }
        for floor in floors {
            let venue = floor.market.venue();
            let frames: Vec<_> = floor.market.advance(now_ns).into_iter().map(Arc::new).collect();
            for client in clients.values_mut().filter(|c| c.door.venue == venue) {
                client.hand(&frames, now_ns, &mut floor.injector, slow_clients);
            }
        }
        clients.retain(|_, c| !c.queue.is_closed() && !c.link.ended());
    }

    pub(super) fn join(&self, door: Door) -> (u64, mpsc::Receiver<Delivery>) {
        let (queue, deliveries) = mpsc::channel(QUEUE_MAX);
        let mut state = self.lock();
        state.last_client += 1;
        let id = state.last_client;
        let any_depth = state.stage.is_some();
        let client = Client { door, streams: BTreeSet::new(), any_depth, link: Link::new(), queue };
        state.clients.insert(id, client);
        (id, deliveries)
    }

    pub(super) fn leave(&self, client: u64) {
        let mut state = self.lock();
        state.clients.remove(&client);
        state.refresh();
    }

    /// Subscribes to streams by name. Unknown ones are remembered and silent, as the real venue does it.
    pub(super) fn subscribe(&self, client: u64, names: &[String]) {
        let mut state = self.lock();
        let now_ns = self.now_ns();
        let State { clients, wrong_streams, stage, .. } = &mut *state;
        let Some(client) = clients.get_mut(&client) else { return };
        for name in names {
            let name = canonical(client.door.venue, name);
            let channel = channel_of(client.door.venue, &name);
            if channel.is_none_or(|c| client.door.entry.is_none_or(|e| !e.carries(c))) {
                *wrong_streams += 1;
            }
            client.streams.insert(name);
        }
        if let Some(stage) = stage {
            stage.listened(client, now_ns);
        }
        state.refresh();
    }

    pub(super) fn unsubscribe(&self, client: u64, names: &[String]) {
        let mut state = self.lock();
        if let Some(client) = state.clients.get_mut(&client) {
            for name in names {
                client.streams.remove(&canonical(client.door.venue, name));
            }
        }
        state.refresh();
    }

    pub(super) fn subscriptions(&self, client: u64) -> Vec<String> {
        self.lock().clients.get(&client).map(|c| c.streams.iter().cloned().collect()).unwrap_or_default()
    }

    /// A depth answer with faults.
    pub(super) fn depth(&self, venue: Venue, symbol: &str, limit: usize) -> Option<Answer> {
        let now_ns = self.now_ns();
        let mut state = self.lock();
        let floor = state.floors.iter_mut().find(|f| f.market.venue() == venue)?;
        Some(floor.desk.depth(&floor.market, (symbol, limit), &mut floor.injector, now_ns))
    }

    /// The recorded depth answer; none where no recording of this venue is served.
    pub(super) fn recorded_depth(&self, venue: Venue) -> Option<Depth> {
        let state = self.lock();
        let stage = state.stage.as_ref().filter(|s| s.player.venue() == venue)?;
        Some(stage.player.depth(self.now_ns()))
    }

    /// Asks all fitting venues for a fault; false where no venue fits or too many wait.
    pub(super) fn request_fault(&self, request: &FaultRequest) -> bool {
        let mut state = self.lock();
        let fits = |venue: &Venue| request.venue.is_none_or(|v| v == *venue);
        state.injectors().filter(|(v, _)| fits(v)).fold(false, |any, (_, i)| i.request(request.clone()) | any)
    }
}

impl State {
    /// The injector of each venue.
    pub(super) fn injectors(&mut self) -> impl Iterator<Item = (Venue, &mut Injector)> {
        let recorded = self.stage.iter_mut().map(|s| (s.player.venue(), &mut s.injector));
        self.floors.iter_mut().map(|f| (f.market.venue(), &mut f.injector)).chain(recorded)
    }

    /// Writes only the frames that somebody listens to.
    fn refresh(&mut self) {
        for floor in &mut self.floors {
            let venue = floor.market.venue();
            floor.market.want_all(false);
            for client in self.clients.values().filter(|c| c.door.venue == venue) {
                for name in &client.streams {
                    let (Some(number), Some(channel)) =
                        (floor.market.find(name.split('@').next().unwrap_or("")), channel_of(venue, name))
                    else {
                        continue;
                    };
                    if client.door.entry.is_some_and(|e| e.carries(channel)) {
                        floor.market.want(number, channel, true);
                    }
                }
            }
        }
    }
}

impl Stage {
    fn open(config: &Config, recording: &RecordingConfig) -> Result<Stage> {
        let player = Player::load(recording)?;
        let rng = Rng::of(config.seed, &format!("{}/faults", player.venue()));
        Ok(Stage { player, injector: Injector::new(rng, config.faults.clone()), ended_ns: None })
    }

    /// Starts the clock once a client listens to something that is in the recording.
    fn listened(&mut self, client: &Client, now_ns: i64) {
        let venue = self.player.venue();
        if client.door.venue == venue && self.player.streams().iter().any(|s| client.wants(s)) {
            self.player.start(now_ns);
        }
    }

    fn advance(&mut self, now_ns: i64, clients: &mut BTreeMap<u64, Client>, slow: &mut u64) {
        let room = clients.values().map(|c| c.queue.capacity() / 2).min().unwrap_or(QUEUE_MAX);
        let frames = self.player.advance(now_ns, room);
        for client in clients.values_mut().filter(|c| c.door.venue == self.player.venue()) {
            client.hand(&frames, now_ns, &mut self.injector, slow);
        }
        if self.player.ended() {
            self.ended_ns.get_or_insert(now_ns);
        }
    }
}

impl Client {
    /// Puts frames through the link into the queue.
    fn hand(&mut self, frames: &[Arc<OutFrame>], now_ns: i64, injector: &mut Injector, slow: &mut u64) {
        let mut out = Vec::new();
        for frame in frames {
            if self.wants(&frame.stream) {
                self.link.push(now_ns, Arc::clone(frame), injector, &mut out);
            }
        }
        self.link.poll(now_ns, &mut out);
        for delivery in out {
            if self.queue.try_send(delivery).is_err() {
                *slow += u64::from(!self.queue.is_closed());
                self.link = Link::cut();
                return;
            }
        }
    }

    /// Whether this client gets the stream: it asked for it, and its door carries it. A recording has one cadence of
    /// diffs, which stands for any that the client asked for.
    fn wants(&self, stream: &str) -> bool {
        let channel = channel_of(self.door.venue, stream);
        let carried = channel.is_none_or(|c| self.door.entry.is_some_and(|e| e.carries(c)));
        carried && (self.streams.contains(stream) || self.any_depth && self.asked_depth(stream))
    }

    fn asked_depth(&self, stream: &str) -> bool {
        let depth = |s: &str| matches!(channel_of(self.door.venue, s), Some(Channel::Depth(_)));
        let symbol = |s: &str| s.split('@').next().map(str::to_owned);
        depth(stream) && self.streams.iter().any(|s| depth(s) && symbol(s) == symbol(stream))
    }
}

fn info(market: &Market, port: u16) -> VenueInfo {
    let symbols: Vec<&Symbol> = market.listings().iter().map(|l| l.symbol()).collect();
    urls(market.venue(), port, symbols.iter().map(|s| s.name.clone()).collect())
}

fn urls(venue: Venue, port: u16, symbols: Vec<String>) -> VenueInfo {
    let (public, market) = if venue.is_futures() {
        ("/public", format!("ws://127.0.0.1:{port}/{venue}/market"))
    } else {
        ("", String::new())
    };
    VenueInfo {
        venue,
        ws_url: format!("ws://127.0.0.1:{port}/{venue}{public}"),
        market_ws_url: market,
        rest_url: format!("http://127.0.0.1:{port}/{venue}"),
        symbols,
    }
}
