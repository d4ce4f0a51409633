//! Compressed blocks that wait for the records before them: the instrument is known only when all lines were read.
use crate::recorder::SegmentWriter;
use crate::store::{StoreError, StoreResult};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tickerml_core::tape::{BlockBuilder, Packed, Packer, RecordKind, utc_day};

/// Compressed bytes that wait in memory; what is more waits in a file. Most recordings fit, and are not written twice.
const HELD_MAX: usize = 8 << 20;

/// Blocks in memory, then in a file beside the tape; beyond [`HELD_MAX`] memory holds one block and a line for each.
pub(super) struct Spool {
    path: PathBuf,
    held_max: usize,
    held: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    filed: u64,
    /// Head of each block, with an empty payload, and the payload's length.
    blocks: Vec<(Packed, usize)>,
    builder: BlockBuilder,
    packer: Packer,
    packed: Packed,
    day: i64,
}

impl Spool {
    /// A spool that uses the file `path` if it must, whose first record gets `first_pos`.
    pub(super) fn new(path: &Path, first_pos: u64) -> StoreResult<Spool> {
        Ok(Spool {
            path: path.to_owned(),
            held_max: HELD_MAX,
            held: Vec::new(),
            file: None,
            filed: 0,
            blocks: Vec::new(),
            builder: BlockBuilder::new(first_pos, i64::MIN),
            packer: Packer::new()?,
            packed: Packed::default(),
            day: 0,
        })
    }

    /// Adds a record. The monotonic clock of a recording is unknown: its arrival stamp stands for it.
    pub(super) fn push(&mut self, kind: RecordKind, slot: u16, ts_ns: i64, bytes: &[u8]) -> StoreResult<()> {
        let day = utc_day(ts_ns);
        if self.builder.is_full() || day != self.day {
            self.flush()?;
            self.day = day;
        }
        self.builder.push(kind, slot, ts_ns, ts_ns, bytes)?;
        Ok(())
    }

    /// Pos behind the last record.
    pub(super) const fn next_pos(&self) -> u64 {
        self.builder.next_pos()
    }

    /// Writes `head` as a block of its own, stamped `first_ts_ns`, then everything that was gathered.
    pub(super) fn write(
        &mut self,
        writer: &mut SegmentWriter,
        first_ts_ns: i64,
        head: &[(RecordKind, u16, Vec<u8>)],
    ) -> StoreResult<()> {
        self.flush()?;
        let mut builder = BlockBuilder::new(0, first_ts_ns);
        for (kind, slot, bytes) in head {
            builder.push(*kind, *slot, first_ts_ns, first_ts_ns, bytes)?;
        }
        self.packer.pack(&builder.take(Vec::new()), &mut self.packed)?;
        writer.write(&self.packed)?;
        let (mut held, mut offset) = (&self.held[..], 0);
        for (block, length) in &mut self.blocks {
            let mut packed = std::mem::take(block);
            packed.payload = std::mem::take(&mut self.packed.payload);
            packed.payload.resize(*length, 0);
            let read = match &self.file {
                Some(file) if held.is_empty() => {
                    offset += *length as u64;
                    file.read_exact_at(&mut packed.payload, offset - *length as u64)
                }
                _ => held.read_exact(&mut packed.payload),
            };
            read.map_err(|e| StoreError::io("import", &self.path, &e))?;
            writer.write(&packed)?;
            self.packed.payload = packed.payload;
        }
        Ok(())
    }

    fn flush(&mut self) -> StoreResult<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let memory = self.builder.take(Vec::new());
        self.packer.pack(&memory, &mut self.packed)?;
        let next = self.builder.take(memory.raw);
        debug_assert!(next.raw.is_empty(), "a builder that was just emptied holds nothing");
        let length = self.packed.payload.len();
        self.keep().map_err(|e| StoreError::io("import", &self.path, &e))?;
        let head = Packed { payload: Vec::new(), ..self.packed };
        self.blocks.push((head, length));
        Ok(())
    }

    /// Keeps the payload of the block packed last. Once there is a file, memory takes no more: order is place.
    fn keep(&mut self) -> std::io::Result<()> {
        let payload = &self.packed.payload;
        if self.file.is_none() && self.held.len() + payload.len() <= self.held_max {
            self.held.extend_from_slice(payload);
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => {
                let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&self.path)?;
                self.file.insert(open)
            }
        };
        file.write_all_at(payload, self.filed)?;
        self.filed += payload.len() as u64;
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The spool is ours and of no use to anybody later.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Resume, SEGMENT_BYTES, WriterConfig};
    use crate::store::Disk;
    use tickerml_core::tape::RunId;

    /// The segment that comes of records which do not compress, with a spool that holds `held_max` bytes in memory;
    /// and whether it used its file.
    fn segment(held_max: usize) -> (Vec<u8>, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.tmp");
        let mut spool = Spool::new(&path, 1).unwrap();
        spool.held_max = held_max;
        let mut chance = 1u64;
        for n in 0..400 {
            let noise = std::iter::repeat_with(|| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (chance >> 56) as u8
            });
            let bytes: Vec<u8> = noise.take(4000).collect();
            spool.push(RecordKind::Frame, 1, n, &bytes).unwrap();
        }
        let run = RunId::new(1_700_000_000_000_000_000, 7);
        let config =
            WriterConfig { folder: folder.path().to_owned(), run, segment_bytes: SEGMENT_BYTES, durable: false };
        let mut writer = SegmentWriter::new(Box::new(Disk), config, &Resume::default());
        spool.write(&mut writer, 0, &[(RecordKind::Epoch, 0, b"{}".to_vec())]).unwrap();
        writer.finish().unwrap();
        let filed = path.exists();
        drop(spool);
        assert!(!path.exists());
        (std::fs::read(folder.path().join("0000-000000.tape")).unwrap(), filed)
    }

    #[test]
    fn memory_and_file_make_the_same_tape() {
        let (whole, filed) = segment(HELD_MAX);
        assert!(!filed && whole.len() > 1_600_000);
        for held_max in [0, 300_000, 1_000_000] {
            assert_eq!(segment(held_max), (whole.clone(), true), "{held_max} bytes in memory");
        }
    }
}
