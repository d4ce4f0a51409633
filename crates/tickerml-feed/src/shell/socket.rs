//! One WebSocket: bytes in bursts from the socket to the supervisor, stamped as they leave it.
use super::Shared;
use super::dial::Stream;
use crate::config::Url;
use crate::supervisor::{Closed, ConnId};
use crate::tape_port::Tape;
use futures_util::{SinkExt, Stream as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Largest message and frame (rules.md 4: 4 MiB for Binance).
pub const MESSAGE_MAX: usize = 4 << 20;
/// tungstenite keeps what it could not send; we send pings and pongs only.
const WRITE_MAX: usize = 1 << 20;
/// One read takes what the kernel has, up to this.
const READ_BYTES: usize = 64 << 10;
/// Connect, TLS and upgrade together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A ping or close frame that cannot be sent within this is a dead link.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Frames handled before other tasks get their turn.
const BURST_MAX: usize = 64;
/// Pause while the tape takes no records: TCP's own flow control holds the venue back.
const STALL: Duration = Duration::from_millis(5);
/// A ping that waits is enough.
pub const COMMANDS_MAX: usize = 1;

/// What the driver asks of a connection; a closed channel asks it to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Send a ping frame.
    Ping,
}

enum Event {
    /// The socket ended.
    Ended(String),
    /// The driver said something; none: it let go.
    Command(Option<Command>),
    /// Others first.
    Yield,
    /// The tape is full.
    Stalled,
}

type Socket = WebSocketStream<Stream>;

/// Opens the socket and carries its frames until either side ends it.
pub async fn run<T: Tape>(shared: Rc<Shared<T>>, conn: ConnId, url: String, mut commands: mpsc::Receiver<Command>) {
    let opened = tokio::select! {
        opened = tokio::time::timeout(OPEN_TIMEOUT, open(&shared, &url)) => opened,
        // Given up before it was open.
        _ = commands.recv() => return,
    };
    let mut socket = match opened.unwrap_or_else(|_| Err(Closed::because("no connection within 10 s"))) {
        Ok(socket) => socket,
        Err(end) => return shared.tell(|sup, now_ns| sup.closed(conn, now_ns, &end)),
    };
    shared.tell(|sup, now_ns| sup.opened(conn, now_ns));
    loop {
        match poll_fn(|cx| poll(&shared, conn, &mut socket, &mut commands, cx)).await {
            Event::Ended(reason) => {
                return shared.tell(|sup, now_ns| sup.closed(conn, now_ns, &Closed::because(reason)));
            }
            Event::Command(Some(Command::Ping)) => {
                let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::Ping(Vec::new().into()))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    let end = Closed::because("cannot send a ping");
                    return shared.tell(|sup, now_ns| sup.closed(conn, now_ns, &end));
                }
            }
            Event::Command(None) => {
                let _ = tokio::time::timeout(SEND_TIMEOUT / 4, socket.close(None)).await;
                return;
            }
            Event::Yield => tokio::task::yield_now().await,
            Event::Stalled => tokio::time::sleep(STALL).await,
        }
    }
}

async fn open<T: Tape>(shared: &Shared<T>, text: &str) -> Result<Socket, Closed> {
    let url = Url::parse(text).map_err(Closed::because)?;
    let stream = shared.dialer.connect(&url).await.map_err(Closed::because)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let request = text.into_client_request().map_err(|e| Closed::because(e.to_string()))?;
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            let status = response.status().as_u16();
            let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
            Err(Closed {
                reason: format!("HTTP {status}"),
                status,
                retry_after_s: header.and_then(|v| v.trim().parse().ok()),
            })
        }
        Err(error) => Err(Closed::because(error.to_string())),
    }
}

/// Takes what the socket has, up to a burst, then looks at the driver's commands.
fn poll<T: Tape>(
    shared: &Shared<T>,
    conn: ConnId,
    socket: &mut Socket,
    commands: &mut mpsc::Receiver<Command>,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    if let Poll::Ready(command) = commands.poll_recv(cx) {
        return Poll::Ready(Event::Command(command));
    }
    // The tape has room for a burst beyond its bound.
    if shared.core.borrow_mut().sup.blocked() {
        return Poll::Ready(Event::Stalled);
    }
    for _ in 0..BURST_MAX {
        let message = match Pin::new(&mut *socket).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(Event::Ended("closed".to_owned())),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Ended(error.to_string())),
            Poll::Ready(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(text) => shared.tell(|sup, now_ns| sup.frame(conn, now_ns, text.as_bytes())),
            Message::Ping(_) => shared.tell(|sup, now_ns| sup.control(conn, "ping", now_ns)),
            Message::Pong(_) => shared.tell(|sup, now_ns| sup.control(conn, "pong", now_ns)),
            Message::Binary(_) => shared.tell(|sup, now_ns| sup.control(conn, "binary", now_ns)),
            Message::Close(frame) => {
                let why = frame.map_or_else(String::new, |f| format!(": {} {}", f.code, f.reason));
                return Poll::Ready(Event::Ended(format!("closed by the venue{why}")));
            }
            Message::Frame(_) => {}
        }
    }
    Poll::Ready(Event::Yield)
}
