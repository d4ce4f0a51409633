//! Books over records made by hand: what costs one, what does not, and what is said about it (rules.md 4 and 6).
use tickerml_core::error::Error;
use tickerml_core::event::{BookState, Cause};
use tickerml_core::instrument::{Instrument, MetadataSource, Venue};
use tickerml_core::market::{BUFFER_BYTES_MAX, BooksOnly, Gap, Line, Market, Want};
use tickerml_core::session::{Input, Item, Peek, Session, Settings, Step};
use tickerml_core::tape::{Record, RecordKind, RestHead};

const MS: i64 = 1_000_000;
const START: i64 = 1_700_000_000_000 * MS;

/// A market, and the hand that writes its records.
struct Hand {
    market: Market,
    /// Slot of REST, the last one.
    rest: u16,
    pos: u64,
    now: i64,
    gaps: Vec<Gap>,
}

impl Hand {
    /// Instruments with a tick of 0.01 and a lot of 0.001 on these slots; slot 0 is /control, the last one REST.
    fn new(venue: Venue, symbols: &[&str], slots: &[&str]) -> Hand {
        let mut hand = Hand { market: Market::new(), rest: slots.len() as u16, pos: 0, now: START, gaps: Vec::new() };
        let mut names = vec!["/control".to_owned()];
        names.extend(slots.iter().map(|slot| format!("{venue}/{slot}")));
        let config = serde_json::json!({"slots": names});
        hand.put(RecordKind::Config, 0, config.to_string().as_bytes());
        for symbol in symbols {
            hand.instrument(venue, symbol, "0.01", "0.001");
        }
        hand
    }

    fn put(&mut self, kind: RecordKind, slot: u16, bytes: &[u8]) {
        self.now += MS;
        let record = Record { pos: self.pos, kind, slot, ts_recv_ns: self.now, ts_mono_ns: self.now, bytes };
        self.market.record(&record, &mut BooksOnly).unwrap();
        self.gaps.extend(self.market.take_gaps());
        self.pos += 1;
    }

    fn instrument(&mut self, venue: Venue, symbol: &str, tick: &str, lot: &str) {
        let i = Instrument::from_steps(venue, symbol, tick, lot, MetadataSource::Venue).unwrap();
        self.put(RecordKind::Instrument, 0, &serde_json::to_vec(&i).unwrap());
    }

    fn connect(&mut self, slot: u16) {
        self.put(RecordKind::Connect, slot, b"{}");
    }

    fn disconnect(&mut self, slot: u16) {
        self.put(RecordKind::Disconnect, slot, b"{}");
    }

    /// A diff that puts `qty` at the bid of 100.00.
    fn diff(&mut self, slot: u16, symbol: &str, ids: (u64, u64, Option<u64>), qty: &str) {
        self.levels(slot, symbol, ids, &format!("[\"100.00\",\"{qty}\"]"));
    }

    fn levels(&mut self, slot: u16, symbol: &str, (first, last, prev): (u64, u64, Option<u64>), bids: &str) {
        let pu = prev.map_or(String::new(), |pu| format!("\"pu\":{pu},"));
        let text = format!(
            "{{\"stream\":\"{}@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"{symbol}\",\"U\":{first},\"u\":{last},{pu}\"b\":[{bids}],\"a\":[]}}}}",
            symbol.to_lowercase()
        );
        self.put(RecordKind::Frame, slot, text.as_bytes());
    }

    /// A snapshot with 1 at the bid of 100.00 and at the ask of 200.00.
    fn snapshot(&mut self, symbol: &str, id: u64) {
        self.snapshot_sent(symbol, id, self.now);
    }

    /// The same, asked for at a time of its own.
    fn snapshot_sent(&mut self, symbol: &str, id: u64, sent_ns: i64) {
        let head = RestHead::depth(1, symbol, sent_ns);
        let body = format!("{{\"lastUpdateId\":{id},\"bids\":[[\"100.00\",\"1\"]],\"asks\":[[\"200.00\",\"1\"]]}}");
        self.put(RecordKind::Rest, self.rest, &head.encode(body.as_bytes()));
    }

    /// A book that is Live at 5 on slot 1.
    fn live(venue: Venue) -> Hand {
        let mut hand = Hand::new(venue, &["XUSDT"], &["public/0/a", "public/0/b", "rest"]);
        hand.connect(1);
        let prev = venue.is_futures().then_some(4);
        hand.diff(1, "XUSDT", (5, 5, prev), "1");
        hand.snapshot("XUSDT", 5);
        hand.diff(1, "XUSDT", (6, 6, prev.map(|_| 5)), "1");
        assert_eq!((hand.state(0), hand.wants()), (BookState::Live, vec![]));
        hand
    }

