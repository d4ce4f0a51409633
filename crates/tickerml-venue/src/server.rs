//! The venue on a real socket: one listener on 127.0.0.1 for WebSocket, REST and control, told apart by path.
//!
//! A thread of its own runs everything on one single-threaded runtime: the pacer moves the venue's clock every few
//! milliseconds and hands frames to the connections' bounded queues; each connection is a task.
mod client;
mod control;
mod http;
mod hub;
mod rest;
mod route;

use crate::config::Config;
use crate::error::Result;
use hub::Hub;
use route::Route;
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How often the venue's clock moves: frames are late by at most this, and a step stays small.
const PACE: Duration = Duration::from_millis(4);

/// Connections at once; a client that leaks sockets gets refused rather than eating the test machine.
const CONNECTIONS_MAX: usize = 512;

/// Where a running venue is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Urls {
    /// WebSocket base of the first venue.
    pub ws_url: String,
    /// REST base of the first venue.
    pub rest_url: String,
    /// Control base.
    pub control_url: String,
}

/// A running venue; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    address: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Opens the listener, loads what is to be served and starts.
    ///
    /// # Errors
    /// [`crate::error::Error`] for a configuration or recording that cannot be served, or a port that cannot be had.
    pub fn start(config: &Config) -> Result<Server> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let hub = Arc::new(Hub::open(config, address.port())?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&hub);
        let thread = std::thread::Builder::new().name("venue".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, shared));
            // Tasks of connections end with the runtime; nothing they do outlives it.
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Server { hub, address, thread: Mutex::new(Some(thread)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients reach it.
    pub fn urls(&self) -> Urls {
        let venues = self.hub.venues();
        let first = venues.first();
        Urls {
            ws_url: first.map(|v| v.ws_url.clone()).unwrap_or_default(),
            rest_url: first.map(|v| v.rest_url.clone()).unwrap_or_default(),
            control_url: format!("http://{}/control", self.address),
        }
    }

    /// Waits until the recording has ended or the venue has been told to stop; false when `timeout` came first.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.waiter().wait(timeout)
    }

    /// Waits as [`Server::wait`] does, without holding the server.
    pub fn waiter(&self) -> Waiter {
        Waiter(Arc::clone(&self.hub))
    }

    /// Stops serving and waits for the thread.
    pub fn stop(&self) {
        self.hub.shut_down();
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            // A panic in the thread has already been printed; stopping has nothing to add.
            let _ = thread.join();
        }
    }
}

/// Waits for a venue's end from another thread than the one that owns it.
#[derive(Debug)]
pub struct Waiter(Arc<Hub>);

impl Waiter {
    /// Waits until the recording has ended or the venue has been told to stop; false when `timeout` came first.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.0.wait_ended(timeout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: StdListener, hub: Arc<Hub>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return hub.shut_down() };
    let stopped = hub.stopped();
    tokio::pin!(stopped);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = pace.tick() => hub.advance(),
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(&hub)));
                }
            }
        }
    }
}

/// Serves requests of one TCP connection until it ends or becomes a WebSocket.
async fn connection(mut stream: TcpStream, hub: Arc<Hub>) {
    let Some(_guard) = hub.enter(CONNECTIONS_MAX) else { return };
    let _ = stream.set_nodelay(true);
    let mut rest = Vec::new();
    while let Some(request) = http::read(&mut stream, &mut rest).await {
        let reply = match route::route(&request.path) {
            Route::Socket { venue, entry, raw, named } if request.upgrades() && hub.serves(venue) => {
                let names = client::names(&request, named);
                return client::run(stream, rest, &request, hub, client::Door { venue, entry, raw }, names).await;
            }
            Route::Rest { venue, endpoint } => rest::answer(&hub, venue, &endpoint, &request).await,
            Route::Control(command) => control::answer(&hub, &command, &request),
            _ => http::Reply::json(404, crate::dialect::error_body(-1100, "no such path")),
        };
        if http::write(&mut stream, &reply).await.is_err() {
            return;
        }
    }
}
