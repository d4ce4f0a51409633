//! Reads a run's tape: every record of every segment and epoch, in `pos` order.
//!
//! ```no_run
//! # fn main() -> tickerml_feed::store::StoreResult<()> {
//! let mut tape = tickerml_feed::reader::TapeReader::open("data/tapes/20240808T235415Z-0a1f".as_ref())?;
//! while let Some(record) = tape.next()? {
//!     println!("{} {:?} {}", record.pos, record.kind, record.bytes.len());
//! }
//! assert!(tape.damaged().is_empty());
//! # Ok(())
//! # }
//! ```
mod input;
mod scan;
mod segment;

pub use input::TapeInput;
pub(crate) use input::unreadable;
pub use scan::{TapeScan, scan_tape, tape_span};

#[cfg(doc)]
use crate::store::StoreError;
use crate::store::{RunInfo, SegmentPath, StoreResult, TapeFolder};
use segment::{Found, SegmentFile};
use serde::Serialize;
use std::path::Path;
use tickerml_core::tape::{Closed, ClosedBy, Cursor, Record, RunId, SegmentHeader, Unpacker};

/// Looks at a place that somebody may be writing, before what is there is believed.
const LOOKS_MAX: usize = 8;

/// Damage, with the segment it lies in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// File name of the segment.
    pub segment: String,
    /// Byte offset in it.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// What is wrong.
    pub reason: String,
}

/// A tape being read. Keeps its memory: no allocation a record, none a block.
pub struct TapeReader {
    folder: TapeFolder,
    segments: Vec<SegmentPath>,
    index: usize,
    file: Option<SegmentFile>,
    unpacker: Unpacker,
    cursor: Cursor,
    from: u64,
    next_pos: Option<u64>,
    follow: bool,
    damaged: Vec<Damaged>,
    cut_bytes: u64,
    missing: u64,
}

impl TapeReader {
    /// The tape in the folder `path`, from its first record to what is there now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no tape.
    pub fn open(path: &Path) -> StoreResult<TapeReader> {
        TapeReader::open_at(path, 0)
    }

    /// The same from the record `pos` on.
    ///
    /// # Errors
    /// As [`TapeReader::open`].
    pub fn open_at(path: &Path, pos: u64) -> StoreResult<TapeReader> {
        let folder = TapeFolder::open(path)?;
        let segments = folder.segments();
        let mut reader = TapeReader {
            folder,
            index: first_segment(&segments, pos),
            segments,
            file: None,
            unpacker: Unpacker::new()?,
            cursor: Cursor::new(0, 0),
            from: pos,
            next_pos: None,
            follow: false,
            damaged: Vec::new(),
            cut_bytes: 0,
            missing: 0,
        };
        if pos == 0 {
            let info = reader.run_info();
            reader.next_pos = scan::first_pos(&reader.segments, info.as_ref());
            reader.damaged = scan::missing_segments(&reader.segments, info.as_ref());
        }
        Ok(reader)
    }

    /// The same of a tape that another thread or process still writes: where it ends, [`TapeReader::next`] gives none
    /// and goes on at the next call.
    ///
    /// # Errors
    /// As [`TapeReader::open`].
    pub fn follow(path: &Path, pos: u64) -> StoreResult<TapeReader> {
        Ok(TapeReader { follow: true, ..TapeReader::open_at(path, pos)? })
    }

    /// The run whose tape it is.
    pub const fn run(&self) -> RunId {
        self.folder.run
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// [`StoreError::Core`] for a tape of a newer program, [`StoreError::Io`] where reading fails. Damage is skipped
    /// and kept in [`TapeReader::damaged`].
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> StoreResult<Option<Record<'_>>> {
        if !self.has_next()? {
            return Ok(None);
        }
        Ok(self.cursor.next(self.unpacker.raw())?)
    }

