//! A feed that records into a data folder: the whole of `collect`, and the recording half of `run`.
use crate::clock::{Stamp, SystemClock};
use crate::config::FeedConfig;
use crate::feed::Feed;
use crate::recorder::{EngineTail, Recorder, RecorderConfig, SEGMENT_BYTES};
use crate::stats::Stats;
use crate::store::{DataFolder, RunInfo, StoreError, StoreResult, newest_unfinished};
use crate::supervisor::Start;
use crate::tape_port::{OwnedRecord, Tape};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tickerml_core::error::Error;
use tickerml_core::tape::{RecordKind, RunId};

/// Memory for the engine of `run`: several seconds of ten busy symbols. When it lags more it reads the files.
const ENGINE_BYTES: usize = 16 << 20;
/// Records that came while the disk took none, bytes: one burst of frames from each socket, and a REST body.
const HELD_BYTES_MAX: usize = 64 << 20;

/// How often the durable mark is looked at while the end waits for it; a block closes every 50 or 200 ms.
const SETTLE_POLL: Duration = Duration::from_millis(5);

/// A run that is being recorded.
pub struct Recording {
    feed: Feed<RecorderTape>,
    tail: Option<EngineTail>,
    run: RunId,
    epoch: u32,
    cut_bytes: u64,
    /// The tape, between the feed's end and the run's.
    tape: Option<RecorderTape>,
    /// The run goes on another time: its tape gets no end.
    left: bool,
    over: bool,
}

impl Recording {
    /// Takes the data folder, finds or names the run, and starts recording.
    ///
    /// # Errors
    /// As [`Recorder::open`]; [`StoreError::NotFound`] for a named run that does not exist when `resume` asks for it;
    /// [`StoreError::Core`] for a bad configuration.
    pub fn start(config: &FeedConfig) -> StoreResult<Recording> {
        config.plan().map_err(|reason| setting("venues", reason))?;
        let record = &config.config_record;
        let info = info_of(config);
        let run = pick_run(config, &info)?;
        let engine = info.command != "collect";
        let engine_bytes = if config.engine_bytes > 0 { config.engine_bytes } else { ENGINE_BYTES };
        let recorder = Recorder::open(RecorderConfig {
            data_dir: config.data_dir.clone().into(),
            run,
            interval: RecorderConfig::profile_interval(&config.profile),
            segment_bytes: config.segment_bytes,
            retention_bytes: config.retention_bytes,
            engine_bytes: if engine { engine_bytes } else { 0 },
            info: info.clone(),
        })?;
        let resumed = *recorder.resumed();
        let tail = if engine { Some(recorder.tail(config.tail_pos)?) } else { None };
        let start = Start {
            epoch: resumed.epoch,
            code_version: info.code_version,
            // Delays differ between starts of the same run: a machine that crashes in a loop must not beat in step.
            seed: record["seed"].as_u64().unwrap_or(0) ^ u64::from(resumed.epoch) << 32,
        };
        let last_ns = Some(resumed.last_ts_ns).filter(|&ns| ns != i64::MIN);
        let tape = RecorderTape::new(recorder, if engine { 0 } else { run_bytes(config) });
        let feed = Feed::start(config, tape, start, last_ns).map_err(|reason| setting("venues", reason))?;
        let (epoch, cut_bytes) = (resumed.epoch, resumed.cut_bytes);
        Ok(Recording { feed, tail, run, epoch, cut_bytes, tape: None, left: false, over: false })
    }

    /// The run's name.
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// Number of this start of the run, from 0.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Bytes of a torn tail that the start found and cut logically.
    pub const fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// The engine's end of the tape; once, and never for `collect`.
    pub fn take_tail(&mut self) -> Option<EngineTail> {
        self.tail.take()
    }

    /// As [`Feed::command`].
    ///
    /// # Errors
    /// As [`Feed::command`].
    pub fn command(&self, kind: &str, payload: &str) -> Result<(), String> {
        self.feed.command(kind, payload)
    }

    /// Asks for the end; [`Recording::join`] waits for it.
    pub fn stop(&self, reason: &str) {
        self.feed.stop(reason);
    }

    /// Asks for the end of the recording, not of the run: no STOP is written, `run.json` keeps saying that it goes on, and the
    /// same command resumes it. Where STOP stands on the tape already the same holds: what was derived from the tape was
    /// not finished, and a resumed run finishes it.
    pub fn leave(&mut self) {
        self.left = true;
        self.feed.leave();
    }

    /// Statistics, with the run's name and what the start found.
    pub fn stats(&self) -> Stats {
        self.feed.stats()
    }

    /// Why it cannot go on, if so.
    pub fn error(&self) -> Option<String> {
        self.feed.error()
    }

