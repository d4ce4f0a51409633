//! A small client for the tests: no time-outs of its own but one that keeps a broken test from hanging.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::time::Duration;
use tickerml_venue::config::Config;
use tickerml_venue::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub type Ws = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a client sees on its socket.
#[derive(Debug, PartialEq, Eq)]
pub enum Events {
    /// A frame of JSON.
    Sound,
    /// A frame that is not JSON.
    Garbage,
    /// A close frame.
    Closed,
    /// A protocol or socket error, or an end without a close frame.
    Broken,
}

pub fn serve(config: &str) -> (Server, String) {
    let server = Server::start(&Config::from_json(config).expect("sound")).expect("starts");
    let base = server.address().to_string();
    (server, base)
}

pub async fn socket(url: &str) -> Ws {
    connect_async(url).await.expect("opens").0
}

pub async fn send(ws: &mut Ws, text: &str) {
    ws.send(Message::text(text)).await.expect("sends");
}

async fn next(ws: &mut Ws) -> Option<Result<Message, Error>> {
    tokio::time::timeout(Duration::from_secs(20), ws.next()).await.expect("the venue is silent")
}

/// The next JSON frame that `fits`.
pub async fn read_json(ws: &mut Ws, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        if let Message::Text(text) = next(ws).await.expect("open").expect("sound") {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            if fits(&value) {
                return value;
            }
        }
    }
}

pub async fn read_event(ws: &mut Ws) -> Events {
    match next(ws).await {
        Some(Ok(Message::Text(text))) if serde_json::from_str::<Value>(&text).is_ok() => Events::Sound,
        Some(Ok(Message::Text(_))) => Events::Garbage,
        Some(Ok(Message::Close(_))) => Events::Closed,
        Some(Ok(_)) => Events::Sound,
        Some(Err(_)) | None => Events::Broken,
    }
}

pub async fn get(base: &str, path: &str) -> (u16, String, String) {
    ask(base, &format!("GET {path} HTTP/1.1\r\nHost: {base}\r\n\r\n")).await
}

pub async fn post(base: &str, path: &str, body: &str) -> (u16, String, String) {
    ask(base, &format!("POST {path} HTTP/1.1\r\nHost: {base}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
}

/// Status, head and body of one exchange.
async fn ask(base: &str, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(base).await.expect("listens");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).expect("length");
            if body.len() == length.parse::<usize>().expect("number") {
                let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
                return (status, head.to_owned(), body.to_owned());
            }
        }
        assert!(stream.read_buf(&mut bytes).await.expect("answers") > 0, "cut: {text}");
    }
}