    /// The record that [`TapeReader::next`] gives, not consumed; none where it must go to the next block first.
    ///
    /// # Errors
    /// [`tickerml_core::error::Error::BadTape`] where the block holds no records.
    #[inline]
    pub fn peek(&self) -> tickerml_core::error::Result<Option<Record<'_>>> {
        { self.cursor }.next(self.unpacker.raw())
    }

    /// Whether [`TapeReader::next`] has a record; goes to the next block where it must.
    ///
    /// # Errors
    /// As [`TapeReader::next`].
    #[inline]
    pub fn has_next(&mut self) -> StoreResult<bool> {
        while !self.cursor.find(self.unpacker.raw())? {
            if !self.next_block()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Pos of the record that comes next, as far as the tape was read.
    pub fn pos(&self) -> u64 {
        self.cursor.pos().max(self.from)
    }

    /// Goes to the next block, whatever is left of this one; false at the end.
    ///
    /// # Errors
    /// As [`TapeReader::next`].
    pub fn next_block(&mut self) -> StoreResult<bool> {
        loop {
            if self.file.is_none() && !self.open_segment()? {
                return Ok(false);
            }
            let Some(file) = &mut self.file else { return Ok(false) };
            // A block written again after a failed sync may stand in two segments: it is read once.
            let from = self.from.max(self.next_pos.unwrap_or(0));
            match file.next(from)? {
                Found::Block(info) => {
                    self.cursor = self.unpacker.unpack(file.block(), &info)?;
                    self.missing += info.first_pos.saturating_sub(self.next_pos.unwrap_or(info.first_pos));
                    self.next_pos = Some(info.next_pos());
                    return self.skip_to(from).map(|()| true);
                }
                Found::Passed(info) => self.next_pos = self.next_pos.max(Some(info.next_pos())),
                Found::Damage(damage) => self.damaged.push(damage),
                Found::Cut(bytes) => self.cut_bytes += bytes,
                Found::End => {
                    if !self.grown()? {
                        return Ok(false);
                    }
                }
                Found::Done => {
                    self.file = None;
                    self.index += 1;
                }
            }
        }
    }

    /// Segments that are not there, then ranges that do not prove themselves, as far as the tape was read.
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Bytes of torn tails, as far as the tape was read.
    pub const fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Records that are missing before and between those read. What retention removed is not.
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// Pos behind the last block read; none before the first.
    pub const fn next_pos(&self) -> Option<u64> {
        self.next_pos
    }

    /// Place of the segment being read in the tape, from 0.
    pub const fn segment_index(&self) -> usize {
        self.index
    }

    /// `run.json` of the run, where the tape lies in a data folder.
    pub fn run_info(&self) -> Option<RunInfo> {
        RunInfo::read(&self.folder.run_folder()?).ok()
    }

    /// Passes the records before `pos`.
    fn skip_to(&mut self, pos: u64) -> StoreResult<()> {
        while self.cursor.pos() < pos {
            self.cursor.pass(self.unpacker.raw())?;
        }
        Ok(())
    }

    /// Opens the segment at `index`; false where there is none yet.
    fn open_segment(&mut self) -> StoreResult<bool> {
        if self.index >= self.segments.len() && self.follow {
            self.segments = self.folder.segments();
        }
        let Some(segment) = self.segments.get(self.index) else { return Ok(false) };
        let closed = self.closed();
        let growing = self.follow && closed.is_none() && self.index + 1 == self.segments.len();
        self.file = Some(SegmentFile::open(segment, closed, growing)?);
        Ok(true)
    }

    /// Whether a following reader has more to read than a moment ago: bytes, or a next segment.
    fn grown(&mut self) -> StoreResult<bool> {
        // The folder first: bytes written before a next segment appeared are then seen below.
        self.segments = self.folder.segments();
        let closed = self.closed();
        let has_next = self.index + 1 < self.segments.len();
        let Some(file) = &mut self.file else { return Ok(false) };
        if closed.is_some() || has_next {
            return file.close(closed).map(|()| true);
        }
        file.refresh()
    }

    /// What is recorded of the segment at `index`: by its successor, or at STOP.
    fn closed(&self) -> Option<Closed> {
        let id = self.segments.get(self.index)?.id;
        if let Some(next) = self.segments.get(self.index + 1).filter(|next| scan::follows(&next.id, &id)) {
            let SegmentHeader { prev_len, prev_sha256, .. } = crate::store::read_header(&next.path)?;
            return Some(Closed { len: prev_len, sha256: Some(prev_sha256), by: ClosedBy::Successor });
        }
        let last = RunInfo::read(&self.folder.run_folder()?).ok()?.segment_last?;
        let same = (last.epoch, last.segment) == (id.epoch, id.segment);
        same.then(|| Closed { len: last.length, sha256: last.hash(), by: ClosedBy::Stop })
    }
}

/// Index of the segment that holds `pos`: the last one whose header does not begin behind it.
fn first_segment(segments: &[SegmentPath], pos: u64) -> usize {
    let begins = |s: &SegmentPath| crate::store::read_header(&s.path).map(|h| h.first_pos);
    if pos == 0 {
        return 0;
    }
    (0..segments.len()).rev().find(|&n| begins(&segments[n]).is_some_and(|first| first <= pos)).unwrap_or(0)
}
