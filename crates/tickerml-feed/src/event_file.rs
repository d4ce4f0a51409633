//! One event file being written. Its name and its place are the caller's: a reader must see a whole file or none.
use crate::store::{StoreError, StoreResult};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tickerml_core::event_set::Columns;
use tickerml_core::parquet::Encoder;

/// A file that grows by row groups.
pub struct EventFile {
    path: PathBuf,
    file: File,
    encoder: Encoder,
}

impl EventFile {
    /// Creates the file `path`, or empties it.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path, group_rows: usize) -> StoreResult<EventFile> {
        let file = File::create(path).map_err(|e| StoreError::io("event file", path, &e))?;
        Ok(EventFile { path: path.to_owned(), file, encoder: Encoder::new(group_rows)? })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// The encoder's and the system's.
    pub fn push(&mut self, columns: Columns<'_>) -> StoreResult<()> {
        self.encoder.push(columns)?;
        self.write()
    }

    /// Ends the file with its metadata and makes it durable.
    ///
    /// # Errors
    /// The encoder's and the system's.
    pub fn finish(mut self, metadata: &[(String, String)]) -> StoreResult<()> {
        self.encoder.finish(metadata)?;
        self.write()?;
        self.file.sync_all().map_err(|e| StoreError::io("event file", &self.path, &e))
    }

    fn write(&mut self) -> StoreResult<()> {
        let bytes = self.encoder.take();
        self.file.write_all(&bytes).map_err(|e| StoreError::io("event file", &self.path, &e))
    }
}
