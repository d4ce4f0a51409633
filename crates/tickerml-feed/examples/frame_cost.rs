//! CPU of the feed's thread for each WebSocket frame, from the socket to the tape's door, over plain loopback.
//!
//! `cargo run --release -p tickerml-feed --example frame_cost [frames]` prints one line of JSON. The venue is a thread that
//! writes prepared bytes; the tape only counts. Decoding, books and the recorder are not part of it.
use futures_util::SinkExt;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use tickerml_core::tape::RecordKind;
use tickerml_feed::clock::{Anchor, Stamp, SystemClock};
use tickerml_feed::config::FeedConfig;
use tickerml_feed::shell::dial::Dialer;
use tickerml_feed::shell::{INBOX_MAX, Inbox, Outbox, run};
use tickerml_feed::supervisor::{Start, Supervisor};
use tickerml_feed::tape_port::Tape;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// Bytes of a diff as the benchmarks have it.
const FRAME_BYTES: usize = 752;
/// Frames written at once: a venue's burst.
const BATCH: u64 = 64;

const INFO: &str = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[
    {"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]}]}"#;

/// Counts frames, notes the thread's CPU time at the first and the last, and ends the run after the last.
struct CountingTape {
    frames: u64,
    wanted: u64,
    first_ns: i64,
    cpu_ns: Rc<Cell<i64>>,
    inbox: mpsc::Sender<Inbox>,
}

impl Tape for CountingTape {
    fn append(&mut self, kind: RecordKind, _: u16, _: Stamp, _: &[u8]) -> Result<u64, String> {
        if kind == RecordKind::Frame {
            self.frames += 1;
            if self.frames == self.wanted / 10 {
                self.first_ns = thread_cpu_ns();
            } else if self.frames == self.wanted {
                self.cpu_ns.set(thread_cpu_ns() - self.first_ns);
                self.inbox.try_send(Inbox::Stop("measured".to_owned())).map_err(|e| e.to_string())?;
            }
        }
        Ok(self.frames)
    }

    fn durable_pos(&self) -> u64 {
        self.frames
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let frames: u64 = std::env::args().nth(1).map_or(Ok(400_000), |n| n.parse())?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let venue = std::thread::spawn(move || serve(listener, frames));
    let config = FeedConfig::from_json(
        &json!({"venues": [{
            "venue": "binance_spot", "ws_url": format!("ws://{address}"), "rest_url": format!("http://{address}"),
            "symbols": ["BTCUSDT"], "channels": ["depth@100ms"], "snapshot_limit": 5000, "weight_per_min": 6000,
            "snapshot_weight": 250}]})
        .to_string(),
    )?;
    let cpu_ns = Rc::new(Cell::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let tape =
            CountingTape { frames: 0, wanted: frames, first_ns: 0, cpu_ns: Rc::clone(&cpu_ns), inbox: sender.clone() };
        let clock = SystemClock::start();
        let anchor = Anchor::new(clock.wall_ns(), clock.mono_ns(), None);
        let plan = config.plan()?;
        let sup = Supervisor::new(plan, tape, anchor, Start::default());
        run(sup, clock, Dialer::new(), inbox, Arc::new(Outbox::default())).await;
        Ok::<(), String>(())
    })?;
    let per_frame = cpu_ns.get() as f64 / (frames - frames / 10) as f64;
    println!("{}", json!({"frames": frames, "frame_bytes": FRAME_BYTES, "feed_cpu_ns_per_frame": per_frame.round()}));
    // The venue's thread may still be writing: it ends with the process.
    drop(venue);
    Ok(())
}

fn thread_cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Answers the metadata and every snapshot, then sends `frames` diffs as fast as they are taken.
fn serve(listener: std::net::TcpListener, frames: u64) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut tcp, _) = listener.accept().await?;
            let mut head = vec![0; 4096];
            let n = tcp.peek(&mut head).await?;
            let text = String::from_utf8_lossy(&head[..n]).into_owned();
            if text.contains("Upgrade: websocket") {
                let socket = tokio_tungstenite::accept_async(tcp).await.map_err(std::io::Error::other)?;
                tokio::spawn(send(socket, frames));
            } else {
                let _ = tcp.read(&mut head).await?;
                let body =
                    if text.contains("exchangeInfo") { INFO } else { r#"{"lastUpdateId":1,"bids":[],"asks":[]}"# };
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                tcp.write_all(answer.as_bytes()).await?;
                if text.contains("/depth") {
                    break;
                }
            }
        }
        // The socket's task goes on until its client is gone.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        while runtime_is_busy() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    })
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(true) };
}

fn runtime_is_busy() -> bool {
    BUSY.get()
}

async fn send(mut socket: tokio_tungstenite::WebSocketStream<TcpStream>, frames: u64) {
    for id in 1..=frames {
        let sent = socket.feed(Message::text(diff(id))).await;
        if sent.is_err() || (id % BATCH == 0 && socket.flush().await.is_err()) {
            break;
        }
    }
    let _ = socket.flush().await;
    BUSY.set(false);
}

/// A diff of [`FRAME_BYTES`] bytes.
fn diff(id: u64) -> String {
    let mut text = format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":{id},"u":{id},"b":["#
    );
    while text.len() < FRAME_BYTES - 36 {
        text.push_str(r#"["61685.99","0.00123"],"#);
    }
    text.pop();
    text.push_str("],\"a\":[]}}");
    text
}
