//! What a tape holds, instrument by instrument: the market part of `data verify` (contract.md).
use super::{BooksOnly, Gap, Line, Market, Visitor};
use crate::event::{BookState, Message, Row, RowKind};
use crate::units::UNDEF_TS_NS;
use serde::Serialize;

/// Latencies kept for quantiles: beyond this every second one is dropped, then every fourth, ...
const SAMPLES_MAX: usize = 1 << 18;

/// A [`Visitor`] that applies rows and remembers how late they came.
#[derive(Debug, Default)]
pub struct Survey {
    latency: Vec<Samples>,
    gaps: Vec<Gap>,
    first_ns: Option<i64>,
    last_ns: i64,
}

/// A bounded, deterministic sample.
#[derive(Debug, Clone)]
struct Samples {
    values: Vec<i64>,
    stride: u64,
    seen: u64,
}

impl Samples {
    const fn new() -> Self {
        Samples { values: Vec::new(), stride: 1, seen: 0 }
    }

    fn push(&mut self, value: i64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.values.len() == SAMPLES_MAX {
                let mut n = 0;
                self.values.retain(|_| {
                    n += 1;
                    n % 2 == 1
                });
                self.stride *= 2;
            }
            self.values.push(value);
        }
        self.seen += 1;
    }

    /// The value at a fraction of the sorted sample.
    fn quantile(&mut self, frac: f64) -> Option<i64> {
        self.values.sort_unstable();
        let at = ((self.values.len().checked_sub(1)?) as f64 * frac) as usize;
        self.values.get(at).copied()
    }
}

impl Visitor for Survey {
    #[inline]
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        BooksOnly.message(message, rows, line);
        self.first_ns.get_or_insert(message.ts_recv_ns);
        self.last_ns = self.last_ns.max(message.ts_recv_ns);
        let index = usize::from(message.instrument);
        if self.latency.len() <= index {
            self.latency.resize(index + 1, Samples::new());
        }
        let live = matches!(rows[0].kind(), RowKind::Bid | RowKind::Ask | RowKind::BuyTrade | RowKind::SellTrade);
        if live && message.ts_event_ns != UNDEF_TS_NS {
            self.latency[index].push(message.ts_recv_ns.saturating_sub(message.ts_event_ns));
        }
    }
}

/// Quantiles of arrival minus venue time, ms.
#[derive(Debug, Serialize)]
pub struct LatencyMs {
    /// Median.
    pub p50: f64,
    /// 99 % quantile.
    pub p99: f64,
}

/// A gap as `data verify` shows it.
#[derive(Debug, Serialize)]
pub struct GapReport {
    /// Last moment at which the book was true, ns.
    pub from_ts_ns: i64,
    /// When it was true again, ns; 0 where it never was.
    pub to_ts_ns: i64,
    /// Why.
    pub cause: &'static str,
}

/// One channel of one instrument.
#[derive(Debug, Serialize)]
pub struct StreamReport {
    /// `venue:SYMBOL@channel`.
    pub stream: String,
    /// Messages.
    pub frames: u64,
    /// First update or trade id; none where the channel has none.
    pub first_seq: Option<u64>,
    /// Last update or trade id.
    pub last_seq: Option<u64>,
    /// Ids that never came: trades, or gaps of the diffs.
    pub missing: u64,
}

/// One instrument.
#[derive(Debug, Serialize)]
pub struct InstrumentReport {
    /// `venue:SYMBOL`.
    pub instrument: String,
    /// Where tick and lot came from.
    pub metadata_source: crate::instrument::MetadataSource,
    /// Diffs.
    pub updates: u64,
    /// Entries of diffs.
    pub levels: u64,
    /// Trades.
    pub trades: u64,
    /// Best bid/ask messages.
    pub touches: u64,
    /// Mark prices.
    pub marks: u64,
    /// Snapshots accepted.
    pub snapshots: u64,
    /// Diffs thrown away after a snapshot.
    pub discarded_diffs: u64,
    /// Messages that came twice.
    pub repeats: u64,
    /// Spans without a true book.
    pub gaps: Vec<GapReport>,
    /// Trade ids that never came.
    pub trade_id_gaps: u64,
    /// Crossed books.
    pub crossed: u64,
    /// Messages that could not be read.
    pub bad_messages: u64,
    /// Checksums that matched; Binance sends none.
    pub checksum_ok: u64,
    /// Checksums that did not.
    pub checksum_failed: u64,
    /// Share of the tape's time in state Live.
    pub live_frac: f64,
    /// Arrival minus venue time, ms; none without venue times.
    pub latency_ms: Option<LatencyMs>,
    /// 1 % quantile of arrival minus venue time, ms: our clock against the venue's, one-way latency included.
    pub clock_offset_ms: Option<f64>,
    /// State of the book at the end.
    pub state: &'static str,
}