    /// Waits for the feed's end and until everything it wrote is on disk; false when that was not so in time. The run is not
    /// ended by it: [`Recording::join`] does that, when what is derived from the tape is complete too.
    pub fn settle(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        if self.over {
            return true;
        }
        if !self.feed.join(timeout) {
            return false;
        }
        self.tape = self.tape.take().or_else(|| self.feed.into_tape());
        // A tape that did not take everything is not given back.
        let Some(tape) = &mut self.tape else { return self.feed.error().is_none() };
        while !tape.settled() {
            if tape.failed().is_some() || Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(SETTLE_POLL);
        }
        true
    }

    /// Whether the feed has ended, by itself or because it was asked. What it could not hand over is handed over as far as the disk takes it.
    pub fn feed_ended(&mut self) -> bool {
        if self.over {
            return true;
        }
        if !self.feed.ended() {
            return false;
        }
        self.settle(Duration::ZERO);
        true
    }

    /// Waits for the end and closes the tape; false when it did not end in time. A run that was left, or whose feed could
    /// not go on, stays unfinished.
    ///
    /// # Errors
    /// As [`Recorder::stop`].
    pub fn join(&mut self, timeout: Duration) -> StoreResult<bool> {
        if self.over {
            return Ok(true);
        }
        if !self.feed.join(timeout) {
            return Ok(false);
        }
        self.over = true;
        let tape = self.tape.take().or_else(|| self.feed.into_tape());
        if let Some(mut tape) = tape.filter(|_| !self.left && self.feed.error().is_none()) {
            // The feed's thread saw to it: here it is made sure that no run ends without its last records.
            if let Some(reason) = tape.waits() {
                return Err(StoreError::Stopped { reason });
            }
            let more = self.feed.stats().run_counts;
            tape.into_recorder().stop(SystemClock::start().wall_ns(), more)?;
        }
        Ok(true)
    }
}

/// What `run.json` says of the run, from the CONFIG record.
fn info_of(config: &FeedConfig) -> RunInfo {
    let record = &config.config_record;
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let policy = record["policy"]["name"].as_str().or_else(|| record["policy"].as_str()).unwrap_or_default();
    RunInfo {
        command: text("command"),
        source: config.source.clone(),
        created_ts_ns: SystemClock::start().wall_ns(),
        config_hash: text("config_hash"),
        code_version: text("code_version"),
        policy: policy.to_owned(),
        ..RunInfo::default()
    }
}

fn pick_run(config: &FeedConfig, info: &RunInfo) -> StoreResult<RunId> {
    let data = DataFolder::new(&config.data_dir);
    if !config.run.is_empty() {
        let run: RunId = config.run.parse().map_err(StoreError::Core)?;
        let path = data.run(run);
        if config.resume && !path.is_dir() {
            return Err(StoreError::NotFound { what: "run", path });
        }
        return Ok(run);
    }
    let known = if config.resume { newest_unfinished(&data, info) } else { None };
    match known {
        Some(known) => known.run.parse().map_err(StoreError::Core),
        None => Ok(named(info.created_ts_ns)),
    }
}

/// The name of a run that begins now: the nanoseconds and the process tell two of one second apart.
fn named(now_ns: i64) -> RunId {
    let chance = (now_ns.unsigned_abs() / 1_000) ^ u64::from(std::process::id());
    RunId::new(now_ns, crate::backoff::Rng::new(chance).bits() as u16)
}

/// Runs that retention keeps: it removes whole ones, so more of them waste less of what may be kept.
const RUNS_KEPT: u64 = 4;

/// Size at which a recording is cut; 0 for never.
fn run_bytes(config: &FeedConfig) -> u64 {
    let segment_bytes = if config.segment_bytes == 0 { SEGMENT_BYTES } else { config.segment_bytes };
    match (config.run_bytes, config.retention_bytes) {
        (0, 0) => 0,
        (0, retention) => (retention / RUNS_KEPT).max(segment_bytes),
        (bytes, _) => bytes,
    }
}

fn setting(key: &str, reason: String) -> StoreError {
    StoreError::Core(Error::BadSetting { key: key.to_owned(), reason })
}

/// A recorder as the supervisor's tape: what comes while the disk takes nothing is held and written first afterwards.
pub struct RecorderTape {
    recorder: Recorder,
    held: VecDeque<OwnedRecord>,
    held_bytes: usize,
    /// Records beyond what may be held: from then on the tape is not whole.
    lost: u64,
    /// Why the recorder took nothing when it was last asked.
    refusal: String,
    /// Size at which a run is long; 0 for never.
    run_bytes: u64,
    /// The run that follows when everything of this one is on disk, when this one ended, and what its `run.json` says.
    next: Option<(RunId, i64, Map<String, Value>)>,
}

