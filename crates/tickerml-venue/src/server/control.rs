//! The control URL: `info`, `book`, `faults`, `fault`, `mix`, `regime`, `shutdown`.
//!
//! | command | does |
//! |---|---|
//! | GET `info` | venues with their URLs and symbols, source, whether it has ended |
//! | GET `book?venue=&symbol=[&id=]` | the venue's own whole book at an update id (default: now), decimal text |
//! | GET `faults` | how often each fault has happened, a venue each; clients cut off; wrong streams |
//! | POST `fault` | [`FaultRequest`]: one fault, or several of a kind, at the next opportunities |
//! | POST `mix` | chance of each fault from now on, `{"drop":0.001}` |
//! | POST `regime` | `{"regime":"volatile"}` from now on |
//! | POST `shutdown` | stops the venue |
use super::http::{Reply, Request};
use super::hub::Hub;
use crate::dialect::error_body;
use crate::faults::{FaultRequest, Mix};
use crate::flow::Regime;
use crate::listing::Listing;
use serde::Deserialize;
use serde_json::{Value, json};
use tickerml_core::instrument::Venue;

pub(super) fn answer(hub: &Hub, command: &str, request: &Request) -> Reply {
    let answer = match (request.method.as_str(), command) {
        ("GET", "info") => Ok(info(hub)),
        ("GET", "book") => book(hub, request),
        ("GET", "faults") => Ok(faults(hub)),
        ("POST", "fault") => fault(hub, &request.body),
        ("POST", "mix") => mix(hub, &request.body),
        ("POST", "regime") => regime(hub, &request.body),
        ("POST", "shutdown") => {
            hub.shut_down();
            Ok(json!({"ok": true}))
        }
        _ => return Reply::json(404, error_body(-1100, "no such command")),
    };
    match answer {
        Ok(body) => Reply::json(200, body.to_string()),
        Err(reason) => Reply::json(400, error_body(-1100, &reason)),
    }
}

fn info(hub: &Hub) -> Value {
    let (source, streams) = match &hub.lock().stage {
        Some(stage) => ("recording", stage.player.streams()),
        None => ("loopback", Vec::new()),
    };
    json!({"venues": hub.venues(), "source": source, "recorded_streams": streams, "ended": hub.ended(),
        "now_ns": hub.now_ns()})
}

fn book(hub: &Hub, request: &Request) -> Result<Value, String> {
    let venue: Venue = request.query("venue").unwrap_or("").parse().map_err(|_| "venue: unknown".to_owned())?;
    let state = hub.lock();
    let floor = state.floors.iter().find(|f| f.market.venue() == venue).ok_or("venue: not served here")?;
    let number = floor.market.find(request.query("symbol").unwrap_or("")).ok_or("symbol: not served here")?;
    let listing = &floor.market.listings()[number];
    let id = match request.query("id") {
        None => listing.history().last_id(),
        Some(text) => text.parse().map_err(|_| "id: not a number".to_owned())?,
    };
    let levels = listing.history().at(id).ok_or("id: ahead of the venue, or forgotten")?;
    Ok(json!({"venue": venue, "symbol": listing.symbol().name, "id": id, "last_id": listing.history().last_id(),
        "bids": side(listing, levels[0].iter().rev()), "asks": side(listing, levels[1].iter())}))
}

/// A side as `[[px, qty]]`, best first, in the venue's own decimals.
fn side<'a>(listing: &Listing, levels: impl Iterator<Item = (&'a i64, &'a i64)>) -> Vec<[String; 2]> {
    let scale = &listing.symbol().scale;
    let pair = |(px, qty): (&i64, &i64)| {
        let mut pair = [String::new(), String::new()];
        scale.px(&mut pair[0], *px);
        scale.qty(&mut pair[1], *qty);
        pair
    };
    levels.map(pair).collect()
}

fn faults(hub: &Hub) -> Value {
    let mut state = hub.lock();
    let venues: serde_json::Map<String, Value> =
        state.injectors().map(|(venue, i)| (venue.name().to_owned(), json!(i.counts()))).collect();
    json!({"venues": venues, "slow_clients": state.slow_clients, "wrong_streams": state.wrong_streams})
}

fn fault(hub: &Hub, body: &[u8]) -> Result<Value, String> {
    let request: FaultRequest = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    if hub.request_fault(&request) {
        Ok(json!({"ok": true}))
    } else {
        Err("no served venue fits, or too many faults wait already".to_owned())
    }
}

fn mix(hub: &Hub, body: &[u8]) -> Result<Value, String> {
    let mix: Mix = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    mix.check().map_err(|e| e.to_string())?;
    hub.lock().injectors().for_each(|(_, i)| i.set_mix(mix.clone()));
    Ok(json!({"ok": true}))
}

fn regime(hub: &Hub, body: &[u8]) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Wish {
        regime: Regime,
    }
    let wish: Wish = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    hub.lock().floors.iter_mut().for_each(|f| f.market.pin(wish.regime));
    Ok(json!({"ok": true}))
}
