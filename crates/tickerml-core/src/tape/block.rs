//! A block on disk: 56 bytes of header, a zstd payload, one end byte.
//!
//! `crc` covers every header byte after the magic and the two checksums, (run, epoch, segment, offset), the payload and
//! the end byte. `head_crc` covers the header and its place alone: it tells a torn block from one whose length was hit.
use super::header::array;
use super::ident::SegmentId;
use super::records::{Cursor, FULL, RECORD_MAX, RawBlock};
use crate::error::{Error, Result};

/// First bytes of every block. The first one has several bits set, so that no single flip in padding begins a block.
pub const BLOCK_MAGIC: [u8; 8] = [0xB7, b'T', b'k', b'B', 0x8D, 0x0A, 0x1A, 0xE1];

/// Bytes of a block's header.
pub const BLOCK_HEADER_LEN: usize = 56;

/// A block closes when its payload reaches this, bytes before compression (rules.md 4).
pub const BLOCK_RAW: usize = FULL;

/// Most bytes of a payload before compression: a full block that took one record of the largest size.
pub const RAW_MAX: usize = FULL + RECORD_MAX + 64;

/// zstd level: 7.2 to 1 at 580 MB/s, against 6.9 at 440 MB/s for level 3 (rules.md 4).
const LEVEL: i32 = 1;

/// Last byte of a block. Zero in its place means that the block was torn.
const END: u8 = 0xE5;

const CHECKED_FROM: usize = 16;

/// A block that was found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// Byte offset in the segment.
    pub offset: u64,
    /// Bytes from magic to end byte.
    pub len: u64,
    /// Bytes of its records before compression.
    pub raw_len: u32,
    /// Records.
    pub count: u32,
    /// Stamp of its first record.
    pub first_ts_ns: i64,
    /// Stamp of its last record.
    pub last_ts_ns: i64,
    /// Pos of its first record.
    pub first_pos: u64,
}

impl BlockInfo {
    /// Offset behind it.
    pub const fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// Pos behind its last record.
    pub const fn next_pos(&self) -> u64 {
        self.first_pos + self.count as u64
    }
}

/// A compressed block that has no place yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// zstd payload.
    pub payload: Vec<u8>,
    /// Bytes before compression.
    pub raw_len: u32,
    /// Records.
    pub count: u32,
    /// Pos of the first record.
    pub first_pos: u64,
    /// Stamp of the first record.
    pub first_ts_ns: i64,
    /// Stamp of the last record.
    pub last_ts_ns: i64,
}

impl Packed {
    /// Bytes that the block takes in a segment.
    pub fn sealed_len(&self) -> u64 {
        (BLOCK_HEADER_LEN + self.payload.len() + 1) as u64
    }

    /// Appends the block as it stands at `offset` of segment `id`.
    pub fn seal(&self, id: &SegmentId, offset: u64, out: &mut Vec<u8>) {
        let mut head = [0; BLOCK_HEADER_LEN];
        head[..8].copy_from_slice(&BLOCK_MAGIC);
        head[16..20].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        head[20..24].copy_from_slice(&self.raw_len.to_le_bytes());
        head[24..28].copy_from_slice(&self.count.to_le_bytes());
        head[32..40].copy_from_slice(&self.first_ts_ns.to_le_bytes());
        head[40..48].copy_from_slice(&self.last_ts_ns.to_le_bytes());
        head[48..56].copy_from_slice(&self.first_pos.to_le_bytes());
        let salt = id.salt(offset);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), &salt);
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &self.payload), &[END]);
        head[12..16].copy_from_slice(&crc.to_le_bytes());
        let head_crc = crc32c::crc32c_append(crc32c::crc32c(&head[12..]), &salt);
        head[8..12].copy_from_slice(&head_crc.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.payload);
        out.push(END);
    }
}

/// Compresses blocks; keeps its memory.
pub struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// A packer at the tape's level.
    ///
    /// # Errors
    /// [`Error::Invariant`] when zstd has no memory.
    pub fn new() -> Result<Self> {
        zstd::bulk::Compressor::new(LEVEL).map(Packer).map_err(|e| Error::Invariant(format!("zstd: {e}")))
    }

    /// Compresses `block` into `packed`, whose memory is used again.
    ///
    /// # Errors
    /// [`Error::Invariant`] when zstd fails, which it does for want of memory alone.
    pub fn pack(&mut self, block: &RawBlock, packed: &mut Packed) -> Result<()> {
        packed.payload.clear();
        packed.payload.reserve(zstd::zstd_safe::compress_bound(block.raw.len()));
        self.0
            .compress_to_buffer(&block.raw, &mut packed.payload)
            .map_err(|e| Error::Invariant(format!("zstd: {e}")))?;
        packed.raw_len = block.raw.len() as u32;
        packed.count = block.count;
        packed.first_pos = block.first_pos;
        packed.first_ts_ns = block.first_ts_ns;
        packed.last_ts_ns = block.last_ts_ns;
        Ok(())
    }
}

