//! Records a run: one producer appends, a writer thread makes blocks durable, the engine reads behind.
//!
//! ```text
//! feed thread --append--> block being filled --256 KiB or the interval--> writer: zstd, write, fdatasync, durable mark
//!                               \--> ring in memory --> EngineTail --> engine      (files first, and when it lags)
//! ```
//! `append` copies the record under a lock that nobody holds for long; nothing is woken for a single record, because the
//! writer looks by itself once an interval and the engine is woken only where it waits.
mod damage;
mod input;
mod queue;
mod resume;
mod tail;
mod thread;
mod writer;

pub use damage::end_damaged;
pub use input::TailInput;
pub use queue::QUEUE_BYTES;
pub use resume::{Resume, resume};
pub use tail::{EngineTail, Fill};
pub use writer::{SEGMENT_BYTES, SEGMENT_BYTES_MIN, SegmentWriter, WriterConfig};

use crate::store::{
    DataFolder, Disk, FolderLock, LastSegment, RunInfo, RunState, Store, StoreError, StoreResult, prune, tape_bytes,
};
use queue::{Queue, Shared};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tickerml_core::error::Error;
use tickerml_core::tape::{RecordKind, RunId};

/// Records that the engine may hand back (HEALTH, COMMAND, MODEL_OUTPUT) before the feed thread takes them.
const FROM_ENGINE_MAX: usize = 1024;

/// How a run is recorded.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Data folder.
    pub data_dir: PathBuf,
    /// The run: a new one, or one whose tape is there already, which then gets its next epoch.
    pub run: RunId,
    /// Longest time that a record waits before its block closes: `ssd` 50 ms, `sd` 200 ms.
    pub interval: Duration,
    /// Size of a segment; 0 for [`SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Total size of all tapes, above which those of the oldest ended runs are removed; 0 keeps all.
    pub retention_bytes: u64,
    /// Memory kept for an engine that reads behind; 0 for `collect`, which has none.
    pub engine_bytes: usize,
    /// What `run.json` says of a new run. `run`, `state` and `epochs` are filled in.
    pub info: RunInfo,
}

impl RecorderConfig {
    /// The interval of a profile by name: `sd`, or `ssd` for every other one.
    pub fn profile_interval(profile: &str) -> Duration {
        Duration::from_millis(if profile == "sd" { 200 } else { 50 })
    }
}

/// A record that the engine hands to the feed thread, which stamps and appends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromEngine {
    /// HEALTH, COMMAND or MODEL_OUTPUT.
    pub kind: RecordKind,
    /// Payload.
    pub bytes: Vec<u8>,
}

/// The one producer of a run's tape.
pub struct Recorder {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<Option<LastSegment>>>,
    folder: DataFolder,
    run: RunId,
    info: RunInfo,
    resume: Resume,
    from_engine: Receiver<FromEngine>,
    to_feed: SyncSender<FromEngine>,
    /// Bytes of the tape when this process began with it.
    bytes_before: u64,
    config: RecorderConfig,
    store: Box<dyn Store>,
    lock: Arc<FolderLock>,
}

impl Recorder {
    /// Takes the data folder's lock, finds where the tape goes on, and starts the writer on the disk.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process records here; [`StoreError::Core`] for a tape of a newer program or a
    /// setting out of its range; the system's.
    pub fn open(config: RecorderConfig) -> StoreResult<Recorder> {
        Recorder::open_on(Box::new(Disk), config)
    }

    /// The same with other file operations: tests break them.
    ///
    /// # Errors
    /// As [`Recorder::open`].
    pub fn open_on(store: Box<dyn Store>, config: RecorderConfig) -> StoreResult<Recorder> {
        checked_segment_bytes(config.segment_bytes)?;
        let lock = FolderLock::take(&config.data_dir)?;
        Recorder::begin(store, config, Arc::new(lock))
    }

    /// Begins with a run, or goes on with it, in a data folder that is ours.
    fn begin(store: Box<dyn Store>, config: RecorderConfig, lock: Arc<FolderLock>) -> StoreResult<Recorder> {
        let segment_bytes = checked_segment_bytes(config.segment_bytes)?;
        let folder = DataFolder::new(&config.data_dir);
        let tape = folder.tape(config.run);
        std::fs::create_dir_all(&tape).map_err(|e| StoreError::io("tape", &tape, &e))?;
        let resume = resume(store.as_ref(), &tape)?;
        let info = begin_info(&folder, &config, &resume)?;
        // The tape's name, that of `tapes/` and of `runs/`: each may be new, or the last start may have died before its sync.
        for folder in tape.ancestors().take(3) {
            store.sync(folder).map_err(|e| StoreError::io("data folder", folder, &e))?;
        }
        let shared = Arc::new(Shared::new(Queue::new(&resume, config.engine_bytes)));
        let writer_config = WriterConfig { folder: tape, run: config.run, segment_bytes, durable: true };
        let bytes_before = tape_bytes(&writer_config.folder);
        let writer = SegmentWriter::new(store.again(), writer_config, &resume);
        let (data, run, bytes_max) = (folder.clone(), config.run, config.retention_bytes);
        let retention = Box::new(move || match bytes_max {
            0 => {}
            _ => drop(prune(&data, bytes_max, run)),
        });
        let writer = thread::start(Arc::clone(&shared), writer, config.interval, retention)?;
        let (to_feed, from_engine) = sync_channel(FROM_ENGINE_MAX);
        let (run, writer) = (config.run, Some(writer));
        let recorder = Recorder {
            shared,
            writer,
            folder,
            run,
            info,
            resume,
            from_engine,
            to_feed,
            bytes_before,
            config,
            store,
            lock,
        };
        Ok(recorder)
    }

