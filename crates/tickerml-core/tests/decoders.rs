//! The hand-written decoders mean what serde_json means (issue 3, row 9; rules.md 9).
//!
//! Literal samples of exchanges.md 1 to 3, any valid message, and any text near one: each is read by the decoder and by the
//! oracle, which knows only `serde_json::Value`. Both read the same, or both refuse.
mod oracle;

use oracle::{check_exchange_info, check_frame, check_snapshot, scale};
use proptest::prelude::*;
use tickerml_core::event::{Row, RowKind, flag};
use tickerml_core::instrument::Venue;
use tickerml_core::wire::{self, Body, Channel, DepthIds, Scale};

#[path = "decoders/generate.rs"]
mod generate;
#[path = "decoders/samples.rs"]
mod samples;

/// A row as kind, price, quantity and flags.
type Plain = (RowKind, i64, i64, u8);

fn decode(text: &str, scale: Scale) -> (i64, Body, Vec<Plain>) {
    let mut rows = Vec::new();
    let decoded = wire::decode(text.as_bytes(), scale, &mut rows).unwrap_or_else(|error| panic!("{error}: {text}"));
    let plain = |row: &Row| (row.kind(), row.px(), row.qty, row.flags());
    (decoded.ts_event_ns, decoded.body, rows.iter().map(plain).collect())
}

#[test]
fn every_sample_reads_as_the_oracle_reads_it() {
    for text in samples::FRAMES {
        check_frame(text.as_bytes());
        check_snapshot(text.as_bytes());
        let wrapped = format!("{{\"stream\":\"x@y\",\"data\":{text}}}");
        check_frame(wrapped.as_bytes());
    }
    samples::SNAPSHOTS.iter().for_each(|text| check_snapshot(text.as_bytes()));
    check_exchange_info(samples::EXCHANGE_INFO.as_bytes());
}

#[test]
fn diffs_of_spot_and_futures() {
    let (ts, body, rows) = decode(samples::SPOT_DIFF, scale(4, 0));
    assert_eq!(ts, 1_633_998_512_568_000_000);
    assert_eq!(body, Body::Depth(DepthIds { first: 499_869_753, last: 499_869_754, prev: None }));
    assert_eq!(rows, [(RowKind::Bid, 3517, 4265, 0), (RowKind::Ask, 3529, 10_968, 0)]);
    let (ts, body, rows) = decode(samples::USDM_DIFF_2026, scale(4, 0));
    assert_eq!(ts, 123_456_788_000_000);
    assert_eq!(body, Body::Depth(DepthIds { first: 157, last: 160, prev: Some(149) }));
    assert_eq!(rows, [(RowKind::Bid, 24, 10, 0), (RowKind::Ask, 26, 100, 0)]);
}

#[test]
fn trades_name_their_taker_and_drop_spent_ids() {
    let sold = (RowKind::SellTrade, 1, 100, 0);
    for text in [samples::SPOT_TRADE, samples::US_TRADE] {
        assert_eq!(
            decode(text, scale(3, 0)),
            (1_672_515_782_136_000_000, Body::Trade { id: 12_345 }, vec![sold]),
            "{text}"
        );
    }
    let spent = samples::USDM_TRADE.replace("\"0.001\"", "\"0\"").replace("\"100\"", "\"0\"");
    assert_eq!(decode(&spent, scale(3, 0)).1, Body::Trade { id: 5_933_014 });
    assert!(decode(&spent, scale(3, 0)).2.is_empty());
    let (_, body, rows) = decode(samples::SPOT_AGG_TRADE, scale(4, 0));
    assert_eq!(body, Body::AggTrade { id: 15_683_430, trades: (19_862_790, 19_862_790) });
    assert_eq!(rows, [(RowKind::BuyTrade, 3528, 58, 0)]);
}

