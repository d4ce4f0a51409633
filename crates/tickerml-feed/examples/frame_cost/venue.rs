//! A venue that costs next to nothing: prepared WebSocket frames, whose update ids alone are written anew.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tickerml_feed::backoff::Rng;
use tokio_tungstenite::tungstenite;

/// Bytes of a diff as the benchmarks have it.
pub const FRAME_BYTES: usize = 752;
/// Frames written at once where they are not paced: a venue's burst.
const BATCH: usize = 64;
/// Different diffs, more than any cache of branches remembers.
const DIFFS: usize = 64 * BATCH;
/// Length byte and 16-bit length of an unmasked frame.
const HEAD: usize = 4;
/// Prices of the touch, in ticks of 0.01: diffs stay on their side of it, so the book is never crossed.
const BID_MAX_TICKS: i64 = 6_168_599;
/// Update ids have as many digits as the venue's.
const ID_BASE: u64 = 50_000_000_000;
/// Time for the snapshot's answer to arrive before the frames do.
const SNAPSHOT_WAIT: Duration = Duration::from_millis(300);

const INFO: &str = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[
    {"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.00001"}]}]}"#;

/// Says its address on stdout, answers metadata and snapshot, and sends `frames` diffs: at once, or `per_s` of them a second.
pub fn serve(frames: u64, per_s: Option<u64>) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (told, snapshot) = channel();
    let mut waiting = Some(snapshot);
    loop {
        let (tcp, _) = listener.accept()?;
        let mut head = [0; 4096];
        let n = tcp.peek(&mut head)?;
        let text = String::from_utf8_lossy(&head[..n]);
        match waiting.take_if(|_| text.contains("Upgrade: websocket")) {
            Some(snapshot) => drop(std::thread::spawn(move || send(tcp, frames, per_s, &snapshot))),
            None => {
                answer(tcp)?;
                if text.contains("/depth") {
                    // The sender may be gone already.
                    let _ = told.send(());
                }
            }
        }
    }
}

fn answer(mut tcp: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(tcp.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while !lines.next().unwrap_or_else(|| Ok(String::new()))?.is_empty() {}
    let depth = format!(
        r#"{{"lastUpdateId":{ID_BASE},"bids":[["61000.00000000","1.00000000"]],"asks":[["62000.00000000","1.00000000"]]}}"#
    );
    let body = if first.contains("exchangeInfo") { INFO } else { &depth };
    write!(tcp, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn send(tcp: TcpStream, frames: u64, per_s: Option<u64>, snapshot: &Receiver<()>) -> Result<(), tungstenite::Error> {
    let socket = tungstenite::accept(tcp).map_err(|e| std::io::Error::other(e.to_string()))?;
    let mut tcp = socket.get_ref().try_clone()?;
    let (mut bytes, ids) = prepared();
    let step = HEAD + FRAME_BYTES;
    let (mut sent, mut begun) = (0, Instant::now());
    // Paced, what is due leaves once a millisecond: one frame at 1,000 a second.
    let batch = per_s.map_or(BATCH as u64, |per_s| (per_s / 1_000).clamp(1, BATCH as u64));
    while sent < frames {
        // The first diff asks for the snapshot; the others wait for it. A burst never goes beyond the prepared ones.
        let burst = if sent == 0 { 1 } else { batch.min(frames - sent).min(DIFFS as u64 - sent % DIFFS as u64) };
        let first = (sent % DIFFS as u64) as usize;
        for n in first..first + burst as usize {
            let id = (ID_BASE + 1 + sent + (n - first) as u64).to_string();
            for at in ids {
                bytes[n * step + at..][..id.len()].copy_from_slice(id.as_bytes());
            }
        }
        tcp.write_all(&bytes[first * step..(first + burst as usize) * step])?;
        if sent == 0 && snapshot.recv().is_ok() {
            std::thread::sleep(SNAPSHOT_WAIT);
            begun = Instant::now();
        }
        sent += burst;
        if let Some(per_s) = per_s {
            let due = begun + Duration::from_nanos(sent * 1_000_000_000 / per_s);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    // Open until the client is gone, answering nothing: the measurement is shorter than a missed pong.
    tcp.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// [`DIFFS`] frames as they go over the wire, and where in each the two update ids stand.
fn prepared() -> (Vec<u8>, [usize; 2]) {
    let mut rng = Rng::new(1);
    let mut bytes = Vec::with_capacity(DIFFS * (HEAD + FRAME_BYTES));
    let mut ids = [0; 2];
    for _ in 0..DIFFS {
        let text = diff(&mut rng);
        let id = ID_BASE.to_string();
        ids = [text.find(&id).unwrap_or(0) + HEAD, text.rfind(&id).unwrap_or(0) + HEAD];
        bytes.extend([0x81, 126]);
        bytes.extend((text.len() as u16).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    (bytes, ids)
}

/// A diff of [`FRAME_BYTES`] bytes: about 19 levels, a quarter of them deletes, most of them near the touch.
fn diff(rng: &mut Rng) -> String {
    let mut text = format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":{ID_BASE},"u":{ID_BASE},"b":["#
    );
    let mut levels = |text: &mut String, side: i64, until: usize| {
        while text.len() + 34 <= until {
            let reach = if rng.upto(99) < 55 { 8 } else { 2_000 };
            let ticks = BID_MAX_TICKS + i64::from(side > 0) + side * rng.upto(reach);
            let lots = if rng.upto(99) < 26 { 0 } else { 1 + rng.upto(400_000) };
            text.push_str(&format!(
                r#"["{}.{:02}000000","{}.{:05}000"],"#,
                ticks / 100,
                ticks % 100,
                lots / 100_000,
                lots % 100_000
            ));
        }
        text.pop();
    };
    levels(&mut text, -1, FRAME_BYTES / 2 + 70);
    text.push_str(r#"],"a":["#);
    levels(&mut text, 1, FRAME_BYTES - 3);
    text.push_str("]}}");
    // JSON allows blanks between values: they make every frame as long as the others.
    let blanks = " ".repeat(FRAME_BYTES - text.len());
    text.insert_str(text.len() - 2, &blanks);
    text
}
