//! HTTP/1.1 as far as a venue on loopback needs it: requests with a length, answers with a length, one connection for many.
use std::fmt::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest request head: far above the longest stream list that a client of ours sends (1,024 names of 25 bytes).
const HEAD_MAX: usize = 64 * 1024;

/// Longest request body: control commands are a line of JSON.
const BODY_MAX: usize = 64 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query pairs, percent-decoded.
    pub query: Vec<(String, String)>,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// Value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Value of a query key.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether the client asks for a WebSocket.
    pub fn upgrades(&self) -> bool {
        self.header("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers beside Content-Type and Content-Length.
    pub headers: Vec<(String, String)>,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<String>) -> Reply {
        Reply { status, headers: Vec::new(), content_type: "application/json;charset=UTF-8", body: body.into() }
    }
}

/// Reads one request. `rest` holds what was read beyond the one before and afterwards beyond this one. None at the end of
/// the connection, for a request that is not HTTP, and for one above the limits.
pub async fn read(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if rest.len() > HEAD_MAX || stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    };
    let mut request = parse_head(std::str::from_utf8(&rest[..head_end]).ok()?)?;
    rest.drain(..head_end);
    let length: usize = request.header("content-length").map_or(Some(0), |v| v.trim().parse().ok())?;
    if length > BODY_MAX {
        return None;
    }
    while rest.len() < length {
        if stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    }
    request.body = rest.drain(..length).collect();
    Some(request)
}

/// Writes an answer; the connection stays open.
///
/// # Errors
/// Those of the socket.
pub async fn write(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: keep-alive\r\n",
        reply.status,
        reason(reply.status),
        reply.content_type,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head.push_str(&reply.body);
    stream.write_all(head.as_bytes()).await
}

fn parse_head(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    Some(Request { method: method.to_owned(), path: decode(path), query, headers, body: Vec::new() })
}

/// Percent decoding; what is not a valid escape stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        418 => "I'm a teapot",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_falls_into_its_parts() {
        let head = "GET /x/stream?streams=btcusdt%40trade/a@b&q HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\r\n";
        let request = parse_head(head).expect("sound");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/x/stream"));
        assert_eq!((request.query("streams"), request.query("q")), (Some("btcusdt@trade/a@b"), Some("")));
        assert!(request.upgrades());
        assert_eq!(parse_head("nonsense\r\n\r\n"), None);
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
