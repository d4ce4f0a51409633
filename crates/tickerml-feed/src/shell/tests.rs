//! The whole shell over real sockets on loopback: a small venue that answers, loses a connection, pings and misbehaves.
use super::dial::Dialer;
use super::{Inbox, Outbox, http, run};
use crate::clock::{Anchor, SystemClock};
use crate::config::FeedConfig;
use crate::supervisor::{Start, Supervisor};
use crate::tape_port::MemoryTape;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tickerml_core::tape::RecordKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const INFO: &str = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[
    {"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]}]}"#;
/// Nothing here takes a second; a test that hangs fails by this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the small venue sees.
enum Guest {
    Socket(Box<WebSocketStream<TcpStream>>),
    Request(String, TcpStream),
}

struct Venue {
    listener: TcpListener,
}

impl Venue {
    async fn new() -> Venue {
        Venue { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next connection, its request read; WebSockets are upgraded.
    async fn guest(&self) -> Guest {
        let (mut tcp, _) = tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("a guest").unwrap();
        let mut head = vec![0; 4096];
        let n = tcp.peek(&mut head).await.unwrap();
        let text = String::from_utf8_lossy(&head[..n]).into_owned();
        if text.contains("Upgrade: websocket") {
            return Guest::Socket(Box::new(tokio_tungstenite::accept_async(tcp).await.unwrap()));
        }
        let n = tcp.read(&mut head).await.unwrap();
        let line = String::from_utf8_lossy(&head[..n]).lines().next().unwrap().to_owned();
        Guest::Request(line, tcp)
    }

    async fn socket(&self) -> Box<WebSocketStream<TcpStream>> {
        match self.guest().await {
            Guest::Socket(socket) => socket,
            Guest::Request(line, _) => panic!("{line} instead of a socket"),
        }
    }

    /// Answers the next request, which must ask for `what`.
    async fn answer(&self, what: &str, status: &str, body: &str) {
        match self.guest().await {
            Guest::Request(line, mut tcp) => {
                assert!(line.contains(what), "{line} instead of {what}");
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                tcp.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
            Guest::Socket(_) => panic!("a socket instead of {what}"),
        }
    }
}

fn supervisor(address: &str, clock: SystemClock) -> Supervisor<MemoryTape> {
    let config = json!({"venues": [{
        "venue": "binance_spot", "ws_url": format!("ws://{address}"), "rest_url": format!("http://{address}"),
        "symbols": ["BTCUSDT"], "channels": ["depth@100ms"], "snapshot_limit": 5000, "weight_per_min": 6000,
        "snapshot_weight": 250}]});
    let plan = FeedConfig::from_json(&config.to_string()).unwrap().plan().unwrap();
    let anchor = Anchor::new(clock.wall_ns(), clock.mono_ns(), None);
    Supervisor::new(plan, MemoryTape::default(), anchor, Start::default())
}

/// Runs the shell against `script`; the script's end stops it.
fn play(script: impl AsyncFnOnce(&Venue)) -> Supervisor<MemoryTape> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let venue = Venue::new().await;
        let clock = SystemClock::start();
        let sup = supervisor(&venue.address(), clock);
        let (sender, inbox) = mpsc::channel(super::INBOX_MAX);
        let shell = tokio::task::spawn_local(run(sup, clock, Dialer::new(), inbox, Arc::new(Outbox::default())));
        script(&venue).await;
        // A shell that could not go on has left before.
        let _ = sender.send(Inbox::Stop("done".into())).await;
        tokio::time::timeout(PATIENCE, shell).await.expect("the shell ends").unwrap().expect("all tasks ended")
    })
}

fn diff(id: u64) -> Message {
    let text = format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{id},"u":{id},"b":[["1.00","2"]],"a":[]}}}}"#
    );
    Message::text(text)
}

