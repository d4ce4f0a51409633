//! A session over records made by hand: boundaries, an order's life, restarts; and the digest, which neither batches nor
//! checkpoints nor a neighbour change (rules.md 1, 3 and 5).
use proptest::prelude::*;
use tickerml_core::error::Result;
use tickerml_core::instrument::{Against, Band, Instrument, MetadataSource, Venue};
use tickerml_core::session::{Input, Item, Peek, Session, Settings, Step, ViewCause};
use tickerml_core::sim::{OrderKind, Reason, Report, ReportKind, Request, Side};
use tickerml_core::tape::{Record, RecordKind, RestHead};

const MS: i64 = 1_000_000;
/// A multiple of the step.
const START: i64 = 1_700_000_000_000 * MS;
const BID: i64 = 10_000;

/// Records in memory, from one of them on.
#[derive(Clone, Default)]
struct Tape {
    records: Vec<(RecordKind, u16, i64, Vec<u8>)>,
    at: usize,
}

impl Input for Tape {
    fn peek(&mut self) -> Result<Peek<'_>> {
        Ok(match self.records.get(self.at) {
            Some((kind, slot, ts, bytes)) => Peek::Item(Item::Record(Record {
                pos: self.at as u64,
                kind: *kind,
                slot: *slot,
                ts_recv_ns: *ts,
                ts_mono_ns: *ts,
                bytes,
            })),
            None => Peek::End,
        })
    }

    fn pop(&mut self) {
        self.at += 1;
    }
}

impl Tape {
    /// A run's first records and a true book: 5.00 at each of two bids and two asks around 100.00 and 100.01.
    fn begun(ts: i64) -> Tape {
        let mut tape = Tape::default();
        tape.epoch(ts, 0);
        tape
    }

    fn epoch(&mut self, ts: i64, epoch: u32) {
        let config = br#"{"slots":["/control","binance_spot/public/0/a","binance_spot/rest"]}"#;
        let i = Instrument::from_steps(Venue::BinanceSpot, "XUSDT", "0.01", "0.01", MetadataSource::Given).unwrap();
        let ends = [Some(99_900_000), Some(100_050_000)];
        let band = Some(Band { against: Against::Prints { minutes: 1 }, buy_e8: ends, sell_e8: ends });
        let i = Instrument { min_notional: "10".to_owned(), band, ..i };
        let text = format!("{{\"epoch\":{epoch},\"code_version\":\"x\",\"clock_unsynced\":false}}");
        self.push(RecordKind::Epoch, 0, ts, text.into_bytes());
        self.push(RecordKind::Config, 0, ts, config.to_vec());
        self.push(RecordKind::Instrument, 0, ts, serde_json::to_vec(&i).unwrap());
        self.push(RecordKind::Connect, 1, ts, b"{\"slot\":1,\"url\":\"ws://x\"}".to_vec());
        self.diff(ts + MS, 1, 500);
        let head = RestHead::depth(1, "XUSDT", ts + MS);
        let body =
            br#"{"lastUpdateId":1,"bids":[["100.00","5"],["99.99","5"]],"asks":[["100.01","5"],["100.02","5"]]}"#;
        self.push(RecordKind::Rest, 2, ts + 2 * MS, head.encode(body));
    }

    fn push(&mut self, kind: RecordKind, slot: u16, ts: i64, bytes: Vec<u8>) {
        self.records.push((kind, slot, ts, bytes));
    }

    /// A diff that sets the best bid's quantity, in hundredths.
    fn diff(&mut self, ts: i64, id: u64, qty: i64) {
        let text = format!(
            "{{\"e\":\"depthUpdate\",\"E\":{},\"s\":\"XUSDT\",\"U\":{id},\"u\":{id},\"b\":[[\"100.00\",\"{}.{:02}\"]],\"a\":[]}}",
            ts / MS,
            qty / 100,
            qty % 100
        );
        self.push(RecordKind::Frame, 1, ts, text.into_bytes());
    }

