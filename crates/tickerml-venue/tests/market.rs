//! The market in virtual time: what a client can rebuild from its text is what the venue has.
use serde_json::Value;
use std::collections::BTreeMap;
use tickerml_venue::config::Config;
use tickerml_venue::history::Levels;
use tickerml_venue::market::{Market, OutFrame};

const START_NS: i64 = 1_700_000_000_000_000_000;
const S: i64 = 1_000_000_000;

fn open(seed: u64, venue: usize) -> Market {
    let config = Config { seed, ..Config::default() };
    Market::open(&config, &config.venues[venue], START_NS).expect("the demo opens")
}

fn data(frame: &OutFrame) -> Value {
    serde_json::from_str(frame.data()).expect("a payload is JSON")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("an integer")
}

/// Text as an integer of 10^-8, over the size of a step in the same unit.
fn steps(text: &Value, step_e8: i64) -> i64 {
    let text = text.as_str().expect("a decimal is a string");
    let value = tickerml_core::units::parse_decimal(text.as_bytes(), 8).expect("a decimal");
    assert_eq!(value % step_e8, 0, "{text} is a multiple of the step");
    value / step_e8
}

fn apply(levels: &mut Levels, payload: &Value, keys: [&str; 2], (tick_e8, lot_e8): (i64, i64)) {
    for (side, key) in levels.iter_mut().zip(keys) {
        for level in payload[key].as_array().expect("levels") {
            let (px, qty) = (steps(&level[0], tick_e8), steps(&level[1], lot_e8));
            if qty == 0 {
                side.remove(&px)
            } else {
                side.insert(px, qty)
            };
        }
    }
}

/// Splices and applies one stream of diffs by hand; compares with the venue's book at every single update id.
fn follow(venue: usize, symbol: usize, stream: &str, steps_e8: (i64, i64)) {
    let mut market = open(5, venue);
    let mut now = START_NS;
    let mut compared = 0;
    let (mut levels, mut last) = (Levels::default(), 0);
    for round in 0..600 {
        now += S / 10;
        let frames = market.advance(now);
        for frame in frames.iter().filter(|f| &*f.stream == stream) {
            assert!(frame.diff);
            let diff = data(frame);
            let (first, id) = (number(&diff["U"]), number(&diff["u"]));
            assert_eq!((first, id), (frame.first_id, frame.last_id));
            if last != 0 && id > last {
                if compared > 0 && venue == 0 {
                    assert_eq!(first, last + 1, "spot ids are dense");
                } else if compared > 0 {
                    assert_eq!(number(&diff["pu"]), last, "futures chain by pu");
                    assert!(first > last);
                }
                apply(&mut levels, &diff, ["b", "a"], steps_e8);
                last = id;
                compared += 1;
                assert_eq!(Some(&levels), market.book_at(symbol, id).as_ref(), "at {id}");
            }
        }
        if round == 3 {
            let body: Value = serde_json::from_str(&market.snapshot(symbol, 5_000).expect("listed")).expect("JSON");
            apply(&mut levels, &body, ["bids", "asks"], steps_e8);
            last = number(&body["lastUpdateId"]);
            assert_eq!(Some(&levels), market.book_at(symbol, last).as_ref());
        }
    }
    assert!(compared > 200 && levels.iter().all(|side| (200..=1_000).contains(&side.len())));
}

#[test]
fn spot_diffs_on_a_snapshot_are_the_book() {
    follow(0, 0, "btcusdt@depth@100ms", (1_000_000, 1_000));
}

