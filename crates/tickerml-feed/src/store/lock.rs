//! One writer for each data folder (rules.md 3).
use super::error::{StoreError, StoreResult};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The lock of a data folder; let go when dropped, and by the system when the process dies.
#[derive(Debug)]
pub struct FolderLock(#[allow(dead_code)] File);

impl FolderLock {
    /// Takes the lock of the data folder `data`, which is made where it is missing, and writes pid and boot id into it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder's pid where another process (or this one) has it.
    pub fn take(data: &Path) -> StoreResult<FolderLock> {
        std::fs::create_dir_all(data).map_err(|e| StoreError::io("data folder", data, &e))?;
        let path = data.join("lock");
        let fail = |e: &std::io::Error| StoreError::io("lock", &path, e);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|e| fail(&e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
            return Err(StoreError::Locked { path, pid });
        }
        let text = format!("{} {}\n", std::process::id(), boot_id());
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|e| fail(&e))?;
        Ok(FolderLock(file))
    }
}

/// Names this start of the machine; empty where the system does not say.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_told_the_first_ones_pid() {
        let data = tempfile::tempdir().unwrap();
        let first = FolderLock::take(data.path()).unwrap();
        let error = FolderLock::take(data.path()).unwrap_err();
        assert_eq!(error, StoreError::Locked { path: data.path().join("lock"), pid: std::process::id() });
        assert_eq!(error.exit_code(), 1);
        drop(first);
        FolderLock::take(data.path()).unwrap();
    }
}
