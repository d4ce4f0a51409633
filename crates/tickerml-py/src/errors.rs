//! One door for errors: the enums of core, feed and venue become the exceptions of `tickerml.errors`, which carry the exit codes.
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tickerml_core::error::Error;
use tickerml_feed::store::StoreError;

/// Raises a class of `tickerml.errors` with this text.
fn raise(class: &str, text: &str) -> PyErr {
    Python::attach(|py| {
        let made = py.import("tickerml.errors").and_then(|m| m.getattr(class)).and_then(|class_| match class {
            "ConfigError" => class_.call1(([text],)),
            _ => class_.call1((text,)),
        });
        made.map_or_else(|_| PyRuntimeError::new_err(text.to_owned()), PyErr::from_value)
    })
}

/// An error of core.
pub fn core(error: Error) -> PyErr {
    let class = match &error {
        Error::BadSetting { .. } => "ConfigError",
        Error::UnknownInstrument(_) => "NotFoundError",
        Error::Unreadable(_) => "TickerError",
        _ => "UnsoundDataError",
    };
    raise(class, &error.to_string())
}

/// An error of feed's files.
pub fn store(error: StoreError) -> PyErr {
    let class = match &error {
        StoreError::NotFound { .. } => "NotFoundError",
        StoreError::NothingImported { .. } => "UnsoundDataError",
        StoreError::Core(_) => match error {
            StoreError::Core(error) => return core(error),
            _ => "TickerError",
        },
        _ => "TickerError",
    };
    raise(class, &error.to_string())
}

/// An error of the venue on loopback.
pub fn venue(error: tickerml_venue::error::Error) -> PyErr {
    use tickerml_venue::error::Error;
    let class = match &error {
        Error::BadConfig { .. } => "ConfigError",
        Error::BadRecording { .. } => "UnsoundDataError",
        _ => "TickerError",
    };
    raise(class, &error.to_string())
}

/// A dependency that failed.
pub fn failure(text: &str) -> PyErr {
    raise("TickerError", text)
}

/// Data that cannot be trusted.
pub fn unsound(text: &str) -> PyErr {
    raise("UnsoundDataError", text)
}

/// Something that does not exist.
pub fn not_found(text: &str) -> PyErr {
    raise("NotFoundError", text)
}
