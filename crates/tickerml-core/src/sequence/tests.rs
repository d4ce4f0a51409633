use super::*;

fn spot(first: u64, last: u64) -> DepthIds {
    DepthIds { first, last, prev: None }
}

fn futures(first: u64, last: u64, prev: u64) -> DepthIds {
    DepthIds { first, last, prev: Some(prev) }
}

/// exchanges.md 1.5, the worked example NKNUSDT.
#[test]
fn spot_splices_as_recorded() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    let diffs = [spot(499_869_750, 499_869_752), spot(499_869_753, 499_869_754)];
    assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Buffer, Diff::Buffer]);
    assert_eq!(s.on_snapshot(499_869_752, 0), Snapshot::Accept);
    assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Drop, Diff::Apply]);
    assert_eq!(s.on_diff(spot(499_869_755, 499_869_757)), Diff::Apply);
    assert_eq!(s.on_diff(spot(499_869_755, 499_869_757)), Diff::Drop);
    assert_eq!(s.on_diff(spot(499_869_759, 499_869_760)), Diff::Gap);
    assert_eq!(s.state(), BookState::Syncing);
}

/// exchanges.md 3.4, the worked examples SUSHIUSDT and AKROUSDT.
#[test]
fn futures_splice_as_recorded() {
    let mut s = Sequence::new(Venue::BinanceUsdm);
    let diffs = [
        futures(600_859_600_000, 600_859_604_824, 600_859_600_000),
        futures(600_859_605_926, 600_859_607_423, 600_859_604_824),
    ];
    assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Buffer, Diff::Buffer]);
    assert_eq!(s.on_snapshot(600_859_605_926, 0), Snapshot::Accept);
    assert_eq!(diffs.map(|d| s.on_diff(d)), [Diff::Drop, Diff::Apply]);

    let mut s = Sequence::new(Venue::BinanceUsdm);
    s.on_diff(futures(600_859_600_000, 600_859_605_486, 1));
    assert_eq!(s.on_snapshot(600_859_605_486, 0), Snapshot::Accept);
    // The diff that ends at the snapshot's id adds nothing and may have been dropped: pu chains the next one.
    assert_eq!(s.on_diff(futures(600_859_609_657, 600_859_609_902, 600_859_605_486)), Diff::Apply);
    assert_eq!(s.on_diff(futures(600_859_700_000, 600_859_700_001, 600_859_609_903)), Diff::Gap);
}

#[test]
fn a_snapshot_must_reach_the_first_diff() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    assert_eq!(s.on_snapshot(5, 0), Snapshot::Unneeded);
    s.reset(BookState::Buffering);
    assert_eq!(s.on_diff(spot(10, 12)), Diff::Buffer);
    assert_eq!(s.on_snapshot(8, 0), Snapshot::TooOld);
    assert!(s.wants_snapshot());
    // Equality is fine: the snapshot ends where the first diff begins.
    assert_eq!(s.on_snapshot(9, 0), Snapshot::Accept);
    assert_eq!(s.on_diff(spot(10, 12)), Diff::Apply);
}

/// NEXO's recording: the snapshot 134180599 comes first, then the diff from 134180600 on.
#[test]
fn a_snapshot_may_precede_the_first_diff() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.reset(BookState::Buffering);
    assert_eq!(s.on_snapshot(134_180_599, 0), Snapshot::Accept);
    assert_eq!(s.on_diff(spot(134_180_600, 134_180_601)), Diff::Apply);
    s.reset(BookState::Buffering);
    assert_eq!(s.on_snapshot(10, 0), Snapshot::Accept);
    assert_eq!(s.on_diff(spot(12, 13)), Diff::Gap);
}

#[test]
fn a_gap_inside_the_buffer_restarts_it() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(10, 12));
    assert_eq!(s.on_diff(spot(14, 15)), Diff::Gap);
    assert_eq!(s.on_snapshot(11, 0), Snapshot::TooOld);
    assert_eq!(s.on_snapshot(13, 0), Snapshot::Accept);
}

/// One socket's book at 20, another's diffs in other portions.
#[test]
fn a_second_socket_carries_on_where_its_diffs_reach_back() {
    let live = |at: u64| {
        let mut s = Sequence::new(Venue::BinanceUsdm);
        s.on_diff(futures(at - 1, at, at - 2));
        assert_eq!(s.on_snapshot(at - 1, 0), Snapshot::Accept);
        assert_eq!(s.on_diff(futures(at - 1, at, at - 2)), Diff::Apply);
        s
    };
    let (gone, mut next) = (live(20), live(12));
    assert!(!next.carries_on(&Sequence::new(Venue::BinanceUsdm)), "no book to go on with");
    next.on_diff(futures(13, 18, 12));
    assert!(next.carries_on(&gone) && gone.carries_on(&next));
    next.carry_on(&gone);
    assert_eq!(next.update_id(), 20);
    assert_eq!(next.on_diff(futures(19, 20, 18)), Diff::Drop, "the book has it");
    assert_eq!(next.on_diff(futures(21, 23, 20)), Diff::Apply);
    assert_eq!(next.on_diff(futures(26, 27, 25)), Diff::Gap);
    let mut late = live(30);
    assert!(!late.carries_on(&gone), "21 to 28 are lost");
    late.on_diff(futures(31, 32, 30));
    assert!(!late.carries_on(&gone));
}

