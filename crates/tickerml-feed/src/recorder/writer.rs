//! Segments on disk: preallocation, rotation by size and UTC day, the chain of lengths and hashes, and what happens when
//! the disk fails (rules.md 3 and 4, reliability.md 3.1).
use super::resume::Resume;
use crate::store::{LastSegment, Store, StoreError, StoreFile, StoreResult};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tickerml_core::tape::{HEADER_LEN, Packed, RunId, SegmentHeader, SegmentId, utc_day};
use tickerml_core::units::hex;

/// Size of a segment where the configuration says nothing: 64 MiB, about an hour of one busy symbol.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Smallest size that may be configured (rules.md 4).
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// Failures of the disk that a writer survives: the first one poisons its segment, the second one stops the run.
const FAILURES_MAX: u32 = 1;

/// How a writer writes.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Folder of the tape; it exists.
    pub folder: PathBuf,
    /// The run.
    pub run: RunId,
    /// Size at which a segment is rotated.
    pub segment_bytes: u64,
    /// Whether each block is synced and segments are preallocated. An import syncs only at the end of each segment.
    pub durable: bool,
}

/// Appends blocks to segments.
pub struct SegmentWriter {
    store: Box<dyn Store>,
    config: WriterConfig,
    next: SegmentId,
    prev_len: u64,
    prev_sha256: [u8; 32],
    open: Option<OpenSegment>,
    spare: Option<Box<dyn StoreFile>>,
    starved: bool,
    failures: u32,
    /// Bytes of blocks written so far, of this epoch.
    bytes: u64,
    sealed: Vec<u8>,
}

struct OpenSegment {
    file: Box<dyn StoreFile>,
    id: SegmentId,
    /// Durable bytes.
    len: u64,
    sha256: Sha256,
    day: i64,
}

impl SegmentWriter {
    /// A writer that goes on where `resume` says, in a new epoch.
    pub fn new(store: Box<dyn Store>, config: WriterConfig, resume: &Resume) -> Self {
        let next = SegmentId { run: config.run, epoch: resume.epoch, segment: 0 };
        SegmentWriter {
            store,
            config,
            next,
            prev_len: resume.prev_len,
            prev_sha256: resume.prev_sha256,
            open: None,
            spare: None,
            starved: false,
            failures: 0,
            bytes: 0,
            sealed: Vec::new(),
        }
    }

    /// Writes a block; when this returns, it is durable.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`]: nothing is lost, write the same block again when there is space.
    /// [`StoreError::Stopped`]: the disk failed for the second time. [`StoreError::Vanished`]: the segment or its folder
    /// is not where it was.
    pub fn write(&mut self, block: &Packed) -> StoreResult<()> {
        loop {
            match self.try_write(block) {
                Err(error @ StoreError::Vanished { .. }) => return Err(error),
                Err(error) if !error.is_disk_full() && self.config.durable => self.poison(&error)?,
                done => return done,
            }
        }
    }

    /// Whether the next segment could not be preallocated: hand-over stops until it can (rules.md 3).
    pub const fn starved(&self) -> bool {
        self.starved
    }

    /// The folder on the full disk, while [`SegmentWriter::starved`].
    pub fn starved_path(&self) -> Option<PathBuf> {
        self.starved.then(|| self.config.folder.clone())
    }

    /// Bytes of blocks written so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Segments begun so far.
    pub const fn segments(&self) -> u32 {
        self.next.segment
    }

    /// Tries again to preallocate the next segment.
    pub fn retry_space(&mut self) {
        if self.starved {
            self.allocate_spare();
        }
    }

    /// Epoch that it writes.
    pub const fn epoch(&self) -> u32 {
        self.next.epoch
    }

