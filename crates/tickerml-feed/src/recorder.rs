//! Writes tapes.
mod resume;
mod writer;

pub use resume::{Resume, resume};
pub use writer::{SEGMENT_BYTES, SEGMENT_BYTES_MIN, SegmentWriter, WriterConfig};
