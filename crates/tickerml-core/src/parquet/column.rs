//! One column of a row group: its pages, what they say of themselves, and the least and greatest value.
use super::Form;
use super::encode::{delta, plain, runs, split};
use super::thrift::Thrift;
use crate::error::{Error, Result};
use crate::units::UNDEF_TS_NS;

/// zstd level: 9 makes files 1 % smaller for half as much time again (benchmarks.md 2.7).
const LEVEL: i32 = 3;

/// Numbers of Parquet's encodings.
pub(super) const PLAIN: i32 = 0;
pub(super) const RLE: i32 = 3;
const DELTA_BINARY_PACKED: i32 = 5;
const RLE_DICTIONARY: i32 = 8;
const BYTE_STREAM_SPLIT: i32 = 9;

const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;

impl Form {
    /// The encoding of its values.
    pub(super) const fn encoding(self) -> i32 {
        match self {
            Form::Delta => DELTA_BINARY_PACKED,
            Form::Plain | Form::PlainOrAbsent => PLAIN,
            Form::Split => BYTE_STREAM_SPLIT,
            Form::Dictionary => RLE_DICTIONARY,
        }
    }
}

/// Memory of a page on its way, and the compressor.
pub(super) struct Press {
    zstd: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    small: Vec<u8>,
    present: Vec<i64>,
    indices: Vec<u8>,
}

impl Press {
    pub(super) fn new() -> Result<Press> {
        let zstd = zstd::bulk::Compressor::new(LEVEL).map_err(|e| Error::Invariant(format!("zstd: {e}")))?;
        Ok(Press { zstd, raw: Vec::new(), small: Vec::new(), present: Vec::new(), indices: Vec::new() })
    }

    /// Compresses `raw` and appends it to `out` behind a header, whose own fields follow those of every page; gives
    /// the bytes that the page would take uncompressed.
    fn page(&mut self, out: &mut Vec<u8>, kind: i32, head: impl FnOnce(&mut Thrift<'_>)) -> Result<u64> {
        self.small.clear();
        self.small.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        self.zstd.compress_to_buffer(&self.raw, &mut self.small).map_err(|e| Error::Invariant(format!("zstd: {e}")))?;
        let start = out.len();
        Thrift::write(out, |page| {
            page.i32(1, kind);
            page.i32(2, self.raw.len() as i32);
            page.i32(3, self.small.len() as i32);
            // Of the bytes as they stand in the file, by the CRC-32 of gzip; Parquet's field is signed.
            page.i32(4, crc32fast::hash(&self.small).cast_signed());
            head(page);
        });
        let head_len = out.len() - start;
        out.extend_from_slice(&self.small);
        Ok((head_len + self.raw.len()) as u64)
    }
}

/// What the footer says of a column of a group.
pub(super) struct ColumnMeta {
    pub(super) values: u64,
    pub(super) nulls: u64,
    /// Least and greatest value as bytes; none where all are absent.
    pub(super) range: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) raw_bytes: u64,
    pub(super) bytes: u64,
    pub(super) dictionary_offset: Option<u64>,
    pub(super) data_offset: u64,
}

/// The column being made.
pub(super) struct Chunk {
    form: Form,
    pages: Vec<u8>,
    values: u64,
    nulls: u64,
    raw_bytes: u64,
    range: Option<(i64, i64)>,
    /// Entries in the order in which they came, and each byte's place among them.
    entries: Vec<u8>,
    place: [Option<u8>; 256],
}

impl Chunk {
    pub(super) const fn new(form: Form) -> Chunk {
        Chunk {
            form,
            pages: Vec::new(),
            values: 0,
            nulls: 0,
            raw_bytes: 0,
            range: None,
            entries: Vec::new(),
            place: [None; 256],
        }
    }

    /// Adds a page.
    pub(super) fn page(&mut self, values: &[i64], press: &mut Press) -> Result<()> {
        press.raw.clear();
        match self.form {
            Form::Delta => delta(values, &mut press.raw),
            Form::Split => split(values, &mut press.raw),
            Form::PlainOrAbsent => return self.page_with_absent(values, press),
            Form::Plain | Form::Dictionary => plain(values, &mut press.raw),
        }
        self.saw(values);
        self.data_page(values.len(), press)
    }

