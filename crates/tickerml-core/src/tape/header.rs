//! The first 128 bytes of a segment.
use super::ident::{RUN_ID_LEN, RunId, SegmentId};
use crate::error::{Error, Result};

/// Bytes of a segment's header; the first block begins here.
pub const HEADER_LEN: usize = 128;

/// The format that this program writes, and the newest that it reads.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"TickTape";
const CRC_AT: usize = HEADER_LEN - 4;

/// What a segment says of itself and of the one before. Has its own checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Run, epoch and segment.
    pub id: SegmentId,
    /// Valid bytes of the segment before; 0 in the first of a run.
    pub prev_len: u64,
    /// SHA-256 of those bytes; zeros in the first of a run.
    pub prev_sha256: [u8; 32],
    /// Pos of its first record.
    pub first_pos: u64,
    /// Stamp of its first record, ns since 1970.
    pub created_ts_ns: i64,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..10 + RUN_ID_LEN].copy_from_slice(self.id.run.as_bytes());
        out[32..36].copy_from_slice(&self.id.epoch.to_le_bytes());
        out[36..40].copy_from_slice(&self.id.segment.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_pos.to_le_bytes());
        out[48..56].copy_from_slice(&self.created_ts_ns.to_le_bytes());
        out[56..64].copy_from_slice(&self.prev_len.to_le_bytes());
        out[64..96].copy_from_slice(&self.prev_sha256);
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`Error::TapeVersion`] for a newer format, [`Error::BadTape`] where the bytes do not prove themselves.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader> {
        let bad = |reason| Error::BadTape { offset: 0, reason };
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or_else(|| bad("segment header ends early"))?;
        if bytes[..8] != MAGIC {
            return Err(bad("no segment magic"));
        }
        if crc32c::crc32c(&bytes[..CRC_AT]).to_le_bytes() != bytes[CRC_AT..] {
            return Err(bad("segment header checksum"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(Error::TapeVersion { found: version, known: VERSION });
        }
        let run = std::str::from_utf8(&bytes[10..10 + RUN_ID_LEN]).ok().and_then(|text| text.parse::<RunId>().ok());
        let id = SegmentId {
            run: run.ok_or_else(|| bad("segment header names no run"))?,
            epoch: u32::from_le_bytes(array(bytes, 32)),
            segment: u32::from_le_bytes(array(bytes, 36)),
        };
        Ok(SegmentHeader {
            id,
            first_pos: u64::from_le_bytes(array(bytes, 40)),
            created_ts_ns: i64::from_le_bytes(array(bytes, 48)),
            prev_len: u64::from_le_bytes(array(bytes, 56)),
            prev_sha256: array(bytes, 64),
        })
    }
}

/// `N` bytes at `at`; the caller has checked that they are there.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let id = SegmentId { run: RunId::new(1_723_161_255_000_000_000, 7), epoch: 2, segment: 9 };
        SegmentHeader { id, prev_len: 1234, prev_sha256: [7; 32], first_pos: 42, created_ts_ns: -5 }
    }

    #[test]
    fn reads_back_and_every_flip_is_found() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::decode(&flipped), Err(Error::BadTape { .. })), "bit {bit}");
        }
        assert!(SegmentHeader::decode(&bytes[..HEADER_LEN - 1]).is_err());
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let mut bytes = header().encode();
        bytes[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(Error::TapeVersion { found: VERSION + 1, known: VERSION }));
    }
}
