//! One segment's file, read block by block through a window.
use super::{Damaged, LOOKS_MAX};
use crate::store::{SegmentPath, StoreError, StoreResult, read_data};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tickerml_core::error::Error;
use tickerml_core::tape::{
    BlockInfo, Closed, ClosedBy, Damage, HEADER_LEN, Peek, SegmentHeader, SegmentId, Tail, beyond, peek, resolve,
};

/// Bytes read at once: about ten blocks as they are on disk.
const WINDOW: usize = 512 << 10;

/// What stands next in a segment.
pub(super) enum Found {
    /// A block, whose bytes are [`SegmentFile::block`].
    Block(BlockInfo),
    /// A block that ends before the first record asked for.
    Passed(BlockInfo),
    /// Damage; reading goes on behind it.
    Damage(Damaged),
    /// Bytes of a torn tail.
    Cut(u64),
    /// Nothing more for now, in a segment that grows.
    End,
    /// The segment is read.
    Done,
}

/// A segment's file and the place in it.
pub(super) struct SegmentFile {
    file: File,
    path: PathBuf,
    id: SegmentId,
    name: String,
    closed: Option<Closed>,
    /// Whether another thread or process may still write it.
    growing: bool,
    /// Bytes of the file when it was last looked at.
    len: u64,
    offset: u64,
    window: Vec<u8>,
    window_at: u64,
    block_at: usize,
    header_read: bool,
    ended: bool,
    /// Looks at one place where no whole block stood.
    looks: usize,
}

impl SegmentFile {
    /// Opens the segment; `closed` is what is recorded of it, `growing` whether it may still be written.
    pub(super) fn open(segment: &SegmentPath, closed: Option<Closed>, growing: bool) -> StoreResult<SegmentFile> {
        let fail = |e: &std::io::Error| StoreError::io("segment", &segment.path, e);
        let file = File::open(&segment.path).map_err(|e| fail(&e))?;
        let len = file.metadata().map_err(|e| fail(&e))?.len();
        Ok(SegmentFile {
            file,
            path: segment.path.clone(),
            id: segment.id,
            name: segment.id.file_name(),
            closed,
            growing,
            len,
            offset: 0,
            window: Vec::new(),
            window_at: 0,
            block_at: 0,
            header_read: false,
            ended: false,
            looks: 0,
        })
    }

    /// The bytes that begin with the block found last.
    pub(super) fn block(&self) -> &[u8] {
        &self.window[self.block_at..]
    }

    /// Takes note that the segment is written no more; `closed` is what is recorded of it.
    pub(super) fn close(&mut self, closed: Option<Closed>) -> StoreResult<()> {
        self.closed = closed;
        self.growing = false;
        self.reload()
    }

    /// Looks at a growing file again; whether a whole block (or the header) stands at the place now.
    pub(super) fn refresh(&mut self) -> StoreResult<bool> {
        self.reload()?;
        if !self.header_read {
            self.fill(HEADER_LEN)?;
            return Ok(SegmentHeader::decode(&self.window).is_ok());
        }
        Ok(matches!(self.look()?, Peek::Whole(_)))
    }

    fn reload(&mut self) -> StoreResult<()> {
        self.window.clear();
        self.len = self.file.metadata().map_err(|e| StoreError::io("segment", &self.path, &e))?.len();
        Ok(())
    }

    /// What comes next. Blocks that end before `from` are passed without being decompressed.
    pub(super) fn next(&mut self, from: u64) -> StoreResult<Found> {
        if self.ended {
            return Ok(Found::Done);
        }
        if !self.header_read
            && let Some(found) = self.read_header()?
        {
            return Ok(found);
        }
        if self.offset >= self.limit() && !self.growing {
            return self.finish();
        }
        match self.look()? {
            Peek::Whole(info) => {
                self.offset = info.end();
                self.looks = 0;
                Ok(if info.next_pos() <= from { Found::Passed(info) } else { Found::Block(info) })
            }
            // Nothing is said of the tail of a growing segment.
            _ if self.growing => Ok(Found::End),
            _ => match self.read_other()? {
                Some(found) => {
                    self.looks = 0;
                    Ok(found)
                }
                None => self.next(from),
            },
        }
    }

    /// Bytes that may hold blocks.
    fn limit(&self) -> u64 {
        self.closed.map_or(self.len, |closed| self.len.min(closed.len))
    }

    /// Reads the header; gives what is wrong with it, if anything is.
    fn read_header(&mut self) -> StoreResult<Option<Found>> {
        self.fill(HEADER_LEN)?;
        let reason = match SegmentHeader::decode(&self.window) {
            Ok(header) if header.id == self.id => {
                self.begin();
                return Ok(None);
            }
            Ok(_) => "segment of another run or place",
            Err(Error::BadTape { reason, .. }) => reason,
            Err(e) => return Err(e.into()),
        };
        if self.growing {
            return Ok(Some(Found::End));
        }
        let head = &self.window[..self.window.len().min(HEADER_LEN)];
        let never_begun = head.len() < HEADER_LEN || head[HEADER_LEN - 1] == 0;
        if never_begun && self.closed.is_none_or(|closed| closed.len == 0) {
            self.ended = true;
            return Ok(Some(Found::Cut(head.iter().rposition(|&b| b != 0).map_or(0, |at| at as u64 + 1))));
        }
        let damage = Damage { offset: 0, bytes: head.len() as u64, reason };
        self.begin();
        Ok(Some(Found::Damage(named(&self.name, &damage))))
    }

