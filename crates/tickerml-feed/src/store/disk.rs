//! The file operations of the recorder, behind a trait so that tests can break them.
use super::{StoreError, StoreResult};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use tickerml_core::units::hex;

/// A folder's operations.
pub trait Store: Send {
    /// Creates (or empties) a file and allocates `bytes` zeros in it.
    ///
    /// # Errors
    /// The system's; a full disk as [`io::ErrorKind::StorageFull`].
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn StoreFile>>;

    /// Renames a file and makes the new name durable.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what another process left in a file or folder durable. What is read of it next comes from the disk, not from
    /// the system's memory, which keeps what a failed sync did not write.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// The same store once more, for the run that follows.
    fn again(&self) -> Box<dyn Store>;
}

/// One segment's operations.
pub trait StoreFile: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's; part of the bytes may have been written.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the data durable.
    ///
    /// # Errors
    /// The system's. The file must not be trusted after one.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Gives the file this length.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Whether `path` names this file: a file that was removed or replaced takes bytes that nobody will find.
    fn is_at(&self, path: &Path) -> bool;
}

/// The disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Store for Disk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn StoreFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        if bytes > 0 {
            allocate(&file, bytes).inspect_err(|_| {
                // Nothing was put there yet: leave no empty file behind.
                let _ = std::fs::remove_file(path);
            })?;
        }
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)?;
        sync_folder(to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        file.sync_all()?;
        // Advice only: a system that does not take it reads what it has in memory.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn again(&self) -> Box<dyn Store> {
        Box::new(*self)
    }
}

/// Bytes of a file looked at together.
const CHUNK: usize = 1 << 20;

/// The bytes from `from` to `to` of a segment without the zeros at their end, as far as those fill whole chunks: a
/// preallocated segment is mostly padding, and that is not worth memory.
pub(crate) fn read_data(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let (zeros, mut chunk) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut bytes, mut padding, mut at) = (Vec::new(), 0, from);
    while at < to {
        let length = (to - at).min(CHUNK as u64) as usize;
        file.read_exact_at(&mut chunk[..length], at)?;
        if chunk[..length] == zeros[..length] {
            padding += length;
        } else {
            bytes.resize(bytes.len() + std::mem::take(&mut padding), 0);
            bytes.extend_from_slice(&chunk[..length]);
        }
        at += length as u64;
    }
    Ok(bytes)
}

/// SHA-256 of the file `path`, as hexadecimal text.
///
/// # Errors
/// The system's.
pub fn file_sha256(path: &Path) -> StoreResult<String> {
    let fail = |e: &io::Error| StoreError::io("file", path, e);
    let mut file = File::open(path).map_err(|e| fail(&e))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => hash.update(&chunk[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(fail(&e)),
        }
    }
}

/// Makes the name of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Allocates blocks on the disk; where the file system cannot, recording goes on without.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

struct DiskFile(File);

impl StoreFile for DiskFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn is_at(&self, path: &Path) -> bool {
        let known = |m: std::fs::Metadata| (m.dev(), m.ino());
        let ours = self.0.metadata().map(known).ok();
        ours.is_some() && ours == std::fs::symlink_metadata(path).map(known).ok()
    }
}
