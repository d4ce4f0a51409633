//! The smallest HTTP/1.1 client that REST snapshots need: one GET a connection, bounded in size and time.
use super::dial::Dialer;
use crate::config::Url;
use crate::rest::RestAnswer;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A request from connect to the last byte (the brief of every venue: a snapshot takes well below a second).
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest body (rules.md 4: REST 32 MiB).
pub const BODY_MAX: usize = 32 << 20;
/// Largest head and most headers of an answer.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 96;
const READ_BYTES: usize = 64 << 10;

/// GETs `url`. Every failure is an answer with status 0 and its reason in words.
pub async fn get(dialer: &Dialer, url: &str) -> RestAnswer {
    let failed = |error: String| RestAnswer { error, ..RestAnswer::default() };
    match tokio::time::timeout(TIMEOUT, exchange(dialer, url)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => failed(error),
        Err(_) => failed(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

async fn exchange(dialer: &Dialer, url: &str) -> Result<RestAnswer, String> {
    let url = Url::parse(url)?;
    let mut stream = dialer.connect(&url).await?;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: tickerml/{}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\
         Connection: close\r\n\r\n",
        url.path,
        url.port,
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await.map_err(|e| format!("cannot send: {e}"))?;
    let mut reader = Answer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let n = match stream.read(&mut buffer).await {
            Ok(n) => n,
            // A peer that closes TLS without saying so: what is complete by its own length counts.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Err(e) => return Err(format!("cannot read: {e}")),
        };
        let done = if n == 0 { reader.end()? } else { reader.push(&buffer[..n])? };
        if done {
            return Ok(reader.into_answer());
        }
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
    UntilClose,
}

/// An answer as it comes in. No I/O.
#[derive(Debug, Default)]
pub struct Answer {
    answer: RestAnswer,
    raw: Vec<u8>,
    length: Option<Length>,
}

impl Answer {
    /// More bytes; true when the answer is whole.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, String> {
        self.raw.extend_from_slice(bytes);
        if self.length.is_none() && !self.read_head()? {
            return if self.raw.len() > HEAD_MAX {
                Err("the head of the answer is too long".to_owned())
            } else {
                Ok(false)
            };
        }
        match self.length {
            Some(Length::Chunked) => self.read_chunks(),
            _ => self.read_plain(),
        }
    }

    /// The connection ended; true when that ends the answer.
    ///
    /// # Errors
    /// When more was to come.
    pub fn end(&mut self) -> Result<bool, String> {
        match self.length {
            Some(Length::UntilClose) => Ok(true),
            _ => Err("the connection ended within the answer".to_owned()),
        }
    }

    /// What came, once it is whole.
    pub fn into_answer(self) -> RestAnswer {
        self.answer
    }

    fn read_head(&mut self) -> Result<bool, String> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let size = match response.parse(&self.raw) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(e) => return Err(format!("not an HTTP answer: {e}")),
        };
        self.answer.status = response.code.unwrap_or(0);
        let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
        self.answer.headers = response.headers.iter().map(|h| (h.name.to_lowercase(), text(h.value))).collect();
        self.raw.drain(..size);
        self.length = Some(self.find_length()?);
        Ok(true)
    }

    fn find_length(&self) -> Result<Length, String> {
        let find = |name: &str| self.answer.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.trim());
        if let Some(coding) = find("content-encoding").filter(|c| !c.eq_ignore_ascii_case("identity")) {
            return Err(format!("the answer is {coding} encoded, which nobody asked for"));
        }
        if matches!(self.answer.status, 204 | 304) {
            return Ok(Length::Bytes(0));
        }
        if find("transfer-encoding").is_some_and(|v| v.to_lowercase().ends_with("chunked")) {
            return Ok(Length::Chunked);
        }
        match find("content-length").map(str::parse::<usize>) {
            Some(Ok(n)) if n <= BODY_MAX => Ok(Length::Bytes(n)),
            Some(Ok(n)) => Err(format!("a body of {n} bytes is above {BODY_MAX}")),
            Some(Err(_)) => Err("content-length is no number".to_owned()),
            None => Ok(Length::UntilClose),
        }
    }

    fn read_plain(&mut self) -> Result<bool, String> {
        self.take_body(self.raw.len())?;
        let Some(Length::Bytes(n)) = self.length else { return Ok(false) };
        self.answer.body.truncate(n);
        Ok(self.answer.body.len() == n)
    }

    fn read_chunks(&mut self) -> Result<bool, String> {
        loop {
            let (head, size) = match httparse::parse_chunk_size(&self.raw) {
                Ok(httparse::Status::Complete(found)) => found,
                Ok(httparse::Status::Partial) => return Ok(false),
                Err(_) => return Err("a chunk has no size".to_owned()),
            };
            let size = usize::try_from(size).ok().filter(|&n| n <= BODY_MAX).ok_or("a chunk is too large")?;
            if size == 0 {
                return Ok(true); // trailers are of no interest
            }
            if self.raw.len() < head + size + 2 {
                return Ok(false);
            }
            self.raw.drain(..head);
            self.take_body(size)?;
            self.raw.drain(..2);
        }
    }

    fn take_body(&mut self, n: usize) -> Result<(), String> {
        if self.answer.body.len() + n > BODY_MAX {
            return Err(format!("the body is above {BODY_MAX} bytes"));
        }
        self.answer.body.extend(self.raw.drain(..n));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds an answer in pieces of every size; each must give the same.
    fn read(text: &[u8], closes: bool) -> Result<RestAnswer, String> {
        let mut results = Vec::new();
        for size in 1..=text.len() {
            let mut reader = Answer::default();
            let mut result = Ok(false);
            for piece in text.chunks(size) {
                result = reader.push(piece);
                if result != Ok(false) {
                    break;
                }
            }
            if result == Ok(false) && closes {
                result = reader.end();
            }
            results.push(result.map(|done| if done { reader.answer } else { RestAnswer::default() }));
        }
        assert!(results.windows(2).all(|w| w[0] == w[1]), "{results:?}");
        results.remove(0)
    }

    #[test]
    fn lengths_chunks_and_closing_end_a_body() {
        let plain =
            read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-MBX-USED-WEIGHT-1M: 9\r\n\r\nbody", false).unwrap();
        assert_eq!(
            (plain.status, plain.body.as_slice(), plain.number("x-mbx-used-weight-1m")),
            (200, &b"body"[..], Some(9))
        );
        let chunked = b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\nRetry-After: 3\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n";
        let chunked = read(chunked, false).unwrap();
        assert_eq!(
            (chunked.status, chunked.body.as_slice(), chunked.number("retry-after")),
            (429, &b"body"[..], Some(3))
        );
        let closing = read(b"HTTP/1.0 200 OK\r\n\r\nbody", true).unwrap();
        assert_eq!(closing.body, b"body");
        assert_eq!(read(b"HTTP/1.1 204 No\r\n\r\n", true).unwrap().status, 204);
    }

    #[test]
    fn what_is_cut_too_large_or_strange_is_refused() {
        for bad in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbody",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200",
        ] {
            assert!(read(bad, true).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let mut reader = Answer::default();
        reader.push(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..33).any(|_| reader.push(&piece).is_err()), "bounded without a length too");
        let mut reader = Answer::default();
        reader.push(b"HTTP/1.1 200 OK\r\n").unwrap();
        assert!((0..HEAD_MAX).any(|_| reader.push(b"X: y\r\n").is_err()), "an endless head");
    }
}
