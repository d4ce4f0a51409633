//! Records inside a block's payload: gathered by [`BlockBuilder`], walked by [`Cursor`] without an allocation.
use super::record::{Record, RecordKind};
use crate::error::{Error, Result};

/// Longest payload of one record, bytes: a REST body of 32 MiB (rules.md 4) and its head.
pub const RECORD_MAX: usize = 33 << 20;

/// A block closes when its payload reaches this, bytes before compression (rules.md 4).
pub(super) const FULL: usize = 256 << 10;

/// Records that belong to one block, before compression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawBlock {
    /// Encoded records.
    pub raw: Vec<u8>,
    /// Pos of the first record.
    pub first_pos: u64,
    /// Records.
    pub count: u32,
    /// Stamp of the first record.
    pub first_ts_ns: i64,
    /// Stamp of the last record.
    pub last_ts_ns: i64,
}

impl RawBlock {
    /// Its records in order.
    pub fn records(&self) -> Records<'_> {
        Records { cursor: self.start(), raw: &self.raw }
    }

    /// A cursor at its first record.
    pub const fn start(&self) -> Cursor {
        Cursor::new(self.first_pos, self.first_ts_ns)
    }

    /// Pos behind its last record.
    pub const fn next_pos(&self) -> u64 {
        self.first_pos + self.count as u64
    }
}

/// Gathers records into a block.
#[derive(Debug)]
pub struct BlockBuilder {
    block: RawBlock,
    mono: i64,
    last_ts_ns: i64,
}

impl BlockBuilder {
    /// A builder whose first record gets `first_pos`; no stamp will be below `last_ts_ns`.
    pub fn new(first_pos: u64, last_ts_ns: i64) -> Self {
        BlockBuilder { block: RawBlock { first_pos, ..RawBlock::default() }, mono: 0, last_ts_ns }
    }

    /// Adds a record and gives its pos. A stamp that goes back is raised to the one before (rules.md 1).
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a payload above [`RECORD_MAX`].
    pub fn push(&mut self, kind: RecordKind, slot: u16, ts_recv_ns: i64, ts_mono_ns: i64, bytes: &[u8]) -> Result<u64> {
        if bytes.len() > RECORD_MAX {
            let reason = format!("{} bytes in one record, at most {RECORD_MAX}", bytes.len());
            return Err(Error::BadSetting { key: "record".to_owned(), reason });
        }
        let ts = ts_recv_ns.max(self.last_ts_ns);
        if self.block.count == 0 {
            self.block.first_ts_ns = ts;
            self.block.last_ts_ns = ts;
            self.mono = 0;
        }
        let mono = ts_mono_ns.wrapping_sub(ts);
        let delta = ts.wrapping_sub(self.block.last_ts_ns) as u64;
        let raw = &mut self.block.raw;
        raw.push(kind as u8);
        put(raw, u64::from(slot));
        put(raw, bytes.len() as u64);
        put(raw, delta);
        put(raw, zigzag(mono.wrapping_sub(self.mono)));
        raw.extend_from_slice(bytes);
        self.mono = mono;
        self.last_ts_ns = ts;
        self.block.last_ts_ns = ts;
        self.block.count += 1;
        Ok(self.block.next_pos() - 1)
    }

    /// Pos that the next record gets.
    pub const fn next_pos(&self) -> u64 {
        self.block.next_pos()
    }

    /// The stamp below which no later record can go.
    pub const fn last_ts_ns(&self) -> i64 {
        self.last_ts_ns
    }

    /// Bytes gathered.
    pub fn raw_len(&self) -> usize {
        self.block.raw.len()
    }

    /// Whether the block must close before it takes another record.
    pub fn is_full(&self) -> bool {
        self.raw_len() >= FULL
    }

    /// Whether it holds no record.
    pub const fn is_empty(&self) -> bool {
        self.block.count == 0
    }

    /// The block so far, for a reader that follows.
    pub const fn block(&self) -> &RawBlock {
        &self.block
    }

    /// Takes the block; the builder goes on behind it, in the memory of `reuse`.
    pub fn take(&mut self, mut reuse: Vec<u8>) -> RawBlock {
        reuse.clear();
        let next = RawBlock { raw: reuse, first_pos: self.block.next_pos(), ..RawBlock::default() };
        std::mem::replace(&mut self.block, next)
    }
}

/// Place in a block's payload. Holds no borrow, so that a reader may own both payload and cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pos: u64,
    ts: i64,
    mono: i64,
    at: usize,
}

impl Cursor {
    /// A cursor at the first record of a block.
    pub const fn new(first_pos: u64, first_ts_ns: i64) -> Self {
        Cursor { pos: first_pos, ts: first_ts_ns, mono: 0, at: 0 }
    }

    /// Pos of the record that comes next.
    pub const fn pos(&self) -> u64 {
        self.pos
    }

    /// Bytes of the payload behind it.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The same place in a payload in which it lies at byte `at`, because bytes before it were dropped or put back.
    pub const fn moved_to(self, at: usize) -> Self {
        Cursor { at, ..self }
    }

    /// Skips records of unknown kinds; whether a known one comes next.
    ///
    /// # Errors
    /// [`Error::BadTape`] where the bytes are no record.
    #[inline]
    pub fn find(&mut self, raw: &[u8]) -> Result<bool> {
        while self.at < raw.len() {
            if RecordKind::from_u8(raw[self.at]).is_some() {
                return Ok(true);
            }
            self.step(raw)?;
        }
        Ok(false)
    }

