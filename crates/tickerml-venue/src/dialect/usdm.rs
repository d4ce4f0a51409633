//! Binance linear futures, and inverse ones, whose shapes are the same with a pair and contract amounts (exchanges.md 3).
use super::spot::touch_fields;
use super::{AggTrade, Diff, Mark, Snapshot, Symbol, Touch, Trade, step_text};
use crate::text::fixed;
use std::fmt::Write;
use tickerml_core::instrument::Venue;

pub(super) fn diff(s: &Symbol, out: &mut String, d: &Diff<'_>) {
    let _ = write!(
        out,
        "{{\"e\":\"depthUpdate\",\"E\":{},\"T\":{},\"s\":\"{}\",{}\"U\":{},\"u\":{},\"pu\":{},\"b\":[",
        d.sent_ms,
        d.match_ms,
        s.name,
        pair(s),
        d.first_id,
        d.last_id,
        d.prev_id
    );
    s.scale.levels(out, d.bids.iter().copied());
    out.push_str("],\"a\":[");
    s.scale.levels(out, d.asks.iter().copied());
    out.push_str("]}");
}

/// `"ps":".."` and the family's number, as sent since the two futures markets were joined in 2026.
fn pair(s: &Symbol) -> String {
    let family = if s.venue == Venue::BinanceCoinm { 2 } else { 1 };
    let pair = s.name.split('_').next().unwrap_or(&s.name);
    format!("\"ps\":\"{pair}\",\"st\":{family},")
}

/// About one id in a hundred is spent without a public fill: price and quantity are then `"0"`.
pub(super) fn trade(s: &Symbol, out: &mut String, t: &Trade) {
    let _ = write!(
        out,
        "{{\"e\":\"trade\",\"E\":{},\"T\":{},\"s\":\"{}\",\"t\":{},\"p\":\"",
        t.sent_ms, t.match_ms, s.name, t.id
    );
    let kind = if t.qty == 0 {
        out.push_str("0\",\"q\":\"0");
        "NA"
    } else {
        s.scale.px(out, t.px);
        out.push_str("\",\"q\":\"");
        s.scale.qty(out, t.qty);
        "MARKET"
    };
    let _ = write!(out, "\",\"X\":\"{kind}\",\"m\":{}}}", t.maker_bought);
}

pub(super) fn agg_trade(s: &Symbol, out: &mut String, a: &AggTrade) {
    let t = &a.sum;
    let _ = write!(out, "{{\"e\":\"aggTrade\",\"E\":{},\"a\":{},\"s\":\"{}\",\"p\":\"", t.sent_ms, a.id, s.name);
    s.scale.px(out, t.px);
    out.push_str("\",\"q\":\"");
    s.scale.qty(out, t.qty);
    let (first, last) = a.trades;
    let _ = write!(out, "\",\"f\":{first},\"l\":{last},\"T\":{},\"m\":{}}}", t.match_ms, t.maker_bought);
}

pub(super) fn touch(s: &Symbol, out: &mut String, t: &Touch) {
    let _ = write!(out, "{{\"e\":\"bookTicker\",\"u\":{},\"s\":\"{}\",", t.id, s.name);
    touch_fields(s, out, t);
    let _ = write!(out, ",\"T\":{},\"E\":{}}}", t.sent_ms, t.sent_ms);
}

/// Writes a markPriceUpdate.
pub fn mark(s: &Symbol, out: &mut String, m: &Mark) {
    let _ = write!(out, "{{\"e\":\"markPriceUpdate\",\"E\":{},\"s\":\"{}\",\"p\":\"", m.sent_ms, s.name);
    fixed(out, m.mark_e8, 8);
    out.push_str("\",\"P\":\"");
    fixed(out, m.index_e8, 8);
    out.push_str("\",\"i\":\"");
    fixed(out, m.index_e8, 8);
    out.push_str("\",\"r\":\"");
    fixed(out, m.rate_e8, 8);
    let _ = write!(out, "\",\"T\":{},\"st\":{}}}", m.next_ms, if s.venue == Venue::BinanceCoinm { 2 } else { 1 });
}

pub(super) fn snapshot(s: &Symbol, out: &mut String, snapshot: &Snapshot<'_>) {
    let (id, ms) = (snapshot.id, snapshot.sent_ms);
    let _ = write!(out, "{{\"lastUpdateId\":{id},\"E\":{ms},\"T\":{ms},\"bids\":[");
    s.scale.levels(out, snapshot.bids.iter().copied());
    out.push_str("],\"asks\":[");
    s.scale.levels(out, snapshot.asks.iter().copied());
    out.push_str("]}");
}

pub(super) fn info(s: &Symbol, out: &mut String) {
    let (tick, lot) = (step_text(s.scale.tick, s.scale.px_decimals), step_text(s.scale.lot, s.scale.qty_decimals));
    let (kind, margin) = if s.venue == Venue::BinanceCoinm {
        ("\"contractSize\":100,\"contractStatus\":\"TRADING\",", &s.base)
    } else {
        ("", &s.quote)
    };
    let pair = s.name.split('_').next().unwrap_or(&s.name);
    let _ = write!(
        out,
        "{{\"symbol\":\"{}\",\"pair\":\"{pair}\",\"contractType\":\"PERPETUAL\",\"status\":\"TRADING\",{kind}\
         \"baseAsset\":\"{}\",\"quoteAsset\":\"{}\",\"marginAsset\":\"{margin}\",\"pricePrecision\":{},\
         \"quantityPrecision\":{},\"baseAssetPrecision\":8,\"quotePrecision\":8,\"filters\":[\
         {{\"filterType\":\"PRICE_FILTER\",\"minPrice\":\"{tick}\",\"maxPrice\":\"4529764\",\"tickSize\":\"{tick}\"}},\
         {{\"filterType\":\"LOT_SIZE\",\"minQty\":\"{lot}\",\"maxQty\":\"1000\",\"stepSize\":\"{lot}\"}},\
         {{\"filterType\":\"MARKET_LOT_SIZE\",\"minQty\":\"{lot}\",\"maxQty\":\"120\",\"stepSize\":\"{lot}\"}},\
         {{\"filterType\":\"MIN_NOTIONAL\",\"notional\":\"{}\"}},\
         {{\"filterType\":\"PERCENT_PRICE\",\"multiplierUp\":\"1.0500\",\"multiplierDown\":\"0.9500\",\
         \"multiplierDecimal\":\"4\"}}]}}",
        s.name, s.base, s.quote, s.scale.px_decimals, s.scale.qty_decimals, s.min_notional
    );
}
