//! Normalized market data: a [`Message`] header and its [`Row`]s.
//!
//! A message is what one frame (or one step of the book's state machine) said about one instrument. Its header holds the two
//! clocks once; a row is 16 bytes. So an event takes 16 bytes and its share of a header in memory, well below 32.
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a row says. The numbers are the `kind` column of event files (contract.md, "Event files") and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum RowKind {
    /// A bid level: `qty` replaces what stood at `px`, 0 deletes.
    Bid = 1,
    /// An ask level.
    Ask = 2,
    /// A trade whose taker bought.
    BuyTrade = 3,
    /// A trade whose taker sold.
    SellTrade = 4,
    /// The book's state: `px` is a [`BookState`], `qty` a [`Cause`].
    State = 5,
    /// Clears one side of the book; [`flag::ASK_SIDE`] tells which.
    Clear = 6,
    /// Best bid (or, with [`flag::ASK_SIDE`], ask) by the venue's own ticker.
    Touch = 7,
    /// Funding: `px` = rate x 10^12, `qty` = settlement time in ms.
    Funding = 8,
    /// Mark price: `px` = price x 10^8; with [`flag::ASK_SIDE`] the index price.
    Mark = 9,
}

impl RowKind {
    /// The kind with this number.
    #[inline]
    pub const fn from_u8(n: u8) -> Option<RowKind> {
        Some(match n {
            1 => RowKind::Bid,
            2 => RowKind::Ask,
            3 => RowKind::BuyTrade,
            4 => RowKind::SellTrade,
            5 => RowKind::State,
            6 => RowKind::Clear,
            7 => RowKind::Touch,
            8 => RowKind::Funding,
            9 => RowKind::Mark,
            _ => return None,
        })
    }
}

/// Bits of the `flags` column.
pub mod flag {
    /// Last row of its message.
    pub const LAST: u8 = 1;
    /// Row of a snapshot.
    pub const SNAPSHOT: u8 = 2;
    /// Row that no frame carried.
    pub const DERIVED: u8 = 4;
    /// Ask side of kinds 6 and 7, index of kind 9.
    pub const ASK_SIDE: u8 = 8;
    /// Settled, of kind 8.
    pub const SETTLED: u8 = 16;
    /// Every flag that there is.
    pub const ALL: u8 = LAST | SNAPSHOT | DERIVED | ASK_SIDE | SETTLED;
}

/// State of a book (design.md 3, rule 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum BookState {
    /// No connection yet.
    Connecting = 0,
    /// Diffs arrive, no snapshot is under way or fits yet.
    Buffering = 1,
    /// A snapshot has been asked for.
    Syncing = 2,
    /// True.
    Live = 3,
    /// True when last heard of, but silent for too long.
    Stale = 4,
    /// Something was lost.
    Gap = 5,
}

impl BookState {
    /// The state with this number.
    pub const fn from_u8(n: u8) -> Option<BookState> {
        Some(match n {
            0 => BookState::Connecting,
            1 => BookState::Buffering,
            2 => BookState::Syncing,
            3 => BookState::Live,
            4 => BookState::Stale,
            5 => BookState::Gap,
            _ => return None,
        })
    }

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            BookState::Connecting => "Connecting",
            BookState::Buffering => "Buffering",
            BookState::Syncing => "Syncing",
            BookState::Live => "Live",
            BookState::Stale => "Stale",
            BookState::Gap => "Gap",
        }
    }
}

/// Why a book changed state: the `qty` of kind 5. Numbers are never reused; `schema.py` holds the same table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// Start of the run, or nothing to say.
    Start = 0,
    /// A socket opened.
    Connect = 1,
    /// A socket closed.
    Disconnect = 2,
    /// The first diff arrived; a snapshot is needed.
    FirstDiff = 3,
    /// A snapshot fitted the diffs.
    Snapshot = 4,
    /// A diff did not follow the one before.
    SequenceGap = 5,
    /// The snapshot was older than the first diff.
    SnapshotTooOld = 6,
    /// Best bid at or above best ask after a whole message.
    Crossed = 7,
    /// Silence beyond the stream's limit.
    Silence = 8,
    /// The silence ended with the next diff.
    Resumed = 9,
    /// The process started again.
    Epoch = 10,
    /// Buffered diffs exceeded their bound.
    Overflow = 11,
    /// A number that does not fit the instrument.
    BadNumber = 12,
    /// The venue changed tick or lot.
    Metadata = 13,
    /// A frame that could not be read.
    BadFrame = 14,
    /// Damage in the tape.
    Damage = 15,
}

