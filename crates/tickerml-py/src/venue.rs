//! `Venue`: the exchange on loopback, served from a Rust thread of its own; `RawLines`: its frames without one.
use crate::errors;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::Mutex;
use std::time::Duration;
use tickerml_venue::config::Config;
use tickerml_venue::raw;
use tickerml_venue::server::Server;

/// Longest single wait, seconds: a day. Keeps a float from Python inside what a duration can hold.
const WAIT_S_MAX: f64 = 86_400.0;

/// An exchange on 127.0.0.1: generated order flow, or a recording. `config_json` is described in `tickerml_venue::config`.
#[pyclass(frozen, module = "tickerml._native")]
struct Venue {
    config: Config,
    server: Mutex<Option<Server>>,
}

#[pymethods]
impl Venue {
    #[new]
    fn new(config_json: &str) -> PyResult<Venue> {
        let config = Config::from_json(config_json).map_err(errors::venue)?;
        Ok(Venue { config, server: Mutex::new(None) })
    }

    /// Starts serving; returns JSON with `ws_url`, `rest_url` and `control_url`.
    fn start(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| {
            let mut slot = self.server.lock().unwrap_or_else(|e| e.into_inner());
            if slot.is_some() {
                return Err(PyRuntimeError::new_err("the venue serves already"));
            }
            let server = Server::start(&self.config).map_err(errors::venue)?;
            let urls = serde_json::to_string(&server.urls()).map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
            *slot = Some(server);
            Ok(urls)
        })
    }

    /// Waits at most `timeout_s` seconds; true once the recording has ended or the venue has been told to stop.
    fn wait(&self, py: Python<'_>, timeout_s: f64) -> bool {
        let seconds = if timeout_s.is_finite() { timeout_s.clamp(0.0, WAIT_S_MAX) } else { 0.0 };
        py.detach(|| {
            let waiter = self.server.lock().unwrap_or_else(|e| e.into_inner()).as_ref().map(Server::waiter);
            waiter.is_none_or(|w| w.wait(Duration::from_secs_f64(seconds)))
        })
    }

    /// Stops serving and waits for the thread; harmless when it does not serve.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| {
            let server = self.server.lock().unwrap_or_else(|e| e.into_inner()).take();
            drop(server);
        });
    }
}

/// A generated market's frames as lines of a recording, in virtual time: an iterator over chunks of text. `config_json` is that
/// of `Venue`; `instrument` is needed where it names several.
#[pyclass(module = "tickerml._native")]
struct RawLines {
    lines: raw::RawLines,
}

#[pymethods]
impl RawLines {
    #[new]
    #[pyo3(signature = (config_json, instrument, duration_ns))]
    fn new(py: Python<'_>, config_json: &str, instrument: Option<&str>, duration_ns: i64) -> PyResult<RawLines> {
        let config = Config::from_json(config_json).map_err(errors::venue)?;
        let lines = py.detach(|| raw::RawLines::open(&config, instrument, duration_ns)).map_err(errors::venue)?;
        Ok(RawLines { lines })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.lines.next())
    }

    /// Lines so far.
    #[getter]
    fn frames(&self) -> u64 {
        self.lines.lines()
    }

    /// Stamp of the last line, ns.
    #[getter]
    fn last_ts_recv_ns(&self) -> i64 {
        self.lines.last_recv_ns()
    }
}

/// Adds both to the module.
///
/// # Errors
/// Those of Python while the classes are made.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<RawLines>()?;
    m.add_class::<Venue>()
}