#[test]
fn both_forms_of_the_best_bid_and_ask() {
    let rows = vec![(RowKind::Touch, 3521, 672, 0), (RowKind::Touch, 3526, 3199, flag::ASK_SIDE)];
    assert_eq!(decode(samples::SPOT_TOUCH, scale(4, 0)), (i64::MIN, Body::Touch, rows));
    let (ts, body, _) = decode(samples::USDM_TOUCH, scale(4, 0));
    assert_eq!((ts, body), (1_626_992_741_012_000_000, Body::Touch));
}

#[test]
fn a_mark_price_is_of_its_event_time_not_of_the_settlement() {
    let (ts, body, rows) = decode(samples::MARK, scale(1, 3));
    assert_eq!((ts, body), (1_562_305_380_000_000_000, Body::Mark));
    let index = (RowKind::Mark, 1_178_462_659_091, 0, flag::ASK_SIDE);
    let funding = (RowKind::Funding, 381_670_000, 1_562_306_400_000, 0);
    assert_eq!(rows, [(RowKind::Mark, 1_179_415_000_000, 0, 0), index, funding]);
}

#[test]
fn what_is_no_market_data_is_named() {
    for (text, channel) in samples::OTHERS {
        assert_eq!(decode(text, scale(2, 5)).1, Body::Other(channel), "{text}");
        assert_eq!(wire::head(text.as_bytes()).map(|head| head.channel), Ok(channel), "{text}");
    }
}

/// Each of these once read differently from serde_json, or ended the process.
#[test]
fn differences_that_were_found_stay_mended() {
    samples::FOUND.iter().for_each(|text| check_frame(text.as_bytes()));
    for bytes in samples::FOUND_BYTES {
        check_frame(bytes);
        check_snapshot(bytes);
        check_exchange_info(bytes);
    }
    for text in samples::FOUND_SNAPSHOTS {
        check_snapshot(text.as_bytes());
    }
}

#[test]
fn exchange_info_gives_the_steps() {
    let names = ["BTCUSDT".to_owned()];
    let body = samples::EXCHANGE_INFO.as_bytes();
    let (known, unknown) = wire::exchange_info(Venue::BinanceSpot, body, &names).unwrap();
    assert_eq!((known[0].price_precision, known[0].tick, known[0].qty_precision, known[0].lot), (2, 1, 5, 1));
    assert_eq!((known[0].min_notional.as_str(), unknown.len()), ("5.00000000", 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_reads_as_serde_json_reads_it(message in generate::message()) {
        check_frame(&message.text);
        let mut rows = Vec::new();
        let read = wire::decode(&message.text, scale(8, 8), &mut rows);
        prop_assert!(read.is_ok() == message.sound, "{:?}: {}", read, String::from_utf8_lossy(&message.text));
        let unknown = read.is_ok_and(|decoded| decoded.body == Body::Other(Channel::Unknown));
        prop_assert!(!unknown, "a message that we read went by unread");
    }

    #[test]
    fn any_text_near_a_message_is_read_alike_or_refused_by_both(text in generate::near(generate::message())) {
        check_frame(&text);
    }

    #[test]
    fn any_text_near_a_sample_is_read_alike_or_refused_by_both(text in generate::near(generate::sample(samples::FRAMES))) {
        check_frame(&text);
    }

    #[test]
    fn any_snapshot_reads_as_serde_json_reads_it(message in generate::snapshot()) {
        check_snapshot(&message.text);
        let mut rows = Vec::new();
        let read = wire::depth_snapshot(&message.text, scale(8, 8), &mut rows);
        prop_assert!(read.is_ok() == message.sound, "{:?}: {}", read, String::from_utf8_lossy(&message.text));
    }

    #[test]
    fn any_text_near_a_snapshot_is_read_alike_or_refused_by_both(text in generate::near(generate::snapshot())) {
        check_snapshot(&text);
    }

    #[test]
    fn any_text_near_an_exchange_info_never_reads_differently(
        text in generate::near(generate::sample(&[samples::EXCHANGE_INFO]))
    ) {
        check_exchange_info(&text);
    }
}
