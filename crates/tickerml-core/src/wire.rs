//! Decoders: one file a venue family, all built on one byte scanner.
//!
//! A decoder turns the bytes of one frame into typed ids and [`crate::event::Row`]s. It never orders, drops or applies
//! anything: that is `sequence` and `market`.
pub mod binance;
mod binance_body;
mod binance_head;
mod binance_levels;
mod binance_plain;
mod binance_rest;
pub mod number;
pub mod scan;
mod scan_skip;
mod swar;
mod usual;

pub use binance::{Body, Channel, Decoded, DepthIds, Scale, decode};
pub use binance_head::{Head, head, stream_name};
pub use binance_rest::{depth_snapshot, exchange_info};