/// Before a snapshot's id diffs are dropped unseen; a hole among them is still a hole.
#[test]
fn a_hole_below_the_snapshot_breaks_the_run() {
    let mut gone = Sequence::new(Venue::BinanceUsdm);
    gone.on_diff(futures(9, 10, 8));
    gone.on_snapshot(9, 0);
    let mut next = Sequence::new(Venue::BinanceUsdm);
    next.on_diff(futures(9, 10, 8));
    next.on_snapshot(40, 0);
    assert!(!next.carries_on(&gone), "nothing has proven the book yet");
    gone.on_diff(futures(9, 10, 8));
    assert!(next.carries_on(&gone));
    assert_eq!(next.on_diff(futures(21, 22, 20)), Diff::Drop);
    assert!(!next.carries_on(&gone));
}

#[test]
fn silence_ends_with_the_next_diff() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1, 2));
    s.on_snapshot(2, 0);
    s.on_silence();
    assert_eq!(s.state(), BookState::Stale);
    assert_eq!(s.on_diff(spot(3, 4)), Diff::Apply);
    assert_eq!(s.state(), BookState::Live);
}

/// One diff whose `u` is far too large fits what came before it; the true ones behind it must not pass for repeats.
#[test]
fn a_far_too_large_id_is_a_gap_at_the_next_diff() {
    let mut s = Sequence::new(Venue::BinanceUsdm);
    s.on_diff(futures(9, 10, 8));
    s.on_snapshot(9, 0);
    assert_eq!(s.on_diff(futures(9, 10, 8)), Diff::Apply);
    assert_eq!(s.on_diff(futures(11, 9_999, 10)), Diff::Apply);
    assert_eq!(s.on_diff(futures(13, 14, 12)), Diff::Gap);
    assert_eq!(s.on_snapshot(13, 0), Snapshot::Accept);
    assert_eq!(s.on_diff(futures(13, 14, 12)), Diff::Apply);

    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1, 2));
    s.on_snapshot(2, 0);
    assert_eq!(s.on_diff(spot(3, 9_999)), Diff::Apply);
    assert_eq!(s.on_diff(spot(5, 6)), Diff::Gap);
}

#[test]
fn a_diff_that_skips_back_over_its_own_id_does_not_follow() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1, 20));
    s.on_snapshot(0, 0);
    assert_eq!(s.on_diff(spot(1, 20)), Diff::Apply);
    assert_eq!(s.on_diff(spot(21, 7)), Diff::Gap);
}

/// The same diffs on two sockets, one of which lags: every one of them was said before.
#[test]
fn a_lagging_second_socket_repeats_without_a_gap() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1, 2));
    s.on_snapshot(2, 0);
    for n in 2..150 {
        assert_eq!(s.on_diff(spot(2 * n - 1, 2 * n)), Diff::Apply);
    }
    for n in 100..150 {
        assert_eq!(s.on_diff(spot(2 * n - 1, 2 * n)), Diff::Drop);
    }
    assert_eq!(s.on_diff(spot(299, 300)), Diff::Apply);
}

/// A diff held back past the gap that it made, and past the snapshot that mended it, costs nothing more; ids that stay below
/// the snapshot do.
#[test]
fn late_diffs_below_the_snapshot_are_dropped_until_they_are_all_there_is() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1_000, 1_001));
    s.on_snapshot(1_000, 0);
    assert_eq!(s.on_diff(spot(1_000, 1_001)), Diff::Apply);
    assert_eq!(s.on_diff(spot(998, 999)), Diff::Drop);
    assert_eq!(s.on_diff(spot(1_002, 1_003)), Diff::Apply);
    let answers: Vec<Diff> = (1..=40).map(|n| s.on_diff(spot(n, n))).collect();
    assert_eq!(answers.iter().position(|&a| a == Diff::Gap), Some(LATE_IN_ROW_MAX as usize));
    assert!(answers[LATE_IN_ROW_MAX as usize + 1..].iter().all(|&a| a == Diff::Buffer));
    assert_eq!(s.on_snapshot(40, 0), Snapshot::Accept);
}

/// A buffer that begins with a wrong id is given up, or no snapshot would ever reach it.
#[test]
fn a_buffer_that_no_snapshot_can_reach_is_given_up() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.on_diff(spot(1_000_000, 1_000_001));
    let answers: Vec<Diff> = (1..=40).map(|n| s.on_diff(spot(n, n))).collect();
    assert!(answers.contains(&Diff::Gap));
    assert_eq!(s.on_snapshot(40, 0), Snapshot::Accept);
}

/// The run of a socket that stands by: a wrong id must not hide the diffs behind it.
#[test]
fn a_wrong_id_breaks_the_run_of_a_second_socket() {
    let mut next = Sequence::new(Venue::BinanceUsdm);
    next.on_diff(futures(9, 10, 8));
    next.on_diff(futures(11, 9_999, 10));
    assert!(!next.is_in_run(futures(13, 14, 12)));
    assert!(!next.extends_run(futures(13, 14, 12)));
}

#[test]
fn what_an_earlier_connection_asked_for_is_too_old_while_no_diff_can_show_it() {
    let mut s = Sequence::new(Venue::BinanceSpot);
    s.join(100);
    s.reset(BookState::Buffering);
    assert_eq!(s.on_snapshot(9, 99), Snapshot::TooOld);
    s.on_diff(DepthIds { first: 10, last: 11, prev: None });
    s.reset(BookState::Buffering);
    assert_eq!(s.on_snapshot(9, 99), Snapshot::TooOld, "a loss on it changes nothing");
    assert_eq!(s.on_snapshot(12, 100), Snapshot::Accept);
    s.reset(BookState::Connecting);
    s.join(200);
    s.join(300);
    s.on_diff(DepthIds { first: 20, last: 21, prev: None });
    assert_eq!(s.on_snapshot(22, 99), Snapshot::Accept, "with a diff its ids decide");
}