    /// Adds a page of a dictionary's column.
    pub(super) fn page_of_bytes(&mut self, values: &[u8], press: &mut Press) -> Result<()> {
        press.indices.clear();
        press.indices.extend(values.iter().map(|&value| {
            *self.place[usize::from(value)].get_or_insert_with(|| {
                self.entries.push(value);
                (self.entries.len() - 1) as u8
            })
        }));
        let width = width_of(self.entries.len());
        press.raw.clear();
        press.raw.push(width as u8);
        runs(&press.indices, width, &mut press.raw);
        self.data_page(values.len(), press)
    }

    /// Ends the column: appends its pages, which begin at `offset` of the file, and begins the next one.
    pub(super) fn finish(&mut self, offset: u64, press: &mut Press, out: &mut Vec<u8>) -> Result<ColumnMeta> {
        let start = out.len();
        let mut dictionary_offset = None;
        if self.form == Form::Dictionary {
            dictionary_offset = Some(offset);
            press.raw.clear();
            press.raw.extend(self.entries.iter().flat_map(|&entry| u32::from(entry).to_le_bytes()));
            let count = self.entries.len() as i32;
            self.raw_bytes += press.page(out, DICTIONARY_PAGE, |page| {
                page.structure(7, |dictionary| {
                    dictionary.i32(1, count);
                    dictionary.i32(2, PLAIN);
                });
            })?;
        }
        let data_offset = offset + (out.len() - start) as u64;
        out.extend_from_slice(&self.pages);
        let meta = ColumnMeta {
            values: self.values,
            nulls: self.nulls,
            range: self.range_bytes(),
            raw_bytes: self.raw_bytes,
            bytes: (out.len() - start) as u64,
            dictionary_offset,
            data_offset,
        };
        *self = Chunk { pages: std::mem::take(&mut self.pages), ..Chunk::new(self.form) };
        self.pages.clear();
        Ok(meta)
    }

    /// A page whose levels say which values are there.
    fn page_with_absent(&mut self, values: &[i64], press: &mut Press) -> Result<()> {
        press.indices.clear();
        press.indices.extend(values.iter().map(|&value| u8::from(value != UNDEF_TS_NS)));
        press.present.clear();
        press.present.extend(values.iter().filter(|&&value| value != UNDEF_TS_NS));
        press.raw.extend_from_slice(&[0; 4]);
        runs(&press.indices, 1, &mut press.raw);
        let levels = (press.raw.len() - 4) as u32;
        press.raw[..4].copy_from_slice(&levels.to_le_bytes());
        plain(&press.present, &mut press.raw);
        self.nulls += (values.len() - press.present.len()) as u64;
        self.saw(&press.present);
        self.data_page(values.len(), press)
    }

    fn data_page(&mut self, rows: usize, press: &mut Press) -> Result<()> {
        let encoding = self.form.encoding();
        self.values += rows as u64;
        self.raw_bytes += press.page(&mut self.pages, DATA_PAGE, |page| {
            page.structure(5, |data| {
                data.i32(1, rows as i32);
                data.i32(2, encoding);
                data.i32(3, RLE);
                data.i32(4, RLE);
            });
        })?;
        Ok(())
    }

    fn saw(&mut self, values: &[i64]) {
        let (Some(&least), Some(&most)) = (values.iter().min(), values.iter().max()) else { return };
        let (low, high) = self.range.unwrap_or((least, most));
        self.range = Some((low.min(least), high.max(most)));
    }

    fn range_bytes(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.form == Form::Dictionary {
            let bytes = |entry: &u8| u32::from(*entry).to_le_bytes().to_vec();
            return self.entries.iter().min().map(bytes).zip(self.entries.iter().max().map(bytes));
        }
        self.range.map(|(low, high)| (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()))
    }
}

/// Bits of an index into `entries` entries; never none, which some readers take for damage.
fn width_of(entries: usize) -> u32 {
    (usize::BITS - entries.saturating_sub(1).leading_zeros()).max(1)
}
