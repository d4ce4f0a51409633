//! Rules about the tape, the engine's wishes, metadata and what the screen shows.
use super::rig::*;
use crate::clock::Wall;
use crate::supervisor::{Action, Closed};
use tickerml_core::tape::RecordKind as K;

const BTC: &str = "binance_spot:BTCUSDT";
const DEPTH: &str = "btcusdt@depth@100ms";

#[test]
fn the_engine_can_ask_for_a_resync_and_write_its_records() {
    let (mut rig, conn) = Rig::live();
    rig.sup.command("resync", BTC, rig.now).unwrap();
    assert_eq!(rig.state(BTC), "Buffering");
    rig.pass(S);
    rig.frame(conn, &diff(DEPTH, 11, 12, None));
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(12));
    assert_eq!(rig.state(BTC), "Live");
    rig.sup.command("command", r#"{"do":"pause"}"#, rig.now).unwrap();
    rig.sup.command("model_output", "{}", rig.now).unwrap();
    assert_eq!(rig.records(K::Command), [r#"{"do":"pause"}"#]);
    assert_eq!(rig.records(K::ModelOutput).len(), 1);
    let want = br#"{"name":"resync","state":"crossed","detail":"binance_spot:BTCUSDT"}"#;
    rig.sup.tape_mut().engine.push_back((K::Health, want.to_vec()));
    rig.pass(20 * MS);
    assert_eq!(rig.state(BTC), "Buffering");
    assert!(rig.records(K::Health).iter().any(|h| h.contains("crossed")));
    assert!(rig.sup.command("frame", "", rig.now).is_err());
    assert!(rig.sup.command("resync", "binance_spot:X", rig.now).is_err());
}

#[test]
fn a_wish_that_was_granted_already_is_no_record() {
    let (mut rig, conn) = Rig::live();
    let want = |rig: &mut Rig, pos: usize| {
        let want = format!(r#"{{"name":"resync","state":"crossed","detail":"{BTC}","pos":{pos}}}"#);
        rig.sup.tape_mut().engine.push_back((K::Health, want.into_bytes()));
        rig.pass(20 * MS);
        rig.records(K::Health).iter().filter(|h| h.contains("crossed")).count()
    };
    assert_eq!(want(&mut rig, 0), 0, "of an epoch before");
    rig.pass(S);
    rig.frame(conn, &diff(DEPTH, 12, 12, None));
    let gap = rig.sup.tape().records.len() - 1;
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(12));
    assert_eq!((want(&mut rig, gap - 1), want(&mut rig, gap)), (0, 0));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Live", 1));
    assert_eq!(want(&mut rig, gap + 1), 1);
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps, rig.sup.counters.resyncs), ("Buffering", 2, 1));
}

/// No engine watches `collect`: the feed itself sees what its tape's readers will refuse.
#[test]
fn a_number_beyond_the_scale_is_noticed_without_an_engine() {
    let text = |frame: Vec<u8>| String::from_utf8(frame).unwrap();
    for frame in [text(diff(DEPTH, 11, 11, None)), text(trade("btcusdt@trade", 1))] {
        let (mut rig, conn) = Rig::live();
        rig.pass(S);
        rig.frame(conn, frame.replace("\"1.00\"", "\"1.001\"").as_bytes());
        assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Buffering", 1));
        rig.frame(conn, &diff(DEPTH, 12, 12, None));
        let (id, url) = rig.request();
        assert!(url.contains("limit=5000"));
        rig.answer(id, &snapshot(12));
        assert_eq!(rig.state(BTC), "Live");
    }
}

#[test]
fn an_unreadable_diff_costs_its_book_and_nothing_else() {
    let (mut rig, conn) = Rig::live();
    rig.pass(S);
    let whole = diff(DEPTH, 11, 12, None);
    rig.frame(conn, &whole[..whole.len() - 4]);
    assert_eq!(rig.state(BTC), "Buffering");
    rig.frame(conn, b"\xff not json");
    rig.frame(conn, br#"{"result":null,"id":1}"#);
    rig.frame(conn, &diff(DEPTH, 13, 14, None));
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(14));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.bad_frames, rig.sup.counters.other_frames), ("Live", 2, 1));
    assert_eq!(rig.records(K::Frame).len(), 5, "all are kept raw");
}

