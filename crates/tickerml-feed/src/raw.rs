//! A tape's frames of one instrument as lines `<recv_ns> <json>`, a depth snapshot among them: what `data import hftbacktest-raw`
//! reads, and the recorders of others write.
use crate::reader::TapeReader;
use crate::store::{StoreError, StoreResult};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tickerml_core::error::Error;
use tickerml_core::instrument::parse_id;
use tickerml_core::tape::{Record, RecordKind, RestHead};

/// Where a frame of a combined stream names it: at its start.
const STREAM: &[u8] = b"{\"stream\":\"";

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RawReport {
    /// Lines.
    pub rows: u64,
    /// Places of the tape that could not be read.
    pub damaged: u64,
}

/// Writes the lines of `instrument` into the file `out`, which is made anew; compressed by gzip where `gzip` says so.
///
/// # Errors
/// [`StoreError::NotFound`] where there is no tape, [`Error::UnknownInstrument`] for a name that is none, and the system's.
pub fn export_raw(tape: &Path, instrument: &str, out: &Path, gzip: bool) -> StoreResult<RawReport> {
    let fail = |e: &std::io::Error| StoreError::io("file", out, e);
    let mut lines = Lines::new(instrument)?;
    let mut reader = TapeReader::open(tape)?;
    let file = BufWriter::new(File::create(out).map_err(|e| fail(&e))?);
    let mut report = RawReport::default();
    if gzip {
        let mut sink = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        report.rows = lines.write(&mut reader, &mut sink, fail)?;
        sink.finish().and_then(|mut file| file.flush()).map_err(|e| fail(&e))?;
    } else {
        let mut sink = file;
        report.rows = lines.write(&mut reader, &mut sink, fail)?;
        sink.flush().map_err(|e| fail(&e))?;
    }
    report.damaged = reader.damaged().len() as u64;
    Ok(report)
}

/// Which records are lines.
struct Lines {
    venue: String,
    symbol: String,
    /// How its streams begin: `btcusdt@`.
    stream: Vec<u8>,
    /// By slot, whether it is of the venue.
    slots: Vec<bool>,
}

impl Lines {
    fn new(instrument: &str) -> StoreResult<Lines> {
        let (venue, symbol) = parse_id(instrument)?;
        let stream = format!("{}@", symbol.to_lowercase()).into_bytes();
        Ok(Lines { venue: venue.name().to_owned(), symbol, stream, slots: Vec::new() })
    }

    fn write(
        &mut self,
        reader: &mut TapeReader,
        sink: &mut impl Write,
        fail: impl Fn(&std::io::Error) -> StoreError,
    ) -> StoreResult<u64> {
        let mut rows = 0;
        while let Some(record) = reader.next()? {
            let Some(payload) = self.line(&record)? else { continue };
            let mut put = || -> std::io::Result<()> {
                write!(sink, "{} ", record.ts_recv_ns)?;
                // JSON has line ends only as blanks between its words.
                for (n, part) in payload.split(|&b| b == b'\n' || b == b'\r').enumerate() {
                    if n > 0 && !part.is_empty() {
                        sink.write_all(b" ")?;
                    }
                    sink.write_all(part)?;
                }
                sink.write_all(b"\n")
            };
            put().map_err(|e| fail(&e))?;
            rows += 1;
        }
        Ok(rows)
    }

    /// The text of a record that is a line.
    fn line<'a>(&mut self, record: &Record<'a>) -> StoreResult<Option<&'a [u8]>> {
        match record.kind {
            RecordKind::Config => {
                #[derive(Deserialize)]
                struct Config {
                    slots: Vec<String>,
                }
                let bad = Error::BadMessage { what: "CONFIG record", offset: 0, reason: "no slots" };
                let config: Config = serde_json::from_slice(record.bytes).map_err(|_| bad)?;
                self.slots = config.slots.iter().map(|slot| slot.split('/').next() == Some(&self.venue)).collect();
                Ok(None)
            }
            RecordKind::Frame if self.is_ours(record) => {
                let named = record.bytes.strip_prefix(STREAM).is_some_and(|rest| rest.starts_with(&self.stream));
                Ok(named.then_some(record.bytes))
            }
            RecordKind::Rest if self.is_ours(record) => {
                let (head, body) = RestHead::decode(record.bytes)?;
                let snapshot = head.what == "depth" && head.status == 200 && head.symbol == self.symbol;
                Ok(snapshot.then_some(body))
            }
            _ => Ok(None),
        }
    }

    fn is_ours(&self, record: &Record<'_>) -> bool {
        self.slots.get(usize::from(record.slot)).copied().unwrap_or_default()
    }
}