    /// Closes the last segment, trims its padding and gives its length and hash; none where nothing was written.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(&mut self) -> StoreResult<Option<LastSegment>> {
        self.spare = None;
        let _ = self.store.remove(&self.spare_path());
        let Some(open) = self.open.take() else { return Ok(None) };
        let (id, length) = (open.id, open.len);
        self.close(open)?;
        let sha256 = hex(&self.prev_sha256);
        Ok(Some(LastSegment { epoch: id.epoch, segment: id.segment, length, sha256 }))
    }

    fn try_write(&mut self, block: &Packed) -> StoreResult<()> {
        let mut open = match self.open.take() {
            Some(open) if self.must_rotate(&open, block) => {
                self.close(open)?;
                self.begin(block)?
            }
            Some(open) => open,
            None => self.begin(block)?,
        };
        self.sealed.clear();
        block.seal(&open.id, open.len, &mut self.sealed);
        let done = put(&mut open, &self.sealed, self.config.durable);
        let path = self.path(open.id);
        if done.is_ok() {
            open.sha256.update(&self.sealed);
            open.len += self.sealed.len() as u64;
            self.bytes += self.sealed.len() as u64;
        }
        let crowded = open.len * 4 >= self.config.segment_bytes * 3;
        let there = open.file.is_at(&path);
        self.open = Some(open);
        match done {
            Ok(()) if !there => return Err(StoreError::Vanished { path }),
            Ok(()) if crowded && self.config.durable && self.spare.is_none() => self.allocate_spare(),
            Ok(()) => {}
            // Never sync the same file again after a failed sync: a full disk that shows there poisons too.
            Err(PutError::Sync(e)) => return Err(StoreError::Io { what: "fdatasync", path, reason: e.to_string() }),
            Err(PutError::Write(e)) => return Err(StoreError::io("write", &path, &e)),
        }
        Ok(())
    }

    fn must_rotate(&self, open: &OpenSegment, block: &Packed) -> bool {
        let full = open.len + block.sealed_len() > self.config.segment_bytes && open.len > HEADER_LEN as u64;
        full || utc_day(block.first_ts_ns) != open.day
    }

    /// Begins a segment: its header is durable before it gets its name.
    fn begin(&mut self, block: &Packed) -> StoreResult<OpenSegment> {
        let id = self.next;
        let header = SegmentHeader {
            id,
            prev_len: self.prev_len,
            prev_sha256: self.prev_sha256,
            first_pos: block.first_pos,
            created_ts_ns: block.first_ts_ns,
        };
        let draft = self.spare_path();
        let bytes = header.encode();
        let mut file = match self.spare.take() {
            Some(spare) => spare,
            None => self.create(&draft, HEADER_LEN as u64 + block.sealed_len())?,
        };
        let begun =
            file.write_all_at(&bytes, 0).and_then(|()| if self.config.durable { file.sync_data() } else { Ok(()) });
        begun
            .and_then(|()| self.store.rename(&draft, &self.path(id)))
            .map_err(|e| self.vanished().unwrap_or_else(|| StoreError::io("segment", &draft, &e)))?;
        self.starved = false;
        self.next.segment += 1;
        let day = utc_day(block.first_ts_ns);
        Ok(OpenSegment { file, id, len: HEADER_LEN as u64, sha256: Sha256::new_with_prefix(bytes), day })
    }

    fn create(&self, path: &Path, least: u64) -> StoreResult<Box<dyn StoreFile>> {
        let bytes = if self.config.durable { self.config.segment_bytes.max(least) } else { 0 };
        self.store
            .create(path, bytes)
            .map_err(|e| self.vanished().unwrap_or_else(|| StoreError::io("segment", path, &e)))
    }

    /// The error where the tape's folder is gone.
    fn vanished(&self) -> Option<StoreError> {
        let path = &self.config.folder;
        (!path.is_dir()).then(|| StoreError::Vanished { path: path.clone() })
    }

    fn allocate_spare(&mut self) {
        match self.create(&self.spare_path(), 0) {
            Ok(file) => {
                self.spare = Some(file);
                self.starved = false;
            }
            Err(error) => self.starved = error.is_disk_full(),
        }
    }

    /// Ends a segment in the chain and trims its padding. Its blocks are durable already where they must be, so a trim
    /// that fails only leaves zeros behind.
    fn close(&mut self, mut open: OpenSegment) -> StoreResult<()> {
        let path = self.path(open.id);
        if !open.file.is_at(&path) {
            return Err(StoreError::Vanished { path });
        }
        let trimmed = open.file.set_len(open.len).and_then(|()| open.file.sync_data());
        self.prev_len = open.len;
        self.prev_sha256 = open.sha256.finalize().into();
        match trimmed {
            Err(e) if !self.config.durable => Err(StoreError::io("segment", &path, &e)),
            _ => Ok(()),
        }
    }

    /// Leaves the current segment behind at its last durable block; what was not synced is written into a new one.
    fn poison(&mut self, error: &StoreError) -> StoreResult<()> {
        self.failures += 1;
        if self.failures > FAILURES_MAX {
            return Err(StoreError::Stopped { reason: error.to_string() });
        }
        if let Some(open) = self.open.take() {
            self.prev_len = open.len;
            self.prev_sha256 = open.sha256.finalize().into();
        }
        self.spare = None;
        Ok(())
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        self.config.folder.join(id.file_name())
    }

    fn spare_path(&self) -> PathBuf {
        self.config.folder.join("next.tmp")
    }
}

enum PutError {
    Write(std::io::Error),
    Sync(std::io::Error),
}

fn put(open: &mut OpenSegment, bytes: &[u8], durable: bool) -> Result<(), PutError> {
    open.file.write_all_at(bytes, open.len).map_err(PutError::Write)?;
    if durable { open.file.sync_data().map_err(PutError::Sync) } else { Ok(()) }
}
