//! An exchange on loopback: price-time matching with true queues, generated order flow, Binance's wire dialects, faults.
//!
//! ```text
//! rng -> flow -> engine -> listing -> market --frames--> faults::link --> server (WebSocket)
//!                            |  history (the truth at any update id)
//!                            '------------------ body --> faults::desk --> server (REST)
//! ```
//!
//! Everything but [`server`] is a function of its seed and of the time that it is given. Serve it, or drive it in virtual time:
//!
//! ```
//! use tickerml_venue::{config::Config, server::Server};
//! let server = Server::start(&Config::from_json(r#"{"seed":7}"#)?)?;
//! assert!(server.urls().control_url.starts_with("http://127.0.0.1:"));
//! server.stop();
//! # Ok::<(), tickerml_venue::error::Error>(())
//! ```
//! ([`market`] has the other example.)
//!
//! # How the flow compares with recordings
//!
//! BTCUSDT, ten generated minutes in the calm regime against recorded minutes of August 2024 (a lively day); printed by
//! `cargo run -p tickerml-venue --example statistics -- RECORDING...`. Quantiles are 10, 50 and 90 %.
//!
//! | | spot, generated | spot, recorded | USD-M, generated | USD-M, recorded |
//! |---|---|---|---|---|
//! | diffs a second | 10.0 | 10.0 | 19.2 | 19.0 |
//! | bookTickers a second | 122 | 112 to 148 | 186 | 192 |
//! | trades a second | 29 | 31 | 65 | 62 |
//! | levels a diff, quantiles | 12, 20, 94 | 7, 22, 104 | 18, 28, 89 | 16, 34, 142 |
//! | levels a diff, mean | 44 | 46 | 56 | 68 |
//! | deletes, % of levels | 49 | 48 | 24 | 22 |
//! | spread of one tick, % of bookTickers | 99 | 97 | 98 | 94 |
//! | moves of the touch a second | 8.0 | 10.1 | 6.4 | 5.9 |
//! | one-second moves, basis points (standard deviation) | 1.3 | 1.2 | 1.25 | 1.24 |
//! | distance of a change from the touch, ticks, median | 2,240 | 2,590 | 404 | 403 |
//! | trade size, median | 0.0008 | 0.0007 | 0.016 | 0.016 |
//!
//! What it does not have: a book thicker than 900 prices a side (recorded ones go on for thousands), messages above about 700
//! levels (recorded 1,226), trades that come in the venue's microsecond bursts, and takers who know anything.
#![forbid(unsafe_code)]

pub mod config;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod faults;
pub mod flow;
pub mod history;
pub mod listing;
pub mod market;
pub mod raw;
pub mod recording;
pub mod server;
pub mod stream;
pub mod text;
pub mod truth;

pub use tickerml_core::rng;
