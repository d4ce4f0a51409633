//! Reads recordings: `<recv_ns or recv_us> <json>` lines and `{"recv_ts_ns":..,"payload":".."}` lines, gzip or not.
use super::Snapshot;
use crate::error::{Error, Result};
use crate::market::OutFrame;
use crate::stream::{Channel, canonical, channel_of};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::sync::Arc;
use tickerml_core::instrument::Venue;

/// Longest line: a Coinbase snapshot has 5 MB; anything longer is not a recording.
const LINE_MAX: u64 = 64 << 20;

/// Below this a stamp is microseconds: 10^17 ns is 1973, 10^17 us lies in the year 5138.
const NS_MIN: i64 = 100_000_000_000_000_000;

/// Everything that the files hold, in the order of its stamps.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub frames: Vec<Arc<OutFrame>>,
    pub snapshots: Vec<Snapshot>,
    pub skipped: u64,
}

pub(super) fn load(venue: Venue, files: &[String]) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    for file in files {
        let wrong = |reason: String| Error::BadRecording { file: file.clone(), reason };
        let mut lines = open(file).map_err(|e| wrong(e.to_string()))?;
        let (mut line, mut last_ns) = (Vec::new(), i64::MIN);
        loop {
            line.clear();
            let read = lines.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
            if read.map_err(|e| wrong(e.to_string()))? == 0 {
                break;
            }
            match entry(&line) {
                Some((ts_ns, text)) => {
                    last_ns = last_ns.max(ts_ns);
                    loaded.take(venue, last_ns, text);
                }
                None => loaded.skipped += 1,
            }
        }
    }
    // Stable: what has the same stamp stays in the order of the files.
    loaded.frames.sort_by_key(|f| f.ts_ns);
    loaded.snapshots.sort_by_key(|s| s.ts_ns);
    Ok(loaded)
}

fn open(file: &str) -> std::io::Result<Box<dyn BufRead>> {
    let mut plain = File::open(file)?;
    let mut magic = [0; 2];
    let gzip = plain.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
    plain.rewind()?;
    Ok(if gzip { Box::new(BufReader::new(MultiGzDecoder::new(plain))) } else { Box::new(BufReader::new(plain)) })
}

/// Stamp in ns and raw text of a line.
fn entry(line: &[u8]) -> Option<(i64, String)> {
    #[derive(Deserialize)]
    struct Jsonl {
        recv_ts_ns: i64,
        payload: String,
    }
    let line = std::str::from_utf8(line).ok()?.trim_end_matches(['\n', '\r']);
    if line.starts_with('{') {
        let entry: Jsonl = serde_json::from_str(line).ok()?;
        return Some((entry.recv_ts_ns, entry.payload));
    }
    let (stamp, text) = line.split_once(' ')?;
    let stamp: i64 = stamp.parse().ok()?;
    Some((if stamp < NS_MIN { stamp.checked_mul(1_000)? } else { stamp }, text.to_owned()))
}

#[derive(Deserialize)]
struct Head<'a> {
    stream: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
}

impl Loaded {
    fn take(&mut self, venue: Venue, ts_ns: i64, text: String) {
        let Ok(head) = serde_json::from_str::<Head<'_>>(&text) else {
            self.skipped += 1;
            return;
        };
        match (head.stream, head.data, head.last_update_id) {
            (Some(stream), Some(data), _) => {
                let stream: Arc<str> = canonical(venue, &stream).into();
                let data_at = data.get().as_ptr() as usize - text.as_ptr() as usize;
                let diff = matches!(channel_of(venue, &stream), Some(Channel::Depth(_)));
                let frame = OutFrame { symbol: 0, stream, diff, ts_ns, first_id: 0, last_id: 0, text, data_at };
                self.frames.push(Arc::new(frame));
            }
            (None, _, Some(_)) => self.snapshots.push(Snapshot { ts_ns, body: text }),
            _ => self.skipped += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_formats() {
        assert_eq!(entry(b"1723161600001658384 {}\n"), Some((1_723_161_600_001_658_384, "{}".to_owned())));
        assert_eq!(entry(b"1721749182850494 x\r\n"), Some((1_721_749_182_850_494_000, "x".to_owned())));
        assert_eq!(entry(br#"{"recv_ts_ns":5,"payload":"{\"a\":1}"}"#), Some((5, "{\"a\":1}".to_owned())));
        for bad in [b"".as_slice(), b"x {}", b"12", b"{}", b"1 \xff"] {
            assert_eq!(entry(bad), None);
        }
    }
}
