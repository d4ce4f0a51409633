//! The market of the truth: an engine with true queues and its flow, and what a venue would publish of it.
use crate::engine::{Engine, Output, Side};
use crate::flow::{CancelLaw, Flow, Profile, Regime};
use crate::rng::Rng;
use std::collections::BTreeMap;
use tickerml_core::event::{BookState, Message, Row, RowKind, flag};
use tickerml_core::instrument::{Instrument, MetadataSource, Venue};

/// Diffs come this often, as on Binance's depth@100ms.
pub const DIFF_NS: i64 = 100_000_000;

/// Price at the start: a tick is two basis points.
const START_TICKS: i64 = 5_000;
const WARM_UP_NS: i64 = 60_000_000_000;
/// 2026-01-01: no time of a run is near 1970, where clocks would be at their start.
const START_NS: i64 = 1_767_225_600_000_000_000;

/// A message as it was published.
pub type Published = (Message, Vec<Row>);

/// The market in virtual time.
pub struct Market {
    pub engine: Engine,
    flow: Flow,
    now_ns: i64,
    diff_ns: i64,
    changed: [BTreeMap<i64, i64>; 2],
    outputs: Vec<Output>,
    pos: u64,
}

/// What is traded here. USD-M: short is allowed, and its rate of orders binds nobody.
pub fn instrument() -> Instrument {
    Instrument::from_steps(Venue::BinanceUsdm, "TRUEUSDT", "0.0001", "1", MetadataSource::Given)
        .expect("tick and lot are decimals")
}

impl Market {
    /// A market behind its opening.
    pub fn open(law: CancelLaw, regime: Regime, seed: u64) -> Market {
        let mut flow = Flow::new(
            Rng::of(seed, "truth market"),
            Profile::large_tick(),
            Some(regime),
            START_TICKS,
            START_NS - WARM_UP_NS,
        );
        flow.obey(law);
        let mut market = Market {
            engine: Engine::new(),
            flow,
            now_ns: START_NS - WARM_UP_NS,
            diff_ns: START_NS,
            changed: [BTreeMap::new(), BTreeMap::new()],
            outputs: Vec::new(),
            pos: 0,
        };
        market.flow.open(&mut market.engine, &mut market.outputs);
        while market.flow.next_ns() < START_NS {
            market.flow.step(&mut market.engine, &mut market.outputs);
            market.outputs.clear();
        }
        market.now_ns = START_NS;
        market
    }

    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }

    pub fn next_ns(&self) -> i64 {
        self.flow.next_ns().min(self.diff_ns)
    }

    /// Whether the next thing is a diff.
    pub fn is_diff_next(&self) -> bool {
        self.diff_ns <= self.flow.next_ns()
    }

    /// The book and its state, as a reader who has just connected gets them.
    pub fn snapshot(&mut self) -> [Published; 2] {
        let snapshot = flag::SNAPSHOT;
        let mut rows = vec![row(RowKind::Clear, 0, 0, snapshot), row(RowKind::Clear, 0, 0, snapshot | flag::ASK_SIDE)];
        for (side, kind) in [(Side::Bid, RowKind::Bid), (Side::Ask, RowKind::Ask)] {
            rows.extend(self.engine.levels(side).map(|(px, qty)| row(kind, px, qty, snapshot)));
        }
        let live = vec![row(RowKind::State, BookState::Live as i64, 0, flag::DERIVED)];
        self.changed = [BTreeMap::new(), BTreeMap::new()];
        [self.message(rows), self.message(live)]
    }

    /// Lets happen what is next. `fills` gets (number, time) of the phantoms that were met.
    pub fn step(&mut self, fills: &mut Vec<(usize, i64)>) -> Vec<Published> {
        self.now_ns = self.next_ns();
        if self.is_diff_next() {
            self.diff_ns += DIFF_NS;
            return self.diff().into_iter().collect();
        }
        self.flow.step(&mut self.engine, &mut self.outputs);
        fills.extend(self.engine.phantoms.take_filled().into_iter().map(|number| (number, self.now_ns)));
        let mut trades = Vec::new();
        for output in std::mem::take(&mut self.outputs) {
            self.changed[output.side.index()].insert(output.px, output.after);
            if let Some(fill) = output.fill {
                let kind = if output.side == Side::Bid { RowKind::SellTrade } else { RowKind::BuyTrade };
                trades.push(self.message(vec![row(kind, output.px, fill.qty, 0)]));
            }
        }
        trades
    }

    fn diff(&mut self) -> Option<Published> {
        let mut rows = Vec::new();
        for (side, kind) in [(Side::Bid, RowKind::Bid), (Side::Ask, RowKind::Ask)] {
            let changed = std::mem::take(&mut self.changed[side.index()]);
            rows.extend(changed.into_iter().map(|(px, qty)| row(kind, px, qty, 0)));
        }
        (!rows.is_empty()).then(|| self.message(rows))
    }

    fn message(&mut self, mut rows: Vec<Row>) -> Published {
        self.pos += 1;
        if let Some(last) = rows.last_mut() {
            *last = last.with_flags(flag::LAST);
        }
        let header = Message {
            pos: self.pos,
            ts_recv_ns: self.now_ns,
            ts_event_ns: self.now_ns,
            instrument: 0,
            rows: rows.len() as u32,
        };
        (header, rows)
    }
}

fn row(kind: RowKind, px: i64, qty: i64, flags: u8) -> Row {
    Row::new(kind, px, qty, flags).expect("prices of the truth are small")
}
