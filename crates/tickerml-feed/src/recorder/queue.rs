//! What producer, writer and engine share: the block being filled, blocks that wait for the disk, blocks kept for the
//! engine. Bounded: at [`QUEUE_BYTES`] the producer is told to wait, beyond its own bound the engine reads files.
use super::resume::Resume;
use crate::store::{StoreError, StoreResult};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tickerml_core::tape::{BLOCK_RAW, BlockBuilder, RawBlock, RecordKind, utc_day};

/// Most bytes that wait for the disk before the sockets are no longer read (reliability.md 3.4).
pub const QUEUE_BYTES: usize = 8 << 20;

/// Buffers kept for use again.
const SPARE_MAX: usize = 4;

/// Size of a buffer: a full block and a frame beyond it.
const BUFFER: usize = BLOCK_RAW + (64 << 10);

/// Blocks between the three threads.
pub(super) struct Queue {
    /// The block being filled.
    pub(super) filling: BlockBuilder,
    /// Closed blocks in order: those still to be written are the last `unwritten` ones.
    pub(super) ring: VecDeque<Arc<RawBlock>>,
    ring_bytes: usize,
    ring_bytes_max: usize,
    unwritten: usize,
    unwritten_bytes: usize,
    spare: Vec<Vec<u8>>,
    day: i64,
    pub(super) ended: bool,
    pub(super) disk_full: Option<PathBuf>,
    pub(super) failure: Option<String>,
    /// Whether the writer has made everything durable and gone.
    pub(super) done: bool,
    writer_waits: bool,
    engine_waits: bool,
    flush: bool,
}

impl Queue {
    /// An empty queue whose first record follows what was found on disk.
    pub(super) fn new(resume: &Resume, engine_bytes: usize) -> Queue {
        Queue {
            filling: BlockBuilder::new(resume.next_pos, resume.last_ts_ns),
            ring: VecDeque::new(),
            ring_bytes: 0,
            ring_bytes_max: engine_bytes,
            unwritten: 0,
            unwritten_bytes: 0,
            spare: Vec::new(),
            day: 0,
            ended: false,
            disk_full: None,
            failure: None,
            done: false,
            writer_waits: false,
            engine_waits: false,
            flush: false,
        }
    }

    /// Pos of the first record that is in memory.
    pub(super) fn first_pos(&self) -> u64 {
        self.ring.front().map_or(self.filling.block().first_pos, |block| block.first_pos)
    }

    /// Closes the block being filled.
    fn close(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER));
        let mut block = self.filling.take(next);
        if block.raw.len() < BUFFER / 2 {
            // A quiet feed's small blocks must not hold a busy one's memory while the engine's ring keeps them.
            block.raw.shrink_to_fit();
        }
        self.ring_bytes += block.raw.len();
        self.unwritten_bytes += block.raw.len();
        self.unwritten += 1;
        self.ring.push_back(Arc::new(block));
    }

    /// Takes note that the oldest waiting block is durable, and lets go of what the engine's bound does not cover.
    fn written(&mut self) {
        let Some(block) = self.ring.get(self.ring.len() - self.unwritten) else { return };
        self.unwritten_bytes -= block.raw.len();
        self.unwritten -= 1;
        while self.ring.len() > self.unwritten && self.ring_bytes > self.ring_bytes_max {
            let Some(block) = self.ring.pop_front() else { break };
            self.ring_bytes -= block.raw.len();
            if let Some(block) =
                Arc::into_inner(block).filter(|b| b.raw.capacity() >= BUFFER && self.spare.len() < SPARE_MAX)
            {
                self.spare.push(block.raw);
            }
        }
    }

    fn refusal(&self) -> Option<StoreError> {
        if let Some(reason) = &self.failure {
            return Some(StoreError::Stopped { reason: reason.clone() });
        }
        if let Some(path) = &self.disk_full {
            return Some(StoreError::DiskFull { path: path.clone() });
        }
        let bytes = self.unwritten_bytes + self.filling.raw_len();
        (bytes >= QUEUE_BYTES).then_some(StoreError::Backlog { bytes })
    }
}

/// The queue, its lock, and who waits for it.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    writer: Condvar,
    engine: Condvar,
    durable: Condvar,
    durable_pos: AtomicU64,
    durable_bytes: AtomicU64,
}

impl Shared {
    pub(super) fn new(queue: Queue) -> Shared {
        let durable_pos = AtomicU64::new(queue.filling.next_pos());
        let (writer, engine, durable) = (Condvar::new(), Condvar::new(), Condvar::new());
        Shared { queue: Mutex::new(queue), writer, engine, durable, durable_pos, durable_bytes: AtomicU64::new(0) }
    }

