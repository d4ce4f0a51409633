//! CPU of one WebSocket frame of 752 bytes, from the socket into the book, over plain loopback; the venue is another process
//! that sends prepared bytes and is not counted.
//!
//! `cargo run --release -p tickerml-feed --example frame_cost [frames] [tape|no-tape|both] [frames a second]`, one JSON line
//! for each of the two:
//!
//! * `"tape": false`: socket, stamp, routing and sequence, then decode and book, all on the feed's thread, and no tape. CPU of
//!   that thread.
//! * `"tape": true`: a recording as `tickerml run` makes it. CPU of the whole process from its start to the closed tape: the
//!   feed's thread, the writer's (zstd, write, fdatasync) and the engine's, a session that decodes and keeps the book.
mod venue;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tickerml_core::book::Book;
use tickerml_core::event::Row;
use tickerml_core::session::{Session, Settings, Step};
use tickerml_core::tape::RecordKind;
use tickerml_core::wire::{self, Body, Scale};
use tickerml_feed::clock::{Anchor, Stamp, SystemClock};
use tickerml_feed::config::FeedConfig;
use tickerml_feed::recorder::TailInput;
use tickerml_feed::recording::Recording;
use tickerml_feed::shell::dial::Dialer;
use tickerml_feed::shell::{INBOX_MAX, Inbox, Outbox, run};
use tickerml_feed::supervisor::{Start, Supervisor};
use tickerml_feed::tape_port::Tape;
use tokio::sync::mpsc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SCALE: Scale = Scale { price_precision: 2, qty_precision: 5 };
const SETTINGS: &str =
    r#"{"step_ms":100,"decision_ms":1,"entry_ms":40,"response_ms":10,"maker_bps":2,"taker_bps":5,"seed":1}"#;
/// Items that a session takes before it looks up, as the engine's loop has it.
const ITEMS_MAX: usize = 65_536;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| args.get(n).map(|text| text.parse::<u64>()).transpose();
    if args.first().is_some_and(|word| word == "venue") {
        return Ok(venue::serve(number(1)?.unwrap_or(0), number(2)?)?);
    }
    let (frames, per_s) = (number(0)?.unwrap_or(400_000), number(2)?);
    match args.get(1).map_or("both", String::as_str) {
        "no-tape" => report(false, frames, per_s, without_tape(frames, per_s)?),
        "tape" => report(true, frames, per_s, with_tape(frames, per_s)?),
        // Each in a process of its own: what one leaves behind is not the other's.
        "both" => {
            for word in ["no-tape", "tape"] {
                let mut one = Command::new(std::env::current_exe()?);
                one.arg(frames.to_string()).arg(word).args(per_s.map(|n| n.to_string()));
                if !one.status()?.success() {
                    return Err(format!("{word} failed").into());
                }
            }
        }
        word => return Err(format!("{word:?}: tape, no-tape or both").into()),
    }
    Ok(())
}

fn report(tape: bool, frames: u64, per_s: Option<u64>, (cpu_ns, threads): (f64, Value)) {
    let what = json!({"tape": tape, "frames": frames, "frame_bytes": venue::FRAME_BYTES, "frames_per_s": per_s,
        "cpu_ns_per_frame": cpu_ns.round(), "threads": threads});
    println!("{what}");
}

/// CPU of each thread that lives, ns a frame, by its name.
fn threads(frames: u64) -> Result<Value> {
    let mut by_name = serde_json::Map::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let name = std::fs::read_to_string(task.join("comm"))?.trim().to_owned();
        let text = std::fs::read_to_string(task.join("schedstat"))?;
        let ns: u64 = text.split(' ').next().unwrap_or_default().parse()?;
        by_name.insert(name, (ns / frames).into());
    }
    Ok(by_name.into())
}

/// The venue's process and its address; it ends with this value.
struct Venue(Child, String);

