//! Turns recordings of other programs into a tape: one pass, bounded memory.
//!
//! ```text
//! FILE --lines--> (stamp, payload) --merge--> one order --check--> frames and snapshots --spool--> blocks --> tape
//!                                                         \--infer--> tick and lot -> INSTRUMENT, before everything else
//! ```
mod draft;
mod infer;
mod lines;
mod merge;
mod spool;
mod steps;

use crate::recorder::{Resume, SEGMENT_BYTES, SegmentWriter, WriterConfig};
use crate::store::{DataFolder, Disk, RunInfo, RunState, StoreError, StoreResult};
use draft::Draft;
use infer::{Checker, Content};
use merge::{Item, Merge};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spool::Spool;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tickerml_core::error::Error;
use tickerml_core::instrument::{Instrument, MetadataSource, parse_id};
use tickerml_core::tape::{RecordKind, RestHead, RunId};
use tickerml_core::units::parse_money;

/// Most lines that the report names one by one; the rest is counted.
const REJECTED_MAX: usize = 1000;

/// Records before the first of the recording: EPOCH, CONFIG, INSTRUMENT, CONNECT.
const HEAD_RECORDS: u64 = 4;

const SLOT_FEED: u16 = 1;
const SLOT_REST: u16 = 2;

/// How a recording is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<recv_ns or recv_us> <json>` lines, gzip or not; a REST snapshot is a line without `"stream"`.
    HftbacktestRaw,
    /// `{"recv_ts_ns": .., "payload": ".."}` lines, gzip or not.
    Jsonl,
}

impl FromStr for Format {
    type Err = StoreError;

    fn from_str(name: &str) -> StoreResult<Format> {
        match name {
            "hftbacktest-raw" => Ok(Format::HftbacktestRaw),
            "jsonl" => Ok(Format::Jsonl),
            _ => {
                let reason = format!("{name:?} is not hftbacktest-raw or jsonl");
                Err(Error::BadSetting { key: "format".to_owned(), reason }.into())
            }
        }
    }
}

/// What an import needs beside the files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Data folder.
    pub data_dir: PathBuf,
    /// Now, ns since 1970: names the run.
    pub now_ns: i64,
    /// Chance, for the run's name.
    pub chance: u16,
    /// Version of the program.
    pub code_version: String,
    /// Price step as decimal text; inferred where none is given.
    pub tick: Option<String>,
    /// Quantity step as decimal text; inferred where none is given.
    pub lot: Option<String>,
    /// Smallest notional as decimal text.
    pub min_notional: Option<String>,
    /// Size of a segment; 0 for the default.
    pub segment_bytes: u64,
    /// More keys of the CONFIG record: `settings`, `policy`, `config_hash`, ...
    pub config: Map<String, Value>,
}

impl ImportOptions {
    /// Refuses an amount that is none before hours of recordings are read.
    fn check(&self) -> StoreResult<()> {
        let Some(text) = &self.min_notional else { return Ok(()) };
        match parse_money(text) {
            Ok(amount) if amount >= 0 => Ok(()),
            _ => {
                let reason = format!("{text:?} is no amount: a decimal from 0 on with at most 8 places, like 10");
                Err(Error::BadSetting { key: "min_notional".to_owned(), reason }.into())
            }
        }
    }
}

/// A line that is not in the tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What an import did: the keys of `data import` that belong to the tape (contract.md).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImportReport {
    /// The new run.
    pub run: String,
    /// Folder of its tape.
    pub tape: String,
    /// The instrument with its metadata.
    pub instrument: Option<Instrument>,
    /// Frames on the tape.
    pub frames: u64,
    /// Bytes of raw payload, snapshots included.
    pub bytes: u64,
    /// REST snapshots on the tape.
    pub snapshots: u64,
    /// Stamp of the first line.
    pub first_ts_recv_ns: Option<i64>,
    /// Stamp of the last line.
    pub last_ts_recv_ns: Option<i64>,
    /// The first lines that were rejected.
    pub rejected: Vec<Rejected>,
    /// All lines that were rejected.
    pub rejected_count: u64,
    /// Stamps that went back and were raised to the one before.
    pub recv_backward: u64,
}

/// Imports `files` as one tape of `instrument` (`venue:SYMBOL`), merged by stamp, ties in the order given.
///
/// # Errors
/// [`StoreError::NotFound`] for a missing file, [`StoreError::NothingImported`] where no line was accepted or tick and lot
/// can neither be inferred nor were given. Nothing is left behind after an error.
pub fn import(
    format: Format,
    files: &[PathBuf],
    instrument: &str,
    options: &ImportOptions,
) -> StoreResult<ImportReport> {
    let (venue, symbol) = parse_id(instrument)?;
    options.check()?;
    let merge = Merge::open(format, files)?;
    let run = RunId::new(options.now_ns, options.chance);
    let data = DataFolder::new(&options.data_dir);
    let draft = Draft::begin(&data, run)?;
    let job = Import { options, venue_name: venue.name(), symbol: &symbol, report: ImportReport::default() };
    job.run(merge, venue, run, &data, draft.path())
}

struct Import<'a> {
    options: &'a ImportOptions,
    venue_name: &'static str,
    symbol: &'a str,
    report: ImportReport,
}

