//! Stamps that no clock shows: nothing that a venue, a tape or an event file says of the time may stop the engine.
use std::sync::Arc;
use tickerml_core::event::flag;
use tickerml_core::event_set::{Columns, EventSet};
use tickerml_core::instrument::{Instrument, MetadataSource, Venue};
use tickerml_core::market::{BooksOnly, Market, Survey};
use tickerml_core::session::{EventInput, Session, Settings, Step};
use tickerml_core::sim::{OrderKind, Request, Side};
use tickerml_core::tape::{Record, RecordKind};
use tickerml_core::units::{STAMP_NS_MAX, STAMP_NS_MIN};
use tickerml_core::wire::{Scale, decode};

const STAMPS: [i64; 7] = [i64::MIN, i64::MIN + 1, -1, 0, STAMP_NS_MIN, i64::MAX - 1, i64::MAX];

fn instrument() -> Instrument {
    Instrument::from_steps(Venue::BinanceSpot, "XUSDT", "0.01", "0.01", MetadataSource::Given).unwrap()
}

/// A book, a diff and a print at each of these arrivals, all with the venue's stamp `event`.
fn events(arrivals: &[i64], event: i64) -> EventSet {
    let mut set = EventSet::default();
    let mut row = |recv: i64, kind: u8, px: i64, qty: i64, flags: u8| {
        let columns = Columns {
            pos: &[1],
            ts_recv_ns: &[recv],
            ts_event_ns: &[event],
            kind: &[kind],
            px: &[px],
            qty: &[qty],
            flags: &[flags | flag::LAST],
        };
        set.push(0, columns).unwrap();
    };
    for &recv in arrivals {
        row(recv, 6, 0, 0, flag::SNAPSHOT);
        row(recv, 6, 0, 0, flag::SNAPSHOT | flag::ASK_SIDE);
        row(recv, 5, 3, 4, 4);
        row(recv, 1, 10_000, 500, 0);
        row(recv, 2, 10_001, 500, 0);
        row(recv, 4, 10_000, 100, 0);
    }
    set
}

#[test]
fn no_stamp_of_an_event_file_stops_a_session() {
    for more in ["", r#","clock":"fixed:1000000000000000000""#, r#","report_rule":"venue","clock":"fixed""#] {
        let json = format!(
            r#"{{"step_ms":100,"decision_ms":1,"entry_ms":40,"response_ms":10,"maker_bps":0,"taker_bps":0{more}}}"#
        );
        let settings = Settings::from_json(&json, None).unwrap();
        for event in STAMPS {
            let mut arrivals = STAMPS.to_vec();
            arrivals.sort_unstable();
            let set = Arc::new(events(&arrivals, event));
            let mut session = Session::new(settings.clone());
            session.market.set_instrument(instrument(), 0, &mut BooksOnly);
            session.prepare(&set);
            let mut input = EventInput::new(set);
            let mut views = 0;
            while let step @ (Step::View | Step::Pause) = session.advance(&mut input, 1 << 20).unwrap() {
                if step == Step::View && views < 1_000 {
                    views += 1;
                    let buy = Request::New {
                        instrument: 0,
                        kind: OrderKind::Limit,
                        side: Side::Buy,
                        px: 10_000,
                        qty: 100,
                        tag: 0,
                        reduce_only: false,
                    };
                    session.submit(&[buy], std::iter::empty(), b"").unwrap();
                } else if step == Step::View {
                    break;
                }
            }
        }
    }
}

#[test]
fn no_stamp_of_a_record_stops_a_market() {
    let config = br#"{"slots":["/control","binance_spot/public/0/a"]}"#;
    let frame =
        br#"{"stream":"xusdt@trade","data":{"e":"trade","E":1,"s":"XUSDT","t":1,"p":"1","q":"1","T":1,"m":true}}"#;
    let (mut market, mut survey) = (Market::new(), Survey::new());
    market.set_instrument(instrument(), 0, &mut survey);
    for (pos, ts_recv_ns) in STAMPS.into_iter().enumerate() {
        for (kind, slot, bytes) in [
            (RecordKind::Config, 0, &config[..]),
            (RecordKind::Connect, 1, br#"{"slot":1,"url":"x"}"#),
            (RecordKind::Frame, 1, frame),
        ] {
            let record = Record { pos: pos as u64, kind, slot, ts_recv_ns, ts_mono_ns: 0, bytes };
            market.record(&record, &mut survey).unwrap();
        }
    }
    survey.report(&mut market, i64::MAX);
}

#[test]
fn a_venues_stamp_beyond_belief_is_a_bad_message() {
    let scale = Scale { price_precision: 2, qty_precision: 2 };
    let trade = |stamp: &str| {
        let text = format!(r#"{{"e":"trade","E":1,"s":"XUSDT","t":1,"p":"1","q":"1","T":{stamp},"m":true}}"#);
        decode(text.as_bytes(), scale, &mut Vec::new()).map(|decoded| decoded.ts_event_ns)
    };
    assert_eq!(trade("1700000000000"), Ok(1_700_000_000_000_000_000));
    assert_eq!(trade("1700000000000000"), Ok(1_700_000_000_000_000_000), "microseconds");
    assert_eq!(trade(&(STAMP_NS_MAX / 1_000_000).to_string()), Ok(STAMP_NS_MAX));
    for bad in ["7258118400001", "9223372036854", "9223372036854775807", "-1"] {
        assert!(trade(bad).is_err(), "{bad}");
    }
}
