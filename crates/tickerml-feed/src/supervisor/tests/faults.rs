//! Seeds of all faults at once, in virtual time.
use super::rig::S;
use super::world::World;
use std::collections::BTreeMap;
use tickerml_core::tape::RecordKind;

/// `make soak` asks for more: TICKERML_SOAK_SEEDS=2000.
const SEEDS: u64 = 60;

#[test]
fn whatever_fails_every_book_is_true_again_at_the_end() {
    let seeds = std::env::var("TICKERML_SOAK_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(SEEDS);
    let mut hits: BTreeMap<&'static str, u32> = BTreeMap::new();
    let first = std::env::var("TICKERML_SOAK_FIRST").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let mut world = World::new(seed);
        world.run(60 * S, true);
        world.run(150 * S, false);
        assert_eq!(world.live_books(), 2, "seed {seed}: {:?} {:?}", world.states(), world.rig.sup.errors.list());
        assert_eq!(world.rig.sup.fatal(), None);
        assert!(world.lost == 0 || world.rig.sup.counters.gaps > 0, "seed {seed}: a lost diff is a gap");
        let stamps: Vec<i64> = world.rig.sup.tape().records.iter().map(|r| r.stamp.recv_ns).collect();
        assert!(stamps.is_sorted());
        let rest = world.rig.records(RecordKind::Rest).len();
        assert!(rest < 300, "seed {seed}: {rest} requests are a loop");
        for (fault, n) in world.hits {
            *hits.entry(fault).or_default() += n;
        }
    }
    let expected = [
        "drop",
        "duplicate",
        "truncate",
        "delay",
        "swap",
        "refuse",
        "close",
        "freeze",
        "shutdown",
        "429",
        "418",
        "5xx",
        "html",
        "stale snapshot",
        "mismatched snapshot",
        "slow snapshot",
        "no answer",
    ];
    assert!(expected.iter().all(|f| hits.contains_key(f)), "each fault was made: {hits:?}");
}
