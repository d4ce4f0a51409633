//! Tapes as files: proof, import, runs. Everything crosses as JSON: it is made once a command.
use crate::errors;
use pyo3::prelude::*;
use std::path::PathBuf;
use tickerml_core::error::Error;
use tickerml_core::tape::RecordKind;
use tickerml_feed::import::{ImportOptions, import};
use tickerml_feed::raw::export_raw;
use tickerml_feed::reader::{TapeReader, scan_tape, tape_span};
use tickerml_feed::recorder::end_damaged;
use tickerml_feed::store::{DataFolder, StoreError, find_runs};

/// The structural part of `data verify`: every checksum, recorded length and hash of the tape in the folder `path`.
///
/// Returns JSON: run, pruned, segments, blocks, records, cut_bytes, missing_records, file_bytes, first_ts_recv_ns,
/// last_ts_recv_ns, damaged[{segment offset bytes reason}], unchecked[].
#[pyfunction]
#[pyo3(name = "tape_scan")]
fn tape_scan_py(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let scan = py.detach(|| scan_tape(&path)).map_err(errors::store)?;
    Ok(serde_json::json!(scan).to_string())
}

/// Stamps of the first and the last record of the tape in the folder `path`, ns; None for an empty one.
#[pyfunction]
#[pyo3(name = "tape_span")]
fn tape_span_py(py: Python<'_>, path: PathBuf) -> PyResult<Option<(i64, i64)>> {
    py.detach(|| tape_span(&path)).map_err(errors::store)
}

/// Imports recordings as one tape. `opts_json` holds data_dir, now_ns, chance, code_version and, where they are known,
/// tick, lot, min_notional, segment_bytes, config.
///
/// Returns JSON: run, tape, instrument, frames, bytes, snapshots, first_ts_recv_ns, last_ts_recv_ns, rejected,
/// rejected_count, recv_backward.
#[pyfunction]
#[pyo3(name = "tape_import")]
fn tape_import_py(
    py: Python<'_>,
    format: &str,
    files: Vec<PathBuf>,
    instrument: &str,
    opts_json: &str,
) -> PyResult<String> {
    let options: ImportOptions = serde_json::from_str(opts_json)
        .map_err(|e| errors::core(Error::BadSetting { key: "import options".to_owned(), reason: e.to_string() }))?;
    let work = || import(format.parse()?, &files, instrument, &options);
    let report = py.detach(work).map_err(|error: StoreError| errors::store(error))?;
    Ok(serde_json::json!(report).to_string())
}

/// Writes a tape's frames and depth snapshots of one instrument as lines into the file `out`.
///
/// Returns JSON: rows, damaged.
#[pyfunction]
#[pyo3(name = "tape_raw")]
fn tape_raw_py(py: Python<'_>, path: PathBuf, instrument: &str, out: PathBuf, gzip: bool) -> PyResult<String> {
    let report = py.detach(|| export_raw(&path, instrument, &out, gzip)).map_err(errors::store)?;
    Ok(serde_json::json!(report).to_string())
}

/// Ends a run that was left behind with a damaged tape: what an engine reads of it from the record `from_pos` on, and
/// whether it holds the first `records` records. `now_ns` becomes its end.
///
/// Returns JSON, which `run.json` then has as `damaged`: segment, offset, bytes, reason; None for a tape that is whole.
#[pyfunction]
#[pyo3(name = "end_damaged", signature = (data_dir, run, *, from_pos, records, now_ns))]
fn end_damaged_py(
    py: Python<'_>,
    data_dir: PathBuf,
    run: &str,
    from_pos: u64,
    records: u64,
    now_ns: i64,
) -> PyResult<Option<String>> {
    let run = run.parse().map_err(errors::core)?;
    let found = py.detach(|| end_damaged(&data_dir, run, from_pos, records, now_ns)).map_err(errors::store)?;
    Ok(found.map(|damage| serde_json::json!(damage).to_string()))
}

/// Every run of a data folder, oldest first: the JSON list of their `run.json`.
#[pyfunction]
#[pyo3(name = "find_runs")]
fn find_runs_py(py: Python<'_>, data_dir: PathBuf) -> String {
    py.detach(|| serde_json::json!(find_runs(&DataFolder::new(data_dir))).to_string())
}

/// The CONFIG record of the tape in the folder `path`, as JSON text.
#[pyfunction]
fn tape_config(path: PathBuf) -> PyResult<String> {
    let mut reader = TapeReader::open(&path).map_err(errors::store)?;
    while let Some(record) = reader.next().map_err(errors::store)? {
        if record.kind == RecordKind::Config {
            return match serde_json::from_slice::<serde_json::Value>(record.bytes) {
                Ok(config) => Ok(config.to_string()),
                Err(e) => Err(errors::unsound(&format!("{}: CONFIG record: {e}", path.display()))),
            };
        }
    }
    Err(errors::unsound(&match reader.damaged().first() {
        Some(d) => format!("{} at byte {}: {}; no CONFIG record is left", d.segment, d.offset, d.reason),
        None => format!("{}: no CONFIG record: not a tape of a run", path.display()),
    }))
}

/// Whether a tape holds the record `pos`.
#[pyfunction]
fn tape_has(path: PathBuf, pos: u64) -> PyResult<bool> {
    let mut reader = TapeReader::open_at(&path, pos).map_err(errors::store)?;
    Ok(reader.next().map_err(errors::store)?.is_some_and(|record| record.pos == pos))
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(tape_scan_py, m)?)?;
    m.add_function(wrap_pyfunction!(tape_span_py, m)?)?;
    m.add_function(wrap_pyfunction!(tape_import_py, m)?)?;
    m.add_function(wrap_pyfunction!(tape_raw_py, m)?)?;
    m.add_function(wrap_pyfunction!(end_damaged_py, m)?)?;
    m.add_function(wrap_pyfunction!(find_runs_py, m)?)?;
    m.add_function(wrap_pyfunction!(tape_config, m)?)?;
    m.add_function(wrap_pyfunction!(tape_has, m)?)
}
