//! An exchange on loopback: price-time matching with true queues, generated order flow, Binance's wire dialects, faults.
//!
//! ```text
//! rng -> flow -> engine -> listing -> market --frames--> faults::link --> server (WebSocket)
//!                            |  history (the truth at any update id)
//!                            '------------------ body --> faults::desk --> server (REST)
//! ```
//!
//! Everything but [`server`] is a function of its seed and of the time that it is given.
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
pub mod recording;
pub mod rng;
pub mod server;
pub mod stream;
pub mod text;
