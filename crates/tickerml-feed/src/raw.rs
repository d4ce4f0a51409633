//! A tape's frames of one instrument as lines `<recv_ns> <json>`, a depth snapshot among them: what `data import hftbacktest-raw`
//! reads, and the recorders of others write.
use crate::reader::TapeReader;
use crate::store::{StoreError, StoreResult};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tickerml_core::instrument::{Venue, parse_id};
use tickerml_core::market::Market;
use tickerml_core::tape::{Record, RecordKind, RestHead};
use tickerml_core::wire;

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
/// [`StoreError::NotFound`] where there is no tape, [`tickerml_core::error::Error::UnknownInstrument`] for a name that is none, and the system's.
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
    venue: Venue,
    symbol: String,
    /// How its streams begin: `btcusdt@`.
    stream: Vec<u8>,
    /// Which connection is whose.
    market: Market,
}

impl Lines {
    fn new(instrument: &str) -> StoreResult<Lines> {
        let (venue, symbol) = parse_id(instrument)?;
        let stream = format!("{}@", symbol.to_lowercase()).into_bytes();
        Ok(Lines { venue, symbol, stream, market: Market::new() })
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
                self.market.set_slots_from(record.bytes)?;
                Ok(None)
            }
            RecordKind::Frame if self.is_ours(record) => Ok(self.is_named(record.bytes).then_some(record.bytes)),
            RecordKind::Rest if self.is_ours(record) => {
                let (head, body) = RestHead::decode(record.bytes)?;
                let snapshot = head.what == "depth" && head.status == 200 && head.symbol == self.symbol;
                Ok(snapshot.then_some(body))
            }
            _ => Ok(None),
        }
    }

    fn is_ours(&self, record: &Record<'_>) -> bool {
        self.market.venue_of(record.slot) == Some(self.venue)
    }

    /// Whether a frame is of our instrument, in any of the forms that the engine reads.
    fn is_named(&self, frame: &[u8]) -> bool {
        if let Some(name) = wire::stream_name(frame) {
            return name.starts_with(&self.stream);
        }
        wire::head(frame).is_ok_and(|head| match head.stream {
            [] => head.symbol == self.symbol.as_bytes(),
            name => name.starts_with(&self.stream),
        })
    }
}
