//! REST endpoints: depth, exchangeInfo, time, ping.
use super::http::{Reply, Request};
use super::hub::Hub;
use crate::dialect::error_body;
use tickerml_core::instrument::Venue;

pub(super) async fn answer(hub: &Hub, venue: Venue, endpoint: &str, request: &Request) -> Reply {
    if request.method != "GET" {
        return Reply::json(405, error_body(-1000, "only GET is served here"));
    }
    match endpoint {
        "ping" => Reply::json(200, "{}"),
        "time" => Reply::json(200, format!("{{\"serverTime\":{}}}", hub.now_ns() / 1_000_000)),
        "exchangeInfo" => exchange_info(hub, venue),
        "depth" => depth(hub, venue, request).await,
        _ => Reply::json(404, error_body(-1100, "no such endpoint")),
    }
}

fn exchange_info(hub: &Hub, venue: Venue) -> Reply {
    let state = hub.lock();
    match state.floors.iter().find(|f| f.market.venue() == venue) {
        Some(floor) => Reply::json(200, floor.market.exchange_info()),
        None => Reply::json(404, error_body(-1100, "no such venue")),
    }
}

async fn depth(hub: &Hub, venue: Venue, request: &Request) -> Reply {
    let Some(symbol) = request.query("symbol") else {
        return Reply::json(400, error_body(-1102, "Mandatory parameter 'symbol' was not sent."));
    };
    let usual = if venue.is_futures() { 500 } else { 100 };
    let Ok(limit) = request.query("limit").map_or(Ok(usual), str::parse) else {
        return Reply::json(400, error_body(-1104, "Illegal 'limit'."));
    };
    let Some(answer) = hub.depth(venue, symbol, limit) else {
        return Reply::json(404, error_body(-1100, "no such venue"));
    };
    tokio::time::sleep(hub.real(answer.ready_ns - hub.now_ns())).await;
    Reply { status: answer.status, headers: answer.headers, content_type: answer.content_type, body: answer.body }
}
