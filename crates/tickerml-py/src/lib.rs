//! `tickerml._native`: conversion, GIL release and error mapping. No decisions.
//!
//! One file a concern; each has a `register` that adds its classes and functions to the module.
mod builtin;
mod errors;
mod events;
mod feed;
mod instrument;
mod orders;
mod panics;
mod rows;
mod sample;
mod session;
mod source;
mod survey;
mod tape;
mod truth;
mod venue;
mod view;

use pyo3::prelude::*;
use tickerml_core::event::{BookState, Cause};
use tickerml_core::feature::{DEPTH, FEATURE_NAMES};

/// SHA-256 as hexadecimal text: hashlib would load OpenSSL for it.
#[pyfunction]
fn sha256_hex(data: &[u8]) -> String {
    use sha2::Digest;
    tickerml_core::units::hex(&sha2::Sha256::digest(data))
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    panics::register();
    m.add("BUILD_PROFILE", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    // The hash is build.rs's.
    m.add("CODE_VERSION", concat!(env!("CARGO_PKG_VERSION"), "+", env!("TICKERML_SOURCES")))?;
    m.add("DEPTH", DEPTH)?;
    m.add("FEATURE_NAMES", FEATURE_NAMES)?;
    m.add("STATES", (0..6).filter_map(BookState::from_u8).map(BookState::name).collect::<Vec<_>>())?;
    m.add("CAUSES", Cause::ALL.map(Cause::name))?;
    m.add_function(wrap_pyfunction!(sha256_hex, m)?)?;
    builtin::register(m)?;
    events::register(m)?;
    feed::register(m)?;
    rows::register(m)?;
    sample::register(m)?;
    session::register(m)?;
    survey::register(m)?;
    tape::register(m)?;
    truth::register(m)?;
    venue::register(m)
}
