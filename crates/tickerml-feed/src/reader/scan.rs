//! The structural proof of a tape: every checksum, every recorded length and hash, and whether all of it is here.
use super::{Damaged, LOOKS_MAX, TapeReader, segment};
use crate::store::{RunInfo, RunState, SegmentPath, StoreError, StoreResult, TapeFolder, read_data, read_header};
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use tickerml_core::tape::{Closed, Damage, RunId, Scan, SegmentId};

/// What the bytes of a tape are, without their meaning: the structural part of `data verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TapeScan {
    /// The run.
    pub run: String,
    /// Whether retention removed its first segments: `run.json` says so.
    pub pruned: bool,
    /// Segments.
    pub segments: u64,
    /// Whole blocks.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of torn tails.
    pub cut_bytes: u64,
    /// Records that are not there: before, between and behind the whole blocks.
    pub missing_records: u64,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Stamp of the first record; none in an empty tape.
    pub first_ts_recv_ns: Option<i64>,
    /// Stamp of the last record.
    pub last_ts_recv_ns: Option<i64>,
    /// Segments that are missing, then damage in order.
    pub damaged: Vec<Damaged>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

/// Proves a tape: every checksum, every recorded length and hash, and that every segment and record that `run.json` knows
/// of is there. Decompresses nothing.
///
/// # Errors
/// [`StoreError::NotFound`] where there is no tape, [`StoreError::Core`] for one of a newer program.
pub fn scan_tape(path: &Path) -> StoreResult<TapeScan> {
    let mut reader = TapeReader::open(path)?;
    let info = reader.run_info();
    let mut scan = TapeScan {
        run: reader.run().to_string(),
        pruned: info.as_ref().is_some_and(|info| info.pruned),
        segments: reader.segments.len() as u64,
        blocks: 0,
        records: 0,
        cut_bytes: 0,
        missing_records: 0,
        file_bytes: 0,
        first_ts_recv_ns: None,
        last_ts_recv_ns: None,
        damaged: std::mem::take(&mut reader.damaged),
        unchecked: unchecked(info.as_ref()),
    };
    let mut next_pos = reader.next_pos;
    for index in 0..reader.segments.len() {
        reader.index = index;
        let segment = &reader.segments[index];
        let read = || std::fs::read(&segment.path).map_err(|e| StoreError::io("segment", &segment.path, &e));
        let (found, file_bytes) = settled(read, &segment.id, reader.closed().as_ref())?;
        scan.file_bytes += file_bytes;
        scan.cut_bytes += found.cut.map_or(0, |cut| cut.bytes);
        scan.blocks += found.blocks.len() as u64;
        for block in &found.blocks {
            scan.records += u64::from(block.count);
            scan.missing_records += block.first_pos.saturating_sub(next_pos.unwrap_or(block.first_pos));
            next_pos = next_pos.max(Some(block.next_pos()));
            scan.first_ts_recv_ns.get_or_insert(block.first_ts_ns);
            scan.last_ts_recv_ns = Some(block.last_ts_ns);
        }
        let name = segment.id.file_name();
        scan.damaged.extend(found.damaged.iter().map(|damage| segment::named(&name, damage)));
    }
    if let Some(info) = info.filter(|info| info.state == RunState::Ended) {
        scan.missing_records += info.records.saturating_sub(next_pos.unwrap_or(0));
    }
    Ok(scan)
}

/// What a segment is, and its bytes. Of an open one damage is believed when it is still there at the next look, for somebody may
/// have been writing while it was read: a page from before, the next one from after.
fn settled(
    read: impl Fn() -> StoreResult<Vec<u8>>,
    id: &SegmentId,
    closed: Option<&Closed>,
) -> StoreResult<(Scan, u64)> {
    let (mut seen, mut looks): (Vec<Damage>, _) = (Vec::new(), 0);
    loop {
        looks += 1;
        let bytes = read()?;
        let found = tickerml_core::tape::scan(&bytes, id, closed)?;
        let stays = found.damaged.iter().all(|damage| seen.contains(damage));
        if stays || closed.is_some() || looks == LOOKS_MAX {
            return Ok((found, bytes.len() as u64));
        }
        seen = found.damaged;
    }
}

/// Stamps of a tape's first and last record; none in an empty one. Reads one header and `run.json`, or where the run goes on
/// its last segment.
///
/// # Errors
/// As [`scan_tape`].
pub fn tape_span(path: &Path) -> StoreResult<Option<(i64, i64)>> {
    let folder = TapeFolder::open(path)?;
    let info = folder.run_folder().and_then(|run| RunInfo::read(&run).ok());
    let segments = folder.segments();
    let Some(first) = segments.iter().find_map(|s| read_header(&s.path)) else { return Ok(None) };
    if let Some(last_ns) = info.and_then(|info| info.last_ts_ns) {
        return Ok(Some((first.created_ts_ns, last_ns)));
    }
    for segment in segments.iter().rev() {
        let file = File::open(&segment.path).and_then(|file| read_data(&file, 0, file.metadata()?.len()));
        let bytes = file.map_err(|e| StoreError::io("segment", &segment.path, &e))?;
        if let Some(block) = tickerml_core::tape::scan(&bytes, &segment.id, None)?.blocks.last() {
            return Ok(Some((first.created_ts_ns, block.last_ts_ns)));
        }
    }
    Ok(None)
}

