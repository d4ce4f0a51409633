//! A disk that fails on request, and frames that say which they are.
#![allow(dead_code)]
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tickerml_core::tape::{RecordKind, RunId};
use tickerml_feed::reader::TapeReader;
use tickerml_feed::recorder::{Recorder, RecorderConfig};
use tickerml_feed::store::{Disk, RunInfo, Store, StoreFile};

/// A recorder of small segments whose blocks close only when they are full or flushed: tests do not depend on time.
pub fn config(data: &Path, run: RunId) -> RecorderConfig {
    let info = RunInfo { command: "collect".into(), source: "loopback".into(), ..RunInfo::default() };
    RecorderConfig {
        data_dir: data.to_owned(),
        run,
        interval: Duration::from_millis(20),
        segment_bytes: 1 << 20,
        retention_bytes: 0,
        engine_bytes: 1 << 20,
        info,
    }
}

/// The frame that belongs at `pos`.
pub fn frame(pos: u64) -> Vec<u8> {
    format!("{{\"n\":{pos},\"x\":{}}}", pos.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into_bytes()
}

/// Appends the next `count` frames.
pub fn put_frames(recorder: &mut Recorder, count: u64) {
    for _ in 0..count {
        let pos = recorder.next_pos();
        let ts = pos as i64 * 1000;
        assert_eq!(recorder.append(RecordKind::Frame, 1, ts, ts, &frame(pos)), Ok(pos));
    }
}

/// Reads a tape of such frames, checks each, and gives how many there are.
pub fn read_all(tape: &Path) -> u64 {
    let mut reader = TapeReader::open(tape).unwrap();
    let mut next = 0;
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.pos, next, "pos is dense");
        if record.bytes.starts_with(b"{\"n\"") {
            assert_eq!(record.bytes, frame(next));
        }
        next += 1;
    }
    assert_eq!(reader.damaged(), []);
    assert_eq!(reader.missing(), 0);
    next
}

/// The disk, with faults on request.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Faults>);

#[derive(Default)]
struct Faults {
    sync_fails: AtomicBool,
    full: AtomicBool,
    no_new_files: AtomicBool,
    stall: Mutex<()>,
    calls: Mutex<Vec<String>>,
}

impl FaultyDisk {
    /// The next fdatasync fails with EIO; the data are in the file all the same.
    pub fn fail_next_sync(&self) {
        self.0.sync_fails.store(true, Ordering::SeqCst);
    }

    /// Whether writes fail with ENOSPC after half of their bytes.
    pub fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    /// Whether new files fail with ENOSPC.
    pub fn refuse_new_files(&self, refuse: bool) {
        self.0.no_new_files.store(refuse, Ordering::SeqCst);
    }

    /// What was asked of it so far, in order: `sync NAME`, `create NAME`, `rename NAME`.
    pub fn calls(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().clone()
    }

    fn called(&self, what: &str, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.0.calls.lock().unwrap().push(format!("{what} {name}"));
    }

    /// Writes wait until the guard is dropped.
    pub fn stall(&self) -> MutexGuard<'_, ()> {
        self.0.stall.lock().unwrap()
    }
}

impl Store for FaultyDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn StoreFile>> {
        if self.0.no_new_files.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.called("create", path);
        Ok(Box::new(FaultyFile(Disk.create(path, bytes)?, Arc::clone(&self.0))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.called("rename", to);
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.called("sync", path);
        if self.0.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Disk.sync(path)
    }

    fn again(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }
}

struct FaultyFile(Box<dyn StoreFile>, Arc<Faults>);

impl StoreFile for FaultyFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        drop(self.1.stall.lock().unwrap());
        if self.1.full.load(Ordering::SeqCst) {
            self.0.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.1.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.0.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn is_at(&self, path: &Path) -> bool {
        self.0.is_at(path)
    }
}

/// Bytes that do not compress; other ones for another seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