#[test]
fn futures_diffs_on_a_snapshot_are_the_book() {
    follow(1, 0, "btcusdt@depth@0ms", (10_000_000, 100_000));
    follow(1, 1, "ethusdt@depth", (1_000_000, 100_000));
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_time_is_cut() {
    let whole: Vec<OutFrame> = open(9, 1).advance(START_NS + 5 * S);
    let mut market = open(9, 1);
    let cut: Vec<OutFrame> = (1..=500).flat_map(|n| market.advance(START_NS + n * S / 100)).collect();
    assert!(whole == cut && whole.len() > 1_000);
    assert!(whole.windows(2).all(|w| w[0].ts_ns <= w[1].ts_ns), "frames come in venue time");
    assert!(open(10, 1).advance(START_NS + S) != open(9, 1).advance(START_NS + S));
}

#[test]
fn what_nobody_wants_changes_nothing_else() {
    let only = |stream: &str, frames: Vec<OutFrame>| -> Vec<OutFrame> {
        frames.into_iter().filter(|f| &*f.stream == stream).collect()
    };
    let all = only("ethusdt@trade", open(2, 0).advance(START_NS + 20 * S));
    let mut market = open(2, 0);
    market.want_all(false);
    market.want(1, tickerml_venue::stream::Channel::Trade, true);
    assert_eq!(market.advance(START_NS + 20 * S), all);
    assert!(all.len() > 20);
}

#[test]
fn trade_ids_are_dense_and_aggregates_cover_them() {
    for venue in [0, 1] {
        let frames = open(4, venue).advance(START_NS + 120 * S);
        let of = |stream: &str| frames.iter().filter(|f| &*f.stream == stream).map(data).collect::<Vec<_>>();
        let trades = of("btcusdt@trade");
        assert!(trades.windows(2).all(|w| number(&w[1]["t"]) == number(&w[0]["t"]) + 1));
        let spent = trades.iter().filter(|t| t["q"] == "0").count();
        let share = spent as f64 / trades.len() as f64;
        assert!(if venue == 0 { spent == 0 } else { (0.004..0.02).contains(&share) }, "{share}");
        let by_id: BTreeMap<u64, &Value> = trades.iter().map(|t| (number(&t["t"]), t)).collect();
        let mut next = None;
        // The first aggregate may have begun before the doors opened.
        for agg in of("btcusdt@aggTrade").into_iter().skip(1) {
            let parts: Vec<&&Value> = (number(&agg["f"])..=number(&agg["l"]))
                .filter_map(|id| by_id.get(&id))
                .filter(|t| t["q"] != "0")
                .collect();
            let sum: i64 = parts.iter().map(|t| steps(&t["q"], 1)).sum();
            assert_eq!(sum, steps(&agg["q"], 1));
            assert!(parts.iter().all(|t| (&t["p"], &t["m"]) == (&agg["p"], &agg["m"])));
            assert!(next.is_none_or(|n| number(&agg["a"]) == n));
            next = Some(number(&agg["a"]) + 1);
        }
        assert!(next.is_some());
    }
}

#[test]
fn the_ticker_is_the_touch_of_the_book_at_its_id() {
    let mut market = open(6, 0);
    let mut seen = 0;
    for n in 1..=40 {
        for frame in market.advance(START_NS + n * S / 4).iter().filter(|f| &*f.stream == "btcusdt@bookTicker") {
            let ticker = data(frame);
            let book = market.book_at(0, number(&ticker["u"])).expect("recent");
            let bid = book[0].last_key_value().map(|(p, q)| (*p, *q));
            let ask = book[1].first_key_value().map(|(p, q)| (*p, *q));
            let told = |p: &str, q: &str| Some((steps(&ticker[p], 1_000_000), steps(&ticker[q], 1_000)));
            assert_eq!((bid, ask), (told("b", "B"), told("a", "A")));
            seen += 1;
        }
    }
    assert!(seen > 200);
}

#[test]
fn funding_settles_by_the_clock() {
    let config = Config { funding_interval_s: 60, ..Config::default() };
    let mut market = Market::open(&config, &config.venues[1], START_NS).expect("opens");
    let frames = market.advance(START_NS + 130 * S);
    let marks: Vec<Value> = frames.iter().filter(|f| &*f.stream == "btcusdt@markPrice@1s").map(data).collect();
    assert!((129..=131).contains(&marks.len()), "{}", marks.len());
    for mark in &marks {
        let (sent, next) = (number(&mark["E"]), number(&mark["T"]));
        assert!(next % 60_000 == 0 && next > sent && next <= sent + 60_000);
        let rate = mark["r"].as_str().and_then(|r| r.parse::<f64>().ok()).expect("a rate");
        assert!(rate.abs() < 0.0075);
    }
    let slow = frames.iter().filter(|f| &*f.stream == "btcusdt@markPrice").count();
    assert!((42..=44).contains(&slow), "{slow}");
}
