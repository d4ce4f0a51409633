//! Balances of spot: what is free is what an order may use.
//!
//! They begin with the session's (`balance`), or with what the run before handed on, and move with every execution when it happens
//! at the venue. A buy that rests reserves price x what is left of the quote, a sell what is left of the base: a fill, a cancel or
//! an amendment to less (spot knows no other) releases it, for the sum is taken over what rests. An order that may rest needs its
//! whole price x quantity free, one that may not (market, IOC, FOK) what it would pay at the displayed book; every sell its whole
//! quantity. A buyer's fee is taken from what is received and a seller's from the proceeds: neither needs anything before.
//!
//! One purse for all spot venues, as the portfolio has it. Instruments are reckoned one after the other: what happens at another one
//! counts as far as it has been reckoned, and nothing is ever reserved twice. Contracts have none of this: what their margin
//! carries is judged by risk and by the venue's margin tiers, from a wallet of their own. `short_spot`, hftbacktest's rules and a
//! session without `balance` keep no balances.
use super::Sim;
use super::desk::{Desk, Moment};
use super::fee::Fee;
use super::order::{Order, OrderKind, Side};
use super::report::Reason;
use super::stand::Stand;
use crate::instrument::{Instrument, Kind};
use crate::units::{MONEY_PRECISION, POW10, notional};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an instrument's orders are paid in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Terms {
    base: String,
    quote: String,
    price_precision: u8,
    qty_precision: u8,
}

impl Terms {
    fn of(i: &Instrument) -> Terms {
        let (base, quote) = (i.base.clone(), i.quote.clone());
        Terms { base, quote, price_precision: i.price_precision, qty_precision: i.qty_precision }
    }

    /// The currency that an order of this side gives, and how much for a quantity at a price.
    fn given(&self, side: Side, px: i64, qty: i64) -> (&str, i128) {
        match side {
            Side::Buy => (&self.quote, worth_e18(self.price_precision, self.qty_precision, px, qty)),
            Side::Sell => (&self.base, units_e18(self.qty_precision, qty)),
        }
    }
}

/// Amounts of 10^-18 by currency, those that orders reserve among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Funds {
    owned: BTreeMap<String, i128>,
    /// Of the spot instruments that an order was sent to.
    terms: BTreeMap<u16, Terms>,
}

impl Funds {
    pub const fn new(owned: BTreeMap<String, i128>) -> Self {
        Funds { owned, terms: BTreeMap::new() }
    }

    /// An order for the instrument is on its way.
    pub fn know(&mut self, instrument: u16, i: &Instrument) {
        if i.kind == Kind::Spot && !self.terms.contains_key(&instrument) {
            self.terms.insert(instrument, Terms::of(i));
        }
    }

    /// So much is owned when the run begins.
    pub fn set(&mut self, currency: &str, amount_e18: i128) {
        self.owned.insert(currency.to_owned(), amount_e18);
    }

    /// More, or less, is owned.
    pub fn add(&mut self, currency: &str, amount_e18: i128) {
        match self.owned.get_mut(currency) {
            Some(owned) => *owned += amount_e18,
            None => self.set(currency, amount_e18),
        }
    }

    /// An execution on spot.
    pub fn filled(&mut self, i: &Instrument, side: Side, (px, qty): (i64, i64), fee: Fee) {
        if i.kind != Kind::Spot {
            return;
        }
        let sign = i128::from(side.sign());
        let (base_fee, quote_fee) = if fee.in_base { (fee.amount_e18, 0) } else { (0, fee.amount_e18) };
        self.add(&i.base, sign * units_e18(i.qty_precision, qty) - base_fee);
        self.add(&i.quote, -sign * worth_e18(i.price_precision, i.qty_precision, px, qty) - quote_fee);
    }

    /// What no resting order reserves of a currency.
    fn free(&self, currency: &str, orders: &[Order]) -> i128 {
        let reserved = orders.iter().filter(|o| o.resting).filter_map(|o| {
            let (given, amount) = self.terms.get(&o.instrument)?.given(o.side, o.venue_px, o.venue_leaves);
            (given == currency).then_some(amount)
        });
        self.owned.get(currency).copied().unwrap_or(0) - reserved.sum::<i128>()
    }
}

impl Stand {
    /// Whether the arriving order needs more than is free. Callers know that its worth can be reckoned.
    pub(super) fn lacks_balance(&mut self, at: usize, desk: &Desk, moment: Moment, i: &Instrument) -> Option<Reason> {
        let funds = desk.funds.as_ref().filter(|_| i.kind == Kind::Spot)?;
        let (terms, order) = (funds.terms.get(&self.index)?, &desk.orders[at]);
        let waits = matches!(order.kind, OrderKind::Limit | OrderKind::PostOnly);
        let (currency, needed) = if order.side == Side::Buy && !waits {
            let paid =
                self.would_meet(at, desk, moment, i).into_iter().map(|(px, qty)| terms.given(Side::Buy, px, qty).1);
            (terms.quote.as_str(), paid.sum())
        } else {
            terms.given(order.side, order.venue_px, order.venue_leaves)
        };
        (needed > funds.free(currency, &desk.orders)).then_some(Reason::InsufficientBalance)
    }
}

impl Sim {
    /// What is owned of a currency when the run begins, 10^-18, in place of what the settings say.
    pub fn own(&mut self, currency: &str, amount_e18: i128) {
        if let Some(funds) = &mut self.desk.funds {
            funds.set(currency, amount_e18);
        }
    }

    /// More of it, held as a position on spot.
    pub fn own_more(&mut self, currency: &str, amount_e18: i128) {
        if let Some(funds) = &mut self.desk.funds {
            funds.add(currency, amount_e18);
        }
    }
}

/// Price x quantity; the venue refuses what cannot be reckoned before it looks here.
fn worth_e18(price_precision: u8, qty_precision: u8, px: i64, qty: i64) -> i128 {
    notional(px, qty, price_precision, qty_precision).expect("computed when the order arrived")
}

fn units_e18(qty_precision: u8, qty: i64) -> i128 {
    i128::from(qty) * i128::from(POW10[usize::from(MONEY_PRECISION - qty_precision)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::{MetadataSource, Venue};
    use crate::units::MONEY_ONE;

    #[test]
    fn executions_move_both_currencies_and_their_fee() {
        let i = Instrument::from_steps(Venue::BinanceSpot, "BTCUSDT", "0.01", "0.001", MetadataSource::Given).unwrap();
        let mut funds = Funds::new(BTreeMap::from([("USDT".to_owned(), 100 * MONEY_ONE)]));
        // 2 at 20.00 and then one of them at 30.00.
        funds.filled(&i, Side::Buy, (2_000, 2_000), Fee { amount_e18: MONEY_ONE / 100, in_base: true });
        funds.filled(&i, Side::Sell, (3_000, 1_000), Fee { amount_e18: MONEY_ONE, in_base: false });
        assert_eq!(funds.free("USDT", &[]), 89 * MONEY_ONE);
        assert_eq!(funds.free("BTC", &[]), 99 * MONEY_ONE / 100);
        assert_eq!(funds.free("ETH", &[]), 0);
        let linear =
            Instrument::from_steps(Venue::BinanceUsdm, "BTCUSDT", "0.01", "0.001", MetadataSource::Given).unwrap();
        funds.filled(&linear, Side::Buy, (2_000, 2_000), Fee { amount_e18: MONEY_ONE, in_base: false });
        funds.know(0, &linear);
        assert_eq!(
            (funds.free("USDT", &[]), funds.terms.len()),
            (89 * MONEY_ONE, 0),
            "contracts have a wallet of their own"
        );
    }
}
