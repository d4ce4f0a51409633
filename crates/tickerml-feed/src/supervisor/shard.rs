//! What the supervisor keeps of each venue, of each pair of connections, and of each book on them.
use super::venues::Contact;
use crate::budget::Budget;
use crate::config::{Plan, Role, ShardPlan, VenueConfig};
use crate::liveness::StreamLife;
use crate::rest::RestQueue;
use crate::track::Track;
use tickerml_core::instrument::Instrument;
use tickerml_core::wire::Scale;

/// Binance allows 300 connection attempts in 5 minutes (exchanges.md 0.6).
const CONNECTS_MAX: u32 = 300;
const CONNECTS_WINDOW_NS: i64 = 300_000_000_000;

/// A venue's budgets and what is known of it.
pub(crate) struct Venue {
    pub(super) rest: RestQueue,
    pub(super) connects: Budget,
    pub(super) instruments: Vec<Instrument>,
    /// When the metadata was last asked for.
    pub(super) metadata_asked_ns: i64,
    /// The venue told us not to connect before this.
    pub(super) connect_after_ns: i64,
    /// How far the first contact has come.
    pub(super) contact: Contact,
    /// Why this venue is given up for good.
    pub(super) blocked: Option<String>,
}

/// A pair of slots, and the streams and books that they carry.
pub(crate) struct Shard {
    pub(super) plan: ShardPlan,
    /// Stream names in order, with their index: found by binary search.
    pub(super) names: Vec<(Vec<u8>, usize)>,
    pub(super) lives: Vec<StreamLife>,
    pub(super) books: Vec<Book>,
    /// Which side carries the shard; the other one is open during a hand-over only.
    pub(super) active: usize,
    /// When the other side was asked to take over.
    pub(super) handover_since_ns: Option<i64>,
}

/// A book's ids. Futures keep one track a side, because a new connection must have its own snapshot (rules.md 4); spot ids
/// are contiguous over connections, so track 0 serves both.
pub(crate) struct Book {
    pub(super) tracks: [Track; 2],
    /// Earliest time of the next snapshot request.
    pub(super) not_before_ns: i64,
    /// What a probe saw before the first diff.
    pub(super) probed: Option<u64>,
    /// A probe saw an id that the stream has not reached, and when.
    pub(super) suspect: Option<(u64, i64)>,
    pub(super) depth_stream: Option<usize>,
    /// Scale of its numbers, once the venue has told it.
    pub(super) scale: Option<Scale>,
    /// The last record at which it started over.
    pub(super) restarted_pos: u64,
}

impl Venue {
    /// One that has not been spoken to.
    pub(super) fn new(venue: &VenueConfig) -> Venue {
        Venue {
            rest: RestQueue::new(venue.weight_per_min),
            connects: Budget::new(CONNECTS_MAX, CONNECTS_WINDOW_NS),
            instruments: Vec::new(),
            metadata_asked_ns: i64::MIN / 2,
            connect_after_ns: i64::MIN,
            contact: Contact::default(),
            blocked: None,
        }
    }
}

impl Shard {
    /// One that has seen nothing.
    pub(super) fn new(shard: &ShardPlan, plan: &Plan) -> Shard {
        let mut names: Vec<_> =
            shard.streams.iter().enumerate().map(|(n, s)| (s.name.clone().into_bytes(), n)).collect();
        names.sort();
        let venue = plan.venues[shard.venue].venue;
        let book = |symbol| Book {
            tracks: [Track::new(venue), Track::new(venue)],
            not_before_ns: i64::MIN,
            probed: None,
            suspect: None,
            depth_stream: shard.streams.iter().position(|s| s.symbol == symbol && s.is_depth),
            scale: None,
            restarted_pos: 0,
        };
        let books = if shard.role == Role::Public { (0..shard.symbols.len()).map(book).collect() } else { Vec::new() };
        Shard {
            plan: shard.clone(),
            names,
            lives: vec![StreamLife::default(); shard.streams.len()],
            books,
            active: 0,
            handover_since_ns: None,
        }
    }
}