#[test]
fn a_tape_that_stalls_closes_sockets_and_opens_them_again() {
    let (mut rig, conn) = Rig::live();
    rig.sup.tape_mut().stalled = true;
    rig.pass(990 * MS);
    assert!(rig.sup.blocked() && !rig.has(|a| matches!(a, Action::Close { .. })));
    rig.pass(20 * MS);
    assert!(rig.has(|a| *a == Action::Close { conn }));
    rig.pass(5 * S);
    assert!(!rig.has(|a| matches!(a, Action::Open { .. })));
    rig.sup.tape_mut().stalled = false;
    rig.pass(10 * MS);
    rig.open();
    rig.sup.tape_mut().failed = Some("disk gone".into());
    rig.pass(20 * MS);
    assert_eq!(rig.sup.fatal(), Some("tape: disk gone"));
}

#[test]
fn a_stepped_clock_is_recorded_and_stamps_never_go_back() {
    let (mut rig, conn) = Rig::live();
    rig.sup.observe_wall(synced(WALL - 3_600 * S), rig.now);
    rig.frame(conn, &diff(DEPTH, 11, 12, None));
    rig.pass(S);
    rig.sup.observe_wall(synced(WALL + 3_600 * S), rig.now);
    rig.frame(conn, &diff(DEPTH, 13, 13, None));
    let steps = rig.records(K::Clock);
    assert!(steps[0].contains(r#""reanchored":false"#) && steps[1].contains(r#""reanchored":true"#), "{steps:?}");
    let stamps: Vec<i64> = rig.sup.tape().records.iter().map(|r| r.stamp.recv_ns).collect();
    assert!(stamps.is_sorted() && *stamps.last().unwrap() == WALL + 3_600 * S);
    assert!(!rig.has(|a| matches!(a, Action::Close { .. } | Action::Open { .. })), "no reconnect");
}

#[test]
fn a_clock_that_is_not_synchronised_is_marked_until_the_system_says_that_it_is() {
    let (mut rig, _) = Rig::live();
    assert!(rig.records(K::Epoch)[0].contains(r#""clock_unsynced":false"#));
    let said = |rig: &Rig| rig.records(K::Health).into_iter().filter(|h| h.contains(r#""clock""#)).collect::<Vec<_>>();
    let tell = |rig: &mut Rig, synced| {
        rig.pass(100 * MS);
        rig.sup.observe_wall(Wall { ns: WALL + rig.now, synced }, rig.now);
        said(rig).len()
    };
    let counts = [true, false, false, true, true].map(|synced| tell(&mut rig, synced));
    assert_eq!(counts, [0, 1, 1, 2, 2], "only a change is told");
    assert!(said(&rig)[0].contains("unsynced") && said(&rig)[1].contains(r#""state":"synced""#));
    for wall in [Wall { ns: WALL, synced: false }, synced(1_000 * S)] {
        let mut sup = Rig::new(&[spot(&["BTCUSDT"])], 1).sup;
        sup.begin(wall, 0);
        assert!(sup.tape().records.iter().any(|r| r.text().contains(r#""clock_unsynced":true"#)), "{wall:?}");
    }
}

/// The sockets stay, the new tape begins like any other, and its book gets a snapshot of its own.
#[test]
fn a_long_run_ends_and_the_next_one_begins_with_all_that_a_tape_needs() {
    let (mut rig, conn) = Rig::live();
    rig.pass(S);
    rig.sup.tape_mut().long = true;
    rig.pass(10 * MS);
    let (ended, more) = rig.sup.tape().ended[0].clone();
    assert_eq!((ended.last().unwrap().kind, &more["frames"]), (K::Stop, &1.into()));
    assert_eq!(rig.kinds(), [K::Epoch, K::Config, K::Instrument, K::Connect]);
    assert!(rig.records(K::Config)[0].contains(r#""run":"20260101T000000Z-0001""#));
    assert!(rig.records(K::Epoch)[0].contains(r#""epoch":0"#));
    assert!(!rig.has(|a| matches!(a, Action::Close { .. } | Action::Open { .. })));
    assert_eq!(rig.state(BTC), "Connecting");
    rig.frame(conn, &diff(DEPTH, 11, 12, None));
    let (id, _) = rig.request();
    rig.answer(id, &snapshot(12));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Live", 0));
    let stats = rig.sup.stats(rig.now);
    assert_eq!((stats.runs.len(), &stats.run_counts["frames"], stats.counters.frames), (1, &1.into(), 2));
}

#[test]
fn stats_tell_streams_and_books() {
    let (mut rig, conn) = Rig::live();
    rig.frame(conn, &trade("btcusdt@trade", 1));
    rig.pass(100 * MS);
    let stats = serde_json::to_value(rig.sup.stats(rig.now)).unwrap();
    assert_eq!((stats["frames"].as_u64(), stats["snapshots"].as_u64()), (Some(2), Some(1)));
    assert_eq!((&stats["books"][0]["state"], &stats["open"][0]), (&"live".into(), &"binance_spot/public/0/a".into()));
    assert_eq!(stats["streams"][1]["age_ms"], 100);
    assert_eq!(stats["tape_lag"], 0);
}

#[test]
fn a_changed_tick_is_a_new_instrument_and_a_new_book() {
    let (mut rig, conn) = Rig::live();
    for id in 11..80 {
        rig.pass(S);
        rig.frame(conn, &diff(DEPTH, id, id, None));
    }
    rig.frame(conn, &diff(DEPTH, 90, 90, None));
    let (id, url) = rig.request();
    assert!(url.contains("limit=5000"));
    rig.answer(id, &ok(br#"{"lastUpdateId":90,"bids":[["1.0001","1"]],"asks":[]}"#));
    let (id, url) = rig.request();
    assert!(url.contains("exchangeInfo"), "a digit too many may be a new tick");
    let finer = String::from_utf8(exchange_info(&["BTCUSDT"])).unwrap().replace("\"0.01\"", "\"0.0001\"");
    rig.answer(id, &ok(finer.as_bytes()));
    assert_eq!(rig.records(K::Instrument).len(), 2);
    assert!(!rig.has(|a| matches!(a, Action::Open { .. })), "the sockets stay as they are");
    rig.frame(conn, &diff(DEPTH, 91, 91, None));
    rig.pass(S);
    let (id, _) = rig.request();
    rig.answer(id, &ok(br#"{"lastUpdateId":91,"bids":[["1.0001","1"]],"asks":[]}"#));
    assert_eq!(rig.state(BTC), "Live");
}

/// A coarser tick shows in no number, and the scale that the run has holds it.
#[test]
fn a_coarser_tick_is_found_by_asking_and_keeps_the_scale() {
    let (mut rig, conn) = Rig::live();
    let mut id = 10;
    while !rig.has(|a| matches!(a, Action::Request { .. })) {
        (rig.now, id) = (rig.now + 4 * S, id + 1);
        rig.frame(conn, &diff(DEPTH, id, id, None));
        rig.sup.tick(rig.now);
        rig.take();
    }
    assert!(rig.now >= crate::supervisor::metadata::AGAIN_NS);
    let (request, url) = rig.request();
    assert!(url.contains("exchangeInfo"));
    let info = |tick: &str| {
        let info = String::from_utf8(exchange_info(&["BTCUSDT"])).unwrap();
        ok(info.replace("\"0.01\"", tick).replace("\"minNotional\":\"5\"", "\"minNotional\":\"10\"").as_bytes())
    };
    rig.answer(request, &info("\"0.1\""));
    assert!(rig.records(K::Instrument)[1].contains(r#""price_precision":1"#), "the venue's own words");
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.gaps), ("Buffering", 1));
    let fine = String::from_utf8(diff(DEPTH, id + 1, id + 1, None)).unwrap().replace("1.00", "1.01");
    rig.frame(conn, fine.as_bytes());
    let (request, _) = rig.request();
    rig.answer(request, &snapshot(id + 1));
    assert_eq!((rig.state(BTC).as_str(), rig.sup.counters.bad_frames), ("Live", 0));
}

#[test]
fn a_refused_handshake_pauses_the_venues_connections() {
    let (mut rig, conn) = Rig::live();
    rig.closed(conn, &Closed { reason: "HTTP 429".into(), status: 429, retry_after_s: Some(90) });
    rig.pass(89 * S);
    assert!(!rig.has(|a| matches!(a, Action::Open { .. })));
    rig.pass(2 * S);
    rig.open();
}
