//! What is known of one instrument: its book, the state of the book, its trades and prices, and what was counted.
use super::silence::Silence;
use crate::book::Book;
use crate::event::{BookState, Cause, Message, Row};
use crate::instrument::{Instrument, Venue};
use crate::sequence::{Diff, Sequence, Snapshot};
use crate::wire::{DepthIds, Scale};
use serde::{Deserialize, Serialize};

/// Most bytes of rows that wait for a snapshot (rules.md 6: 8 MiB a symbol).
pub const BUFFER_BYTES_MAX: usize = 8 << 20;

/// What a waiting diff costs besides its rows. The recorder counts the same, so that both start over at the same diff.
pub const WAITING_BYTES: usize = size_of::<Waiting>();

/// A span in which a book could not be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Index of the instrument.
    pub instrument: u16,
    /// Last moment at which the book was known to be true, ns.
    pub from_ts_ns: i64,
    /// When it was Live again, ns; 0 while it is open.
    pub to_ts_ns: i64,
    /// Why.
    pub cause: Cause,
}

/// Counts of one instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineStats {
    /// Diffs, before any rule.
    pub updates: u64,
    /// Entries of the bid and ask arrays of diffs, before any rule.
    pub levels: u64,
    /// Trades (or aggregated trades where no trades are recorded), those of quantity 0 included.
    pub trades: u64,
    /// Best bid/ask messages.
    pub touches: u64,
    /// Mark prices.
    pub marks: u64,
    /// Snapshots that were accepted.
    pub snapshots: u64,
    /// Diffs that the splicing rule threw away after a snapshot.
    pub discarded_diffs: u64,
    /// Diffs and trades that another socket had brought already.
    pub repeats: u64,
    /// Trade ids that never came.
    pub trade_id_gaps: u64,
    /// Update ids between the diffs around a gap (spot's are dense; on futures each gap counts one).
    pub missing_updates: u64,
    /// Books found crossed after a whole message.
    pub crossed: u64,
    /// Messages that could not be read.
    pub bad_messages: u64,
    /// First diff's `U`.
    pub first_seq: u64,
    /// Last diff's `u`.
    pub last_seq: u64,
    /// Time in state Live, ns.
    pub live_ns: i64,
}

/// A diff that waits for its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub ids: (u64, u64, Option<u64>),
    pub message: Message,
    pub rows: Vec<Row>,
}

impl Waiting {
    pub const fn ids(&self) -> DepthIds {
        DepthIds { first: self.ids.0, last: self.ids.1, prev: self.ids.2 }
    }
}

/// Diffs of one socket on their way to a book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Splice {
    pub slot: u16,
    pub sequence: Sequence,
    pub waiting: Vec<Waiting>,
    pub waiting_bytes: usize,
}