/// What stands at a place where a block may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// A whole block that proves itself.
    Whole(BlockInfo),
    /// The bytes end inside a block, whose header, as far as it is there, is right.
    Short,
    /// Eight zeros: padding, as far as one can see.
    Zero,
    /// Something else.
    Bad(&'static str),
    /// A block whose header is right and whose payload is not.
    BadPayload(BlockInfo),
}

/// Looks at `bytes`, which begin at `offset` of segment `id` and may hold more than one block.
pub fn peek(bytes: &[u8], id: &SegmentId, offset: u64) -> Peek {
    let seen = bytes.len().min(8);
    if seen == 8 && bytes[..8] == [0; 8] {
        return Peek::Zero;
    }
    if bytes[..seen] != BLOCK_MAGIC[..seen] {
        return Peek::Bad("no block magic");
    }
    let Some(head) = bytes.first_chunk::<BLOCK_HEADER_LEN>() else { return Peek::Short };
    let salt = id.salt(offset);
    let head_crc = crc32c::crc32c_append(crc32c::crc32c(&head[12..]), &salt);
    if head_crc.to_le_bytes() != head[8..12] {
        return Peek::Bad("block header checksum");
    }
    let info = decode_head(head, offset);
    let Some(body) = bytes.get(BLOCK_HEADER_LEN..info.len as usize) else { return Peek::Short };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), &salt);
    if crc32c::crc32c_append(crc, body).to_le_bytes() != head[12..16] {
        return Peek::BadPayload(info);
    }
    Peek::Whole(info)
}

fn decode_head(head: &[u8; BLOCK_HEADER_LEN], offset: u64) -> BlockInfo {
    let payload_len = u32::from_le_bytes(array(head, 16));
    BlockInfo {
        offset,
        len: BLOCK_HEADER_LEN as u64 + u64::from(payload_len) + 1,
        raw_len: u32::from_le_bytes(array(head, 20)),
        count: u32::from_le_bytes(array(head, 24)),
        first_ts_ns: i64::from_le_bytes(array(head, 32)),
        last_ts_ns: i64::from_le_bytes(array(head, 40)),
        first_pos: u64::from_le_bytes(array(head, 48)),
    }
}

/// Decompresses blocks; keeps its memory.
pub struct Unpacker {
    zstd: zstd::bulk::Decompressor<'static>,
    raw: Vec<u8>,
}

impl Unpacker {
    /// An unpacker.
    ///
    /// # Errors
    /// [`Error::Invariant`] when zstd has no memory.
    pub fn new() -> Result<Self> {
        let zstd = zstd::bulk::Decompressor::new().map_err(|e| Error::Invariant(format!("zstd: {e}")))?;
        Ok(Unpacker { zstd, raw: Vec::new() })
    }

    /// Decompresses the block `info`, which begins at `bytes[0]`, and gives a cursor at its first record.
    ///
    /// # Errors
    /// [`Error::BadTape`] where the payload is not what the header says.
    pub fn unpack(&mut self, bytes: &[u8], info: &BlockInfo) -> Result<Cursor> {
        let bad = |reason| Error::BadTape { offset: info.offset, reason };
        let end = info.len as usize - 1;
        let payload = bytes.get(BLOCK_HEADER_LEN..end).ok_or_else(|| bad("block ends early"))?;
        let length = info.raw_len as usize;
        if length > RAW_MAX {
            return Err(bad("block is larger than any can be"));
        }
        self.raw.clear();
        self.raw.reserve(length);
        let got = self.zstd.decompress_to_buffer(payload, &mut self.raw).map_err(|_| bad("payload is not zstd"))?;
        if got != length {
            return Err(bad("payload has another length than its header says"));
        }
        Ok(Cursor::new(info.first_pos, info.first_ts_ns))
    }

    /// The decompressed payload of the block unpacked last.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}
