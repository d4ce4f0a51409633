//! Each rule of the feed by itself.
use super::rig::*;
use crate::supervisor::{Action, Closed, ConnId};
use tickerml_core::tape::RecordKind as K;

const BTC: &str = "binance_spot:BTCUSDT";
const DEPTH: &str = "btcusdt@depth@100ms";

#[test]
fn a_run_starts_with_epoch_config_metadata_instruments_then_sockets() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT", "ETHUSDT"])], 1);
    let (id, url) = rig.request();
    assert_eq!(url, "https://r/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D");
    assert!(!rig.has(|a| matches!(a, Action::Open { .. })), "no socket before the metadata");
    rig.answer(id, &ok(&exchange_info(&["ETHUSDT", "BTCUSDT"])));
    let (conn, url) = rig.open();
    assert!(url.starts_with("wss://w/stream?streams=btcusdt@depth@100ms/btcusdt@trade/ethusdt@"));
    rig.sup.opened(conn, rig.now);
    rig.frame(conn, b"{}");
    rig.sup.stop("SIGTERM", rig.now);
    assert_eq!(
        rig.kinds(),
        [K::Epoch, K::Config, K::Rest, K::Instrument, K::Instrument, K::Connect, K::Frame, K::Stop]
    );
    assert!(rig.records(K::Config)[0].contains("binance_spot/public/0/a"));
    assert!(rig.records(K::Instrument)[0].contains(r#""symbol":"BTCUSDT""#));
    assert!(rig.records(K::Instrument)[0].contains(r#""tick":1,"#));
    assert!(rig.records(K::Epoch)[0].contains(r#""clock_unsynced":false"#));
    assert_eq!(rig.records(K::Stop), [r#"{"reason":"SIGTERM"}"#]);
    rig.pass(S);
    assert_eq!(rig.kinds().last(), Some(&K::Stop), "nothing follows STOP");
}

#[test]
fn an_unknown_symbol_is_named() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT", "BTCUSD"])], 1);
    let (id, _) = rig.request();
    rig.answer(id, &status(400));
    let (id, url) = rig.request();
    assert_eq!(url, "https://r/api/v3/exchangeInfo", "the whole list tells which one it is");
    rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
    let fatal = rig.sup.fatal().unwrap();
    assert!(fatal.contains("no symbol BTCUSD;") && fatal.contains("exchanges_config.yaml"), "{fatal}");
}

#[test]
fn metadata_is_asked_for_until_it_comes() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    for _ in 0..6 {
        let (id, _) = rig.request();
        rig.answer(id, &status(503));
        rig.pass(3 * S);
    }
    let (id, _) = rig.request();
    rig.answer(id, &ok(b"<html>"));
    rig.pass(3 * S);
    let (id, _) = rig.request();
    rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
    rig.open();
    assert_eq!(rig.records(K::Rest).len(), 8, "every exchange is a record");
}

#[test]
fn silence_is_pinged_after_5_s_and_reconnected_after_10() {
    let (mut rig, conn) = Rig::live();
    rig.pass(4_990 * MS);
    assert!(!rig.has(|a| matches!(a, Action::Ping { .. })));
    rig.pass(10 * MS);
    assert!(rig.has(|a| *a == Action::Ping { conn }));
    rig.sup.control(conn, "pong", rig.now);
    rig.pass(5 * S);
    assert_eq!(rig.actions.iter().filter(|a| matches!(a, Action::Ping { .. })).count(), 2, "a pong is a sign of life");
    rig.pass(4_990 * MS);
    assert!(!rig.has(|a| matches!(a, Action::Close { .. })));
    rig.pass(10 * MS);
    assert!(rig.has(|a| *a == Action::Close { conn }));
    assert_eq!(rig.state(BTC), "Connecting");
    rig.pass(250 * MS);
    let (next, _) = rig.open();
    assert_eq!((next.slot, next.generation), (conn.slot, conn.generation + 1));
    let health = rig.records(K::Health).join("\n");
    assert!(
        health.contains(r#""name":"ping","state":"sent""#) && health.contains(r#""name":"pong","state":"received""#)
    );
    assert!(rig.records(K::Disconnect)[0].contains("silent for 10 s"));
}

#[test]
fn silence_on_the_tape_is_ticked() {
    let (mut rig, conn) = Rig::live();
    let before = rig.records(K::Tick).len();
    rig.pass(S);
    assert_eq!(rig.records(K::Tick).len() - before, 50);
    let before = rig.records(K::Tick).len();
    for n in 0..100 {
        rig.frame(conn, &trade("btcusdt@trade", n));
        rig.pass(10 * MS);
    }
    assert_eq!(rig.records(K::Tick).len(), before);
}

#[test]
fn retries_are_fast_then_slower_then_fast_after_a_healthy_minute() {
    let (mut rig, mut conn) = Rig::connected();
    let mut waits = Vec::new();
    for n in 0..30 {
        let healthy = n == 20;
        if healthy {
            for _ in 0..61 {
                rig.frame(conn, &trade("btcusdt@trade", n));
                rig.pass(S);
            }
            rig.actions.clear();
        }
        let at = rig.now;
        rig.closed(conn, &Closed::because("reset"));
        while !rig.has(|a| matches!(a, Action::Open { .. })) {
            rig.pass(10 * MS);
        }
        waits.push(rig.now - at);
        conn = rig.open().0;
        rig.sup.opened(conn, rig.now);
        rig.actions.clear();
    }
    assert!(waits[0] <= 260 * MS && waits[20] <= 260 * MS, "{waits:?}");
    assert!(waits.iter().all(|&w| w <= 30 * S + 10 * MS));
    assert!(waits[8..20].iter().sum::<i64>() > 40 * S, "{waits:?}");
}

#[test]
fn connection_attempts_stay_within_the_budget() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    let (id, _) = rig.request();
    rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
    let mut opens = Vec::new();
    while rig.now < 600 * S {
        while let Some(Action::Open { conn, .. }) = rig.actions.pop() {
            opens.push(rig.now);
            rig.sup.opened(conn, rig.now);
            rig.sup.lanes.iter_mut().for_each(|l| l.backoff = crate::backoff::Backoff::default());
            rig.closed(conn, &Closed::because("flap"));
        }
        rig.actions.clear();
        rig.pass(10 * MS);
    }
    assert!(opens.len() > 500, "the budget is used: {}", opens.len());
    assert!(opens.windows(301).all(|w| w[300] - w[0] >= 300 * S));
}

#[test]
fn a_snapshot_is_asked_for_after_the_first_diff_and_after_each_gap() {
    let (mut rig, conn) = Rig::connected();
    rig.pass(S);
    assert!(!rig.has(|a| matches!(a, Action::Request { .. })), "not before the first diff");
    rig.frame(conn, &diff(DEPTH, 5, 8, None));
    let (id, url) = rig.request();
    assert_eq!(url, "https://r/api/v3/depth?symbol=BTCUSDT&limit=5000");
    rig.answer(id, &snapshot(2));
    assert_eq!(rig.state(BTC), "Syncing", "too old");
    rig.pass(490 * MS);
    assert!(!rig.has(|a| matches!(a, Action::Request { .. })), "no tight loop");
    rig.pass(10 * MS);
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(8));
    assert_eq!(rig.state(BTC), "Live");
    rig.pass(S);
    rig.frame(conn, &diff(DEPTH, 10, 12, None));
    assert_eq!(rig.state(BTC), "Syncing");
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(12));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Live", 1));
    assert_eq!(rig.records(K::Rest).len(), 4);
}

#[test]
fn snapshots_of_many_books_go_one_at_a_time_within_the_weight() {
    let symbols: Vec<String> = (0..40).map(|i| format!("S{i}USDT")).collect();
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut rig = Rig::new(&[spot(&names)], 1);
    let (id, _) = rig.request();
    rig.answer(id, &ok(&exchange_info(&names)));
    let (conn, _) = rig.open();
    rig.sup.opened(conn, rig.now);
    for s in &symbols {
        rig.frame(conn, &diff(&format!("{}@depth@100ms", s.to_lowercase()), 1, 2, None));
    }
    let mut sent = Vec::new();
    while sent.len() < 40 {
        let requests = rig.actions.iter().filter(|a| matches!(a, Action::Request { .. })).count();
        assert!(requests <= 1);
        if requests == 1 {
            let (id, url) = rig.request();
            sent.extend(url.contains("limit=5000").then_some(rig.now));
            rig.answer(id, &snapshot(2));
        }
        rig.sup.control(conn, "ping", rig.now);
        if !rig.has(|a| matches!(a, Action::Request { .. })) {
            rig.pass(50 * MS);
        }
        assert!(rig.now < 200 * S);
    }
    assert!(sent.windows(24).all(|w| w[23] - w[0] >= 60 * S || w[0] == 0), "6,000 a minute are 24 snapshots of 250");
    let state = |s: &String| rig.state(&format!("binance_spot:{s}"));
    assert!(symbols.iter().all(|s| ["Live", "Stale"].contains(&state(s).as_str())));
}

#[test]
fn retry_after_is_honoured_and_late_answers_are_ignored() {
    let (mut rig, conn) = Rig::connected();
    rig.frame(conn, &diff(DEPTH, 5, 8, None));
    let (id, _) = rig.request();
    let mut refused = status(429);
    refused.headers = vec![("retry-after".into(), "3".into()), ("set-cookie".into(), "x".into())];
    rig.answer(id, &refused);
    rig.pass(2_990 * MS);
    assert!(!rig.has(|a| matches!(a, Action::Request { .. })));
    rig.pass(10 * MS);
    let (id, _) = rig.request();
    assert!(!rig.records(K::Rest).last().unwrap().contains("cookie"));
    assert!(rig.records(K::Health).iter().any(|h| h.contains("REST, HTTP 429: 3 s")));
    rig.sup.control(conn, "ping", rig.now);
    rig.pass(9 * S);
    rig.sup.control(conn, "ping", rig.now);
    rig.pass(6 * S);
    assert!(rig.records(K::Rest).last().unwrap().contains("no answer in time"));
    rig.answer(id, &snapshot(8));
    assert_eq!(rig.state(BTC), "Syncing", "the late answer names a request that was given up");
    rig.pass(2 * S);
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(8));
    assert_eq!(rig.state(BTC), "Live");
}

#[test]
fn a_refused_host_is_permanent_and_names_the_way_out() {
    for on_socket in [true, false] {
        let (mut rig, conn) = Rig::connected();
        if on_socket {
            rig.closed(conn, &Closed { reason: "HTTP 451".into(), status: 451, retry_after_s: None });
        } else {
            rig.frame(conn, &diff(DEPTH, 5, 8, None));
            let (id, _) = rig.request();
            rig.answer(id, &status(451));
        }
        let fatal = rig.sup.fatal().unwrap().to_owned();
        assert!(fatal.contains("HTTP 451") && fatal.contains("binance_us") && fatal.contains("data-stream"), "{fatal}");
        rig.actions.clear();
        rig.pass(120 * S);
        assert!(!rig.has(|a| matches!(a, Action::Open { .. } | Action::Request { .. })));
    }
}

#[test]
fn one_refused_venue_does_not_stop_the_other() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"]), usdm(&["BTCUSDT"])], 1);
    let (first, _) = rig.request();
    let (second, _) = rig.request();
    rig.answer(first, &status(451));
    rig.answer(second, &ok(&exchange_info(&["BTCUSDT"])));
    assert_eq!(rig.sup.fatal(), None);
    let urls = [rig.open().1, rig.open().1];
    assert!(urls[0].starts_with("wss://w/public/stream?streams=btcusdt@depth@100ms/btcusdt@trade"));
    assert!(urls[1].starts_with("wss://w/market/stream?streams=btcusdt@markPrice@1s"));
}

#[test]
fn a_market_socket_without_data_is_reconnected() {
    let mut rig = Rig::new(&[usdm(&["BTCUSDT"])], 1);
    let (id, _) = rig.request();
    rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
    let (_, market) = (rig.open(), rig.open().0);
    rig.sup.opened(market, rig.now);
    for _ in 0..9 {
        rig.pass(S);
        rig.sup.control(market, "ping", rig.now);
    }
    assert!(!rig.has(|a| *a == Action::Close { conn: market }));
    rig.pass(1_250 * MS);
    assert!(rig.has(|a| *a == Action::Close { conn: market }), "acked and silent for ever is the wrong entry point");
}

#[test]
fn a_silent_stream_is_probed_and_reconnected_only_when_its_book_moved() {
    for moved in [false, true] {
        let (mut rig, conn) = Rig::live();
        let wait = |rig: &mut Rig, seconds: i64| {
            for n in 0..seconds {
                rig.frame(conn, &trade("btcusdt@trade", n as u64));
                rig.pass(S);
            }
        };
        wait(&mut rig, 29);
        assert_eq!(rig.state(BTC), "Live");
        wait(&mut rig, 2);
        assert_eq!(rig.state(BTC), "Stale");
        let (id, url) = rig.request();
        assert_eq!(url, "https://r/api/v3/depth?symbol=BTCUSDT&limit=5");
        rig.answer(id, &snapshot(if moved { 11 } else { 10 }));
        wait(&mut rig, 6);
        assert_eq!(rig.has(|a| *a == Action::Close { conn }), moved);
        if !moved {
            rig.frame(conn, &diff(DEPTH, 11, 11, None));
            assert_eq!(rig.state(BTC), "Live", "a contiguous diff ends it without a snapshot");
            let health = rig.records(K::Health).join("\n");
            assert!(health.contains(r#""state":"stale""#) && health.contains(r#""state":"live""#));
        }
        assert!(rig.records(K::Rest).last().unwrap().contains(r#""what":"probe""#));
    }
}

#[test]
fn spot_hands_over_on_contiguous_ids() {
    let (mut rig, a) = Rig::live();
    rig.pass(6 * S);
    rig.sup.control(a, "pong", rig.now);
    rig.frame(a, br#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#);
    rig.actions.clear();
    rig.pass(10 * MS);
    let (b, _) = rig.open();
    assert_eq!(b.slot, a.slot + 1);
    rig.sup.opened(b, rig.now);
    rig.frame(a, &diff(DEPTH, 11, 12, None));
    rig.pass(100 * MS);
    assert!(!rig.has(|x| matches!(x, Action::Close { .. })), "b has shown nothing yet");
    rig.frame(b, &diff(DEPTH, 11, 12, None));
    rig.pass(10 * MS);
    assert!(rig.has(|x| *x == Action::Close { conn: a }));
    rig.frame(b, &diff(DEPTH, 13, 13, None));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps, rig.sup.counters.handovers), ("Live", 0, 1));
    assert!(!rig.has(|x| matches!(x, Action::Request { .. })));
    rig.frame(a, &diff(DEPTH, 99, 99, None));
    assert_eq!(rig.state(BTC), "Live", "frames of a closed connection are ignored");
    let health = rig.records(K::Health).join("\n");
    assert!(health.contains(r#"{"detail":"binance_spot/public/0/b","name":"handover","state":"done"}"#), "{health}");
}

#[test]
fn usdm_hands_over_after_the_new_sockets_own_snapshot() {
    let mut rig = Rig::new(&[usdm(&["BTCUSDT"])], 1);
    let id = "binance_usdm:BTCUSDT";
    let (request, _) = rig.request();
    rig.answer(request, &ok(&exchange_info(&["BTCUSDT"])));
    let a = rig.open().0;
    rig.sup.opened(a, rig.now);
    rig.frame(a, &diff(DEPTH, 5, 8, Some(4)));
    let (request, _) = rig.request();
    rig.answer(request, &snapshot(8));
    assert_eq!(rig.state(id), "Live");
    let mut last = 8;
    while rig.now < 23 * 3_600 * S {
        rig.now += 4 * S;
        rig.frame(a, &diff(DEPTH, last + 1, last + 2, Some(last)));
        last += 2;
        rig.sup.tick(rig.now);
        rig.take();
        if rig.has(|x| matches!(x, Action::Open { conn, .. } if conn.slot == a.slot + 1)) {
            break;
        }
        let asked = rig.actions.iter().find_map(|x| match x {
            Action::Request { id, url } if url.contains("exchangeInfo") => Some(*id),
            _ => None,
        });
        rig.actions.clear();
        if let Some(request) = asked {
            rig.answer(request, &ok(&exchange_info(&["BTCUSDT"])));
        }
    }
    assert!((22 * 3_600 * S..23 * 3_600 * S).contains(&rig.now), "before 23 h, spread by half an hour");
    let b = rig.expect("b", |x| match x {
        Action::Open { conn, .. } if conn.slot == a.slot + 1 => Some(*conn),
        _ => None,
    });
    rig.sup.opened(b, rig.now);
    rig.frame(b, &diff(DEPTH, last + 1, last + 3, Some(last)));
    rig.pass(10 * MS);
    assert!(!rig.has(|x| *x == Action::Close { conn: a }));
    let (request, _) = rig.request();
    rig.answer(request, &snapshot(last + 3));
    rig.pass(10 * MS);
    assert!(rig.has(|x| *x == Action::Close { conn: a }));
    rig.frame(b, &diff(DEPTH, last + 4, last + 9, Some(last + 3)));
    assert_eq!((rig.state(id).as_str(), rig.sup.counters.gaps), ("Live", 0));
}

/// USD-M in the middle of a hand-over: two books Live on a; on b the first one's snapshot is there, the second one's not.
fn half_handed_over() -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::new(&[usdm(&["BTCUSDT", "ETHUSDT"])], 1);
    let (request, _) = rig.request();
    rig.answer(request, &ok(&exchange_info(&["BTCUSDT", "ETHUSDT"])));
    let a = rig.open().0;
    rig.sup.opened(a, rig.now);
    for stream in [DEPTH, "ethusdt@depth@100ms"] {
        rig.frame(a, &diff(stream, 5, 8, Some(4)));
        let (request, _) = rig.request();
        rig.answer(request, &snapshot(7));
        rig.pass(S);
    }
    rig.pass(5 * S);
    rig.frame(a, br#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#);
    rig.actions.retain(|a| matches!(a, Action::Close { .. }));
    rig.pass(10 * MS);
    let b = rig.open().0;
    rig.sup.opened(b, rig.now);
    rig.frame(a, &diff(DEPTH, 10, 12, Some(8)));
    rig.frame(b, &diff(DEPTH, 10, 12, Some(8)));
    let (request, _) = rig.request();
    rig.answer(request, &snapshot(12));
    rig.pass(S);
    assert!(!rig.has(|x| matches!(x, Action::Close { .. })), "the second book has not passed");
    (rig, a, b)
}

#[test]
fn a_hand_over_that_loses_either_socket_costs_only_what_had_not_passed() {
    let ids = ["binance_usdm:BTCUSDT", "binance_usdm:ETHUSDT"];
    let (mut rig, a, b) = half_handed_over();
    rig.closed(b, &Closed::because("reset"));
    rig.frame(a, &diff(DEPTH, 14, 15, Some(12)));
    assert_eq!((ids.map(|id| rig.state(id)), rig.sup.counters.gaps), (["Live".into(), "Live".into()], 0));
    let (mut rig, a, b) = half_handed_over();
    rig.closed(a, &Closed::because("reset"));
    rig.frame(b, &diff(DEPTH, 14, 15, Some(12)));
    assert_eq!((ids.map(|id| rig.state(id)), rig.sup.counters.gaps), (["Live".into(), "Connecting".into()], 1));
}

#[test]
fn a_lost_connection_during_a_hand_over_leaves_the_other_in_charge() {
    let (mut rig, a) = Rig::live();
    rig.pass(6 * S);
    rig.frame(a, br#"{"e":"serverShutdown","E":1}"#);
    rig.pass(10 * MS);
    let (b, _) = rig.open();
    rig.sup.opened(b, rig.now);
    rig.frame(b, &diff(DEPTH, 11, 12, None));
    rig.closed(a, &Closed::because("closed by the venue"));
    rig.frame(b, &diff(DEPTH, 13, 13, None));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Live", 0));
    rig.actions.clear();
    rig.pass(S);
    assert!(!rig.has(|x| matches!(x, Action::Open { .. })));
}