    fn wants(&mut self) -> Vec<(Cause, u64)> {
        let mut all = Vec::new();
        self.market.hand_wants(|Want::Resync { instrument, cause, pos }| {
            assert!(instrument.ends_with(":XUSDT"));
            all.push((*cause, *pos));
            true
        });
        all
    }

    fn line(&self, n: usize) -> &Line {
        &self.market.lines[n]
    }

    fn state(&self, n: usize) -> BookState {
        self.line(n).state
    }

    /// Quantity at the bid of 100.00, in units of 0.001.
    fn bid(&self, n: usize) -> i64 {
        self.line(n).book.bids().next().map_or(0, |level| level.1)
    }
}

/// Spot's ids.
const fn spot(first: u64, last: u64) -> (u64, u64, Option<u64>) {
    (first, last, None)
}

#[test]
fn diffs_that_overflow_before_the_first_snapshot_are_a_gap() {
    let mut hand = Hand::new(Venue::BinanceSpot, &["XUSDT"], &["public/0/a", "rest"]);
    hand.connect(1);
    let begun = hand.now + MS;
    let many: Vec<String> = (0..5_000).map(|n| format!("[\"{n}.00\",\"1\"]")).collect();
    let mut id = 0;
    while hand.gaps.is_empty() {
        id += 1;
        hand.levels(1, "XUSDT", spot(id, id), &many.join(","));
        assert!(id as usize * 5_000 * 16 < 2 * BUFFER_BYTES_MAX, "overflow is a gap");
    }
    let open = &hand.gaps[0];
    assert_eq!((open.cause, open.from_ts_ns, open.to_ts_ns), (Cause::Overflow, begun, 0));
    assert_eq!(hand.state(0), BookState::Buffering);
    hand.diff(1, "XUSDT", spot(id + 1, id + 1), "7");
    hand.snapshot("XUSDT", id);
    assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, 7_000));
    assert_eq!(hand.gaps[1].to_ts_ns, hand.now);
}

/// Asked for on the connection before and answered after the next began: minutes old, perhaps, and no diff is here to show it.
#[test]
fn a_snapshot_that_an_earlier_connection_asked_for_makes_no_book() {
    let mut hand = Hand::new(Venue::BinanceSpot, &["XUSDT"], &["public/0/a", "rest"]);
    hand.connect(1);
    hand.diff(1, "XUSDT", spot(1, 2), "5");
    let asked_ns = hand.now;
    hand.disconnect(1);
    hand.connect(1);
    hand.snapshot_sent("XUSDT", 2, asked_ns);
    assert_eq!(hand.state(0), BookState::Buffering);
    hand.snapshot("XUSDT", 2);
    assert_eq!(hand.state(0), BookState::Live);
}

#[test]
fn a_book_that_is_found_wrong_is_asked_for_again() {
    let trade = |px: &str| {
        format!("{{\"e\":\"trade\",\"E\":1,\"s\":\"XUSDT\",\"t\":1,\"p\":\"{px}\",\"q\":\"1\",\"T\":1,\"m\":true}}")
    };
    let touch =
        |px: &str| format!("{{\"u\":1,\"s\":\"XUSDT\",\"b\":\"{px}\",\"B\":\"1\",\"a\":\"200.00\",\"A\":\"1\"}}");
    let depth = |bid: &str| {
        format!("{{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"XUSDT\",\"U\":7,\"u\":7,\"b\":[[\"{bid}\",\"1\"]],\"a\":[]}}")
    };
    for (frame, cause) in [
        (depth("200.00"), Cause::Crossed),
        (depth("100.001"), Cause::BadNumber),
        (trade("100.001"), Cause::BadNumber),
        (touch("100.001"), Cause::BadNumber),
        (depth("nonsense"), Cause::BadNumber),
        (depth("100.00").replace("]]", "]"), Cause::BadFrame),
    ] {
        let mut hand = Hand::live(Venue::BinanceSpot);
        hand.put(RecordKind::Frame, 1, frame.as_bytes());
        assert_eq!((hand.state(0), hand.gaps[0].cause), (BookState::Buffering, cause), "{frame}");
        assert_eq!(hand.wants(), [(cause, hand.pos - 1)]);
        assert_eq!(hand.wants(), [], "once");
    }
    // What says nothing of the scale costs nothing; neither does a trade that is no trade.
    let mut hand = Hand::live(Venue::BinanceSpot);
    hand.put(RecordKind::Frame, 1, trade("100.00").replace("\"q\":\"1\",", "").as_bytes());
    assert_eq!((hand.state(0), hand.line(0).stats.bad_messages, hand.wants()), (BookState::Live, 1, vec![]));
    // A restart makes every wish void.
    hand.put(RecordKind::Frame, 1, depth("100.001").as_bytes());
    hand.put(RecordKind::Epoch, 0, b"{}");
    assert_eq!(hand.wants(), []);
}