impl Cause {
    /// All causes, by number.
    pub const ALL: [Cause; 16] = [
        Cause::Start,
        Cause::Connect,
        Cause::Disconnect,
        Cause::FirstDiff,
        Cause::Snapshot,
        Cause::SequenceGap,
        Cause::SnapshotTooOld,
        Cause::Crossed,
        Cause::Silence,
        Cause::Resumed,
        Cause::Epoch,
        Cause::Overflow,
        Cause::BadNumber,
        Cause::Metadata,
        Cause::BadFrame,
        Cause::Damage,
    ];

    /// Name in reports and in `schema.py`.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::Connect => "connect",
            Cause::Disconnect => "disconnect",
            Cause::FirstDiff => "first_diff",
            Cause::Snapshot => "snapshot",
            Cause::SequenceGap => "sequence_gap",
            Cause::SnapshotTooOld => "snapshot_too_old",
            Cause::Crossed => "crossed",
            Cause::Silence => "silence",
            Cause::Resumed => "resumed",
            Cause::Epoch => "epoch",
            Cause::Overflow => "overflow",
            Cause::BadNumber => "bad_number",
            Cause::Metadata => "metadata",
            Cause::BadFrame => "bad_frame",
            Cause::Damage => "damage",
        }
    }
}

/// Bits of [`Row::px_kind`] below the price: 4 of kind, 5 of flags.
const META_BITS: u32 = 9;

/// Largest price of a row, in scaled units: 54 bits and a sign.
pub const ROW_PX_MAX: i64 = i64::MAX >> META_BITS;

/// One normalized event: price, quantity, kind and flags in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    px_kind: i64,
    /// Quantity, scaled by the instrument's qty_precision (see [`RowKind`] for the other meanings).
    pub qty: i64,
}

const _: () = assert!(size_of::<Row>() == 16);

impl Row {
    /// A row. `px` must lie within [`ROW_PX_MAX`].
    ///
    /// # Errors
    /// [`Error::BadNumber`] for a larger price.
    #[inline]
    pub fn new(kind: RowKind, px: i64, qty: i64, flags: u8) -> Result<Row> {
        if px.unsigned_abs() > ROW_PX_MAX as u64 {
            return Err(Error::BadNumber { text: px.to_string(), precision: 0, reason: "price above 54 bits" });
        }
        Ok(Row::small(kind, px, qty, flags))
    }

    /// A row whose price is known to have at most sixteen digits.
    #[inline]
    pub(crate) fn small(kind: RowKind, px: i64, qty: i64, flags: u8) -> Row {
        debug_assert!(px.unsigned_abs() <= ROW_PX_MAX as u64);
        Row { px_kind: (px << META_BITS) | i64::from(flags) << 4 | kind as i64, qty }
    }

    /// Price, scaled by the instrument's price_precision (see [`RowKind`] for the other meanings).
    #[inline]
    pub const fn px(self) -> i64 {
        self.px_kind >> META_BITS
    }

    /// What the row says, as the number of the `kind` column.
    #[inline]
    pub const fn kind_u8(self) -> u8 {
        (self.px_kind & 15) as u8
    }

    /// What the row says.
    #[inline]
    pub const fn kind(self) -> RowKind {
        match RowKind::from_u8(self.kind_u8()) {
            Some(kind) => kind,
            None => panic!("a row is made from a RowKind"),
        }
    }

    /// Bits of [`flag`].
    #[inline]
    pub const fn flags(self) -> u8 {
        ((self.px_kind >> 4) & 31) as u8
    }

    /// The same row with another quantity.
    #[inline]
    pub const fn with_qty(self, qty: i64) -> Row {
        Row { qty, ..self }
    }

    /// The same row with more flags.
    #[inline]
    pub const fn with_flags(self, flags: u8) -> Row {
        Row { px_kind: self.px_kind | (flags as i64) << 4, qty: self.qty }
    }
}

/// Header of the rows that one record brought for one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Tape record that it came from.
    pub pos: u64,
    /// Arrival here, ns since 1970.
    pub ts_recv_ns: i64,
    /// The venue's time (T, else E), ns since 1970; [`crate::units::UNDEF_TS_NS`] where there is none.
    pub ts_event_ns: i64,
    /// Index of the instrument in its session or file.
    pub instrument: u16,
    /// Number of rows.
    pub rows: u32,
}

const _: () = assert!(size_of::<Message>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_parts() {
        for px in [0, 1, -1, 6_168_599, ROW_PX_MAX, -ROW_PX_MAX] {
            let row = Row::new(RowKind::Touch, px, -7, flag::ASK_SIDE).unwrap().with_flags(flag::LAST);
            assert_eq!((row.px(), row.qty, row.kind(), row.flags()), (px, -7, RowKind::Touch, 9));
        }
        assert!(Row::new(RowKind::Bid, ROW_PX_MAX + 1, 0, 0).is_err());
    }

    #[test]
    fn numbers_name_themselves() {
        for (n, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, n);
        }
        for n in 1..=9 {
            assert_eq!(RowKind::from_u8(n).unwrap() as u8, n);
        }
    }
}
