//! The writer thread: takes blocks, compresses, writes, syncs, moves the durable mark.
use super::queue::Shared;
use super::writer::SegmentWriter;
use crate::store::{LastSegment, StoreError, StoreResult};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tickerml_core::tape::{Packed, Packer, RawBlock};

/// Time between two tries on a full disk: recording goes on within 5 s of space coming back (reliability.md P9).
const RETRY: Duration = Duration::from_millis(500);

/// Starts the writer. `on_segment` runs at the start and after each segment that it began: retention.
pub(super) fn start(
    shared: Arc<Shared>,
    writer: SegmentWriter,
    interval: Duration,
    on_segment: Box<dyn Fn() + Send>,
) -> StoreResult<JoinHandle<Option<LastSegment>>> {
    let packer = Packer::new()?;
    let thread = Thread { shared, writer, packer, packed: Packed::default(), interval, on_segment };
    let builder = std::thread::Builder::new().name("tape".to_owned());
    builder.spawn(move || thread.run()).map_err(|e| StoreError::io("thread", &PathBuf::from("tape"), &e))
}

struct Thread {
    shared: Arc<Shared>,
    writer: SegmentWriter,
    packer: Packer,
    packed: Packed,
    interval: Duration,
    on_segment: Box<dyn Fn() + Send>,
}

impl Thread {
    fn run(mut self) -> Option<LastSegment> {
        let done = self.write_all();
        // Whatever happens, nobody waits for a writer that is gone.
        self.shared.writer_gone(done.as_ref().err().map(ToString::to_string));
        done.unwrap_or_default()
    }

    fn write_all(&mut self) -> StoreResult<Option<LastSegment>> {
        let mut segments = self.writer.segments();
        (self.on_segment)();
        while let Some(block) = self.shared.next_block(self.interval) {
            if block.count > 0 {
                self.write(&block)?;
                self.shared.written(block, self.writer.bytes(), self.writer.starved_path());
            } else if self.writer.starved() {
                self.writer.retry_space();
                self.shared.wait_for_space(self.writer.starved_path(), RETRY);
            }
            if std::mem::replace(&mut segments, self.writer.segments()) != segments {
                (self.on_segment)();
            }
        }
        self.writer.finish()
    }

    /// Writes one block, however long the disk is full; gives up only when the run ends meanwhile.
    fn write(&mut self, block: &RawBlock) -> StoreResult<()> {
        self.packer.pack(block, &mut self.packed)?;
        loop {
            match self.writer.write(&self.packed) {
                Ok(()) => {
                    self.writer.retry_space();
                    return Ok(());
                }
                Err(StoreError::DiskFull { path }) => {
                    if self.shared.wait_for_space(Some(path.clone()), RETRY) {
                        return Err(StoreError::DiskFull { path });
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
