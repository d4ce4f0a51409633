//! Frames at spot's scales: `decode` and `head` read what serde_json reads, or refuse with it.
#![no_main]

#[path = "../../crates/tickerml-core/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    oracle::check_decode(input, oracle::SCALES[0]);
    oracle::check_decode(input, oracle::SCALES[2]);
    oracle::check_head(input);
});
