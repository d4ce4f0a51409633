//! The folder in which a tape is made before it gets its name: `tapes/<run>.tmp`, locked while its import lives.
use crate::store::{DataFolder, StoreError, StoreResult};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use tickerml_core::tape::RunId;

const SUFFIX: &str = ".tmp";

/// Removed when dropped; what has been moved to its place is out of reach by then.
pub(super) struct Draft {
    path: PathBuf,
    /// Held for its lock, which a killed process loses.
    _lock: File,
}

impl Draft {
    /// A new folder for the tape of `run`. What killed imports left behind in this data folder is removed.
    pub(super) fn begin(data: &DataFolder, run: RunId) -> StoreResult<Draft> {
        let tapes = data.path().join("tapes");
        remove_left_behind(&tapes);
        let path = tapes.join(format!("{run}{SUFFIX}"));
        let fail = |e: &std::io::Error| StoreError::io("tape", &path, e);
        std::fs::create_dir_all(&path).map_err(|e| fail(&e))?;
        let lock = locked(&path).map_err(|e| fail(&e))?;
        Ok(Draft { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn locked(folder: &Path) -> std::io::Result<File> {
    let file = File::open(folder)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Removes the folders of imports that live no more. What cannot be removed disturbs nobody.
fn remove_left_behind(tapes: &Path) {
    let Ok(entries) = std::fs::read_dir(tapes) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        if name.is_some_and(|name| name.parse::<RunId>().is_ok())
            && let Ok(_lock) = locked(&path)
        {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_import_left_is_removed_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (data, tapes) = (DataFolder::new(folder.path()), folder.path().join("tapes"));
        let run = |n| RunId::new(1_700_000_000_000_000_000, n);
        let living = Draft::begin(&data, run(1)).unwrap();
        let left = tapes.join(format!("{}{SUFFIX}", run(2)));
        for other in [left.clone(), tapes.join("notes.tmp"), tapes.join(run(3).as_str())] {
            std::fs::create_dir_all(other.join("x")).unwrap();
        }
        let next = Draft::begin(&data, run(4)).unwrap();
        assert!(living.path().is_dir() && next.path().is_dir() && !left.exists());
        assert!(tapes.join("notes.tmp").is_dir() && tapes.join(run(3).as_str()).is_dir(), "only what is ours");
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}