impl Splice {
    pub fn new(slot: u16, sequence: Sequence) -> Self {
        Splice { slot, sequence, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Keeps a diff; false when that exceeds [`BUFFER_BYTES_MAX`].
    pub fn push(&mut self, ids: DepthIds, message: Message, rows: &[Row]) -> bool {
        self.waiting_bytes += size_of_val(rows) + WAITING_BYTES;
        self.waiting.push(Waiting { ids: (ids.first, ids.last, ids.prev), message, rows: rows.to_vec() });
        self.waiting_bytes <= BUFFER_BYTES_MAX
    }

    pub fn forget(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Starts over on the same socket. One that has brought nothing yet has nothing to forget.
    pub fn restart(&mut self) {
        self.forget();
        if self.sequence.state() != BookState::Connecting {
            self.sequence.reset(BookState::Buffering);
        }
    }

    /// Whether a snapshot of its own has fitted its diffs.
    pub const fn is_true(&self) -> bool {
        self.sequence.is_true()
    }

    /// A snapshot for the diffs that wait here; they go on waiting, for the book is another socket's.
    pub fn on_snapshot(&mut self, id: u64, sent_ns: i64) {
        if self.sequence.on_snapshot(id, sent_ns) != Snapshot::Accept {
            return;
        }
        for at in 0..self.waiting.len() {
            if matches!(self.sequence.on_diff(self.waiting[at].ids()), Diff::Buffer | Diff::Gap) {
                return self.restart();
            }
        }
    }

    /// Lets go of diffs that the book has, which stands at `id`.
    pub fn prune(&mut self, id: u64) {
        let old = self.waiting.iter().take_while(|w| w.ids.1 <= id).count();
        let bytes = |w: &Waiting| size_of_val(w.rows.as_slice()) + WAITING_BYTES;
        self.waiting_bytes -= self.waiting.drain(..old).map(|w| bytes(&w)).sum::<usize>();
    }
}

/// One instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is.
    pub instrument: Instrument,
    /// Its book; true only in state Live.
    pub book: Book,
    /// State of the book, as the last State row said.
    pub state: BookState,
    /// Signed quantity of the market's trades since the flow was last taken: taker buys minus taker sells.
    pub trade_flow_lots: i64,
    /// The venue's own best bid and ask, (price, quantity) each; a check and a feature, never the book.
    pub touch: [(i64, i64); 2],
    /// Mark price x 10^8, 0 where none came.
    pub mark_e8: i64,
    /// Arrival of the last frame of this instrument's connection, ns.
    pub last_frame_ns: i64,
    /// Counts.
    pub stats: LineStats,
    /// Which of its venue's connections carries it; none until that is known.
    pub(super) shard: Option<u16>,
    /// Diffs of the socket that carries the book.
    pub(super) splice: Splice,
    /// Diffs of the socket that will carry it, during a hand-over of futures.
    pub(super) standby: Option<Splice>,
    pub(super) silence: Silence,
    pub(super) first_trade_id: Option<u64>,
    pub(super) last_trade_id: Option<u64>,
    pub(super) has_trades: bool,
    pub(super) open_gap: Option<Gap>,
    pub(super) last_true_ns: i64,
    pub(super) live_since_ns: Option<i64>,
    /// (`u`, venue time) of the diff before, for snapshots without a time.
    pub(super) last_diff_event_ns: i64,
}

impl Line {
    /// An instrument nothing is known of.
    pub fn new(instrument: Instrument) -> Self {
        let sequence = Sequence::new(instrument.venue);
        Line {
            instrument,
            book: Book::new(),
            state: BookState::Connecting,
            trade_flow_lots: 0,
            touch: [(0, 0); 2],
            mark_e8: 0,
            last_frame_ns: 0,
            stats: LineStats::default(),
            shard: None,
            splice: Splice::new(0, sequence),
            standby: None,
            silence: Silence::new(),
            first_trade_id: None,
            last_trade_id: None,
            has_trades: false,
            open_gap: None,
            last_true_ns: 0,
            live_since_ns: None,
            last_diff_event_ns: crate::units::UNDEF_TS_NS,
        }
    }

    /// Scale of its integers.
    pub const fn scale(&self) -> Scale {
        Scale { price_precision: self.instrument.price_precision, qty_precision: self.instrument.qty_precision }
    }

    /// True while its book may feed decisions.
    pub fn is_live(&self) -> bool {
        self.state == BookState::Live
    }

    /// Whether this connection carries its diffs and trades.
    pub(super) fn is_carried_by(&self, venue: Venue, shard: u16) -> bool {
        self.instrument.venue == venue && self.shard == Some(shard)
    }

    /// Whether diffs of this socket are the book's: on futures those of one socket only.
    pub(super) const fn is_spliced_from(&self, slot: u16) -> bool {
        !self.instrument.venue.is_futures() || self.splice.slot == 0 || self.splice.slot == slot
    }

    /// The gap that is open now.
    pub const fn open_gap(&self) -> Option<&Gap> {
        self.open_gap.as_ref()
    }

    /// A trade's id: false where it came before. Missing ids are counted.
    pub(super) fn takes_trade(&mut self, id: u64) -> bool {
        if let Some(last) = self.last_trade_id {
            if id <= last {
                self.stats.repeats += 1;
                return false;
            }
            self.stats.trade_id_gaps += id - last - 1;
        }
        self.first_trade_id.get_or_insert(id);
        self.last_trade_id = Some(id);
        true
    }
}
