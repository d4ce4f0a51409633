//! Finds every block of a segment, and says of every other byte whether it is padding, a cut or damage (rules.md 4).
use super::block::{BLOCK_HEADER_LEN, BLOCK_MAGIC, BlockInfo, Peek, peek};
use super::header::{HEADER_LEN, SegmentHeader};
use super::ident::SegmentId;
use crate::error::{Error, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A disk writes at least this much at once: a block that holds a whole sector of zeros was torn.
const SECTOR: usize = 512;

/// Who recorded a segment's length and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// `run.json`, at STOP or at the end of an import: the file has exactly this length.
    Stop,
    /// The header of the segment behind: bytes beyond the length are padding or a torn tail.
    Successor,
}

/// A segment that is no longer written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Its valid bytes.
    pub len: u64,
    /// SHA-256 of those bytes; none leaves the check to the blocks' own checksums.
    pub sha256: Option<[u8; 32]>,
    /// Who says so.
    pub by: ClosedBy,
}

/// A tail that was being written when the process or the power went: cut logically, never truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Where the valid bytes end.
    pub offset: u64,
    /// Bytes behind it that are not padding.
    pub bytes: u64,
}

/// Bytes that do not prove themselves and were not torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// How far it reaches.
    pub bytes: u64,
    /// What is wrong.
    pub reason: &'static str,
}

/// What a segment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Its header; none where that is damaged, or where the segment was never begun.
    pub header: Option<SegmentHeader>,
    /// Every whole block, in order.
    pub blocks: Vec<BlockInfo>,
    /// A torn tail.
    pub cut: Option<Cut>,
    /// Every range that is damaged, in order.
    pub damaged: Vec<Damage>,
    /// Valid bytes: what the header of the next segment records.
    pub valid_len: u64,
    /// Pos behind the last record that was seen or whose block's header was; none where there was none.
    pub next_pos: Option<u64>,
    /// Zeros behind the valid bytes.
    pub padding: u64,
}

/// What stands where a whole block was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Zeros to the end.
    Padding,
    /// A torn tail, to the end.
    Cut(Cut),
    /// Damage, where reading goes on if anything is behind it, and the pos behind the records lost if that is known.
    Damage(Damage, Option<u64>, Option<u64>),
}

/// Scans the segment `id`, whose file holds `bytes`.
///
/// # Errors
/// [`Error::TapeVersion`] for a newer format. Damage is a result, not an error.
pub fn scan(bytes: &[u8], id: &SegmentId, closed: Option<&Closed>) -> Result<Scan> {
    let mut scan = Scan::default();
    let limit = closed.map_or(bytes.len(), |c| bytes.len().min(usize::try_from(c.len).unwrap_or(usize::MAX)));
    let body = &bytes[..limit];
    if scan.read_header(body, id, closed)? {
        scan.read_blocks(body, id, closed.is_some());
    }
    if let Some(closed) = closed {
        scan.check_end(bytes, id, closed);
    }
    Ok(scan)
}

impl Scan {
    /// Reads the header; false where nothing is behind it.
    fn read_header(&mut self, body: &[u8], id: &SegmentId, closed: Option<&Closed>) -> Result<bool> {
        let head = &body[..body.len().min(HEADER_LEN)];
        let reason = match SegmentHeader::decode(head) {
            Ok(header) if header.id == *id => {
                self.header = Some(header);
                self.valid_len = HEADER_LEN as u64;
                return Ok(true);
            }
            Ok(_) => "segment of another run or place",
            Err(Error::BadTape { reason, .. }) => reason,
            Err(e) => return Err(e),
        };
        let data = data_len(body);
        let never_begun = closed.is_none() && data <= HEADER_LEN && (data < HEADER_LEN || body.len() < HEADER_LEN);
        if never_begun {
            self.cut = (data > 0).then_some(Cut { offset: 0, bytes: data as u64 });
            self.padding = (body.len() - data) as u64;
        } else if !body.is_empty() {
            self.damage(0, head.len() as u64, reason);
            self.valid_len = head.len() as u64;
        }
        Ok(!never_begun && body.len() >= HEADER_LEN)
    }

    fn read_blocks(&mut self, body: &[u8], id: &SegmentId, strict: bool) {
        let mut at = HEADER_LEN;
        while at < body.len() {
            let rest = &body[at..];
            if let Peek::Whole(info) = peek(rest, id, at as u64) {
                at = info.end() as usize;
                self.valid_len = info.end();
                self.next_pos = Some(info.next_pos());
                self.blocks.push(info);
                continue;
            }
            match resolve(rest, id, at as u64, strict) {
                Tail::Padding => self.padding = rest.len() as u64,
                Tail::Cut(cut) => self.cut = Some(cut),
                Tail::Damage(damage, resume, next_pos) => {
                    self.damaged.push(damage);
                    self.next_pos = self.next_pos.max(next_pos);
                    if let Some(resume) = resume {
                        at = resume as usize;
                        self.valid_len = resume;
                        continue;
                    }
                }
            }
            break;
        }
    }

