//! Sockets, snapshots, the recorder and the wall clock: everything of TickerML that touches the world.
//!
//! The centre is [`supervisor::Supervisor`], a state machine without I/O: it is told what happened (a socket opened, a
//! frame came, a REST answer, time passed) and answers with [`supervisor::Action`]s. Time, randomness, transport and tape
//! are its parameters, so that thousands of seeded faults run in virtual time. [`feed::Feed`] is the thin shell that gives
//! it real sockets on one thread.
//!
//! ```text
//! socket --stamp--> tape (FRAME) --> supervisor (sequence, liveness, budgets) --> actions: open, ping, close, request
//! ```
// One call of the system has no safe wrapper: `clock::kernel`.
#![deny(unsafe_code)]

pub mod backoff;
pub mod budget;
pub mod clock;
pub mod config;
pub mod event_file;
pub mod feed;
pub mod import;
pub mod liveness;
pub mod raw;
pub mod reader;
pub mod recorder;
pub mod recording;
pub mod rest;
pub mod shell;
pub mod stats;
pub mod store;
pub mod supervisor;
pub mod tape_port;
pub mod track;
