//! Lines of a file, gzip or not, out of one buffer.
use crate::store::{StoreError, StoreResult};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

/// Bytes read at once; more than one line of a usual recording, less than a core's cache.
const CHUNK: usize = 256 << 10;

/// Longest line: a REST body of 32 MiB and its stamp (rules.md 4).
const LINE_MAX: usize = 33 << 20;

/// Reads a file line by line.
pub(super) struct Lines {
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    ended: bool,
}

/// A line, or why there is none.
pub(super) enum Line {
    /// Bytes of [`Lines::bytes`], without the line's end.
    Text(Range<usize>),
    /// A line above [`LINE_MAX`]; the rest of the file is given up.
    TooLong,
    /// The file ends inside its compression, or reading failed: what came before counts.
    Broken(String),
    /// The end.
    End,
}

impl Lines {
    /// Opens a file and looks whether it is compressed.
    pub(super) fn open(path: &Path) -> StoreResult<Lines> {
        let fail = |e: &std::io::Error| StoreError::io("file", path, e);
        let file = File::open(path).map_err(|e| fail(&e))?;
        let mut file = BufReader::with_capacity(CHUNK, file);
        let head = file.fill_buf().map_err(|e| fail(&e))?;
        let source: Box<dyn Read> =
            if head.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Lines { source, buffer: vec![0; 2 * CHUNK], at: 0, filled: 0, ended: false })
    }

    /// The bytes of a line given last.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The next line. Its bytes stay where they are until the next call.
    pub(super) fn next(&mut self) -> Line {
        let mut seen = self.at;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[seen..self.filled]) {
                let line = self.at..seen + length;
                self.at = line.end + 1;
                return Line::Text(self.trimmed(line));
            }
            seen = self.filled;
            if self.ended {
                return self.last();
            }
            if self.filled - self.at > LINE_MAX {
                self.ended = true;
                self.at = self.filled;
                return Line::TooLong;
            }
            seen -= self.make_room();
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.ended = true;
                    self.filled = self.at;
                    return Line::Broken(e.to_string());
                }
            }
        }
    }

    fn last(&mut self) -> Line {
        let line = self.at..self.filled;
        self.at = self.filled;
        if line.is_empty() { Line::End } else { Line::Text(self.trimmed(line)) }
    }

    fn trimmed(&self, line: Range<usize>) -> Range<usize> {
        let ends = self.buffer[line.clone()].last() == Some(&b'\r');
        line.start..line.end - usize::from(ends)
    }

    /// Moves the rest to the front, or grows for a long line; gives the bytes by which it moved.
    fn make_room(&mut self) -> usize {
        if self.buffer.len() - self.filled >= CHUNK {
            return 0;
        }
        let moved = self.at;
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= moved;
        self.at = 0;
        if self.buffer.len() - self.filled < CHUNK {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        moved
    }
}