impl RecorderTape {
    /// A tape that `recorder` writes.
    pub const fn new(recorder: Recorder, run_bytes: u64) -> RecorderTape {
        let held = VecDeque::new();
        RecorderTape { recorder, held, held_bytes: 0, lost: 0, refusal: String::new(), run_bytes, next: None }
    }

    /// Goes on with the next run as soon as the present one is on disk; false while it is not. Nobody waits for a disk here.
    fn begun(&mut self) -> Result<bool, String> {
        if self.next.is_none() {
            return Ok(true);
        }
        if self.recorder.durable_pos() < self.recorder.next_pos() {
            "the run before is not on disk yet".clone_into(&mut self.refusal);
            return Ok(false);
        }
        let Some((run, ended_ts_ns, more)) = self.next.take() else { return Ok(true) };
        self.recorder.roll(run, ended_ts_ns, more).map(|_| true).map_err(|e| e.to_string())
    }

    /// The recorder, to end the run with it. What [`Tape::waits`] names is lost.
    pub fn into_recorder(self) -> Recorder {
        self.recorder
    }

    /// Writes what was held, as far as the recorder takes it.
    fn release(&mut self) -> Result<(), String> {
        if !self.begun()? {
            return Ok(());
        }
        while let Some(r) = self.held.front() {
            match self.recorder.append(r.kind, r.slot, r.stamp.recv_ns, r.stamp.mono_ns, &r.bytes) {
                Ok(_) => {
                    self.held_bytes -= r.bytes.len();
                    self.held.pop_front();
                }
                Err(error @ (StoreError::Backlog { .. } | StoreError::DiskFull { .. })) => {
                    self.refusal = error.to_string();
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Whether everything appended is on disk.
    fn settled(&mut self) -> bool {
        self.ready();
        self.next.is_none() && self.held.is_empty() && self.recorder.durable_pos() >= self.recorder.next_pos()
    }

    fn hold(&mut self, kind: RecordKind, slot: u16, stamp: Stamp, bytes: &[u8]) -> Result<u64, String> {
        if self.lost > 0 || self.held_bytes + bytes.len() > HELD_BYTES_MAX {
            self.lost += 1;
            return Err(format!("the disk takes nothing and {} records wait", self.held.len()));
        }
        self.held_bytes += bytes.len();
        self.held.push_back(OwnedRecord { kind, slot, stamp, bytes: bytes.to_vec() });
        Ok(self.recorder.next_pos() + self.held.len() as u64 - 1)
    }
}

impl Tape for RecorderTape {
    #[inline]
    fn append(&mut self, kind: RecordKind, slot: u16, stamp: Stamp, bytes: &[u8]) -> Result<u64, String> {
        if self.next.is_some() || !self.held.is_empty() {
            self.release()?;
        }
        if self.next.is_some() || !self.held.is_empty() {
            return self.hold(kind, slot, stamp, bytes);
        }
        match self.recorder.append(kind, slot, stamp.recv_ns, stamp.mono_ns, bytes) {
            Ok(pos) => Ok(pos),
            Err(error @ (StoreError::Backlog { .. } | StoreError::DiskFull { .. })) => {
                self.refusal = error.to_string();
                self.hold(kind, slot, stamp, bytes)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn ready(&mut self) -> bool {
        let waits = self.next.is_some() || !self.held.is_empty();
        if waits && self.recorder.ready() && self.release().is_err() {
            return false;
        }
        self.next.is_none() && self.held.is_empty() && self.recorder.ready()
    }

    fn failed(&self) -> Option<String> {
        self.recorder.failure()
    }

    fn take_from_engine(&mut self) -> Option<(RecordKind, Vec<u8>)> {
        self.recorder.take_from_engine().map(|r| (r.kind, r.bytes))
    }

    fn is_long(&self) -> bool {
        self.run_bytes > 0 && self.next.is_none() && self.recorder.bytes() >= self.run_bytes
    }

    fn begin_next(&mut self, stamp: Stamp, more: Map<String, Value>) -> Result<String, String> {
        let run = named(stamp.recv_ns);
        self.next = Some((run, stamp.recv_ns, more));
        Ok(run.to_string())
    }

    fn waits(&mut self) -> Option<String> {
        let failure = self.release().err();
        let count = self.held.len() as u64 + self.lost;
        let why = failure.as_ref().unwrap_or(&self.refusal);
        (count > 0).then(|| {
            format!(
                "{why}; the last {count} records are not on the tape: run {} has not ended, the same command goes on with it",
                self.recorder.run()
            )
        })
    }

    fn durable_pos(&self) -> u64 {
        self.recorder.durable_pos()
    }
}
