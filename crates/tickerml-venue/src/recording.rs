//! A real recording instead of generated flow: the same raw frames, byte for byte, at the recorded pace times a factor.
//!
//! The clock starts a moment after the first client has subscribed to a recorded stream, so the first diffs come before the
//! snapshot as they did then. A depth request is answered with the recorded body: the latest one whose place the clock has
//! passed, at once, else the first one when the clock reaches it. A client that falls behind makes the clock wait: nothing
//! is lost. A depth subscription of any cadence gets the recorded diffs, because there are no others.
mod load;
mod steps;

use crate::config::RecordingConfig;
use crate::dialect::Symbol;
use crate::error::{Error, Result, bad};
use crate::market::OutFrame;
use std::sync::Arc;
use tickerml_core::instrument::{Venue, parse_id};

/// Time between the first subscription and the first frame: one client's other subscriptions arrive meanwhile.
const GRACE_NS: i64 = 100_000_000;

/// Frames handed out in one step of the pacer, well below the queue of a client.
const STEP_MAX: usize = 2_048;

/// A snapshot as recorded.
#[derive(Debug, Clone)]
struct Snapshot {
    ts_ns: i64,
    body: String,
}

/// A recording in memory and the state of its playing.
#[derive(Debug)]
pub struct Player {
    symbol: Symbol,
    frames: Vec<Arc<OutFrame>>,
    snapshots: Vec<Snapshot>,
    skipped: u64,
    speed: f64,
    next: usize,
    /// Real time at which the recording's first stamp is due; none before the first subscriber.
    start_ns: Option<i64>,
}

/// What a depth request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depth {
    /// The recorded body.
    Ready(String),
    /// Ask again when this much real time has passed, ns.
    Wait(i64),
    /// The recording holds no snapshot.
    Missing,
}

impl Player {
    /// Loads the files.
    ///
    /// # Errors
    /// [`Error::BadRecording`] for files that cannot be read or hold no frame, [`Error::BadConfig`] for a bad instrument.
    pub fn load(config: &RecordingConfig) -> Result<Player> {
        let (venue, name) = parse_id(&config.instrument).map_err(|e| bad("recording.instrument", e.to_string()))?;
        let loaded = load::load(venue, &config.files)?;
        if loaded.frames.is_empty() {
            let file = config.files.join(", ");
            let reason = format!("no line holds a frame with a stream ({} lines were something else)", loaded.skipped);
            return Err(Error::BadRecording { file, reason });
        }
        let (tick, lot) = match (&config.tick, &config.lot) {
            (Some(tick), Some(lot)) => (tick.clone(), lot.clone()),
            (tick, lot) => {
                let found = steps::infer(&loaded.frames);
                (tick.clone().unwrap_or(found.0), lot.clone().unwrap_or(found.1))
            }
        };
        let least = config.min_notional.as_deref().unwrap_or("0");
        Ok(Player {
            symbol: crate::config::symbol(venue, &name, &tick, &lot, least)?,
            frames: loaded.frames,
            snapshots: loaded.snapshots,
            skipped: loaded.skipped,
            speed: config.speed,
            next: 0,
            start_ns: None,
        })
    }

    /// The instrument.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The venue whose dialect was recorded.
    pub fn venue(&self) -> Venue {
        self.symbol.venue
    }