    /// Appends a record and gives its pos. A stamp that goes back is raised to the one before.
    ///
    /// # Errors
    /// [`StoreError::Backlog`] and [`StoreError::DiskFull`]: nothing was taken; try again when [`Recorder::ready`].
    /// [`StoreError::Stopped`]: the run is over. [`StoreError::Core`]: the record is above its cap.
    #[inline]
    pub fn append(
        &mut self,
        kind: RecordKind,
        slot: u16,
        ts_recv_ns: i64,
        ts_mono_ns: i64,
        bytes: &[u8],
    ) -> StoreResult<u64> {
        self.shared.append(kind, slot, ts_recv_ns, ts_mono_ns, bytes)
    }

    /// Whether [`Recorder::append`] would take a record now.
    pub fn ready(&self) -> bool {
        self.shared.ready()
    }

    /// Why the writer stopped, if it did: nothing will be taken any more.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Records that are on disk: every pos below this is durable. Cheap.
    pub fn durable_pos(&self) -> u64 {
        self.shared.durable_pos()
    }

    /// Pos of the next record.
    pub fn next_pos(&self) -> u64 {
        self.shared.next_pos()
    }

    /// What was found of the tape at start: epoch, first pos, last stamp, bytes cut.
    pub const fn resumed(&self) -> &Resume {
        &self.resume
    }

    /// The run.
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// `run.json` as it stands.
    pub const fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The engine's end, from the record `pos` on. It outlives the recorder: it gives what is left, then the end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the tape's folder is gone.
    pub fn tail(&self, pos: u64) -> StoreResult<EngineTail> {
        EngineTail::new(Arc::clone(&self.shared), self.folder.tape(self.run), pos, self.to_feed.clone())
    }

    /// A record that the engine handed back, if there is one: the feed thread stamps and appends it.
    pub fn take_from_engine(&self) -> Option<FromEngine> {
        self.from_engine.try_recv().ok()
    }

    /// Waits until everything appended so far is durable, or until the writer stopped.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when the writer stopped before that.
    pub fn flush(&self) -> StoreResult<u64> {
        self.shared.flush()
    }

    /// Ends the run: everything is made durable, the last segment trimmed, its length and hash written to `run.json`
    /// with `ended_ts_ns` and the keys of `more`. The caller has appended STOP.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when the writer could not; the run can then be resumed.
    pub fn stop(mut self, ended_ts_ns: i64, more: Map<String, Value>) -> StoreResult<RunInfo> {
        self.finish(ended_ts_ns, more)
    }

    /// Ends the run as [`Recorder::stop`] does and goes on with the new run `next`, without letting go of the data folder.
    ///
    /// # Errors
    /// As [`Recorder::stop`] and [`Recorder::open`]: the recorder then takes nothing any more.
    pub fn roll(&mut self, next: RunId, ended_ts_ns: i64, more: Map<String, Value>) -> StoreResult<RunInfo> {
        let ended = self.finish(ended_ts_ns, more)?;
        let info = RunInfo { created_ts_ns: ended_ts_ns, ..self.config.info.clone() };
        let config = RecorderConfig { run: next, info, ..self.config.clone() };
        *self = Recorder::begin(self.store.again(), config, Arc::clone(&self.lock))?;
        Ok(ended)
    }

    /// Bytes of the run's tape that are on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes_before + self.shared.durable_bytes()
    }

    fn finish(&mut self, ended_ts_ns: i64, more: Map<String, Value>) -> StoreResult<RunInfo> {
        self.info.segment_last = self.end()?;
        self.info.state = RunState::Ended;
        self.info.ended_ts_ns = Some(ended_ts_ns);
        self.info.records = self.next_pos();
        self.info.last_ts_ns = self.shared.last_ts_ns();
        self.info.other.extend(more);
        self.info.write(&self.folder.run(self.run))?;
        Ok(self.info.clone())
    }

    /// Lets the writer finish and gives the last segment.
    fn end(&mut self) -> StoreResult<Option<LastSegment>> {
        self.shared.end();
        let last = self.writer.take().and_then(|thread| thread.join().ok()).flatten();
        match self.shared.failure() {
            Some(reason) => Err(StoreError::Stopped { reason }),
            None => Ok(last),
        }
    }
}

impl Drop for Recorder {
    /// Without [`Recorder::stop`] the run stays unfinished; what was appended is written all the same.
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _ = self.end();
        }
    }
}

fn checked_segment_bytes(bytes: u64) -> StoreResult<u64> {
    match bytes {
        0 => Ok(SEGMENT_BYTES),
        SEGMENT_BYTES_MIN.. => Ok(bytes),
        _ => {
            let reason = format!("{bytes} is below {SEGMENT_BYTES_MIN}");
            Err(Error::BadSetting { key: "segment_bytes".to_owned(), reason }.into())
        }
    }
}

/// Writes `run.json` for the epoch that begins.
fn begin_info(folder: &DataFolder, config: &RecorderConfig, resume: &Resume) -> StoreResult<RunInfo> {
    let path = folder.run(config.run);
    let mut info = match RunInfo::read(&path) {
        Err(StoreError::NotFound { .. }) => config.info.clone(),
        info => info?,
    };
    info.run = config.run.to_string();
    info.state = RunState::Running;
    info.epochs = resume.epoch + 1;
    info.ended_ts_ns = None;
    info.last_ts_ns = None;
    info.segment_last = None;
    info.write(&path)?;
    Ok(info)
}
