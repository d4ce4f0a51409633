//! Binance spot, and Binance.US, which still tells the order ids of a trade (exchanges.md 1 and 2).
use super::{AggTrade, Diff, Snapshot, Symbol, Touch, Trade, step_text};
use crate::text::int;
use std::fmt::Write;
use tickerml_core::instrument::Venue;

pub(super) fn diff(s: &Symbol, out: &mut String, d: &Diff<'_>) {
    let _ = write!(
        out,
        "{{\"e\":\"depthUpdate\",\"E\":{},\"s\":\"{}\",\"U\":{},\"u\":{},\"b\":[",
        d.sent_ms, s.name, d.first_id, d.last_id
    );
    s.scale.levels(out, d.bids.iter().rev().copied());
    out.push_str("],\"a\":[");
    s.scale.levels(out, d.asks.iter().copied());
    out.push_str("]}");
}

pub(super) fn trade(s: &Symbol, out: &mut String, t: &Trade) {
    let _ = write!(out, "{{\"e\":\"trade\",\"E\":{},\"s\":\"{}\",\"t\":{},\"p\":\"", t.sent_ms, s.name, t.id);
    s.scale.px(out, t.px);
    out.push_str("\",\"q\":\"");
    s.scale.qty(out, t.qty);
    out.push('"');
    if s.venue == Venue::BinanceUs {
        let _ = write!(out, ",\"b\":{},\"a\":{}", 2 * t.id, 2 * t.id + 1);
    }
    let _ = write!(out, ",\"T\":{},\"m\":{},\"M\":true}}", t.match_ms, t.maker_bought);
}

pub(super) fn agg_trade(s: &Symbol, out: &mut String, a: &AggTrade) {
    let t = &a.sum;
    let _ = write!(out, "{{\"e\":\"aggTrade\",\"E\":{},\"s\":\"{}\",\"a\":{},\"p\":\"", t.sent_ms, s.name, a.id);
    s.scale.px(out, t.px);
    out.push_str("\",\"q\":\"");
    s.scale.qty(out, t.qty);
    let (first, last) = a.trades;
    let _ = write!(out, "\",\"f\":{first},\"l\":{last},\"T\":{},\"m\":{},\"M\":true}}", t.match_ms, t.maker_bought);
}

pub(super) fn touch(s: &Symbol, out: &mut String, t: &Touch) {
    out.push_str("{\"u\":");
    int(out, t.id);
    let _ = write!(out, ",\"s\":\"{}\",", s.name);
    touch_fields(s, out, t);
    out.push('}');
}

/// `"b":..,"B":..,"a":..,"A":..`, shared by both families.
pub(super) fn touch_fields(s: &Symbol, out: &mut String, t: &Touch) {
    for (px_key, qty_key, (px, qty)) in [("\"b\":\"", "\",\"B\":\"", t.bid), (",\"a\":\"", "\",\"A\":\"", t.ask)] {
        out.push_str(px_key);
        s.scale.px(out, px);
        out.push_str(qty_key);
        s.scale.qty(out, qty);
        out.push('"');
    }
}

pub(super) fn snapshot(s: &Symbol, out: &mut String, snapshot: &Snapshot<'_>) {
    let _ = write!(out, "{{\"lastUpdateId\":{},\"bids\":[", snapshot.id);
    s.scale.levels(out, snapshot.bids.iter().copied());
    out.push_str("],\"asks\":[");
    s.scale.levels(out, snapshot.asks.iter().copied());
    out.push_str("]}");
}

pub(super) fn info(s: &Symbol, out: &mut String) {
    let (tick, lot) = (step_text(s.scale.tick, s.scale.px_decimals), step_text(s.scale.lot, s.scale.qty_decimals));
    let _ = write!(
        out,
        "{{\"symbol\":\"{}\",\"status\":\"TRADING\",\"baseAsset\":\"{}\",\"baseAssetPrecision\":8,\"quoteAsset\":\"{}\",\
         \"quotePrecision\":8,\"quoteAssetPrecision\":8,\"orderTypes\":[\"LIMIT\",\"LIMIT_MAKER\",\"MARKET\"],\
         \"isSpotTradingAllowed\":true,\"filters\":[\
         {{\"filterType\":\"PRICE_FILTER\",\"minPrice\":\"{tick}\",\"maxPrice\":\"1000000.00000000\",\"tickSize\":\"{tick}\"}},\
         {{\"filterType\":\"LOT_SIZE\",\"minQty\":\"{lot}\",\"maxQty\":\"9000.00000000\",\"stepSize\":\"{lot}\"}},\
         {{\"filterType\":\"MARKET_LOT_SIZE\",\"minQty\":\"0.00000000\",\"maxQty\":\"100.00000000\",\"stepSize\":\"0.00000000\"}},\
         {{\"filterType\":\"NOTIONAL\",\"minNotional\":\"{}\",\"applyMinToMarket\":true,\"maxNotional\":\"9000000.00000000\",\
         \"applyMaxToMarket\":false,\"avgPriceMins\":5}},\
         {{\"filterType\":\"PERCENT_PRICE_BY_SIDE\",\"bidMultiplierUp\":\"5\",\"bidMultiplierDown\":\"0.2\",\
         \"askMultiplierUp\":\"5\",\"askMultiplierDown\":\"0.2\",\"avgPriceMins\":5}}],\"permissions\":[\"SPOT\"]}}",
        s.name, s.base, s.quote, s.min_notional
    );
}