    /// Frames in the recording.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Lines that were neither a frame with a stream nor a snapshot.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Names of the recorded streams.
    pub fn streams(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<&str> = self.frames.iter().map(|f| &*f.stream).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Starts the clock, unless it runs.
    pub fn start(&mut self, now_ns: i64) {
        self.start_ns.get_or_insert(now_ns + GRACE_NS);
    }

    /// Whether every frame has been handed out.
    pub fn ended(&self) -> bool {
        self.next == self.frames.len()
    }

    /// Frames due at `now_ns` (real time). With `room` below a step the clock stands still instead.
    pub fn advance(&mut self, now_ns: i64, room: usize) -> Vec<Arc<OutFrame>> {
        let Some(place_ns) = self.place_ns(now_ns) else { return Vec::new() };
        let most = STEP_MAX.min(room);
        let due = self.frames[self.next..].iter().take(most).take_while(|f| f.ts_ns <= place_ns).count();
        let frames = self.frames[self.next..self.next + due].to_vec();
        self.next += due;
        if let Some(next) = self.frames.get(self.next).filter(|f| f.ts_ns <= place_ns) {
            // More was due than there is room for: the clock goes back to the first frame that waits.
            let behind_ns = ((place_ns - next.ts_ns) as f64 / self.speed) as i64;
            self.start_ns = self.start_ns.map(|s| s + behind_ns);
        }
        frames
    }

    /// The answer to a depth request at `now_ns` (real time).
    pub fn depth(&self, now_ns: i64) -> Depth {
        let Some(first) = self.snapshots.first() else { return Depth::Missing };
        let Some(place_ns) = self.place_ns(now_ns) else { return Depth::Wait(GRACE_NS) };
        match self.snapshots.iter().rev().find(|s| s.ts_ns <= place_ns) {
            Some(snapshot) => Depth::Ready(snapshot.body.clone()),
            None => Depth::Wait(((first.ts_ns - place_ns) as f64 / self.speed) as i64 + 1),
        }
    }

    /// Recorded time that has been reached. The frames' own order decides the start, so that an early snapshot is ready.
    fn place_ns(&self, now_ns: i64) -> Option<i64> {
        let since = now_ns - self.start_ns?;
        let first = self.frames.first().map_or(0, |f| f.ts_ns);
        (since >= 0).then(|| first + (since as f64 * self.speed) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LINES: &str = "1000000 {\"stream\":\"aaausdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"U\":1,\"u\":2,\"b\":[[\"1.20\",\"3\"]],\"a\":[]}}
1500000 garbage
2000000 {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}
3000000 {\"stream\":\"aaausdt@trade\",\"data\":{\"e\":\"trade\",\"t\":5,\"p\":\"1.25\",\"q\":\"2\"}}
";

    fn player(text: &str, speed: f64) -> Result<Player> {
        let file = std::env::temp_dir().join(format!("venue-recording-{}-{speed}", std::process::id()));
        std::fs::File::create(&file)?.write_all(text.as_bytes())?;
        let config = RecordingConfig {
            files: vec![file.to_string_lossy().into_owned()],
            instrument: "binance_spot:AAAUSDT".to_owned(),
            speed,
            tick: None,
            lot: None,
            min_notional: None,
        };
        let player = Player::load(&config);
        std::fs::remove_file(file)?;
        player
    }

    #[test]
    fn frames_and_the_snapshot_come_at_their_places() {
        // Stamps are microseconds: one second apart, at twice the speed.
        let mut player = player(LINES, 2.0).expect("loads");
        assert_eq!((player.frames(), player.skipped()), (2, 1));
        assert_eq!(player.symbol().scale.tick, 5_000_000, "0.05 in units of 10^-8");
        assert_eq!((player.advance(0, 9), player.depth(0)), (vec![], Depth::Wait(GRACE_NS)));
        player.start(7);
        let start = 7 + GRACE_NS;
        assert!(player.advance(start - 1, 9).is_empty());
        assert_eq!(player.advance(start, 9)[0].text, LINES.lines().next().expect("a line")[8..]);
        assert_eq!(player.depth(start), Depth::Wait(500_000_001));
        assert!(matches!(player.depth(start + 500_000_000), Depth::Ready(b) if b.starts_with("{\"lastUpdateId\":1,")));
        assert!(player.advance(start + 999_999_999, 9).is_empty() && !player.ended());
        assert_eq!(player.advance(start + 1_000_000_000, 9).len(), 1);
        assert!(player.ended());
    }

    #[test]
    fn without_room_the_clock_waits() {
        let mut player = player(LINES, 1.0).expect("loads");
        player.start(-GRACE_NS);
        assert!(player.advance(5_000_000_000, 0).is_empty());
        assert_eq!(player.advance(5_000_000_000, 9).len(), 1, "the clock stands at the first frame");
        assert_eq!(player.advance(7_000_000_000, 9).len(), 1);
    }

    #[test]
    fn nothing_to_play_is_an_error() {
        assert!(player("1 {}\n", 3.0).expect_err("no frame").to_string().contains("no line holds a frame"));
    }
}
