//! Event files as bytes: Parquet in the schema of contract.md and the encodings of rules.md 8, a page at a time.
//!
//! Only this one schema is written. NumPy and pyarrow take 0.2 s of CPU to load, as much as all the work on ten minutes
//! of a busy feed: what writes files does without them. Reading stays with pyarrow.
//!
//! ```text
//! file  = "PAR1", group, group, ..., footer, length of the footer, "PAR1"
//! group = for each column: dictionary page (kind and flags only), data page, data page, ...
//! page  = header (Thrift) with a CRC-32 of what follows, zstd of: levels where the column may be absent, values
//! ```
mod column;
mod encode;
mod footer;
mod thrift;

use crate::error::{Error, Result};
use crate::event_set::Columns;
use column::{Chunk, Press};
use footer::{Group, LAYOUT_HASH, footer, layout_hash};

const MAGIC: &[u8; 4] = b"PAR1";

/// Rows of a page: 1 MiB of a column of eight bytes. Larger pages make files no smaller.
const PAGE_ROWS: usize = 1 << 17;

/// How a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// DELTA_BINARY_PACKED: rises by little.
    Delta,
    /// PLAIN: zstd does better with whole numbers than with differences.
    Plain,
    /// PLAIN, null where it is [`crate::units::UNDEF_TS_NS`].
    PlainOrAbsent,
    /// BYTE_STREAM_SPLIT: neighbours share their high bytes.
    Split,
    /// A dictionary of at most 256 entries, of a column of bytes.
    Dictionary,
}

/// Columns of an event file, in order.
const SCHEMA: [(&str, Form); 7] = [
    ("pos", Form::Delta),
    ("ts_recv_ns", Form::Plain),
    ("ts_event_ns", Form::PlainOrAbsent),
    ("kind", Form::Dictionary),
    ("px", Form::Split),
    ("qty", Form::Plain),
    ("flags", Form::Dictionary),
];

/// Makes one event file. Holds a page of rows and the compressed pages of a row group.
pub struct Encoder {
    group_rows: usize,
    held: Held,
    press: Press,
    chunks: [Chunk; SCHEMA.len()],
    /// Rows in the pages of the group being made.
    paged: usize,
    rows: u64,
    last_ts_ns: i64,
    groups: Vec<Group>,
    out: Vec<u8>,
    /// Bytes of the file that were taken before `out`.
    taken: u64,
}

/// Rows of the page being made.
#[derive(Default)]
struct Held {
    /// pos, ts_recv_ns, ts_event_ns, px, qty.
    wide: [Vec<i64>; 5],
    /// kind, flags.
    narrow: [Vec<u8>; 2],
}

impl Encoder {
    /// A file whose row groups have `group_rows` rows, at least one.
    ///
    /// # Errors
    /// [`Error::Invariant`] when zstd has no memory.
    pub fn new(group_rows: usize) -> Result<Encoder> {
        Ok(Encoder {
            group_rows: group_rows.max(1),
            held: Held::default(),
            press: Press::new()?,
            chunks: SCHEMA.map(|(_, form)| Chunk::new(form)),
            paged: 0,
            rows: 0,
            last_ts_ns: i64::MIN,
            groups: Vec::new(),
            out: MAGIC.to_vec(),
            taken: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Invariant`] for columns of unequal lengths or where `ts_recv_ns` goes back.
    pub fn push(&mut self, c: Columns<'_>) -> Result<()> {
        let n = c.pos.len();
        let lengths = [c.ts_recv_ns.len(), c.ts_event_ns.len(), c.kind.len(), c.px.len(), c.qty.len(), c.flags.len()];
        if lengths.iter().any(|&length| length != n) {
            return Err(Error::Invariant("columns of unequal lengths".to_owned()));
        }
        let Some(&last) = c.ts_recv_ns.last() else { return Ok(()) };
        if c.ts_recv_ns[0] < self.last_ts_ns || !c.ts_recv_ns.is_sorted() {
            return Err(Error::Invariant("ts_recv_ns goes back within a segment".to_owned()));
        }
        self.last_ts_ns = last;
        self.rows += n as u64;
        let mut from = 0;
        while from < n {
            let held = self.held.wide[0].len();
            let room = PAGE_ROWS.min(self.group_rows - self.paged) - held;
            let to = n.min(from + room);
            for (held, given) in self.held.wide.iter_mut().zip([c.pos, c.ts_recv_ns, c.ts_event_ns, c.px, c.qty]) {
                held.extend_from_slice(&given[from..to]);
            }
            for (held, given) in self.held.narrow.iter_mut().zip([c.kind, c.flags]) {
                held.extend_from_slice(&given[from..to]);
            }
            if to - from == room {
                self.end_page()?;
            }
            if self.paged == self.group_rows {
                self.end_group()?;
            }
            from = to;
        }
        Ok(())
    }

    /// Rows so far.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the file that are ready, once each: append them to the file.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    /// Ends the file with its metadata and a hash that proves the footer's own numbers; [`Encoder::take`] gives its last
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Invariant`] when zstd fails.
    pub fn finish(&mut self, metadata: &[(String, String)]) -> Result<()> {
        self.end_page()?;
        self.end_group()?;
        let start = self.out.len();
        let proof = (LAYOUT_HASH.to_owned(), layout_hash(&self.groups));
        let metadata: Vec<_> = metadata.iter().cloned().chain([proof]).collect();
        footer(&self.groups, self.rows, &metadata, &mut self.out);
        let length = (self.out.len() - start) as u32;
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(MAGIC);
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        let rows = self.held.wide[0].len();
        if rows == 0 {
            return Ok(());
        }
        let [pos, ts_recv, ts_event, px, qty] = &mut self.held.wide;
        let [kind, flags] = &mut self.held.narrow;
        let [pos_, ts_recv_, ts_event_, kind_, px_, qty_, flags_] = &mut self.chunks;
        for (chunk, values) in [(pos_, pos), (ts_recv_, ts_recv), (ts_event_, ts_event), (px_, px), (qty_, qty)] {
            chunk.page(values, &mut self.press)?;
            values.clear();
        }
        for (chunk, values) in [(kind_, kind), (flags_, flags)] {
            chunk.page_of_bytes(values, &mut self.press)?;
            values.clear();
        }
        self.paged += rows;
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if self.paged == 0 {
            return Ok(());
        }
        let mut group = Group { columns: Vec::with_capacity(SCHEMA.len()), rows: self.paged as u64 };
        for chunk in &mut self.chunks {
            let offset = self.taken + self.out.len() as u64;
            group.columns.push(chunk.finish(offset, &mut self.press, &mut self.out)?);
        }
        self.groups.push(group);
        self.paged = 0;
        Ok(())
    }
}
