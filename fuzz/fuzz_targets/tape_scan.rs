//! Segments: any bytes, any payload of a block, and a sound segment with one bit flipped.
#![no_main]

#[path = "../../crates/tickerml-core/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check_tape(input));
