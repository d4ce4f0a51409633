//! `run.json`: what a run is, whether it has ended, and how its last segment must look.
use super::disk::sync_folder;
use super::error::{StoreError, StoreResult};
use super::folder::DataFolder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Write as _;
use std::path::Path;
use tickerml_core::tape::RunId;

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Being written, or left behind by a killed process: it can be resumed.
    #[default]
    Running,
    /// Ended by STOP or by the end of an import.
    Ended,
}

/// Length and hash of a run's last segment, written at STOP: from then on any mismatch is damage (rules.md 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSegment {
    /// Epoch.
    pub epoch: u32,
    /// Segment in the epoch.
    pub segment: u32,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
}

impl LastSegment {
    /// The hash as bytes; none where the text is no hash.
    pub fn hash(&self) -> Option<[u8; 32]> {
        let digits = self.sha256.as_bytes();
        let mut out = [0; 32];
        if digits.len() != 64 || !self.sha256.is_ascii() {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(self.sha256.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(out)
    }
}

/// `DATA/runs/<run>/run.json`. Keys that this program does not know are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run's name.
    pub run: String,
    /// `run`, `collect` or `import`.
    pub command: String,
    /// `venue`, `loopback` or `import`.
    pub source: String,
    /// Whether it goes on.
    #[serde(default)]
    pub state: RunState,
    /// When it began, ns since 1970.
    #[serde(default)]
    pub created_ts_ns: i64,
    /// When it ended, ns since 1970; none while it goes on.
    #[serde(default)]
    pub ended_ts_ns: Option<i64>,
    /// Hash of the effective configuration.
    #[serde(default)]
    pub config_hash: String,
    /// Version of the program that began it.
    #[serde(default)]
    pub code_version: String,
    /// Policy by name; empty for none.
    #[serde(default)]
    pub policy: String,
    /// Starts of the process so far.
    #[serde(default)]
    pub epochs: u32,
    /// Stamp of the last record, at the end.
    #[serde(default)]
    pub last_ts_ns: Option<i64>,
    /// Records on the tape, at the end.
    #[serde(default)]
    pub records: u64,
    /// The last segment, at the end.
    #[serde(default)]
    pub segment_last: Option<LastSegment>,
    /// Whether retention has removed the tape or its first segments.
    #[serde(default)]
    pub pruned: bool,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl RunInfo {
    /// Reads `run.json` in a run's folder.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, [`StoreError::Io`] where it is not what it should be.
    pub fn read(folder: &Path) -> StoreResult<RunInfo> {
        let path = folder.join("run.json");
        let bytes = std::fs::read(&path).map_err(|e| StoreError::io("run", &path, &e))?;
        serde_json::from_slice(&bytes).map_err(|e| StoreError::Io { what: "run.json", path, reason: e.to_string() })
    }

    /// Writes `run.json` whole or not at all: temporary file, fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> StoreResult<()> {
        let (path, draft) = (folder.join("run.json"), folder.join("run.json.tmp"));
        let text = serde_json::to_vec_pretty(self).expect("a run's info holds only text and numbers");
        let put = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = std::fs::File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            sync_folder(&path)?;
            // The run's folder may be new, and `runs/` with it.
            sync_folder(folder)
        };
        put().map_err(|e| StoreError::io("run.json", &path, &e))
    }

    /// Whether `run` and `collect` may go on with it: the same command, configuration, code and policy (rules.md 3).
    pub fn matches(&self, other: &RunInfo) -> bool {
        let key = |i: &RunInfo| (i.command.clone(), i.config_hash.clone(), i.code_version.clone(), i.policy.clone());
        key(self) == key(other)
    }
}

/// Every run of a data folder that has a readable `run.json`, oldest first.
pub fn find_runs(data: &DataFolder) -> Vec<RunInfo> {
    data.runs().into_iter().filter_map(|run| RunInfo::read(&data.run(run)).ok()).collect()
}

/// The newest run that has not ended and that `wanted` may go on with.
pub fn newest_unfinished(data: &DataFolder, wanted: &RunInfo) -> Option<RunInfo> {
    find_runs(data).into_iter().rev().find(|info| info.state == RunState::Running && info.matches(wanted))
}

