//! What a policy sees at one decision point.
use crate::event::BookState;
use crate::feature::{DEPTH, FEATURES, Top};
use crate::market::{Gap, Line};
use crate::sim::{Order, Report, Settlement};
use crate::units::UNDEF_PX;
use serde::{Deserialize, Serialize};

/// Why a view was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ViewCause {
    /// A boundary of `step_ms`.
    Step = 1,
    /// An own fill or reject.
    Report = 2,
    /// End of the run: no intents are taken.
    Stop = 3,
}

impl ViewCause {
    /// Name in views and ledgers.
    pub const fn name(self) -> &'static str {
        match self {
            ViewCause::Step => "step",
            ViewCause::Report => "report",
            ViewCause::Stop => "stop",
        }
    }
}

/// What is seen of one instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Best levels, missing ones with quantity 0.
    pub top: Top,
    /// See [`crate::feature::FEATURE_NAMES`]; NaN unless the book is Live.
    pub features: [f64; FEATURES],
    /// State of the book.
    pub state: BookState,
    /// Age of the connection's last frame, ns.
    pub age_ns: i64,
    /// Mark price x 10^8, 0 where none came.
    pub mark_e8: i64,
}

impl Seen {
    pub(super) const fn nothing() -> Self {
        Seen {
            top: [[(UNDEF_PX, 0); DEPTH]; 2],
            features: [f64::NAN; FEATURES],
            state: BookState::Connecting,
            age_ns: 0,
            mark_e8: 0,
        }
    }

    /// The trade flow is that of the step: a view between two boundaries shows it so far and does not end it.
    pub(super) fn read(&mut self, line: &mut Line, ts_ns: i64, cause: ViewCause) {
        self.state = line.state;
        self.age_ns = if line.last_frame_ns == 0 { i64::MAX } else { ts_ns.saturating_sub(line.last_frame_ns) };
        self.mark_e8 = line.mark_e8;
        crate::feature::read_top(&line.book, &mut self.top);
        let flow = line.trade_flow_lots;
        if cause == ViewCause::Step {
            line.trade_flow_lots = 0;
        }
        self.features = if line.is_live() {
            crate::feature::feature_row(&self.top, flow, line.scale())
        } else {
            [f64::NAN; FEATURES]
        };
    }
}

/// One decision point. The session owns it and fills it again for the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Dense number in the run, from 0.
    pub index: u64,
    /// The boundary, or the moment of the report.
    pub ts_ns: i64,
    /// Why it was made.
    pub cause: ViewCause,
    /// Last record consumed.
    pub pos: u64,
    /// The process started again since the view before.
    pub restarted: bool,
    /// One per instrument.
    pub seen: Vec<Seen>,
    /// Own orders that have not ended, as known here, by id.
    pub orders: Vec<Order>,
    /// News since the view before.
    pub reports: Vec<Report>,
    /// Gaps that opened or closed since the view before.
    pub gaps: Vec<Gap>,
    /// Funding that was settled, or could not be, since the view before.
    pub funding: Vec<Settlement>,
}

impl View {
    pub(super) const fn first() -> Self {
        View {
            index: 0,
            ts_ns: 0,
            cause: ViewCause::Step,
            pos: 0,
            restarted: false,
            seen: Vec::new(),
            orders: Vec::new(),
            reports: Vec::new(),
            gaps: Vec::new(),
            funding: Vec::new(),
        }
    }
}
