//! The venue over real sockets on loopback: streams, doors, REST, control, and what each fault looks like to a client.
mod support;

use serde_json::Value;
use support::{Events, get, post, read_event, read_json, serve, socket};
use tickerml_core::instrument::{Against, Venue};
use tickerml_core::wire::exchange_info;

#[tokio::test]
async fn spot_streams_chain_onto_a_snapshot() {
    let (server, base) = serve(r#"{"seed":3}"#);
    let mut ws = socket(&format!("ws://{base}/binance_spot/stream?streams=btcusdt@depth@100ms/btcusdt@trade")).await;
    let first = read_json(&mut ws, |v| v["stream"] == "btcusdt@depth@100ms").await;
    let (status, headers, body) = get(&base, "/binance_spot/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
    let snapshot: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status, 200);
    assert!(headers.contains("X-MBX-USED-WEIGHT-1M: 250"), "{headers}");
    let id = snapshot["lastUpdateId"].as_u64().expect("id");
    assert!(id + 1 >= first["data"]["U"].as_u64().expect("U"), "asked after the first diff, so not too old");
    assert!(snapshot["bids"].as_array().is_some_and(|b| b.len() >= 200));
    let mut last = first["data"]["u"].as_u64().expect("u");
    while last <= id {
        let next = read_json(&mut ws, |v| v["stream"] == "btcusdt@depth@100ms").await;
        assert_eq!(next["data"]["U"].as_u64(), Some(last + 1));
        last = next["data"]["u"].as_u64().expect("u");
    }
    server.stop();
}

#[tokio::test]
async fn the_wrong_door_acknowledges_and_stays_silent() {
    let (server, base) = serve("{}");
    let mut ws = socket(&format!("ws://{base}/binance_usdm/market/stream")).await;
    support::send(&mut ws, r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@0ms","btcusdt@markPrice@1s"],"id":7}"#)
        .await;
    assert_eq!(read_json(&mut ws, |_| true).await.to_string(), r#"{"id":7,"result":null}"#);
    for _ in 0..2 {
        let frame = read_json(&mut ws, |_| true).await;
        assert_eq!(frame["stream"], "btcusdt@markPrice@1s", "depth lives behind the other door");
        assert!(frame["data"]["r"].is_string() && frame["data"]["T"].is_u64());
    }
    let (_, _, faults) = get(&base, "/control/faults").await;
    assert!(faults.contains(r#""wrong_streams":1"#), "{faults}");
    server.stop();
}

#[tokio::test]
async fn raw_streams_carry_no_wrapper_and_commands_have_errors() {
    let (server, base) = serve("{}");
    let mut ws = socket(&format!("ws://{base}/binance_usdm/public/ws/btcusdt@bookTicker")).await;
    assert_eq!(read_json(&mut ws, |_| true).await["e"], "bookTicker");
    support::send(&mut ws, "{").await;
    assert_eq!(read_json(&mut ws, |v| v["e"].is_null()).await["code"], 3);
    support::send(&mut ws, r#"{"method":"LIST_SUBSCRIPTIONS","id":"x"}"#).await;
    let list = read_json(&mut ws, |v| v["e"].is_null()).await;
    assert_eq!(list.to_string(), r#"{"id":"x","result":["btcusdt@bookTicker"]}"#);
    server.stop();
}

#[tokio::test]
async fn control_tells_where_and_the_truth_behind_a_snapshot() {
    let (server, base) = serve("{}");
    let (_, _, info) = get(&base, "/control/info").await;
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!(info["source"], "loopback");
    assert_eq!(info["venues"][1]["ws_url"], format!("ws://{base}/binance_usdm/public"));
    assert_eq!(info["venues"][1]["market_ws_url"], format!("ws://{base}/binance_usdm/market"));
    let (_, _, body) = get(&base, "/binance_usdm/fapi/v1/depth?symbol=ETHUSDT&limit=1000").await;
    let snapshot: Value = serde_json::from_str(&body).expect("JSON");
    let path = format!("/control/book?venue=binance_usdm&symbol=ETHUSDT&id={}", snapshot["lastUpdateId"]);
    let truth: Value = serde_json::from_str(&get(&base, &path).await.2).expect("JSON");
    assert_eq!((&truth["bids"], &truth["asks"]), (&snapshot["bids"], &snapshot["asks"]));
    assert_eq!(get(&base, "/control/book?venue=binance_usdm&symbol=ETHUSDT&id=1").await.0, 400);
    assert_eq!(get(&base, "/nowhere").await.0, 404);
    let (_, _, names) = get(&base, "/binance_spot/api/v3/exchangeInfo").await;
    assert!(names.contains(r#""tickSize":"0.01000000""#) && names.contains(r#""stepSize":"0.00001000""#));
    for (venue, path) in [(Venue::BinanceSpot, "api/v3"), (Venue::BinanceUsdm, "fapi/v1")] {
        let (_, _, body) = get(&base, &format!("/{venue}/{path}/exchangeInfo")).await;
        let (known, _) = exchange_info(venue, body.as_bytes(), &["BTCUSDT".to_owned()]).expect("exchangeInfo");
        let band = known[0].band.expect("a price band");
        assert_eq!(band.against == Against::Mark, venue.is_futures());
        assert!(band.buy_e8[1] > Some(100_000_000) && band.sell_e8[0].is_some_and(|least| least < 100_000_000));
    }
    assert_eq!(post(&base, "/control/shutdown", "{}").await.0, 200);
    assert!(server.wait(std::time::Duration::from_secs(5)));
}

#[tokio::test]
async fn faults_on_request_reach_the_wire() {
    let (server, base) = serve("{}");
    for (kind, want) in [
        ("close", Events::Closed),
        ("reset", Events::Broken),
        ("truncated", Events::Broken),
        ("oversized", Events::Broken),
        ("bad_utf8", Events::Broken),
        ("malformed", Events::Garbage),
    ] {
        let mut ws = socket(&format!("ws://{base}/binance_spot/stream?streams=btcusdt@depth@100ms")).await;
        read_json(&mut ws, |_| true).await;
        let (status, _, body) = post(&base, "/control/fault", &format!(r#"{{"kind":"{kind}"}}"#)).await;
        assert_eq!(status, 200, "{body}");
        let seen = loop {
            match read_event(&mut ws).await {
                Events::Sound => {}
                other => break other,
            }
        };
        assert_eq!(seen, want, "{kind}");
        drop(ws);
        // The request fitted both venues; only spot had a client, so the other's is still waiting there.
        let (_, _, faults) = get(&base, "/control/faults").await;
        let faults: Value = serde_json::from_str(&faults).expect("JSON");
        assert_eq!(faults["venues"]["binance_spot"][kind], 1, "{kind}");
    }
    server.stop();
}

#[tokio::test]
async fn snapshot_faults_on_request() {
    let (server, base) = serve("{}");
    let path = "/binance_spot/api/v3/depth?symbol=BTCUSDT&limit=100";
    for (kind, status) in [("html", 200), ("half_body", 200), ("stale", 200), ("mismatched", 200), ("status_429", 429)]
    {
        let wish = format!(r#"{{"kind":"{kind}","venue":"binance_spot","symbol":"BTCUSDT","ms":1}}"#);
        post(&base, "/control/fault", &wish).await;
        let (found, headers, body) = get(&base, path).await;
        assert_eq!(found, status, "{kind}");
        match kind {
            "html" => assert!(body.starts_with("<!DOCTYPE") && headers.contains("text/html")),
            "half_body" => assert!(serde_json::from_str::<Value>(&body).is_err()),
            "status_429" => assert!(headers.contains("Retry-After: 1")),
            _ => assert!(body.starts_with("{\"lastUpdateId\":")),
        }
    }
    assert_eq!(post(&base, "/control/fault", r#"{"kind":"nonsense"}"#).await.0, 400);
    server.stop();
}
