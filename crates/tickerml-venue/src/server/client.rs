//! One WebSocket: handshake, subscriptions, deliveries, pings, and the ways in which it can end.
use super::http::Request;
use super::hub::Hub;
use crate::faults::Fault;
use crate::faults::link::Delivery;
use crate::stream::Entry;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickerml_core::instrument::Venue;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// Deliveries written with one flush.
const BATCH_MAX: usize = 64;

/// Streams of one connection (exchanges.md 1.3).
const STREAMS_MAX: usize = 1_024;

/// How long an oversized frame's socket stays open for the client to notice.
const OVERSIZED_WAIT: Duration = Duration::from_secs(5);

/// Where a client came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    pub venue: Venue,
    pub entry: Option<Entry>,
    pub raw: bool,
}

type Socket = WebSocketStream<TcpStream>;

/// Stream names of the path and of the query `streams=a/b/c`.
pub(super) fn names(request: &Request, named: Option<String>) -> Vec<String> {
    let listed = request.query("streams").unwrap_or("");
    named.into_iter().chain(listed.split('/').filter(|s| !s.is_empty()).map(str::to_owned)).collect()
}

pub(super) async fn run(
    mut stream: TcpStream,
    rest: Vec<u8>,
    request: &Request,
    hub: Arc<Hub>,
    door: Door,
    names: Vec<String>,
) {
    let Some(key) = request.header("sec-websocket-key") else { return };
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, None).await;
    let (id, deliveries) = hub.join(door);
    hub.subscribe(id, &names);
    let mut client = Client { id, door, hub: Arc::clone(&hub), frozen: false, last_heard: Instant::now() };
    client.serve(&mut socket, deliveries).await;
    hub.leave(id);
}

struct Client {
    id: u64,
    door: Door,
    hub: Arc<Hub>,
    frozen: bool,
    last_heard: Instant,
}

/// The connection is over.
struct Over;

impl From<Error> for Over {
    fn from(_: Error) -> Over {
        Over
    }
}

impl Client {
    async fn serve(&mut self, socket: &mut Socket, mut deliveries: mpsc::Receiver<Delivery>) {
        // Spot pings every 20 s and waits a minute, futures every 3 minutes and wait 10 (exchanges.md 1.3, 3.2).
        let (every_s, patience_s) = if self.door.venue.is_futures() { (180, 600) } else { (20, 60) };
        let mut ping = tokio::time::interval(Duration::from_secs(every_s));
        ping.reset();
        let hub = Arc::clone(&self.hub);
        let stopped = hub.stopped();
        tokio::pin!(stopped);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let step = tokio::select! {
                count = deliveries.recv_many(&mut batch, BATCH_MAX) => match count {
                    0 => self.close(socket, CloseCode::Normal, "").await,
                    _ => self.deliver(socket, &mut batch).await,
                },
                message = socket.next(), if !self.frozen => self.hear(socket, message).await,
                _ = ping.tick(), if !self.frozen => self.ping(socket, Duration::from_secs(patience_s)).await,
                () = &mut stopped => self.close(socket, CloseCode::Away, "").await,
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn deliver(&mut self, socket: &mut Socket, batch: &mut Vec<Delivery>) -> Result<(), Over> {
        for delivery in batch.drain(..) {
            match delivery {
                Delivery::Frame(frame) => {
                    let text = if self.door.raw { frame.data() } else { &frame.text };
                    socket.feed(Message::text(text)).await?;
                }
                Delivery::Text(text) => socket.feed(Message::text(text)).await?,
                Delivery::Frozen => {
                    socket.flush().await?;
                    self.frozen = true;
                }
                Delivery::Thawed => self.frozen = false,
                Delivery::End(fault) => return self.end(socket, fault).await,
            }
        }
        Ok(socket.flush().await?)
    }

    async fn ping(&mut self, socket: &mut Socket, patience: Duration) -> Result<(), Over> {
        if self.last_heard.elapsed() > patience {
            return self.close(socket, CloseCode::Policy, "pong timeout").await;
        }
        let payload = (self.hub.now_ns() / 1_000_000).to_string();
        Ok(socket.send(Message::Ping(Bytes::from(payload))).await?)
    }

    async fn close(&mut self, socket: &mut Socket, code: CloseCode, reason: &'static str) -> Result<(), Over> {
        let _ = socket.close(Some(CloseFrame { code, reason: reason.into() })).await;
        // Reads until the client's answer, so that the kernel sends no reset over data that it has not read yet.
        let answer = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
        Err(Over)
    }

    async fn hear(&mut self, socket: &mut Socket, message: Option<Result<Message, Error>>) -> Result<(), Over> {
        self.last_heard = Instant::now();
        match message.ok_or(Over)?? {
            Message::Text(text) => {
                let answer = self.command(&text);
                Ok(socket.send(Message::text(answer)).await?)
            }
            Message::Close(_) => Err(Over),
            _ => Ok(socket.flush().await?),
        }
    }

    /// SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS with their acks and errors (exchanges.md 1.2).
    fn command(&self, text: &str) -> String {
        let command: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(e) => return json!({"code": 3, "msg": format!("Invalid JSON: {e}")}).to_string(),
        };
        let id = command.get("id").cloned().unwrap_or(Value::Null);
        let params = command.get("params").and_then(Value::as_array);
        let names: Option<Vec<String>> =
            params.map(|p| p.iter().take(STREAMS_MAX).filter_map(|v| v.as_str().map(str::to_owned)).collect());
        let result = match (command.get("method").and_then(Value::as_str), names) {
            (Some("SUBSCRIBE"), Some(names)) => {
                self.hub.subscribe(self.id, &names);
                Value::Null
            }
            (Some("UNSUBSCRIBE"), Some(names)) => {
                self.hub.unsubscribe(self.id, &names);
                Value::Null
            }
            (Some("LIST_SUBSCRIPTIONS"), _) => json!(self.hub.subscriptions(self.id)),
            (Some(_), _) => {
                return json!({"code": 2, "msg": "Invalid request: unknown method or params", "id": id}).to_string();
            }
            (None, _) => {
                return json!({"code": 2, "msg": "Invalid request: method must be a string", "id": id}).to_string();
            }
        };
        json!({"result": result, "id": id}).to_string()
    }

    /// Ends the connection the hard ways.
    async fn end(&mut self, socket: &mut Socket, fault: Fault) -> Result<(), Over> {
        socket.flush().await?;
        let bytes: Vec<u8> = match fault {
            Fault::Reset => {
                let _ = socket.get_mut().set_zero_linger();
                return Err(Over);
            }
            // Opcode text, 16-bit length: 4,096 bytes promised, some twenty sent.
            Fault::Truncated => [&[0x81, 126, 0x10, 0x00], b"{\"stream\":\"btcusdt@".as_slice()].concat(),
            // 64-bit length: 64 MiB promised.
            Fault::Oversized => [&[0x81, 127, 0, 0, 0, 0, 4, 0, 0, 0], vec![b' '; 65_536].as_slice()].concat(),
            Fault::BadUtf8 => vec![0x81, 4, 0xff, 0xfe, 0xc0, 0x80],
            _ => return self.close(socket, CloseCode::Away, "").await,
        };
        let _ = socket.get_mut().write_all(&bytes).await;
        if fault != Fault::Truncated {
            let noticed = async { while let Some(Ok(_)) = socket.next().await {} };
            let _ = tokio::time::timeout(OVERSIZED_WAIT, noticed).await;
        }
        Err(Over)
    }
}
