//! Where things lie under the data folder (contract.md, "On disk").
use super::error::{StoreError, StoreResult};
use std::path::{Path, PathBuf};
use tickerml_core::tape::{RunId, SegmentHeader, SegmentId};

/// DATA: tapes, runs and the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The data folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        DataFolder(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Folder of a run's tape.
    pub fn tape(&self, run: RunId) -> PathBuf {
        self.0.join("tapes").join(run.as_str())
    }

    /// Folder of a run's other files.
    pub fn run(&self, run: RunId) -> PathBuf {
        self.0.join("runs").join(run.as_str())
    }

    /// All runs that have a folder under `runs/`, oldest first.
    pub fn runs(&self) -> Vec<RunId> {
        let Ok(entries) = std::fs::read_dir(self.0.join("runs")) else { return Vec::new() };
        let mut runs: Vec<RunId> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        runs.sort();
        runs
    }
}

/// One segment and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPath {
    /// Which segment.
    pub id: SegmentId,
    /// Its file.
    pub path: PathBuf,
}

/// A folder of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeFolder {
    /// The run, from the folder's name; from the first readable header where the folder was renamed.
    pub run: RunId,
    /// The folder.
    pub path: PathBuf,
}

impl TapeFolder {
    /// The tape in the folder `path`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no tape.
    pub fn open(path: &Path) -> StoreResult<TapeFolder> {
        let missing = || StoreError::NotFound { what: "tape", path: path.to_owned() };
        if !path.is_dir() {
            return Err(missing());
        }
        let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let run = named.or_else(|| run_of_headers(path)).ok_or_else(missing)?;
        let folder = TapeFolder { run, path: path.to_owned() };
        if folder.segments().is_empty() { Err(missing()) } else { Ok(folder) }
    }

    /// Its segments in order; reads the folder each time, because a tape may grow.
    pub fn segments(&self) -> Vec<SegmentPath> {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return Vec::new() };
        let mut segments: Vec<SegmentPath> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let id = SegmentId::from_file_name(self.run, path.file_name()?.to_str()?)?;
                Some(SegmentPath { id, path })
            })
            .collect();
        segments.sort_by_key(|segment| segment.id);
        segments
    }

    /// The `run.json` that belongs to it, where the tape lies in a data folder.
    pub fn run_folder(&self) -> Option<PathBuf> {
        Some(self.path.parent()?.parent()?.join("runs").join(self.run.as_str()))
    }
}

fn run_of_headers(folder: &Path) -> Option<RunId> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "tape"))
        .find_map(|path| Some(read_header(path)?.id.run))
}

/// A segment's header, if it is there and right.
pub(crate) fn read_header(path: &Path) -> Option<SegmentHeader> {
    use std::io::Read;
    let mut head = [0; tickerml_core::tape::HEADER_LEN];
    std::fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    SegmentHeader::decode(&head).ok()
}