impl Survey {
    /// A survey that has seen nothing.
    pub fn new() -> Self {
        Survey::default()
    }

    /// Collects the gaps that the market noted; call it now and then, and before [`Survey::report`].
    pub fn collect(&mut self, market: &mut Market) {
        self.gaps.extend(market.take_gaps());
    }

    /// First and last arrival of normalized messages, ns; none before the first.
    pub fn span_ns(&self) -> Option<(i64, i64)> {
        self.first_ns.map(|first| (first, self.last_ns))
    }

    /// The report of every instrument.
    pub fn report(&mut self, market: &mut Market, end_ns: i64) -> (Vec<InstrumentReport>, Vec<StreamReport>) {
        self.collect(market);
        self.latency.resize(market.lines.len(), Samples::new());
        let span = self.first_ns.map_or(0, |first| end_ns.saturating_sub(first));
        let mut streams = Vec::new();
        let mut instruments = Vec::new();
        for (index, line) in market.lines.iter().enumerate() {
            streams.extend(stream_reports(line));
            instruments.push(self.instrument(index, line, span, end_ns));
        }
        (instruments, streams)
    }

    fn instrument(&mut self, index: usize, line: &Line, span_ns: i64, end_ns: i64) -> InstrumentReport {
        let s = &line.stats;
        let open_live = match line.state {
            BookState::Live => line.live_since_ns.map_or(0, |since| end_ns.saturating_sub(since)),
            _ => 0,
        };
        let gaps = self.gaps.iter().filter(|g| usize::from(g.instrument) == index);
        let closed = gaps.clone().filter(|g| g.to_ts_ns != 0);
        let ms = |ns: i64| ns as f64 / 1e6;
        let samples = &mut self.latency[index];
        let latency = samples.quantile(0.5).zip(samples.quantile(0.99));
        let offset = samples.quantile(0.01);
        InstrumentReport {
            instrument: line.instrument.id(),
            metadata_source: line.instrument.metadata_source,
            updates: s.updates,
            levels: s.levels,
            trades: s.trades,
            touches: s.touches,
            marks: s.marks,
            snapshots: s.snapshots,
            discarded_diffs: s.discarded_diffs,
            repeats: s.repeats,
            gaps: closed
                .chain(line.open_gap())
                .map(|g| GapReport { from_ts_ns: g.from_ts_ns, to_ts_ns: g.to_ts_ns, cause: g.cause.name() })
                .collect(),
            trade_id_gaps: s.trade_id_gaps,
            crossed: s.crossed,
            bad_messages: s.bad_messages,
            checksum_ok: 0,
            checksum_failed: 0,
            live_frac: if span_ns > 0 { (s.live_ns + open_live) as f64 / span_ns as f64 } else { 0.0 },
            latency_ms: latency.map(|(p50, p99)| LatencyMs { p50: ms(p50), p99: ms(p99) }),
            clock_offset_ms: offset.map(ms),
            state: line.state.name(),
        }
    }
}

fn stream_reports(line: &Line) -> Vec<StreamReport> {
    let s = &line.stats;
    let id = line.instrument.id();
    let stream = |channel: &str, frames, seq: Option<(u64, u64)>, missing| StreamReport {
        stream: format!("{id}@{channel}"),
        frames,
        first_seq: seq.map(|s| s.0),
        last_seq: seq.map(|s| s.1),
        missing,
    };
    let trades = line.first_trade_id.zip(line.last_trade_id);
    let depth = (s.updates > 0).then_some((s.first_seq, s.last_seq));
    [
        stream("depth", s.updates, depth, s.missing_updates),
        stream("trade", s.trades, trades, s.trade_id_gaps),
        stream("bookTicker", s.touches, None, 0),
    ]
    .into_iter()
    .filter(|s| s.frames > 0)
    .collect()
}