/// Pos at which the records that must be here begin: 0, unless retention removed the first ones.
pub(super) fn first_pos(segments: &[SegmentPath], info: Option<&RunInfo>) -> Option<u64> {
    if !info.is_some_and(|info| info.pruned) {
        return Some(0);
    }
    Some(read_header(&segments.first()?.path)?.first_pos)
}

/// Whether the segment `next` is the one behind `id`, as far as their numbers say: both count without a gap.
pub(super) const fn follows(next: &SegmentId, id: &SegmentId) -> bool {
    let in_epoch = next.epoch == id.epoch && next.segment == id.segment + 1;
    in_epoch || (next.epoch == id.epoch + 1 && next.segment == 0)
}

/// The segments that are not here, one of each hole: at the start unless retention removed them, between others, and the
/// last one that `run.json` names.
pub(super) fn missing_segments(segments: &[SegmentPath], info: Option<&RunInfo>) -> Vec<Damaged> {
    let mut holes = Vec::new();
    let Some((first, last)) = segments.first().zip(segments.last()) else { return holes };
    let pruned = info.is_some_and(|info| info.pruned);
    if !pruned && (first.id.epoch, first.id.segment) != (0, 0) {
        holes.push(hole(first.id.run, 0, 0, prev_len(first)));
    }
    for pair in segments.windows(2) {
        let (id, next) = (&pair[0].id, &pair[1].id);
        if next.epoch == id.epoch && !follows(next, id) {
            holes.push(hole(id.run, id.epoch, id.segment + 1, prev_len(&pair[1])));
        } else if !follows(next, id) {
            holes.push(hole(id.run, id.epoch + 1, 0, prev_len(&pair[1])));
        }
    }
    if let Some(known) = info.and_then(|info| info.segment_last.as_ref())
        && (known.epoch, known.segment) > (last.id.epoch, last.id.segment)
    {
        holes.push(hole(last.id.run, known.epoch, known.segment, known.length));
    }
    holes
}

/// Bytes of the segment before this one, as far as is known.
fn prev_len(segment: &SegmentPath) -> u64 {
    read_header(&segment.path).map_or(0, |header| header.prev_len)
}

fn hole(run: RunId, epoch: u32, segment: u32, bytes: u64) -> Damaged {
    let segment = SegmentId { run, epoch, segment }.file_name();
    Damaged { segment, offset: 0, bytes, reason: "segment is missing".to_owned() }
}

fn unchecked(info: Option<&RunInfo>) -> Vec<String> {
    let what = "no run.json that can be read belongs to this folder: whether its last segments are all here, and whether the \
                last one is as it was written, cannot be told";
    if info.is_some() { Vec::new() } else { vec![what.to_owned()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tickerml_core::tape::{HEADER_LEN, SegmentHeader};

    #[test]
    fn what_is_being_written_is_no_damage_and_what_stays_is() {
        let id = SegmentId { run: RunId::new(1_723_161_255_000_000_000, 3), epoch: 0, segment: 0 };
        let header = SegmentHeader { id, created_ts_ns: 1, first_pos: 0, prev_len: 0, prev_sha256: [0; 32] };
        let whole = header.encode().to_vec();
        let mut torn = whole.clone();
        torn[HEADER_LEN / 2] ^= 1;
        let looks = Cell::new(0);
        // Each look at what is damaged for good finds more behind the damage, because somebody writes on.
        let grows = |n: usize| [&torn[..], &vec![1; n * 64]].concat();
        let reads = |first: usize| {
            looks.set(0);
            let (looks, whole, torn) = (&looks, &whole, &torn);
            move || {
                looks.set(looks.get() + 1);
                Ok(if looks.get() > first { whole.clone() } else { torn.clone() })
            }
        };
        let damaged = |first| settled(reads(first), &id, None).unwrap().0.damaged.len();
        assert_eq!((damaged(0), looks.get()), (0, 1));
        assert_eq!((damaged(1), looks.get()), (0, 2));
        assert_eq!((damaged(2), looks.get()), (1, 2));
        looks.set(0);
        let growing = || {
            looks.set(looks.get() + 1);
            Ok(grows(looks.get()))
        };
        assert!(!settled(growing, &id, None).unwrap().0.damaged.is_empty());
        assert!(looks.get() <= LOOKS_MAX);
    }
}
