//! Core's simulator over what is published, without a session: no policy, no views, one order or a few.
use super::market::{Published, instrument};
use super::{Asked, WAY_NS};
use crate::engine::Side;
use crate::error::{Result, bad};
use tickerml_core::event::{BookState, RowKind};
use tickerml_core::market::{Line, Visitor};
use tickerml_core::session::Settings;
use tickerml_core::sim::{self, OrderKind, Report, Request, Sim};
use tickerml_core::units::UNDEF_PX;

/// A simulator with its book.
#[derive(Clone)]
pub struct Reader {
    sim: Sim,
    line: Line,
    pos: u64,
    /// When the early shadow of the first order was met, ns; `i64::MAX` where it was not.
    pub early_ns: i64,
}

impl Reader {
    /// One that has seen nothing, with this queue model.
    pub fn new(asked: &Asked, model: &str) -> Result<Reader> {
        let way_ms = WAY_NS / 1_000_000;
        let settings = serde_json::json!({
            "step_ms": 100, "queue": model, "queue_share": asked.queue_share, "clock": "fixed:0", "base_latency_ms": 0,
            "decision_ms": 0, "entry_ms": way_ms, "response_ms": way_ms, "maker_bps": 0, "taker_bps": 0,
        });
        let settings = Settings::from_json(&settings.to_string(), None).map_err(|e| bad("truth", e.to_string()))?;
        let (sim, line) = (Sim::new(settings.rules), Line::new(instrument()));
        Ok(Reader { sim, line, pos: 0, early_ns: i64::MAX })
    }

    /// A message arrives; what was due before happens before. Returns the reports until then.
    pub fn feed(&mut self, (message, rows): &Published) -> Vec<Report> {
        let reports = self.advance(message.ts_recv_ns);
        if rows[0].kind() == RowKind::State {
            self.line.state = BookState::from_u8(rows[0].px() as u8).unwrap_or(BookState::Connecting);
        }
        self.sim.message(message, rows, &mut self.line);
        self.pos = message.pos;
        self.look();
        reports
    }

    /// Everything due before `ts_ns` happens. Returns the reports.
    pub fn advance(&mut self, ts_ns: i64) -> Vec<Report> {
        let mut reports = Vec::new();
        loop {
            let (report_ns, venue_ns) = (self.sim.next_report_ns(), self.sim.due_ns());
            if report_ns.min(venue_ns) >= ts_ns {
                return reports;
            }
            if report_ns <= venue_ns {
                reports.extend(self.sim.deliver());
            } else {
                self.sim.advance(venue_ns, std::slice::from_ref(&self.line), self.pos);
                self.look();
            }
        }
    }

    /// Sends a post-only order of one lot. Returns its id.
    pub fn place(&mut self, side: Side, px: i64, sent_ns: i64) -> u64 {
        let side = if side == Side::Bid { sim::Side::Buy } else { sim::Side::Sell };
        let kind = OrderKind::PostOnly;
        self.send(Request::New { instrument: 0, kind, side, px, qty: 1, tag: 0, reduce_only: false }, sent_ns)
    }

    /// Sends a cancel.
    pub fn cancel(&mut self, order_id: u64, sent_ns: i64) {
        self.send(Request::Cancel { order_id }, sent_ns);
    }

    fn send(&mut self, request: Request, sent_ns: i64) -> u64 {
        self.sim.send(request, sent_ns, std::slice::from_ref(&self.line), self.pos)
    }

    /// Best bid and ask as they have arrived; none without both.
    pub fn touch(&self) -> Option<(i64, i64)> {
        let (bid, ask) = (self.line.book.best_bid(), self.line.book.best_ask());
        (bid != UNDEF_PX && ask != UNDEF_PX).then_some((bid, ask))
    }

    /// What is displayed at a price.
    pub fn displayed(&self, side: Side, px: i64) -> i64 {
        if side == Side::Bid { self.line.book.bid_qty(px) } else { self.line.book.ask_qty(px) }
    }

    fn look(&mut self) {
        if let Some(order) = self.sim.orders().first() {
            self.early_ns = self.early_ns.min(order.place.shadows.early_ns);
        }
    }
}
