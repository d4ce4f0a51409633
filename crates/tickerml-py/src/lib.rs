//! `tickerml._native`: conversion, GIL release and error mapping. No decisions.
use pyo3::prelude::*;

#[pymodule]
mod _native {}
