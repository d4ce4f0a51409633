//! The market on real recordings: no gap, no crossed book, every trade id (facts of the recordings' own README).
//!
//! Skips with a message where `TICKERML_RECORDINGS` (or `../shared/data` beside the project) is absent.
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};
use tickerml_core::event::BookState;
use tickerml_core::instrument::{Instrument, MetadataSource, Venue};
use tickerml_core::market::{BooksOnly, Market, Survey};
use tickerml_core::tape::{Record, RecordKind, RestHead};

fn recording(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("TICKERML_RECORDINGS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let mut text = Vec::new();
    GzDecoder::new(std::fs::File::open(root.join(name)).ok()?).read_to_end(&mut text).ok()?;
    Some(text)
}

fn market(venue: Venue, symbol: &str, tick: &str, lot: &str) -> Market {
    let mut market = Market::new();
    market.set_slots(&["/control".into(), format!("{venue}/public/0/a"), format!("{venue}/rest")]);
    let instrument = Instrument::from_steps(venue, symbol, tick, lot, MetadataSource::Given).unwrap();
    market.set_instrument(instrument, 0, &mut BooksOnly);
    market
}

/// Feeds `<stamp> <json>` lines; a line without "stream" is a REST snapshot.
fn feed(market: &mut Market, survey: &mut Survey, files: &[Vec<u8>], symbol: &str) {
    let mut pos = 0;
    for line in files.iter().flat_map(|text| text.split(|&b| b == b'\n')) {
        let Some(space) = line.iter().position(|&b| b == b' ') else { continue };
        let stamp: i64 = std::str::from_utf8(&line[..space]).unwrap().parse().unwrap();
        let ts_recv_ns = if stamp < 100_000_000_000_000_000 { stamp * 1000 } else { stamp };
        let frame = line[space + 1..].to_vec();
        if pos == 0 {
            let connect = Record { pos, kind: RecordKind::Connect, slot: 1, ts_recv_ns, ts_mono_ns: 0, bytes: b"{}" };
            market.record(&connect, survey).unwrap();
        }
        let is_frame = frame.starts_with(b"{\"stream\"");
        let head = RestHead::depth(1, symbol, ts_recv_ns);
        let (kind, slot, bytes) =
            if is_frame { (RecordKind::Frame, 1, frame) } else { (RecordKind::Rest, 2, head.encode(&frame)) };
        let record = Record { pos, kind, slot, ts_recv_ns, ts_mono_ns: 0, bytes: &bytes };
        market.record(&record, survey).unwrap();
        pos += 1;
    }
}

fn check(venue: Venue, symbol: &str, steps: (&str, &str), names: &[&str], updates: u64, trades: u64) {
    let files: Vec<_> = names.iter().filter_map(|name| recording(name)).collect();
    if files.len() < names.len() {
        println!("{symbol}: recordings are absent, skipped");
        return;
    }
    let (mut market, mut survey) = (market(venue, symbol, steps.0, steps.1), Survey::new());
    feed(&mut market, &mut survey, &files, symbol);
    survey.collect(&mut market);
    let line = &market.lines[0];
    assert_eq!(line.state, BookState::Live);
    let s = &line.stats;
    assert_eq!((s.updates, s.trades, s.snapshots), (updates, trades, 1), "{s:?}");
    assert_eq!((s.trade_id_gaps, s.crossed, s.bad_messages, s.repeats, s.missing_updates), (0, 0, 0, 0, 0), "{s:?}");
    assert!(line.open_gap().is_none());
    let (instruments, _) = survey.report(&mut market, survey.span_ns().unwrap().1);
    assert!(instruments[0].gaps.is_empty() && instruments[0].live_frac > 0.99, "{:?}", instruments[0]);
}

#[test]
fn spot_over_two_files() {
    let names = ["binance_spot/spot_btcusdt_20240808.gz", "binance_spot/spot_btcusdt_20240809.gz"];
    check(Venue::BinanceSpot, "BTCUSDT", ("0.01", "0.00000001"), &names, 3451 + 3044, 9757 + 10147);
}

#[test]
fn usdm() {
    check(Venue::BinanceUsdm, "BTCUSDT", ("0.1", "0.001"), &["binance_usdm/usdm_btcusdt_20240808.gz"], 6551, 21313);
}

#[test]
fn a_thin_pair_for_a_day() {
    let names = ["binance_spot/spot_nexousdt_20240723.dat.gz", "binance_spot/spot_nexousdt_20240724.dat.gz"];
    check(Venue::BinanceSpot, "NEXOUSDT", ("0.001", "0.01"), &names, 1188 + 66994, 178 + 12280);
}