/// USD-M: the diff was one socket's.
#[test]
fn an_unreadable_diff_costs_its_own_socket() {
    let mut hand = Hand::live(Venue::BinanceUsdm);
    hand.connect(2);
    hand.put(RecordKind::Frame, 2, b"{\"stream\":\"xusdt@depth@100ms\",\"data\":{\"e\":\"depthUp");
    assert_eq!((hand.state(0), hand.gaps.len(), hand.wants()), (BookState::Live, 0, vec![]));
    hand.put(RecordKind::Frame, 1, b"{\"stream\":\"xusdt@depth@100ms\",\"data\":{\"e\":\"depthUp");
    assert_eq!((hand.state(0), hand.gaps.len()), (BookState::Buffering, 1));
}

#[test]
fn a_coarser_tick_rebuilds_the_book_in_the_old_scale() {
    let mut hand = Hand::live(Venue::BinanceSpot);
    hand.instrument(Venue::BinanceSpot, "XUSDT", "0.1", "1");
    let i = &hand.line(0).instrument;
    assert_eq!((i.price_precision, i.tick, i.qty_precision, i.lot), (2, 10, 3, 1_000));
    assert_eq!((hand.state(0), hand.gaps[0].cause), (BookState::Buffering, Cause::Metadata));
    assert_eq!(hand.market.take_rescaled(), None);
    hand.diff(1, "XUSDT", spot(7, 7), "2");
    hand.snapshot("XUSDT", 6);
    assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, 2_000));
    hand.instrument(Venue::BinanceSpot, "XUSDT", "0.01", "0.001");
    assert_eq!((hand.line(0).instrument.tick, hand.gaps.len()), (1, 3), "and back");
    // At the start of an epoch, before anything is connected.
    hand.put(RecordKind::Epoch, 0, b"{}");
    hand.instrument(Venue::BinanceSpot, "XUSDT", "0.1", "1");
    assert_eq!(hand.state(0), BookState::Connecting);
    // A finer one needs another scale.
    hand.instrument(Venue::BinanceSpot, "XUSDT", "0.0001", "1");
    let i = hand.market.take_rescaled().expect("four decimals are more than two");
    assert_eq!((i.price_precision, i.tick, i.qty_precision), (4, 1, 3));
}

/// Orders and positions are in the scale with which the run began.
#[test]
fn a_finer_tick_ends_a_session() {
    struct Records(Vec<(RecordKind, Vec<u8>)>, usize);
    impl Input for Records {
        fn peek(&mut self) -> tickerml_core::error::Result<Peek<'_>> {
            let pos = self.1 as u64;
            Ok(self.0.get(self.1).map_or(Peek::End, |(kind, bytes)| {
                let (kind, ts) = (*kind, START + pos as i64);
                Peek::Item(Item::Record(Record { pos, kind, slot: 0, ts_recv_ns: ts, ts_mono_ns: ts, bytes }))
            }))
        }
        fn pop(&mut self) {
            self.1 += 1;
        }
    }
    let tick = |tick: &str| {
        let i = Instrument::from_steps(Venue::BinanceSpot, "XUSDT", tick, "0.001", MetadataSource::Venue).unwrap();
        (RecordKind::Instrument, serde_json::to_vec(&i).unwrap())
    };
    let run = |records| {
        let json = r#"{"step_ms":100,"decision_ms":1,"entry_ms":40,"response_ms":10,"maker_bps":10,"taker_bps":10}"#;
        Session::new(Settings::from_json(json, None).unwrap()).advance(&mut Records(records, 0), 100)
    };
    let frame = || (RecordKind::Frame, b"{}".to_vec());
    let begun = || vec![(RecordKind::Config, b"{\"slots\":[\"/control\"]}".to_vec()), tick("0.01")];
    assert_eq!(run([begun(), vec![tick("0.001"), frame()]].concat()), Ok(Step::End), "nothing has begun");
    assert_eq!(run([begun(), vec![frame(), tick("0.1")]].concat()), Ok(Step::End));
    let instrument = "binance_spot:XUSDT".to_owned();
    assert_eq!(run([begun(), vec![frame(), tick("0.001")]].concat()), Err(Error::ScaleChanged { instrument }));
}