/// Removes the tapes of the oldest ended runs until all tapes together have at most `bytes_max` bytes, and says which. When
/// those do not suffice, recordings that were left behind unfinished go too: a changed configuration never resumes them.
/// `keep`, the run being written, is never touched; an unfinished run of an engine is not either.
///
/// # Errors
/// The system's.
pub fn prune(data: &DataFolder, bytes_max: u64, keep: RunId) -> StoreResult<Vec<RunId>> {
    let known = |run| Some((run, tape_bytes(&data.tape(run)), RunInfo::read(&data.run(run)).ok()?));
    let mut total: u64 = data.runs().into_iter().map(|run| tape_bytes(&data.tape(run))).sum();
    let mut removed = Vec::new();
    let mut runs: Vec<(RunId, u64, RunInfo)> = data.runs().into_iter().filter_map(known).collect();
    runs.retain(|(run, bytes, info)| {
        *run != keep && *bytes > 0 && (info.state == RunState::Ended || info.command == "collect")
    });
    runs.sort_by_key(|(_, _, info)| info.state != RunState::Ended);
    for (run, bytes, mut info) in runs {
        if total <= bytes_max {
            break;
        }
        info.pruned = true;
        info.state = RunState::Ended;
        info.write(&data.run(run))?;
        let tape = data.tape(run);
        std::fs::remove_dir_all(&tape).map_err(|e| StoreError::io("retention", &tape, &e))?;
        total -= bytes;
        removed.push(run);
    }
    Ok(removed)
}

/// Bytes of the files in a tape's folder.
pub fn tape_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(data: &DataFolder, second: i64, state: RunState, bytes: usize) -> RunId {
        put_run(data, second, "collect", state, bytes)
    }

    fn put_run(data: &DataFolder, second: i64, command: &str, state: RunState, bytes: usize) -> RunId {
        let run = RunId::new(second * 1_000_000_000, 0);
        let info = RunInfo { run: run.to_string(), command: command.into(), state, ..RunInfo::default() };
        info.write(&data.run(run)).unwrap();
        std::fs::create_dir_all(data.tape(run)).unwrap();
        std::fs::write(data.tape(run).join("0000-000000.tape"), vec![0; bytes]).unwrap();
        run
    }

    #[test]
    fn unknown_keys_survive_and_the_newest_unfinished_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(folder.path());
        let first = put(&data, 1, RunState::Running, 1);
        let second = put(&data, 2, RunState::Running, 1);
        put(&data, 3, RunState::Ended, 1);
        let mut info = RunInfo::read(&data.run(first)).unwrap();
        info.other.insert("digest".into(), "ab".into());
        info.write(&data.run(first)).unwrap();
        assert_eq!(RunInfo::read(&data.run(first)).unwrap(), info);
        let wanted = RunInfo { command: "collect".into(), ..RunInfo::default() };
        assert_eq!(newest_unfinished(&data, &wanted).unwrap().run, second.to_string());
        assert_eq!(newest_unfinished(&data, &RunInfo { command: "run".into(), ..wanted }), None);
    }

    #[test]
    fn retention_removes_the_oldest_ended_tapes_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(folder.path());
        let runs: Vec<RunId> = [RunState::Ended, RunState::Running, RunState::Ended, RunState::Ended]
            .into_iter()
            .enumerate()
            .map(|(n, state)| put(&data, n as i64, state, 1000))
            .collect();
        assert_eq!(prune(&data, 2500, runs[3]).unwrap(), [runs[0], runs[2]]);
        assert!(!data.tape(runs[0]).exists() && data.tape(runs[1]).exists() && data.tape(runs[3]).exists());
        assert!(RunInfo::read(&data.run(runs[0])).unwrap().pruned);
        let engine = put_run(&data, 9, "run", RunState::Running, 1000);
        assert_eq!(prune(&data, 0, runs[3]).unwrap(), [runs[1]], "a recording that nobody goes on with");
        assert_eq!(RunInfo::read(&data.run(runs[1])).unwrap().state, RunState::Ended);
        assert!(data.tape(engine).exists(), "an engine's run is gone on with; the one being written stays too");
    }

    #[test]
    fn hashes_read_back() {
        let last = LastSegment { epoch: 0, segment: 0, length: 1, sha256: tickerml_core::units::hex(&[0xab; 32]) };
        assert_eq!(last.hash(), Some([0xab; 32]));
        assert_eq!(LastSegment { sha256: "zz".into(), ..last }.hash(), None);
    }
}