    /// A taker sells at the best bid.
    fn sell(&mut self, ts: i64, id: u64, qty: i64) {
        let (whole, rest) = (qty / 100, qty % 100);
        let text = format!(
            "{{\"e\":\"trade\",\"E\":{0},\"s\":\"XUSDT\",\"t\":{id},\"p\":\"100.00\",\"q\":\"{whole}.{rest:02}\",\"T\":{0},\"m\":true}}",
            ts / MS
        );
        self.push(RecordKind::Frame, 1, ts, text.into_bytes());
    }

    fn stop(&mut self, ts: i64) {
        self.push(RecordKind::Stop, 0, ts, b"{\"reason\":\"test\"}".to_vec());
    }
}

/// A venue whose messages arrive at once and in order, so that everything is released as it comes.
fn session() -> Session {
    with(r#""reorder_ms":0,"base_latency_ms":0"#)
}

/// The same, where spot cannot be sold short.
fn owning() -> Session {
    with(r#""reorder_ms":0,"base_latency_ms":0,"balance":{"USDT":"100","X":"1"}"#)
}

fn with(more: &str) -> Session {
    let json = format!(
        r#"{{"step_ms":100,"decision_ms":1,"entry_ms":40,"response_ms":10,"maker_bps":10,"taker_bps":10,{more}}}"#
    );
    Session::new(Settings::from_json(&json, None).unwrap())
}

fn order(kind: OrderKind, side: Side, px: i64, qty: i64) -> Request {
    Request::New { instrument: 0, kind, side, px, qty, tag: 7, reduce_only: false }
}

/// Runs to the end; `decide` answers each view but the last.
fn run(
    session: &mut Session,
    tape: &mut Tape,
    batch: usize,
    mut decide: impl FnMut(u64, &Session) -> Vec<Request>,
) -> (Vec<(i64, ViewCause)>, Vec<Report>) {
    let (mut views, mut reports) = (Vec::new(), Vec::new());
    loop {
        match session.advance(tape, batch).unwrap() {
            Step::End => return (views, reports),
            Step::Pause => {}
            Step::View => {
                let view = session.view();
                views.push((view.ts_ns, view.cause));
                reports.extend(view.reports.iter().cloned());
                let asked = if view.cause == ViewCause::Stop { vec![] } else { decide(view.index, session) };
                session.submit(&asked, std::iter::empty(), b"").unwrap();
            }
        }
    }
}

/// The CONFIG record of a run over two venues, and what each venue then says of itself.
fn two_venues(ts: i64) -> (Tape, Vec<u8>) {
    let mut tape = Tape::default();
    let config = br#"{"slots":["/control","binance_spot/public/0/a","binance_spot/rest"],
        "instruments":["binance_spot:XUSDT","binance_usdm:YUSDT"]}"#;
    tape.push(RecordKind::Carry, 0, ts, b"{\"source_run\":\"r\"}".to_vec());
    tape.push(RecordKind::Config, 0, ts, config.to_vec());
    let of = |venue, symbol| {
        serde_json::to_vec(&Instrument::from_steps(venue, symbol, "0.01", "0.01", MetadataSource::Given).unwrap())
    };
    tape.push(RecordKind::Instrument, 0, ts, of(Venue::BinanceSpot, "XUSDT").unwrap());
    tape.push(RecordKind::Connect, 1, ts, b"{\"slot\":1,\"url\":\"ws://x\"}".to_vec());
    tape.diff(ts + 150 * MS, 1, 500);
    (tape, of(Venue::BinanceUsdm, "YUSDT").unwrap())
}

#[test]
fn no_boundary_comes_before_every_instrument_is_known_or_its_venue_is_blocked() {
    let blocked = br#"{"name":"venue","state":"blocked","detail":"binance_usdm: HTTP 451"}"#;
    for (late, steps, lines) in [
        (Some((RecordKind::Instrument, None)), vec![500, 600], 2),
        (Some((RecordKind::Health, Some(blocked.to_vec()))), vec![500, 600], 1),
        (None, vec![], 2),
    ] {
        let (mut tape, usdm) = two_venues(START);
        if let Some((kind, bytes)) = late {
            tape.push(kind, 0, START + 410 * MS, bytes.unwrap_or_else(|| usdm.clone()));
        }
        tape.diff(START + 450 * MS, 2, 400);
        // Too late for this session: a venue that was blocked and answers after all.
        tape.push(RecordKind::Instrument, 0, START + 460 * MS, usdm);
        tape.stop(START + 650 * MS);
        for batch in [1, 1000] {
            let (mut one, mut tape) = (session(), Tape { at: 0, ..tape.clone() });
            let (views, _) = run(&mut one, &mut tape, batch, |_, _| vec![]);
            let found: Vec<i64> = views.iter().filter(|v| v.1 == ViewCause::Step).map(|v| (v.0 - START) / MS).collect();
            assert_eq!((found, one.market.lines.len()), (steps.clone(), lines));
            assert_eq!(one.start.carry(), Some("{\"source_run\":\"r\"}"));
        }
    }
}

#[test]
fn boundaries_are_multiples_of_the_step_and_none_crosses_a_restart_or_an_hour() {
    let mut tape = Tape::begun(START + 5 * MS);
    tape.diff(START + 350 * MS, 2, 400);
    tape.epoch(START + 730 * MS, 1);
    tape.diff(START + 960 * MS, 2, 400);
    let late = START + 2 * 3_600_000 * MS;
    tape.diff(late + 30 * MS, 3, 300);
    tape.stop(late + 110 * MS);
    let (views, _) = run(&mut session(), &mut tape, 10, |_, _| vec![]);
    let steps: Vec<i64> = views.iter().filter(|v| v.1 == ViewCause::Step).map(|v| (v.0 - START) / MS).collect();
    let hours = 2 * 3_600_000;
    assert_eq!(steps, [100, 200, 300, 800, 900, hours + 100]);
    assert_eq!(views.last(), Some(&(late + 110 * MS, ViewCause::Stop)));
}

#[test]
fn a_post_only_order_waits_behind_what_is_displayed() {
    let mut tape = Tape::begun(START + 5 * MS);
    tape.diff(START + 160 * MS, 2, 500);
    for (n, qty) in [(0, 200), (1, 200), (2, 150), (3, 150)] {
        tape.sell(START + (210 + 20 * n) * MS, 1 + n as u64, qty);
    }
    tape.stop(START + 500 * MS);
    let ask = |index, s: &Session| {
        if index == 1 {
            assert_eq!(s.sim.orders()[0].ahead_known(), 500, "ahead is the size displayed when it reached the venue");
        }
        if index == 0 { vec![order(OrderKind::PostOnly, Side::Buy, BID, 100)] } else { vec![] }
    };
    let (_, reports) = run(&mut session(), &mut tape, 10, ask);
    let kinds: Vec<_> = reports.iter().map(|r| (r.kind, r.leaves, (r.ts_ns - START) / MS)).collect();
    // 100 + 1 decision + 40 entry + 10 response; 200 + 200 + 150 sold leave 50 of the third for us, the fourth the rest.
    assert_eq!(
        kinds,
        [(ReportKind::Accepted, 100, 151), (ReportKind::PartiallyFilled, 50, 260), (ReportKind::Filled, 0, 280)]
    );
    assert!(reports[1..].iter().all(|r| r.fill.as_ref().is_some_and(|f| f.maker && f.px == BID && f.qty == 50)));
}

/// simulation.md 1: nothing about a venue time is known before a later one has arrived on both streams, or the time to reorder
/// has passed.
#[test]
fn a_report_waits_for_its_release() {
    let mut tape = Tape::begun(START + 5 * MS);
    tape.diff(START + 160 * MS, 2, 500);
    tape.sell(START + 210 * MS, 1, 550);
    tape.diff(START + 300 * MS, 3, 500);
    tape.sell(START + 320 * MS, 2, 10);
    tape.sell(START + 900 * MS, 3, 100);
    tape.stop(START + 1_500 * MS);
    let decide = |index, _: &Session| match index {
        0 => vec![order(OrderKind::PostOnly, Side::Buy, BID, 100)],
        5 => vec![order(OrderKind::PostOnly, Side::Buy, BID - 1, 100)],
        _ => vec![],
    };
    let mut slow = with(r#""reorder_ms":250,"base_latency_ms":0"#);
    let (_, reports) = run(&mut slow, &mut tape, 10, decide);
    let seen: Vec<_> = reports.iter().map(|r| (r.order_id, r.kind, r.leaves, (r.ts_ns - START) / MS)).collect();
    assert_eq!(
        seen,
        [
            // It reached the venue at 141; at 300 + 0 the depth stream is past it, at 210 the trades: known at 210.
            (1, ReportKind::Accepted, 100, 210),
            // Printed at 210; the diff of 300 is past it, the trade of 320 comes later.
            (1, ReportKind::PartiallyFilled, 50, 320),
            // The trade of 320 fills 10 more; the trade of 900 is past it but no diff is: 320 + 250.
            (1, ReportKind::PartiallyFilled, 40, 570),
            // Sent at 501, so there at 541, with no later trade for long.
            (2, ReportKind::Accepted, 100, 541 + 250),
            (1, ReportKind::Filled, 0, 1_150),
        ]
    );
    assert_eq!(slow.sim.late_rows(), 0);
}

#[test]
fn orders_that_break_a_rule_are_rejected_and_the_rest_of_an_ioc_expires() {
    let mut tape = Tape::begun(START + 5 * MS);
    tape.diff(START + 450 * MS, 2, 500);
    tape.stop(START + 500 * MS);
    let mut s = session();
    let asked = [
        order(OrderKind::PostOnly, Side::Buy, BID + 1, 100),
        order(OrderKind::Limit, Side::Buy, BID, 9),
        order(OrderKind::Ioc, Side::Buy, BID + 1, 600),
        order(OrderKind::Market, Side::Sell, 0, 700),
    ];
    let (_, reports) = run(&mut s, &mut tape, 10, |index, _| if index == 0 { asked.to_vec() } else { vec![] });
    let of = |id: u64| reports.iter().filter(|r| r.order_id == id).collect::<Vec<_>>();
    assert_eq!((of(1)[0].kind, of(1)[0].reason), (ReportKind::Rejected, Reason::WouldTake));
    assert_eq!((of(2)[0].kind, of(2)[0].reason), (ReportKind::Rejected, Reason::MinNotional));
    let filled = |id| of(id).iter().filter_map(|r| r.fill.as_ref().map(|f| (f.px, f.qty, f.maker))).collect::<Vec<_>>();
    assert_eq!(filled(3), [(BID + 1, 500, false)]);
    assert_eq!(of(3).last().map(|r| (r.kind, r.leaves)), Some((ReportKind::Expired, 100)));
    assert_eq!(filled(4), [(BID, 500, false), (BID - 1, 200, false)]);
}

#[test]
fn what_the_run_before_handed_on_is_what_may_be_spent_and_sold() {
    let mut tape = Tape::default();
    let lots = r#"[{"instrument":"binance_spot:XUSDT","kind":"spot","base":"X","qty":"0.3"}]"#;
    let carry = format!(r#"{{"portfolio":{{"cash":{{"USDT":"50","X":"0.1"}},"lots":{lots}}}}}"#);
    tape.push(RecordKind::Carry, 0, START + 4 * MS, carry.into_bytes());
    tape.epoch(START + 5 * MS, 0);
    tape.diff(START + 350 * MS, 2, 500);
    tape.epoch(START + 650 * MS, 1);
    tape.diff(START + 950 * MS, 2, 500);
    tape.stop(START + 1_000 * MS);
    let rest = |side, px, qty| order(OrderKind::Limit, side, px, qty);
    let asked = |index, s: &Session| match index {
        0 => {
            vec![rest(Side::Buy, BID, 51), rest(Side::Buy, BID, 30), rest(Side::Buy, BID, 21), rest(Side::Buy, BID, 20)]
        }
        1 => vec![rest(Side::Sell, BID + 2, 41), rest(Side::Sell, BID + 2, 40)],
        // A restart cancels everything, and what was reserved is free again.
        _ if s.view().restarted => vec![rest(Side::Buy, BID, 50)],
        _ => vec![],
    };
    let mut owning = with(r#""reorder_ms":0,"base_latency_ms":0,"balance":{"USDT":"10000","X":"9"}"#);
    let (_, reports) = run(&mut owning, &mut tape, 10, asked);
    let refused = (ReportKind::Rejected, Reason::InsufficientBalance);
    let taken = (ReportKind::Accepted, Reason::None);
    let of = |id| reports.iter().find(|r| r.order_id == id).map(|r| (r.kind, r.reason));
    let found: Vec<_> = (1..=7).filter_map(of).collect();
    assert_eq!(found, [refused, taken, refused, taken, refused, taken, taken]);
}

/// A few seconds with trades, changes of the level and a restart.
fn busy() -> Tape {
    let mut tape = Tape::begun(START + 5 * MS);
    let (mut id, mut trade, mut ts) = (2, 1, START + 10 * MS);
    for n in 0..400u64 {
        ts += (1 + n as i64 * 7919 % 23) * MS;
        if n == 250 {
            tape.epoch(ts, 1);
            id = 2;
            ts += 3 * MS;
        } else if n % 3 == 0 {
            tape.sell(ts, trade, 1 + (n * 31 % 300) as i64);
            trade += 1;
        } else {
            tape.diff(ts, id, 100 + (n * 37 % 600) as i64);
            id += 1;
        }
    }
    tape.stop(ts + 50 * MS);
    tape
}

/// A policy that does a little of everything, from the view's number alone.
fn policy(index: u64, s: &Session) -> Vec<Request> {
    match index % 6 {
        0 => vec![order(OrderKind::PostOnly, Side::Buy, BID, 30), order(OrderKind::Limit, Side::Sell, BID + 2, 20)],
        2 => vec![order(OrderKind::Market, Side::Sell, 0, 20)],
        3 => vec![order(OrderKind::Limit, Side::Sell, BID + 9, 20)],
        4 => s.sim.orders().iter().take(2).map(|o| Request::Cancel { order_id: o.id }).collect(),
        _ => vec![],
    }
}

fn whole(batch: usize) -> String {
    let (mut s, mut tape) = (owning(), busy());
    let (_, reports) = run(&mut s, &mut tape, batch, policy);
    for kind in [ReportKind::Filled, ReportKind::Cancelled, ReportKind::Accepted] {
        assert!(reports.iter().any(|r| r.kind == kind), "no {kind:?}: the test would show little");
    }
    for reason in [Reason::Restart, Reason::PriceBand, Reason::InsufficientBalance] {
        assert!(reports.iter().any(|r| r.reason == reason), "no {reason:?}");
    }
    s.digest()
}

#[test]
fn two_sessions_side_by_side_agree_at_any_batch() {
    let (mut a, mut b, mut one, mut two) = (owning(), owning(), busy(), busy());
    for _ in 0..2_000 {
        for (s, tape, batch) in [(&mut a, &mut one, 1), (&mut b, &mut two, 7)] {
            if s.advance(tape, batch).unwrap() == Step::View {
                let stop = s.view().cause == ViewCause::Stop;
                let asked = if stop { vec![] } else { policy(s.view().index, s) };
                s.submit(&asked, std::iter::empty(), b"").unwrap();
            }
        }
    }
    assert_eq!(a.digest(), b.digest());
    assert_eq!(a.digest(), whole(65_536));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_anywhere_changes_nothing(cut in 1usize..420, batch in 1usize..50) {
        let (mut s, mut tape) = (owning(), busy());
        while tape.at < cut.min(tape.records.len() - 1) {
            if s.advance(&mut tape, 1).unwrap() == Step::View {
                let asked = policy(s.view().index, &s);
                s.submit(&asked, std::iter::empty(), b"").unwrap();
            }
        }
        let mut restored = Session::restore(&s.checkpoint().unwrap()).unwrap();
        run(&mut restored, &mut tape, batch, policy);
        prop_assert_eq!(restored.digest(), whole(1_000));
    }
}
