//! The engine of TickerML without sockets, clock, threads or Python.
//!
//! One straight line, one stage a module:
//!
//! ```text
//! bytes --wire--> update --sequence--> Message --book--> Book --feature--> FeatureRow --session--> View
//!   order --sim--> Fill
//! ```
//!
//! Everything here is a function of its input: no clock is read, no random number is drawn without a seed, no hash map is
//! iterated. So the same tape gives the same digest on every machine.
#![forbid(unsafe_code)]

pub mod book;
pub mod error;
pub mod event;
pub mod event_set;
pub mod feature;
pub mod grid;
pub mod instrument;
pub mod l3;
pub mod market;
pub mod parquet;
pub mod rng;
pub mod sequence;
pub mod session;
pub mod sim;
pub mod tape;
pub mod units;
pub mod wire;