impl Venue {
    fn start(frames: u64, per_s: Option<u64>) -> Result<Venue> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("venue").arg(frames.to_string()).args(per_s.map(|n| n.to_string()));
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        let stdout = child.stdout.take().ok_or("the venue's address")?;
        std::io::BufReader::new(stdout).read_line(&mut address)?;
        Ok(Venue(child, address.trim().to_owned()))
    }

    fn config(&self, mut more: Value) -> Result<FeedConfig> {
        let address = &self.1;
        more["venues"] = json!([{
            "venue": "binance_spot", "ws_url": format!("ws://{address}"), "rest_url": format!("http://{address}"),
            "symbols": ["BTCUSDT"], "channels": ["depth@100ms"], "snapshot_limit": 5000, "weight_per_min": 6000,
            "snapshot_weight": 250}]);
        Ok(FeedConfig::from_json(&more.to_string())?)
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Decodes each frame into the book where a tape would take it, and notes the thread's CPU at 1/10 of the frames and at the last.
struct BookTape {
    rows: Vec<Row>,
    book: Book,
    frames: u64,
    wanted: u64,
    first_ns: i64,
    cpu_ns: Rc<Cell<i64>>,
    inbox: mpsc::Sender<Inbox>,
}

impl Tape for BookTape {
    fn append(&mut self, kind: RecordKind, _: u16, _: Stamp, bytes: &[u8]) -> std::result::Result<u64, String> {
        if kind == RecordKind::Frame {
            self.frames += 1;
            self.rows.clear();
            let decoded = wire::decode(bytes, SCALE, &mut self.rows).map_err(|e| e.to_string())?;
            if let Body::Depth(_) = decoded.body {
                for &row in &self.rows {
                    self.book.apply(row);
                }
            }
            if self.frames == self.wanted / 10 {
                self.first_ns = cpu_ns(ClockId::ThreadCPUTime);
            } else if self.frames == self.wanted {
                self.cpu_ns.set(cpu_ns(ClockId::ThreadCPUTime) - self.first_ns);
                self.inbox.try_send(Inbox::Stop("measured".to_owned())).map_err(|e| e.to_string())?;
            }
        }
        Ok(self.frames)
    }

    fn durable_pos(&self) -> u64 {
        self.frames
    }
}

fn without_tape(frames: u64, per_s: Option<u64>) -> Result<(f64, Value)> {
    let venue = Venue::start(frames, per_s)?;
    let spent_ns = Rc::new(Cell::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outbox = Arc::new(Outbox::default());
    let plan = venue.config(json!({}))?.plan()?;
    let sup = tokio::task::LocalSet::new().block_on(&runtime, async {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let tape = BookTape {
            rows: Vec::new(),
            book: Book::new(),
            frames: 0,
            wanted: frames,
            first_ns: 0,
            cpu_ns: Rc::clone(&spent_ns),
            inbox: sender,
        };
        let clock = SystemClock::start();
        let anchor = Anchor::new(clock.wall_ns(), clock.mono_ns(), None);
        run(Supervisor::new(plan, tape, anchor, Start::default()), clock, Dialer::new(), inbox, outbox).await
    });
    let mut sup = sup.ok_or("the feed did not end")?;
    let book = &sup.tape().book;
    if book.is_crossed() || book.len() < 100 {
        return Err(format!("the book has {} levels", book.len()).into());
    }
    let counters = sup.stats(0).counters;
    if counters.gaps + counters.bad_frames + counters.reconnects > 0 || counters.snapshots != 1 {
        return Err(format!("this is not the usual path: {counters:?}").into());
    }
    Ok((spent_ns.get() as f64 / (frames - frames / 10) as f64, Value::Null))
}

fn with_tape(frames: u64, per_s: Option<u64>) -> Result<(f64, Value)> {
    let venue = Venue::start(frames, per_s)?;
    let folder = tempfile::tempdir()?;
    let config = venue.config(json!({
        "run": "", "data_dir": folder.path(), "source": "loopback", "profile": "ssd", "config_record": {"command": "run"}}))?;
    let mut recording = Recording::start(&config)?;
    let mut input = TailInput::new(recording.take_tail().ok_or("no tail")?);
    let mut session = Session::new(Settings::from_json(SETTINGS, None)?);
    let (mut stopped, mut by_thread) = (false, Value::Null);
    loop {
        match session.advance(&mut input, ITEMS_MAX)? {
            Step::View => drop(session.submit(&[], std::iter::empty(), b"")?),
            Step::Pause => drop(input.wait(Duration::from_millis(200))?),
            Step::End => break,
        }
        if session.market.stats.frames >= frames && !std::mem::replace(&mut stopped, true) {
            by_thread = threads(frames)?;
            recording.stop("measured");
        }
    }
    if !recording.join(Duration::from_secs(30))? {
        return Err("the tape was not closed in time".into());
    }
    let spent_ns = cpu_ns(ClockId::ProcessCPUTime);
    let (counters, stats) = (recording.stats().counters, session.market.stats);
    if counters.gaps + counters.bad_frames + stats.bad_frames > 0 || counters.frames != frames {
        return Err(format!("this is not the usual path: {counters:?}, {stats:?}").into());
    }
    Ok((spent_ns as f64 / frames as f64, by_thread))
}

fn cpu_ns(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
