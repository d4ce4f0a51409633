//! The tape: encode, decode and scan over byte slices (design.md 5, rules.md 4). Files live in feed's recorder.
//!
//! ```text
//! segment = header (128 B), block, block, ..., padding of zeros while it is being written
//! block   = magic, checksums, lengths, first and last ts_recv_ns, first pos, record count, zstd payload, end byte
//! payload = record, record, ...
//! record  = kind, slot, length, ts_recv_ns and ts_mono_ns as differences, bytes
//! ```
mod block;
mod header;
mod ident;
mod record;
mod records;
mod scan;

pub use block::{BLOCK_HEADER_LEN, BLOCK_MAGIC, BLOCK_RAW, BlockInfo, Packed, Packer, Peek, RAW_MAX, Unpacker, peek};
pub use header::{HEADER_LEN, SegmentHeader, VERSION};
pub use ident::{RUN_ID_LEN, RunId, SegmentId, utc_day};
pub use record::{Record, RecordKind, RestHead};
pub use records::{BlockBuilder, Cursor, RECORD_MAX, RawBlock, Records};
pub(crate) use records::{put as put_varint, zigzag};
pub use scan::{Closed, ClosedBy, Cut, Damage, Scan, Tail, beyond, resolve, scan};
