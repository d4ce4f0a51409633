//! exchangeInfo bodies: what is read is what serde_json's `Value` holds.
#![no_main]

#[path = "../../crates/tickerml-core/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check_exchange_info(input));
