//! REST snapshots: read as serde_json reads them, or refused with it.
#![no_main]

#[path = "../../crates/tickerml-core/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check_snapshot(input));
