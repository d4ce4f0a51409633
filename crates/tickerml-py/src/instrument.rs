//! Instruments as Python sees them.
use crate::errors;
use pyo3::prelude::*;
use tickerml_core::instrument::{Instrument, Kind};
use tickerml_core::units::parse_money;

/// A tradable at a venue. Money is integers of 10^-18.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct InstrumentInfo {
    id: String,
    venue: &'static str,
    symbol: String,
    base: String,
    quote: String,
    kind: &'static str,
    price_precision: u8,
    qty_precision: u8,
    tick: i64,
    lot: i64,
    min_notional_e18: i128,
    contract_size_e18: i128,
    maker_bps: f64,
    taker_bps: f64,
    metadata_source: &'static str,
}

impl InstrumentInfo {
    /// An instrument with the fees that the settings give its venue.
    pub fn new(i: &Instrument, fees_bps: (f64, f64)) -> PyResult<Self> {
        let money = |text: &str| parse_money(text).map_err(errors::core);
        Ok(InstrumentInfo {
            id: i.id(),
            venue: i.venue.name(),
            symbol: i.symbol.clone(),
            base: i.base.clone(),
            quote: i.quote.clone(),
            kind: match i.kind {
                Kind::Spot => "spot",
                Kind::Perpetual => "perpetual",
                Kind::Inverse => "inverse",
            },
            price_precision: i.price_precision,
            qty_precision: i.qty_precision,
            tick: i.tick,
            lot: i.lot,
            min_notional_e18: money(&i.min_notional)?,
            contract_size_e18: money(&i.contract_size)?,
            maker_bps: fees_bps.0,
            taker_bps: fees_bps.1,
            metadata_source: i.metadata_source.name(),
        })
    }
}