impl Import<'_> {
    fn run(
        mut self,
        mut merge: Merge,
        venue: tickerml_core::instrument::Venue,
        run: RunId,
        data: &DataFolder,
        draft: &Path,
    ) -> StoreResult<ImportReport> {
        let mut spool = Spool::new(&draft.join("spool.tmp"), HEAD_RECORDS)?;
        let mut checker = Checker::new(venue, self.symbol);
        while let Some(item) = merge.next()? {
            self.take(&item, &mut checker, &mut spool)?;
        }
        self.report.recv_backward = merge.backward();
        for rejected in merge.rejected() {
            self.reject(rejected);
        }
        let instrument = self.instrument(venue, &checker)?;
        self.write_tape(run, draft, &instrument, spool)?;
        let tape = data.tape(run);
        std::fs::rename(draft, &tape).map_err(|e| StoreError::io("tape", &tape, &e))?;
        self.report.run = run.to_string();
        self.report.tape = tape.display().to_string();
        self.report.instrument = Some(instrument);
        let info = data.run(run);
        std::fs::rename(tape.join("run.json"), info.join("run.json")).map_err(|e| StoreError::io("run", &info, &e))?;
        Ok(self.report)
    }

    /// Puts one line on the tape, or says why not.
    fn take(&mut self, item: &Item<'_>, checker: &mut Checker, spool: &mut Spool) -> StoreResult<()> {
        match checker.check(item.payload) {
            Ok(Content::Frame) => {
                spool.push(RecordKind::Frame, SLOT_FEED, item.ts_ns, item.payload)?;
                self.report.frames += 1;
            }
            Ok(Content::Snapshot) => {
                let rest = self.rest_record(item);
                spool.push(RecordKind::Rest, SLOT_REST, item.ts_ns, &rest)?;
                self.report.snapshots += 1;
            }
            Err(reason) => {
                self.reject(Rejected { file: item.file.to_owned(), line: item.line, reason });
                return Ok(());
            }
        }
        self.report.bytes += item.payload.len() as u64;
        self.report.first_ts_recv_ns.get_or_insert(item.ts_ns);
        self.report.last_ts_recv_ns = Some(item.ts_ns);
        Ok(())
    }

    fn rest_record(&self, item: &Item<'_>) -> Vec<u8> {
        RestHead::depth(self.report.snapshots, self.symbol, item.ts_ns).encode(item.payload)
    }

    fn reject(&mut self, rejected: Rejected) {
        self.report.rejected_count += 1;
        if self.report.rejected.len() < REJECTED_MAX {
            self.report.rejected.push(rejected);
        }
    }

    fn instrument(&self, venue: tickerml_core::instrument::Venue, checker: &Checker) -> StoreResult<Instrument> {
        if self.report.frames + self.report.snapshots == 0 || checker.is_of_another_venue() {
            let first = self.report.rejected.first();
            let reason = first.map_or("no lines".to_owned(), |r| format!("{}:{}: {}", r.file, r.line, r.reason));
            return Err(StoreError::NothingImported { reason });
        }
        let step = |given: &Option<String>, inferred: Option<String>, name: &str| {
            given.clone().or(inferred).ok_or_else(|| StoreError::NothingImported {
                reason: format!("no depth, trade or bookTicker to infer the {name} from: give --{name}"),
            })
        };
        let options = self.options;
        let source = match (&options.tick, &options.lot) {
            (Some(_), Some(_)) => MetadataSource::Given,
            _ => MetadataSource::Inferred,
        };
        let tick = step(&options.tick, checker.tick(), "tick")?;
        let lot = step(&options.lot, checker.lot(), "lot")?;
        let mut instrument = Instrument::from_steps(venue, self.symbol, &tick, &lot, source)?;
        if let Some(least) = &options.min_notional {
            instrument.min_notional.clone_from(least);
        }
        Ok(instrument)
    }

    fn write_tape(&self, run: RunId, draft: &Path, instrument: &Instrument, mut spool: Spool) -> StoreResult<()> {
        let options = self.options;
        let segment_bytes = if options.segment_bytes == 0 { SEGMENT_BYTES } else { options.segment_bytes };
        let config = WriterConfig { folder: draft.to_owned(), run, segment_bytes, durable: false };
        let mut writer = SegmentWriter::new(Box::new(Disk), config, &Resume::default());
        let first_ts = self.report.first_ts_recv_ns.unwrap_or(0);
        let head = self.head(run, instrument).map(|(kind, slot, value)| (kind, slot, value.to_string().into_bytes()));
        spool.write(&mut writer, first_ts, &head)?;
        let info = RunInfo {
            run: run.to_string(),
            command: "import".to_owned(),
            source: "import".to_owned(),
            state: RunState::Ended,
            created_ts_ns: options.now_ns,
            ended_ts_ns: Some(options.now_ns),
            code_version: options.code_version.clone(),
            epochs: 1,
            last_ts_ns: self.report.last_ts_recv_ns,
            records: spool.next_pos(),
            segment_last: writer.finish()?,
            ..RunInfo::default()
        };
        drop(spool);
        info.write(draft)?;
        let folder = DataFolder::new(&options.data_dir).run(run);
        std::fs::create_dir_all(&folder).map_err(|e| StoreError::io("run", &folder, &e))
    }

    /// The records before the first line.
    fn head(&self, run: RunId, instrument: &Instrument) -> [(RecordKind, u16, Value); HEAD_RECORDS as usize] {
        let venue = self.venue_name;
        let feed = format!("{venue}/public/0/a");
        let mut config = json!({
            "run": run.to_string(), "command": "import", "code_version": self.options.code_version, "config_hash": "",
            "slots": ["/control", feed, format!("{venue}/rest")], "settings": {}, "instruments": [instrument.id()],
            "policy": null, "risk": {}, "seed": 0, "source": "import",
        });
        for (key, value) in &self.options.config {
            config[key] = value.clone();
        }
        let epoch = json!({"epoch": 0, "code_version": self.options.code_version, "clock_unsynced": false});
        [
            (RecordKind::Epoch, 0, epoch),
            (RecordKind::Config, 0, config),
            (RecordKind::Instrument, 0, json!(instrument)),
            (RecordKind::Connect, SLOT_FEED, json!({"slot": feed, "url": "import"})),
        ]
    }
}
