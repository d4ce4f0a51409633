//! One record of a tape and the payloads that more than one program writes or reads.
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a record holds. Numbers are on disk and never reused; unknown kinds are skipped by length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum RecordKind {
    /// A WebSocket text frame, as it came.
    Frame = 1,
    /// A REST exchange: [`RestHead`] as JSON, a newline, the body as it came.
    Rest = 2,
    /// A socket opened: JSON `{"slot","url"}`.
    Connect = 3,
    /// A socket closed: JSON `{"slot","reason"}`.
    Disconnect = 4,
    /// 20 ms without a record.
    Tick = 5,
    /// The wall clock stepped: JSON `{"before_ns","after_ns","reanchored"}`.
    Clock = 6,
    /// Disk, clock, sinks or liveness changed: JSON `{"name","state","detail"}`. Pings and pongs are `{"name":"ping"|"pong"}`.
    Health = 7,
    /// An operator's command.
    Command = 8,
    /// The effective configuration, first record of a run: JSON.
    Config = 9,
    /// An instrument's metadata: [`crate::instrument::Instrument`] as JSON.
    Instrument = 10,
    /// The process started: JSON `{"epoch","code_version","clock_unsynced"}`.
    Epoch = 11,
    /// Balances and positions carried from another run: JSON.
    Carry = 12,
    /// A checkpoint that stands for the segments before it.
    Base = 13,
    /// End of the run, and so of every connection.
    Stop = 14,
    /// A model's answer; replay uses it.
    ModelOutput = 15,
}

impl RecordKind {
    /// The kind with this number; none for kinds of a newer program.
    pub const fn from_u8(n: u8) -> Option<RecordKind> {
        Some(match n {
            1 => RecordKind::Frame,
            2 => RecordKind::Rest,
            3 => RecordKind::Connect,
            4 => RecordKind::Disconnect,
            5 => RecordKind::Tick,
            6 => RecordKind::Clock,
            7 => RecordKind::Health,
            8 => RecordKind::Command,
            9 => RecordKind::Config,
            10 => RecordKind::Instrument,
            11 => RecordKind::Epoch,
            12 => RecordKind::Carry,
            13 => RecordKind::Base,
            14 => RecordKind::Stop,
            15 => RecordKind::ModelOutput,
            _ => return None,
        })
    }
}

/// A record, borrowed from a decoded block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Dense ordinal in the run, over all epochs.
    pub pos: u64,
    /// What it holds.
    pub kind: RecordKind,
    /// Connection that it came by: an index into the CONFIG record's `slots`; 0 is `/control`.
    pub slot: u16,
    /// Arrival, ns since 1970, never going back within a run.
    pub ts_recv_ns: i64,
    /// Arrival by the monotonic clock, ns.
    pub ts_mono_ns: i64,
    /// Payload.
    pub bytes: &'a [u8],
}

/// Head of a REST record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestHead {
    /// Request id, dense in the process.
    pub id: u64,
    /// `depth`, `exchange_info`, `trades`, ...
    pub what: String,
    /// Symbol asked for; empty where the request names none.
    pub symbol: String,
    /// URL as sent.
    pub url: String,
    /// When it was sent, ns since 1970.
    pub sent_ts_ns: i64,
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// Headers that matter: retry-after, x-mbx-used-weight-1m, content-type, date.
    pub headers: Vec<(String, String)>,
    /// Why no answer came; empty otherwise.
    #[serde(default)]
    pub error: String,
}

impl RestHead {
    /// The head of a depth snapshot that was answered, by nobody's URL: of recordings, which tell no more.
    pub fn depth(id: u64, symbol: &str, sent_ts_ns: i64) -> Self {
        RestHead {
            id,
            what: "depth".to_owned(),
            symbol: symbol.to_owned(),
            url: String::new(),
            sent_ts_ns,
            status: 200,
            headers: Vec::new(),
            error: String::new(),
        }
    }

    /// The record's payload: head, newline, body.
    pub fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a head holds only text and numbers");
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes
    }

    /// Splits a payload into head and body.
    ///
    /// # Errors
    /// [`Error::BadMessage`] where the first line is no head.
    pub fn decode(payload: &[u8]) -> Result<(RestHead, &[u8])> {
        let bad = |reason| Error::BadMessage { what: "REST record", offset: 0, reason };
        let end = payload.iter().position(|&b| b == b'\n').ok_or_else(|| bad("no head"))?;
        let head = serde_json::from_slice(&payload[..end]).map_err(|_| bad("head is not JSON"))?;
        Ok((head, &payload[end + 1..]))
    }
}
