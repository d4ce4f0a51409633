//! The venue's checks that no book has a say in: lot, price, tick, smallest worth.
use super::order::{Order, OrderKind};
use super::report::Reason;
use crate::instrument::{Instrument, Kind};
use crate::units::{POW10, UNDEF_PX, notional, parse_money};

/// Why a venue would refuse an order, whatever its book says: the instrument's own rules.
pub(super) fn refusal(order: &Order, opposite: i64, i: &Instrument) -> Option<Reason> {
    let priced = !order.kind.is_market();
    let (px, qty) = (order.venue_px, order.venue_qty);
    if qty <= 0 || qty % i.lot != 0 {
        return Some(Reason::Lot);
    }
    if priced && px <= 0 {
        return Some(Reason::Price);
    }
    if priced && px % i.tick != 0 {
        return Some(Reason::Tick);
    }
    if !priced && opposite == UNDEF_PX {
        return Some(Reason::NoLiquidity);
    }
    let px = if priced { px } else { opposite };
    let least = if order.kind == OrderKind::Liquidation { 0 } else { parse_money(&i.min_notional).unwrap_or(0) };
    match worth(px, qty, i) {
        Ok(money) if money >= least => None,
        Ok(_) => Some(Reason::MinNotional),
        Err(_) => Some(Reason::Lot),
    }
}

/// Worth in the quote currency, 10^-18: of inverse contracts their size, whatever the price.
fn worth(px: i64, qty: i64, i: &Instrument) -> crate::error::Result<i128> {
    match i.kind {
        Kind::Inverse => {
            let size_e18 = parse_money(&i.contract_size)?;
            Ok(i128::from(qty) * size_e18 / i128::from(POW10[usize::from(i.qty_precision)]))
        }
        _ => notional(px, qty, i.price_precision, i.qty_precision),
    }
}