    /// Holds the end of the file against what was recorded of it.
    fn check_end(&mut self, bytes: &[u8], id: &SegmentId, closed: &Closed) {
        let have = bytes.len() as u64;
        if have < closed.len {
            self.damage(have, closed.len - have, "segment is shorter than recorded");
        } else if have > closed.len {
            self.check_beyond(&bytes[closed.len as usize..], id, closed);
        }
        let body = &bytes[..bytes.len().min(closed.len as usize)];
        let differs = || closed.sha256.is_some_and(|sha256| Sha256::digest(body)[..] != sha256);
        if self.damaged.is_empty() && differs() {
            self.damage(0, closed.len, "segment's hash differs from the one recorded");
        }
        self.valid_len = closed.len;
    }

    fn check_beyond(&mut self, rest: &[u8], id: &SegmentId, closed: &Closed) {
        match beyond(rest, id, closed) {
            Tail::Padding => self.padding = rest.len() as u64,
            Tail::Cut(cut) => self.cut = Some(cut),
            Tail::Damage(damage, ..) => self.damaged.push(damage),
        }
    }

    fn damage(&mut self, offset: u64, bytes: u64, reason: &'static str) {
        self.damaged.push(Damage { offset, bytes, reason });
    }
}

/// Says what `rest` is, which lies beyond the recorded length of a closed segment.
pub fn beyond(rest: &[u8], id: &SegmentId, closed: &Closed) -> Tail {
    let offset = closed.len;
    if closed.by == ClosedBy::Stop {
        let damage = Damage { offset, bytes: rest.len() as u64, reason: "bytes beyond the recorded end" };
        return Tail::Damage(damage, None, None);
    }
    match peek(rest, id, offset) {
        // Written again into the next segment after a failed sync.
        Peek::Whole(_) => Tail::Cut(Cut { offset, bytes: data_len(rest) as u64 }),
        _ => resolve(rest, id, offset, false),
    }
}

/// Says what `rest` is, which reaches from `offset` to the segment's end and does not begin with a whole block.
/// In a closed segment (`strict`) everything is damage.
pub fn resolve(rest: &[u8], id: &SegmentId, offset: u64, strict: bool) -> Tail {
    let damage = |from: usize, to: usize, reason, resume: Option<usize>, pos| {
        let damage = Damage { offset: offset + from as u64, bytes: (to - from) as u64, reason };
        Tail::Damage(damage, resume.map(|at| offset + at as u64), pos)
    };
    let seen = peek(rest, id, offset);
    let next = next_block(rest, id, offset);
    let data = data_len(rest);
    if let Peek::BadPayload(info) = seen {
        let len = info.len as usize;
        if !strict && next.is_none() && torn(&rest[..len], offset) {
            return Tail::Cut(Cut { offset, bytes: data as u64 });
        }
        return damage(0, len, "block checksum", Some(len), Some(info.next_pos()));
    }
    let reason = match seen {
        Peek::Bad(reason) => reason,
        Peek::Short => "block ends early",
        _ => "zeros where a block was",
    };
    match next {
        Some(at) => damage(0, at, reason, Some(at), None),
        None if strict => damage(0, rest.len(), reason, None, None),
        None if data == 0 => Tail::Padding,
        None if seen == Peek::Short || head_torn(rest, data) => Tail::Cut(Cut { offset, bytes: data as u64 }),
        None if seen == Peek::Zero || data <= 8 => {
            let first = rest.iter().position(|&b| b != 0).unwrap_or(0);
            damage(first, data, "padding is not zero", None, None)
        }
        None => damage(0, data, reason, None, None),
    }
}

/// Bytes up to the last one that is not zero.
fn data_len(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1)
}

/// Whether a block's header runs into zeros.
fn head_torn(rest: &[u8], data: usize) -> bool {
    let seen = data.min(8);
    data <= BLOCK_HEADER_LEN && rest[..seen] == BLOCK_MAGIC[..seen]
}

/// Whether a block at `offset` runs into zeros: its end byte is missing, or a whole sector of it is.
fn torn(block: &[u8], offset: u64) -> bool {
    let to_sector = (SECTOR - (offset % SECTOR as u64) as usize) % SECTOR;
    let sectors = block.get(to_sector..).unwrap_or_default();
    block.last() == Some(&0) || sectors.chunks_exact(SECTOR).any(|sector| sector.iter().all(|&b| b == 0))
}

/// Where the next whole block begins, behind the first byte of `rest`.
fn next_block(rest: &[u8], id: &SegmentId, offset: u64) -> Option<usize> {
    let mut at = 1;
    while let Some(step) = rest.get(at..)?.iter().position(|&b| b == BLOCK_MAGIC[0]) {
        at += step;
        if matches!(peek(&rest[at..], id, offset + at as u64), Peek::Whole(_)) {
            return Some(at);
        }
        at += 1;
    }
    None
}