    /// The queue. A thread that panicked in it leaves it whole: every change is one step.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(super) fn append(&self, kind: RecordKind, slot: u16, recv: i64, mono: i64, bytes: &[u8]) -> StoreResult<u64> {
        let mut queue = self.lock();
        if let Some(refusal) = queue.refusal() {
            return Err(refusal);
        }
        let day = utc_day(recv.max(queue.filling.last_ts_ns()));
        let full = queue.filling.is_full();
        if full || day != queue.day {
            queue.day = day;
            queue.close();
        }
        let pos = queue.filling.push(kind, slot, recv, mono, bytes)?;
        let wake_writer = queue.filling.is_full() && std::mem::take(&mut queue.writer_waits);
        let wake_engine = std::mem::take(&mut queue.engine_waits);
        drop(queue);
        if wake_writer {
            self.writer.notify_one();
        }
        if wake_engine {
            self.engine.notify_all();
        }
        Ok(pos)
    }

    pub(super) fn ready(&self) -> bool {
        self.lock().refusal().is_none()
    }

    pub(super) fn durable_pos(&self) -> u64 {
        self.durable_pos.load(Ordering::Acquire)
    }

    pub(super) fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Relaxed)
    }

    /// Stamp of the last record; none on an empty tape.
    pub(super) fn last_ts_ns(&self) -> Option<i64> {
        Some(self.lock().filling.last_ts_ns()).filter(|&ns| ns != i64::MIN)
    }

    pub(super) fn next_pos(&self) -> u64 {
        self.lock().filling.next_pos()
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Waits until everything appended before is durable.
    pub(super) fn flush(&self) -> StoreResult<u64> {
        let mut queue = self.lock();
        let wanted = queue.filling.next_pos();
        while self.durable_pos() < wanted {
            if let Some(reason) = &queue.failure {
                return Err(StoreError::Stopped { reason: reason.clone() });
            }
            if queue.done {
                return Err(StoreError::Stopped { reason: "the writer has ended".to_owned() });
            }
            queue.flush = true;
            self.writer.notify_one();
            queue = self.durable.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(wanted)
    }

    /// Tells the writer that nothing more will come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.writer.notify_one();
    }

    /// For the writer: the oldest block that waits, at the latest after `interval`; none when everything is written and
    /// nothing more will come.
    pub(super) fn next_block(&self, interval: Duration) -> Option<Arc<RawBlock>> {
        let mut queue = self.lock();
        let deadline = Instant::now() + interval;
        loop {
            if queue.unwritten > 0 {
                let at = queue.ring.len() - queue.unwritten;
                return queue.ring.get(at).cloned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || queue.flush || queue.ended || queue.filling.is_full() {
                queue.flush = false;
                if queue.filling.is_empty() {
                    return if queue.ended { None } else { Some(Arc::default()) };
                }
                queue.close();
                continue;
            }
            queue.writer_waits = true;
            queue = self.writer.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            queue.writer_waits = false;
        }
    }

    /// For the writer: the oldest block that waits is durable; `bytes` are all that it wrote so far.
    pub(super) fn written(&self, block: Arc<RawBlock>, bytes: u64, starved: Option<PathBuf>) {
        self.durable_bytes.store(bytes, Ordering::Relaxed);
        self.durable_pos.store(block.next_pos(), Ordering::Release);
        // The queue's own reference is then the last one, and its buffer is used again.
        drop(block);
        let mut queue = self.lock();
        queue.disk_full = starved;
        queue.written();
        drop(queue);
        self.durable.notify_all();
    }

    /// For the writer: whether the disk is full, and a wait before the next try. True when the wait must end the run.
    pub(super) fn wait_for_space(&self, path: Option<PathBuf>, wait: Duration) -> bool {
        let mut queue = self.lock();
        queue.disk_full = path;
        if queue.disk_full.is_none() || queue.ended {
            return queue.ended;
        }
        queue = self.writer.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        queue.ended
    }

    /// For the writer: it goes, with everything durable or with a failure.
    pub(super) fn writer_gone(&self, failure: Option<String>) {
        let mut queue = self.lock();
        queue.failure = failure;
        queue.done = true;
        drop(queue);
        self.durable.notify_all();
        self.engine.notify_all();
    }

    /// For the engine: waits until there is a record at `pos`, the run is over, or `timeout` is past.
    pub(super) fn wait_for(&self, pos: u64, timeout: Duration) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        let deadline = Instant::now() + timeout;
        while queue.filling.next_pos() <= pos && !queue.done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue.engine_waits = true;
            queue = self.engine.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.engine_waits = false;
        queue
    }
}
