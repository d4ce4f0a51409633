//! `Feed`: sockets and recorder on Rust threads of their own.
use crate::errors;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tickerml_core::error::Error;
use tickerml_feed::config::FeedConfig;
use tickerml_feed::recorder::EngineTail;
use tickerml_feed::recording::Recording;

/// Longest single wait, seconds: a day. Keeps a float from Python inside what a duration can hold.
const WAIT_S_MAX: f64 = 86_400.0;

/// Records venues into a data folder. `config_json` is described in `tickerml_feed::config::FeedConfig`.
#[pyclass(frozen, module = "tickerml._native")]
pub struct Feed {
    config: FeedConfig,
    recording: Mutex<Option<Recording>>,
}

impl Feed {
    /// The engine's end of the tape; once after `start`, and never for `collect`.
    pub fn take_tail(&self) -> Option<EngineTail> {
        self.recording().as_mut().and_then(Recording::take_tail)
    }

    /// Whether its thread has ended; what it could not hand over is then handed over as far as the disk takes it.
    pub fn ended(&self) -> bool {
        self.recording().as_mut().is_some_and(Recording::feed_ended)
    }

    /// Why recording cannot go on.
    pub fn failed(&self) -> Option<String> {
        self.recording().as_ref().and_then(Recording::error)
    }

    /// Why the engine cannot begin: venues that were never reached.
    pub fn unreachable(&self) -> Option<String> {
        let texts = self.recording().as_ref()?.stats().unreachable;
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    fn recording(&self) -> MutexGuard<'_, Option<Recording>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, py: Python<'_>, use_it: impl FnOnce(&mut Recording) -> R + Send) -> PyResult<R>
    where
        R: Send,
    {
        py.detach(|| self.recording().as_mut().map(use_it))
            .ok_or_else(|| PyRuntimeError::new_err("the feed has not been started"))
    }
}

#[pymethods]
impl Feed {
    #[new]
    fn new(config_json: &str) -> PyResult<Feed> {
        let config = FeedConfig::from_json(config_json).map_err(setting)?;
        config.plan().map_err(setting)?;
        Ok(Feed { config, recording: Mutex::new(None) })
    }

    /// Takes the data folder's lock and starts recording; returns the run's name.
    fn start(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| {
            let mut slot = self.recording();
            if slot.is_some() {
                return Err(PyRuntimeError::new_err("the feed was started already"));
            }
            let recording = Recording::start(&self.config).map_err(errors::store)?;
            let run = recording.run().to_string();
            *slot = Some(recording);
            Ok(run)
        })
    }

    /// Asks for the end of the run: sockets close and STOP ends the tape. `join` waits for it.
    fn stop(&self, py: Python<'_>, reason: &str) -> PyResult<()> {
        self.with(py, |r| r.stop(reason))
    }

    /// Asks for the end of the recording but not of the run: no STOP is written and the same command goes on with it.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Recording::leave)
    }

    /// Waits at most `timeout_s` seconds until the feed has ended and its tape is on disk; the run is ended by `join`.
    fn settle(&self, py: Python<'_>, timeout_s: f64) -> PyResult<bool> {
        self.with(py, |r| r.settle(seconds(timeout_s)))
    }

    /// Waits at most `timeout_s` seconds for the end; true when the tape is closed.
    fn join(&self, py: Python<'_>, timeout_s: f64) -> PyResult<bool> {
        self.with(py, |r| r.join(seconds(timeout_s)))?.map_err(errors::store)
    }

    /// JSON: counts, streams with their ages, books, tape lag and the last errors, at most a quarter second old.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        let (stats, run, epoch, cut) = self.with(py, |r| (r.stats(), r.run(), r.epoch(), r.cut_bytes()))?;
        let mut value = serde_json::to_value(stats).map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
        value["run"] = run.as_str().into();
        value["epoch"] = epoch.into();
        value["cut_bytes"] = cut.into();
        Ok(value.to_string())
    }

    /// Hands a record to the feed: `kind` is `command`, `health` or `model_output` with JSON, or `resync` with an instrument.
    fn command(&self, py: Python<'_>, kind: &str, json: &str) -> PyResult<()> {
        self.with(py, |r| r.command(kind, json))?.map_err(PyRuntimeError::new_err)
    }

    /// Why recording cannot go on, or None. The feed still has to be stopped.
    #[getter]
    fn error(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(py.detach(|| self.failed()))
    }

    /// The run's name, once it is started.
    #[getter]
    fn run(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.recording().as_ref().map(|r| r.run().to_string()))
    }
}

fn seconds(timeout_s: f64) -> Duration {
    Duration::from_secs_f64(if timeout_s.is_finite() { timeout_s.clamp(0.0, WAIT_S_MAX) } else { 0.0 })
}

/// A mistake in what is to be recorded.
fn setting(reason: String) -> PyErr {
    errors::core(Error::BadSetting { key: "exchanges_config.yaml".to_owned(), reason })
}

/// Adds `Feed` to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Feed>()
}
