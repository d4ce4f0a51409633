//! Several recordings as one, by stamp; ties in the order in which the files were given.
use super::lines::{Line, Lines};
use super::{Format, Rejected};
use crate::store::StoreResult;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use tickerml_core::units::{STAMP_NS_MAX, STAMP_NS_MIN};

/// One line of a recording.
pub(super) struct Item<'a> {
    /// File that it stands in.
    pub(super) file: &'a str,
    /// Line, from 1.
    pub(super) line: u64,
    /// Its stamp, never below the one before, ns since 1970.
    pub(super) ts_ns: i64,
    /// The raw message.
    pub(super) payload: &'a [u8],
}

/// Files being merged.
pub(super) struct Merge {
    sources: Vec<Source>,
    current: Option<usize>,
    last_ts_ns: i64,
    backward: u64,
}

impl Merge {
    /// Opens all files.
    pub(super) fn open(format: Format, files: &[PathBuf]) -> StoreResult<Merge> {
        let sources = files.iter().map(|path| {
            let name = path.display().to_string();
            let lines = Lines::open(path)?;
            Ok(Source {
                format,
                lines,
                name,
                line: 0,
                head: None,
                text: Vec::new(),
                rejected: Vec::new(),
                more_rejected: 0,
            })
        });
        let mut sources: Vec<Source> = sources.collect::<StoreResult<_>>()?;
        sources.iter_mut().for_each(Source::advance);
        Ok(Merge { sources, current: None, last_ts_ns: i64::MIN, backward: 0 })
    }

    /// The next line in order; none at the end.
    pub(super) fn next(&mut self) -> StoreResult<Option<Item<'_>>> {
        if let Some(current) = self.current.take() {
            self.sources[current].advance();
        }
        let heads = self.sources.iter().enumerate().filter_map(|(n, s)| Some((s.head.as_ref()?.ts_ns, n)));
        let Some((ts, n)) = heads.min() else { return Ok(None) };
        self.current = Some(n);
        self.backward += u64::from(ts < self.last_ts_ns);
        self.last_ts_ns = self.last_ts_ns.max(ts);
        let source = &self.sources[n];
        let Some(head) = &source.head else { return Ok(None) };
        let payload = match &head.payload {
            Payload::Line(range) => source.lines.bytes(range.clone()),
            Payload::Text => &source.text,
        };
        Ok(Some(Item { file: &source.name, line: source.line, ts_ns: self.last_ts_ns, payload }))
    }

    /// Stamps that went back.
    pub(super) const fn backward(&self) -> u64 {
        self.backward
    }

    /// Lines without a stamp or a payload, file by file.
    pub(super) fn rejected(self) -> impl Iterator<Item = Rejected> {
        self.sources.into_iter().flat_map(|source| {
            let Source { name, rejected, more_rejected, .. } = source;
            let reason = "not listed one by one";
            let rest = (0..more_rejected).map(move |_| (0, reason.to_owned()));
            let all = rejected.into_iter().chain(rest);
            all.map(move |(line, reason)| Rejected { file: name.clone(), line, reason })
        })
    }
}

struct Source {
    format: Format,
    lines: Lines,
    name: String,
    line: u64,
    head: Option<Head>,
    /// Payload of a format whose text is quoted.
    text: Vec<u8>,
    rejected: Vec<(u64, String)>,
    more_rejected: u64,
}

struct Head {
    ts_ns: i64,
    payload: Payload,
}

enum Payload {
    Line(Range<usize>),
    Text,
}

#[derive(Deserialize)]
struct Quoted<'a> {
    recv_ts_ns: i64,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

impl Source {
    /// Goes to the next line that has a stamp and a payload.
    fn advance(&mut self) {
        loop {
            self.head = None;
            self.line += 1;
            let reason = match self.lines.next() {
                Line::End => return,
                Line::Text(range) if range.is_empty() => continue,
                Line::Text(range) => match self.split(range) {
                    Ok(head) => {
                        self.head = Some(head);
                        return;
                    }
                    Err(reason) => reason,
                },
                Line::TooLong => "line above 33 MiB; the rest of the file is not read".to_owned(),
                Line::Broken(reason) => format!("the rest of the file cannot be read: {reason}"),
            };
            if self.rejected.len() < super::REJECTED_MAX {
                self.rejected.push((self.line, reason));
            } else {
                self.more_rejected += 1;
            }
        }
    }

    fn split(&mut self, range: Range<usize>) -> Result<Head, String> {
        let line = self.lines.bytes(range.clone());
        match self.format {
            Format::HftbacktestRaw => {
                let digits = line.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
                if line.get(digits) != Some(&b' ') {
                    return Err("no `<stamp> <json>`".to_owned());
                }
                let ts_ns = stamp_ns(&line[..digits])?;
                Ok(Head { ts_ns, payload: Payload::Line(range.start + digits + 1..range.end) })
            }
            Format::Jsonl => {
                let quoted: Quoted<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
                let ts_ns = scaled(quoted.recv_ts_ns)?;
                self.text.clear();
                self.text.extend_from_slice(quoted.payload.as_bytes());
                Ok(Head { ts_ns, payload: Payload::Text })
            }
        }
    }
}

fn stamp_ns(digits: &[u8]) -> Result<i64, String> {
    let bad = || "stamp is not a number of 63 bits".to_owned();
    let mut value: i64 = 0;
    for digit in digits {
        value = value.checked_mul(10).and_then(|v| v.checked_add(i64::from(digit - b'0'))).ok_or_else(bad)?;
    }
    scaled(value)
}

/// A stamp in ns: recordings use ns or us, which differ by their size for any day that is believed.
fn scaled(stamp: i64) -> Result<i64, String> {
    const US_MIN: i64 = STAMP_NS_MIN / 1000;
    const US_MAX: i64 = STAMP_NS_MAX / 1000;
    match stamp {
        STAMP_NS_MIN..=STAMP_NS_MAX => Ok(stamp),
        US_MIN..=US_MAX => Ok(stamp * 1000),
        _ => Err(format!("stamp {stamp} is neither ns nor us of a day from 2009 to 2199")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_ns_and_us_are_told_apart() {
        assert_eq!(stamp_ns(b"1723161253937085768"), Ok(1_723_161_253_937_085_768));
        assert_eq!(stamp_ns(b"1721749182850494"), Ok(1_721_749_182_850_494_000));
        let beyond = [&b"9223372036854775807"[..], b"7258118400000000001", b"1230767999999999999", b"1230767999999999"];
        for bad in [&b""[..], b"0", b"1723161253", b"99999999999999999999"].into_iter().chain(beyond) {
            assert!(stamp_ns(bad).is_err());
        }
    }
}
