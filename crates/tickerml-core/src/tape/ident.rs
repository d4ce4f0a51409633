//! Names: of a run, and of a segment in it.
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Bytes of a run's name, `YYYYmmddTHHMMSSZ-xxxx`.
pub const RUN_ID_LEN: usize = 21;

/// A run's name, `YYYYmmddTHHMMSSZ-xxxx`: when it began (UTC) and four hexadecimal digits of chance. Sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; RUN_ID_LEN]);

impl RunId {
    /// The name of a run that begins at `ts_ns` (ns since 1970), told from others of the same second by `chance`.
    pub fn new(ts_ns: i64, chance: u16) -> RunId {
        let seconds = ts_ns.div_euclid(1_000_000_000);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let rest = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let year = year.clamp(0, 9999);
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{chance:04x}");
        let mut name = [b'0'; RUN_ID_LEN];
        name.copy_from_slice(text.as_bytes());
        RunId(name)
    }

    /// The name as bytes.
    pub const fn as_bytes(&self) -> &[u8; RUN_ID_LEN] {
        &self.0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<RunId> {
        let bad =
            || Error::BadSetting { key: "run".to_owned(), reason: format!("{text:?} is not YYYYmmddTHHMMSSZ-xxxx") };
        let name: [u8; RUN_ID_LEN] = text.as_bytes().try_into().map_err(|_| bad())?;
        let fits = name.iter().enumerate().all(|(i, &b)| match i {
            8 => b == b'T',
            15 => b == b'Z',
            16 => b == b'-',
            17.. => b.is_ascii_hexdigit() && !b.is_ascii_uppercase(),
            _ => b.is_ascii_digit(),
        });
        if fits { Ok(RunId(name)) } else { Err(bad()) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which segment of which run. Taken from the file's path, and part of every block's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The run.
    pub run: RunId,
    /// Start of the process within the run, from 0.
    pub epoch: u32,
    /// Segment within the epoch, from 0.
    pub segment: u32,
}

impl SegmentId {
    /// `%04d-%06d.tape` (epoch, segment).
    pub fn file_name(&self) -> String {
        format!("{:04}-{:06}.tape", self.epoch, self.segment)
    }

    /// The segment of `run` whose file has this name; none for other files.
    pub fn from_file_name(run: RunId, name: &str) -> Option<SegmentId> {
        let (epoch, segment) = name.strip_suffix(".tape")?.split_once('-')?;
        let id = SegmentId { run, epoch: epoch.parse().ok()?, segment: segment.parse().ok()? };
        (id.file_name() == name).then_some(id)
    }

    /// The bytes that stand for (run, epoch, segment, offset) in a checksum.
    pub(super) fn salt(&self, offset: u64) -> [u8; RUN_ID_LEN + 16] {
        let mut salt = [0; RUN_ID_LEN + 16];
        salt[..RUN_ID_LEN].copy_from_slice(self.run.as_bytes());
        salt[RUN_ID_LEN..RUN_ID_LEN + 4].copy_from_slice(&self.epoch.to_le_bytes());
        salt[RUN_ID_LEN + 4..RUN_ID_LEN + 8].copy_from_slice(&self.segment.to_le_bytes());
        salt[RUN_ID_LEN + 8..].copy_from_slice(&offset.to_le_bytes());
        salt
    }
}

/// Days since 1970 of a stamp in ns: segments are rotated when it changes.
pub const fn utc_day(ts_ns: i64) -> i64 {
    ts_ns.div_euclid(86_400_000_000_000)
}

/// Year, month and day of a day since 1970 (H. Hinnant's civil-from-days).
fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_its_second() {
        let run = RunId::new(1_723_161_255_030_314_667, 0x0a1f);
        assert_eq!(run.as_str(), "20240808T235415Z-0a1f");
        assert_eq!(run.as_str().parse::<RunId>(), Ok(run));
        assert_eq!(RunId::new(951_782_400_000_000_000, 0).as_str(), "20000229T000000Z-0000");
        for bad in
            ["", "20240808T235415Z-0A1F", "20240808T235415Z_0a1f", "20240808T235415Z-0a1f0", "../../../../../etc/pas"]
        {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_is_named_by_epoch_and_number() {
        let id = SegmentId { run: RunId::new(0, 1), epoch: 3, segment: 12 };
        assert_eq!(id.file_name(), "0003-000012.tape");
        assert_eq!(SegmentId::from_file_name(id.run, "0003-000012.tape"), Some(id));
        for other in ["0003-12.tape", "0003-000012.tap", "spare.tmp", "+003-000012.tape"] {
            assert_eq!(SegmentId::from_file_name(id.run, other), None, "{other}");
        }
    }

    #[test]
    fn days_change_at_midnight_utc() {
        assert_eq!(utc_day(86_400_000_000_000 - 1), 0);
        assert_eq!(utc_day(86_400_000_000_000), 1);
        assert_eq!(utc_day(-1), -1);
    }
}