fn snapshot(id: u64) -> String {
    format!(r#"{{"lastUpdateId":{id},"bids":[],"asks":[]}}"#)
}

fn texts(sup: &Supervisor<MemoryTape>, kind: RecordKind) -> Vec<String> {
    sup.tape().records.iter().filter(|r| r.kind == kind).map(crate::tape_port::OwnedRecord::text).collect()
}

#[test]
fn a_run_over_loopback_survives_a_lost_connection() {
    let sup = play(async |venue| {
        venue.answer("/api/v3/exchangeInfo?symbols=", "200 OK", INFO).await;
        let mut first = venue.socket().await;
        for id in 1..=100 {
            first.send(diff(id)).await.unwrap();
        }
        venue.answer("/api/v3/depth?symbol=BTCUSDT&limit=5000", "503 No", "<html>").await;
        venue.answer("/api/v3/depth", "200 OK", &snapshot(50)).await;
        first.send(Message::Ping(b"x".as_slice().into())).await.unwrap();
        let pong = tokio::time::timeout(PATIENCE, first.next()).await.expect("a pong").unwrap().unwrap();
        assert_eq!(pong, Message::Pong(b"x".as_slice().into()));
        drop(first);
        let mut second = venue.socket().await;
        second.send(diff(200)).await.unwrap();
        venue.answer("/api/v3/depth", "200 OK", &snapshot(200)).await;
        second.send(Message::Ping(Vec::new().into())).await.unwrap();
        assert!(matches!(second.next().await, Some(Ok(Message::Pong(_)))), "the snapshot was read before");
    });
    assert_eq!(format!("{:?}", sup.book_state("binance_spot:BTCUSDT").unwrap()), "Live", "stopped");
    let frames = texts(&sup, RecordKind::Frame);
    assert_eq!(frames.len(), 101);
    assert_eq!(Message::text(frames[57].clone()), diff(58), "byte for byte");
    assert_eq!((texts(&sup, RecordKind::Connect).len(), texts(&sup, RecordKind::Rest).len()), (2, 4));
    assert!(texts(&sup, RecordKind::Health).iter().any(|h| h.contains(r#""name":"ping","state":"received""#)));
    assert_eq!(texts(&sup, RecordKind::Stop), [r#"{"reason":"done"}"#]);
    let stamps: Vec<i64> = sup.tape().records.iter().map(|r| r.stamp.recv_ns).collect();
    assert!(stamps.is_sorted());
}

#[test]
fn what_no_venue_should_send_ends_the_connection_and_only_that() {
    let mut bad: Vec<Vec<u8>> = vec![
        b"\x81\x03\xff\xfe\xfd".to_vec(),                     // text that is not UTF-8
        b"\x81\x7f\x00\x00\x00\x00\x04\x00\x00\x00".to_vec(), // 64 MiB announced
        b"\xf1\x01x".to_vec(),                                // reserved bits
    ];
    let sup = play(async |venue| {
        venue.answer("exchangeInfo", "200 OK", INFO).await;
        while let Some(bytes) = bad.pop() {
            let mut socket = venue.socket().await;
            socket.get_mut().write_all(&bytes).await.unwrap();
            let end = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = socket.next().await {} });
            end.await.expect("the connection is closed");
        }
        let mut last = venue.socket().await;
        last.send(Message::Ping(Vec::new().into())).await.unwrap();
        assert!(matches!(last.next().await, Some(Ok(Message::Pong(_)))), "it is open on both ends");
    });
    let reasons = texts(&sup, RecordKind::Disconnect).join("\n");
    assert_eq!(texts(&sup, RecordKind::Connect).len(), 4, "{reasons}");
    assert!(reasons.to_lowercase().contains("utf-8") && reasons.contains("too long"), "{reasons}");
    assert!(texts(&sup, RecordKind::Frame).is_empty());
}

#[test]
fn a_refused_handshake_is_told_with_its_status() {
    let sup = play(async |venue| {
        venue.answer("exchangeInfo", "200 OK", INFO).await;
        let (mut tcp, _) = venue.listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 451 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // Read to the end, so that the client has certainly seen the answer.
        tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut Vec::new())).await.expect("the client leaves").unwrap();
    });
    assert!(sup.fatal().unwrap().contains("HTTP 451"), "{:?}", sup.fatal());
    assert!(texts(&sup, RecordKind::Stop).is_empty(), "it ended by itself, and the run can be gone on with");
}

#[test]
fn an_untrusted_certificate_and_a_dead_port_are_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let venue = Venue::new().await;
        let url = format!("https://{}/", venue.address());
        let dialer = Dialer::new();
        let (answer, ()) = tokio::join!(http::get(&dialer, &url), async {
            let (mut tcp, _) = venue.listener.accept().await.unwrap();
            tcp.write_all(b"HTTP/1.1 400 no TLS here\r\n\r\n").await.unwrap();
        });
        assert!(answer.status == 0 && answer.error.contains("TLS with 127.0.0.1 refused"), "{}", answer.error);
        let address = venue.address();
        drop(venue);
        let answer = http::get(&dialer, &format!("http://{address}/")).await;
        assert!(answer.error.contains("cannot connect"), "{}", answer.error);
    });
}