/// Binance.com's spot needs a second connection from the 101st symbol on.
#[test]
fn a_lost_connection_costs_the_books_of_its_shard_and_no_others() {
    for planned in [true, false] {
        let slots = ["public/0/a", "public/0/b", "public/1/a", "public/1/b", "rest"];
        let mut hand = Hand::new(Venue::BinanceSpot, &["XUSDT", "YUSDT"], &slots);
        if planned {
            let shards = [("binance_spot/public/0", "XUSDT"), ("binance_spot/public/1", "YUSDT")];
            hand.market.set_shards(&shards.map(|(name, symbol)| (name.to_owned(), vec![symbol.to_owned()])).into());
        }
        hand.connect(1);
        hand.connect(3);
        let waits = if planned { BookState::Buffering } else { BookState::Connecting };
        assert_eq!((hand.state(0), hand.state(1)), (waits, waits));
        for (slot, symbol) in [(1, "XUSDT"), (3, "YUSDT")] {
            hand.diff(slot, symbol, spot(5, 5), "1");
            hand.snapshot(symbol, 5);
        }
        assert_eq!((hand.state(0), hand.state(1)), (BookState::Live, BookState::Live));
        let heard = hand.line(1).last_frame_ns;
        hand.diff(1, "XUSDT", spot(6, 6), "2");
        assert_eq!(hand.line(1).last_frame_ns, heard, "the other connection's age is its own");
        hand.disconnect(3);
        assert_eq!((hand.state(0), hand.state(1)), (BookState::Live, BookState::Connecting));
        assert_eq!((hand.gaps.len(), hand.gaps[0].instrument, hand.gaps[0].cause), (1, 1, Cause::Disconnect));
        // Within a shard spot carries on by the other socket.
        hand.connect(2);
        hand.disconnect(1);
        hand.diff(2, "XUSDT", spot(7, 7), "3");
        assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, 3_000));
        hand.connect(4);
        hand.diff(4, "YUSDT", spot(9, 9), "4");
        hand.snapshot("YUSDT", 8);
        assert_eq!((hand.state(1), hand.bid(1)), (BookState::Live, 4_000));
    }
}

/// USD-M's ids.
const fn usdm(first: u64, last: u64, prev: u64) -> (u64, u64, Option<u64>) {
    (first, last, Some(prev))
}

/// A book that is Live on socket a (slot 1), with socket b (slot 2) open and its snapshot there.
fn half_handed_over() -> Hand {
    let mut hand = Hand::new(Venue::BinanceUsdm, &["XUSDT"], &["public/0/a", "public/0/b", "rest"]);
    hand.connect(1);
    hand.diff(1, "XUSDT", usdm(5, 10, 4), "1");
    hand.snapshot("XUSDT", 8);
    hand.connect(2);
    for slot in [1, 2] {
        hand.diff(slot, "XUSDT", usdm(12, 15, 10), "2");
    }
    hand.snapshot("XUSDT", 15);
    hand.diff(1, "XUSDT", usdm(17, 20, 15), "3");
    assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, 3_000));
    hand
}

#[test]
fn a_new_socket_that_is_lost_leaves_the_book_with_the_old_one() {
    let mut hand = half_handed_over();
    hand.disconnect(2);
    hand.diff(1, "XUSDT", usdm(22, 25, 20), "4");
    assert_eq!((hand.state(0), hand.bid(0), hand.gaps.len()), (BookState::Live, 4_000, 0));
}

#[test]
fn an_old_socket_that_is_lost_leaves_the_book_to_the_new_one() {
    // The new one is behind, level, ahead; its portions are its own.
    for (seen, behind) in [(0, true), (1, true), (2, false)] {
        let mut hand = half_handed_over();
        for ids in &[usdm(17, 18, 15), usdm(19, 24, 18)][..seen] {
            hand.diff(2, "XUSDT", *ids, "9");
        }
        hand.disconnect(1);
        assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, if behind { 3_000 } else { 9_000 }));
        for ids in &[usdm(17, 18, 15), usdm(19, 24, 18)][seen..] {
            let old = hand.bid(0);
            hand.diff(2, "XUSDT", *ids, "9");
            assert_eq!(hand.bid(0), if ids.1 <= 20 { old } else { 9_000 });
        }
        hand.diff(2, "XUSDT", usdm(26, 27, 24), "5");
        assert_eq!((hand.state(0), hand.bid(0), hand.gaps.len()), (BookState::Live, 5_000, 0));
    }
}

#[test]
fn a_new_socket_that_missed_a_diff_starts_the_book_over() {
    let mut hand = half_handed_over();
    hand.diff(2, "XUSDT", usdm(22, 25, 20), "9");
    hand.disconnect(1);
    assert_eq!((hand.state(0), hand.gaps.len(), hand.gaps[0].cause), (BookState::Syncing, 1, Cause::Disconnect));
    hand.snapshot("XUSDT", 23);
    assert_eq!((hand.state(0), hand.bid(0)), (BookState::Live, 9_000));
}
