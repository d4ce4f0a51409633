//! The first contact: how long it is tried, and what follows when there is none.
use super::rig::*;
use crate::rest::RestAnswer;
use crate::supervisor::venues::FIRST_CONTACT_MAX_NS;
use crate::supervisor::{Action, Closed};
use tickerml_core::tape::RecordKind as K;

fn refused() -> RestAnswer {
    RestAnswer { error: "connection refused".into(), ..RestAnswer::default() }
}

/// Refuses every request for `ns`; other actions stay.
fn refuse(rig: &mut Rig, host: &str, ns: i64) {
    let end = rig.now + ns;
    while rig.now < end {
        while let Some(at) =
            rig.actions.iter().position(|a| matches!(a, Action::Request { url, .. } if url.starts_with(host)))
        {
            let Action::Request { id, .. } = rig.actions.remove(at) else { unreachable!() };
            rig.answer(id, &refused());
        }
        rig.pass(50 * MS);
    }
}

#[test]
fn a_host_that_never_answers_ends_the_feed_after_its_budget() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    refuse(&mut rig, "https://r", FIRST_CONTACT_MAX_NS - S);
    assert_eq!(rig.sup.fatal(), None);
    refuse(&mut rig, "https://r", 2 * S);
    let fatal = rig.sup.fatal().expect("the budget is used up");
    assert!(fatal.contains("binance_spot: no contact within 60 s: https://r: connection refused"), "{fatal}");
    assert!(rig.records(K::Health).iter().any(|h| h.contains(r#""name":"venue","state":"unreachable""#)));
}

#[test]
fn a_socket_that_never_opens_ends_it_too_and_a_reached_venue_is_tried_for_ever() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    let (id, _) = rig.request();
    rig.answer(id, &ok(&exchange_info(&["BTCUSDT"])));
    while rig.sup.fatal().is_none() {
        assert!(rig.now <= FIRST_CONTACT_MAX_NS + S);
        if rig.has(|a| matches!(a, Action::Open { .. })) {
            let (conn, _) = rig.open();
            rig.closed(conn, &Closed::because("no route to host"));
        }
        rig.pass(50 * MS);
    }
    let fatal = rig.sup.fatal().unwrap();
    assert!(fatal.contains("wss://w: no route to host"), "{fatal}");
    let (mut rig, conn) = Rig::connected();
    rig.closed(conn, &Closed::because("no route to host"));
    rig.pass(3 * FIRST_CONTACT_MAX_NS);
    assert_eq!(rig.sup.fatal(), None);
}

#[test]
fn one_venue_out_of_reach_is_said_and_the_other_is_recorded() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"]), usdm(&["BTCUSDT"])], 1);
    let (first, url) = rig.request();
    assert!(url.starts_with("https://r"));
    rig.answer(first, &ok(&exchange_info(&["BTCUSDT"])));
    let (conn, _) = rig.open();
    rig.sup.opened(conn, rig.now);
    refuse(&mut rig, "https://f", FIRST_CONTACT_MAX_NS + S);
    assert_eq!(rig.sup.fatal(), None);
    let stats = rig.sup.stats(rig.now);
    assert!(stats.unreachable[0].starts_with("binance_usdm: no contact"), "{:?}", stats.unreachable);
    assert!(stats.error_count > 10, "every failure counts: {}", stats.error_count);
    rig.pass(3 * S);
    let (again, _) = rig.request();
    rig.answer(again, &ok(&exchange_info(&["BTCUSDT"])));
    let (conn, _) = rig.expect("the market socket", |a| match a {
        Action::Open { conn, url } if url.contains("/market") || url.contains("/public") => Some((*conn, ())),
        _ => None,
    });
    rig.sup.opened(conn, rig.now);
    assert!(rig.sup.stats(rig.now).unreachable.is_empty(), "it is tried on, and was reached");
}

#[test]
fn a_wait_that_the_venue_asks_for_is_not_counted() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    let (id, _) = rig.request();
    let headers = vec![("retry-after".to_owned(), "300".to_owned())];
    rig.answer(id, &RestAnswer { status: 418, headers, ..RestAnswer::default() });
    rig.pass(299 * S);
    assert_eq!(rig.sup.fatal(), None);
    refuse(&mut rig, "https://r", FIRST_CONTACT_MAX_NS + 2 * S);
    assert!(rig.sup.fatal().is_some());
}

#[test]
fn blocked_and_unreachable_together_leave_nothing_to_record() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"]), usdm(&["BTCUSDT"])], 1);
    let (first, _) = rig.request();
    rig.answer(first, &status(451));
    refuse(&mut rig, "https://f", FIRST_CONTACT_MAX_NS + S);
    let fatal = rig.sup.fatal().expect("no venue is left");
    assert!(fatal.contains("HTTP 451") && fatal.contains("binance_usdm: no contact"), "{fatal}");
}

#[test]
fn a_tape_that_failed_is_fatal_even_where_nothing_is_appended() {
    let mut rig = Rig::new(&[spot(&["BTCUSDT"])], 1);
    rig.sup.tape_mut().stalled = true;
    rig.sup.tape_mut().failed = Some("disk gone".into());
    rig.pass(50 * MS);
    assert_eq!(rig.sup.fatal(), Some("tape: disk gone"));
}