    /// The next record of a kind that this program knows; none at the end. Unknown kinds are skipped by length.
    ///
    /// # Errors
    /// [`Error::BadTape`] where the bytes are no record.
    #[inline]
    pub fn next<'a>(&mut self, raw: &'a [u8]) -> Result<Option<Record<'a>>> {
        while self.at < raw.len() {
            let (kind, record) = self.step(raw)?;
            if let Some(kind) = RecordKind::from_u8(kind) {
                return Ok(Some(Record { kind, ..record }));
            }
        }
        Ok(None)
    }

    /// Passes one record of any kind.
    ///
    /// # Errors
    /// [`Error::BadTape`] at the end, or where the bytes are no record.
    pub fn pass(&mut self, raw: &[u8]) -> Result<()> {
        if self.at >= raw.len() {
            return Err(bad(self.at));
        }
        self.step(raw).map(|_| ())
    }

    /// One record of any kind: its number, and the record with a kind that stands for nothing.
    #[inline]
    fn step<'a>(&mut self, raw: &'a [u8]) -> Result<(u8, Record<'a>)> {
        let mut at = self.at + 1;
        let slot = get(raw, &mut at)?;
        let length = get(raw, &mut at)?;
        let delta = get(raw, &mut at)?;
        let mono = unzigzag(get(raw, &mut at)?);
        let rest = raw.get(at..).unwrap_or_default();
        let length = usize::try_from(length).ok().filter(|&n| n <= rest.len()).ok_or_else(|| bad(at))?;
        self.ts = self.ts.wrapping_add(delta as i64);
        self.mono = self.mono.wrapping_add(mono);
        let record = Record {
            pos: self.pos,
            kind: RecordKind::Stop,
            slot: u16::try_from(slot).map_err(|_| bad(at))?,
            ts_recv_ns: self.ts,
            ts_mono_ns: self.ts.wrapping_add(self.mono),
            bytes: &rest[..length],
        };
        let kind = raw[self.at];
        self.pos += 1;
        self.at = at + length;
        Ok((kind, record))
    }
}

/// The records of one block. Ends early where the payload is no sequence of records; the checksum makes that a bug of a writer.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    cursor: Cursor,
    raw: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records of `raw` from `cursor` on.
    pub const fn new(cursor: Cursor, raw: &'a [u8]) -> Self {
        Records { cursor, raw }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.cursor.next(self.raw).ok().flatten()
    }
}

fn bad(at: usize) -> Error {
    Error::BadTape { offset: at as u64, reason: "payload is not a sequence of records" }
}

/// Small numbers of either sign as small numbers.
pub(crate) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Writes seven bits a byte, lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[inline]
fn get(raw: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *raw.get(*at).ok_or_else(|| bad(*at))?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(bad(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_with_their_stamps() {
        let mut builder = BlockBuilder::new(7, 100);
        let rows =
            [(100, 5, &b"a"[..]), (100, -9, b""), (5_000_000_000, i64::MAX, b"xyz"), (5_000_000_001, i64::MIN, b"q")];
        for (n, (ts, mono, bytes)) in rows.iter().enumerate() {
            assert_eq!(builder.push(RecordKind::Frame, n as u16 * 300, *ts, *mono, bytes), Ok(7 + n as u64));
        }
        let block = builder.take(Vec::new());
        let read: Vec<_> = block.records().map(|r| (r.ts_recv_ns, r.ts_mono_ns, r.bytes)).collect();
        assert_eq!(read, rows);
        assert_eq!(
            block.records().map(|r| (r.pos, r.slot)).collect::<Vec<_>>(),
            [(7, 0), (8, 300), (9, 600), (10, 900)]
        );
        assert_eq!((builder.next_pos(), builder.is_empty()), (11, true));
    }

    #[test]
    fn a_stamp_never_goes_back() {
        let mut builder = BlockBuilder::new(0, 50);
        for ts in [10, 60, 55] {
            builder.push(RecordKind::Tick, 0, ts, ts, b"").unwrap();
        }
        let block = builder.take(Vec::new());
        assert_eq!(block.records().map(|r| r.ts_recv_ns).collect::<Vec<_>>(), [50, 60, 60]);
        builder.push(RecordKind::Tick, 0, 1, 1, b"").unwrap();
        assert_eq!(builder.block().first_ts_ns, 60);
    }

    #[test]
    fn unknown_kinds_are_skipped_and_keep_their_pos() {
        let mut builder = BlockBuilder::new(0, 0);
        for bytes in [&b"one"[..], b"two", b"three"] {
            builder.push(RecordKind::Frame, 0, 1, 1, bytes).unwrap();
        }
        let mut block = builder.take(Vec::new());
        let second = block.raw.windows(3).position(|w| w == b"two").unwrap() - 5;
        assert_eq!(block.raw[second], RecordKind::Frame as u8);
        block.raw[second] = 200;
        let read: Vec<_> = block.records().map(|r| (r.pos, r.bytes)).collect();
        assert_eq!(read, [(0, &b"one"[..]), (2, &b"three"[..])]);
    }

    #[test]
    fn hostile_payloads_are_errors() {
        for raw in
            [&[1u8][..], &[1, 0, 200], &[1, 0, 5, 0, 0, 1], &[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert!(Cursor::new(0, 0).next(raw).is_err(), "{raw:?}");
        }
        assert!(Cursor::new(0, 0).next(&[1, 0xff, 0xff, 4, 0, 0, 0]).is_err(), "slot above 16 bits");
    }

    #[test]
    fn a_record_above_its_cap_is_refused() {
        let mut builder = BlockBuilder::new(0, 0);
        assert!(builder.push(RecordKind::Rest, 0, 0, 0, &vec![0; RECORD_MAX + 1]).is_err());
        assert!(builder.is_empty());
    }
}
