//! Frames at the scales of futures, as they come and as the payload of a combined frame.
#![no_main]

#[path = "../../crates/tickerml-core/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    oracle::check_decode(input, oracle::SCALES[1]);
    oracle::check_decode(input, oracle::SCALES[3]);
    let wrapped = [b"{\"stream\":\"btcusdt@depth\",\"data\":", input, b"}"].concat();
    oracle::check_decode(&wrapped, oracle::SCALES[1]);
    oracle::check_head(&wrapped);
});