    /// Goes to the first block.
    const fn begin(&mut self) {
        self.header_read = true;
        self.offset = HEADER_LEN as u64;
    }

    /// Looks at the place; reads on while a block is not whole in the window and there is more.
    fn look(&mut self) -> StoreResult<Peek> {
        let mut want = 1;
        loop {
            self.fill(want)?;
            self.block_at = (self.offset - self.window_at) as usize;
            let seen = peek(&self.window[self.block_at..], &self.id, self.offset);
            let have = self.window.len() - self.block_at;
            if seen != Peek::Short || self.offset + have as u64 >= self.limit() {
                return Ok(seen);
            }
            want = have * 2;
        }
    }

    /// Makes the window hold `want` bytes at the place, or all that there are.
    fn fill(&mut self, want: usize) -> StoreResult<()> {
        let want = (want as u64).min(self.limit().saturating_sub(self.offset)) as usize;
        let end = self.window_at + self.window.len() as u64;
        if self.offset >= self.window_at && self.offset + want as u64 <= end && !self.window.is_empty() {
            return Ok(());
        }
        let size = (want.max(WINDOW) as u64).min(self.limit().saturating_sub(self.offset)) as usize;
        self.window.resize(size, 0);
        self.window_at = self.offset;
        let read = self.file.read_exact_at(&mut self.window, self.offset);
        read.map_err(|e| StoreError::io("segment", &self.path, &e))
    }

    /// Says what stands where no whole block does; none where one does by now, because somebody writes there.
    fn read_other(&mut self) -> StoreResult<Option<Found>> {
        // Padding that was left out is padding: only where it is recorded as data it must be there.
        let rest = match self.closed {
            Some(_) => self.bytes(self.offset, self.limit())?,
            None => self.data(self.offset, self.limit())?,
        };
        self.looks += 1;
        if self.closed.is_none() && self.looks < LOOKS_MAX && self.has_grown(&rest)? {
            self.window.clear();
            return Ok(None);
        }
        let tail = resolve(&rest, &self.id, self.offset, self.closed.is_some());
        match tail {
            Tail::Damage(_, Some(resume), _) => {
                self.offset = resume;
                self.window.clear();
            }
            _ if self.closed.is_some() => self.offset = self.limit(),
            _ => self.ended = true,
        }
        Ok(Some(self.tail(&tail)))
    }

    /// Whether the bytes from the place on were written since the window was read, or while `rest` was: damage stays as it is.
    fn has_grown(&self, rest: &[u8]) -> StoreResult<bool> {
        let whole = matches!(peek(rest, &self.id, self.offset), Peek::Whole(_));
        Ok(whole || self.data(self.offset, self.limit())? != rest)
    }

    /// What lies beyond the last block of a segment that grows no more.
    fn finish(&mut self) -> StoreResult<Found> {
        self.ended = true;
        let Some(closed) = self.closed else { return Ok(Found::Done) };
        if self.len < closed.len {
            let reason = "segment is shorter than recorded";
            let damage = Damage { offset: self.len, bytes: closed.len - self.len, reason };
            return Ok(Found::Damage(named(&self.name, &damage)));
        }
        if self.len == closed.len {
            return Ok(Found::Done);
        }
        let rest = match closed.by {
            ClosedBy::Stop => self.bytes(closed.len, self.len)?,
            ClosedBy::Successor => self.data(closed.len, self.len)?,
        };
        Ok(self.tail(&beyond(&rest, &self.id, &closed)))
    }

    fn tail(&self, tail: &Tail) -> Found {
        match tail {
            Tail::Padding => Found::Done,
            Tail::Cut(cut) => Found::Cut(cut.bytes),
            Tail::Damage(damage, ..) => Found::Damage(named(&self.name, damage)),
        }
    }

    fn data(&self, from: u64, to: u64) -> StoreResult<Vec<u8>> {
        read_data(&self.file, from, to).map_err(|e| StoreError::io("segment", &self.path, &e))
    }

    fn bytes(&self, from: u64, to: u64) -> StoreResult<Vec<u8>> {
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        let read = self.file.read_exact_at(&mut bytes, from);
        read.map_err(|e| StoreError::io("segment", &self.path, &e))?;
        Ok(bytes)
    }
}

/// Damage with the name of its segment.
pub(super) fn named(segment: &str, damage: &Damage) -> Damaged {
    Damaged {
        segment: segment.to_owned(),
        offset: damage.offset,
        bytes: damage.bytes,
        reason: damage.reason.to_owned(),
    }
}
