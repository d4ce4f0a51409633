//! The rolling digest: what was seen, decided and filled at every step, chained (rules.md 5).
use super::view::View;
use crate::feature::DEPTH;
use crate::sim::{Report, Request};
use sha2::{Digest as _, Sha256};

/// `d_k = SHA256(d_{k-1} || length || step record)`. Every number goes in as little-endian bytes of fixed width, floats by
/// their bits with one NaN.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Digest {
    chain: [u8; 32],
    #[serde(skip)]
    step: Vec<u8>,
}

impl Digest {
    /// The digest of nothing.
    pub const fn new() -> Self {
        Digest { chain: [0; 32], step: Vec::new() }
    }

    /// The digest as 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        crate::units::hex(&self.chain)
    }

    /// Starts the record of a step with what was seen.
    pub fn saw(&mut self, view: &View) {
        self.step.clear();
        self.u64(view.index);
        self.i64(view.ts_ns);
        self.u64(view.pos);
        self.step.extend([view.cause as u8, u8::from(view.restarted)]);
        self.u64(view.seen.len() as u64);
        for seen in &view.seen {
            self.step.push(seen.state as u8);
            for side in &seen.top {
                self.i64s::<{ 2 * DEPTH }>(std::array::from_fn(
                    |n| if n % 2 == 0 { side[n / 2].0 } else { side[n / 2].1 },
                ));
            }
            for &feature in &seen.features {
                self.f64(feature);
            }
            self.i64(seen.age_ns);
            self.i64(seen.mark_e8);
        }
        self.u64(view.orders.len() as u64);
        for order in &view.orders {
            self.u64(order.id);
            let (late, early) = order.shadows_known();
            self.i64s([order.px, order.qty, order.leaves, order.ahead_known(), late, early]);
            self.step.push(order.known as u8);
        }
        self.u64(view.reports.len() as u64);
        for report in &view.reports {
            self.report(report);
        }
        self.u64(view.gaps.len() as u64);
        for gap in &view.gaps {
            self.u64(u64::from(gap.instrument));
            self.i64(gap.from_ts_ns);
            self.i64(gap.to_ts_ns);
            self.step.push(gap.cause as u8);
        }
        self.u64(view.funding.len() as u64);
        for settlement in &view.funding {
            self.u64(u64::from(settlement.instrument));
            self.step.extend([
                u8::from(settlement.rate_e12.is_some()),
                u8::from(settlement.correction),
                u8::from(settlement.resolves),
            ]);
            let rate_e12 = settlement.rate_e12.unwrap_or(0);
            for value in [settlement.ts_ns, settlement.qty, settlement.mark_e8, rate_e12] {
                self.i64(value);
            }
        }
    }

    /// What was asked for.
    pub fn asked(&mut self, request: &Request) {
        match *request {
            Request::New { instrument, kind, side, px, qty, tag, reduce_only } => {
                self.step.extend([1, kind as u8, side as i8 as u8, u8::from(reduce_only)]);
                self.step.extend(instrument.to_le_bytes());
                for value in [px, qty, tag] {
                    self.i64(value);
                }
            }
            Request::Cancel { order_id } => {
                self.step.push(2);
                self.u64(order_id);
            }
            Request::Amend { order_id, px, qty } => {
                self.step.push(4);
                self.u64(order_id);
                self.i64(px);
                self.i64(qty);
            }
            Request::CancelAll { instrument } => {
                self.step.push(5);
                self.step.extend(instrument.to_le_bytes());
            }
        }
    }

    /// What risk refused.
    pub fn refused(&mut self, reason: &str) {
        self.step.push(3);
        self.u64(reason.len() as u64);
        self.step.extend(reason.as_bytes());
    }

    /// Ends the step with the portfolio's state.
    pub fn close(&mut self, portfolio: &[u8]) {
        let mut hash = Sha256::new();
        hash.update(self.chain);
        hash.update(((self.step.len() + portfolio.len()) as u64).to_le_bytes());
        hash.update(&self.step);
        hash.update(portfolio);
        self.chain = hash.finalize().into();
    }

    fn report(&mut self, r: &Report) {
        self.u64(r.order_id);
        self.i64(r.px);
        self.i64(r.qty);
        self.i64(r.leaves);
        self.i64(r.ts_ns);
        self.u64(r.cause_pos);
        self.step.extend([r.kind as u8, r.reason as u8]);
        if let Some(fill) = &r.fill {
            self.i64(fill.px);
            self.i64(fill.qty);
            self.i64(fill.ts_event_ns);
            self.i64(fill.ts_recv_ns);
            self.i64(fill.ahead_qty);
            self.step.extend(fill.fee_e18.to_le_bytes());
            self.step.extend([u8::from(fill.maker), u8::from(fill.fee_in_base)]);
        }
    }

    #[inline]
    fn u64(&mut self, value: u64) {
        self.step.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.step.extend_from_slice(&value.to_le_bytes());
    }

    /// Several in one go: a step has a hundred of them.
    #[inline]
    fn i64s<const N: usize>(&mut self, values: [i64; N]) {
        self.step.extend_from_slice(values.map(i64::to_le_bytes).as_flattened());
    }

    fn f64(&mut self, value: f64) {
        let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        self.u64(bits);
    }
}

impl Default for Digest {
    fn default() -> Self {
        Digest::new()
    }
}
