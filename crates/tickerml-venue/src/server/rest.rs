//! REST endpoints: depth, exchangeInfo, time, ping.
use super::http::{Reply, Request};
use super::hub::Hub;
use crate::dialect::error_body;
use crate::recording::Depth;
use std::time::{Duration, Instant};
use tickerml_core::instrument::Venue;

/// How long a request may wait for the recording to reach its snapshot.
const RECORDED_WAIT: Duration = Duration::from_secs(60);

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
    if let Some(floor) = state.floors.iter().find(|f| f.market.venue() == venue) {
        return Reply::json(200, floor.market.exchange_info());
    }
    match state.stage.as_ref().filter(|s| s.player.venue() == venue) {
        Some(stage) => {
            let symbols = [stage.player.symbol().clone()];
            Reply::json(200, crate::dialect::exchange_info(venue, &symbols, hub.now_ns() / 1_000_000))
        }
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
    if let Some(reply) = recorded(hub, venue).await {
        return reply;
    }
    let Some(answer) = hub.depth(venue, symbol, limit) else {
        return Reply::json(404, error_body(-1100, "no such venue"));
    };
    tokio::time::sleep(hub.real(answer.ready_ns - hub.now_ns())).await;
    Reply { status: answer.status, headers: answer.headers, content_type: answer.content_type, body: answer.body }
}

/// The recorded answer, as soon as the recording has reached it; none where no recording of this venue is served.
async fn recorded(hub: &Hub, venue: Venue) -> Option<Reply> {
    let asked = Instant::now();
    loop {
        match hub.recorded_depth(venue)? {
            Depth::Ready(body) => return Some(Reply::json(200, body)),
            Depth::Missing => return Some(Reply::json(503, error_body(-1001, "the recording holds no snapshot"))),
            Depth::Wait(_) if asked.elapsed() > RECORDED_WAIT => {
                return Some(Reply::json(504, error_body(-1007, "the recording does not reach a snapshot soon")));
            }
            Depth::Wait(ns) => tokio::time::sleep(Duration::from_nanos(ns.clamp(1, 50_000_000) as u64)).await,
        }
    }
}
