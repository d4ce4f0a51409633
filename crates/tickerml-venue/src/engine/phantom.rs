//! Orders that stand in the true queues and weigh nothing: what would have become of one lot, had it been there.
//!
//! A phantom waits behind everything that rested at its price when it came and before everything that comes later, as any order
//! does. A taker that has a lot left when it reaches the phantom fills it, and keeps the lot: so the market with phantoms is to
//! the byte the market without them, and what is published of it needs no stripping.
use super::Side;
use std::collections::BTreeMap;

/// A phantom that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: usize,
    /// Ids up to this one rested before it.
    entered: u64,
    /// Lots that still rest before it.
    ahead: i64,
}

/// All phantoms of one engine.
#[derive(Debug, Default)]
pub struct Phantoms {
    levels: [BTreeMap<i64, Vec<Waiting>>; 2],
    filled: Vec<usize>,
}

impl Phantoms {
    pub(super) fn place(&mut self, number: usize, side: Side, px: i64, entered: u64, ahead: i64) {
        self.levels[side.index()].entry(px).or_default().push(Waiting { number, entered, ahead });
    }

    /// Takes a phantom away; harmless where it does not wait.
    pub fn cancel(&mut self, number: usize, side: Side, px: i64) {
        self.keep(side, px, |w| w.number != number);
    }

    /// Lots before a phantom; none where it does not wait.
    pub fn ahead_of(&self, number: usize, side: Side, px: i64) -> Option<i64> {
        self.levels[side.index()].get(&px)?.iter().find(|w| w.number == number).map(|w| w.ahead)
    }

    /// Numbers of those filled since the last call.
    pub fn take_filled(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.filled)
    }

    /// `qty` lots of the order `id` are gone from its queue.
    pub(super) fn gone(&mut self, side: Side, px: i64, id: u64, qty: i64) {
        if let Some(level) = self.levels[side.index()].get_mut(&px) {
            level.iter_mut().filter(|w| id <= w.entered).for_each(|w| w.ahead -= qty);
        }
    }

    /// A taker with lots left has come to the order `head` at `px` of `side`: it has met every phantom before that.
    pub(super) fn passed(&mut self, side: Side, px: i64, head: u64) {
        let levels = &self.levels[side.index()];
        if levels.is_empty() {
            return;
        }
        self.swept(side, if side == Side::Ask { px - 1 } else { px + 1 });
        let level = self.levels[side.index()].get(&px);
        let met: Vec<usize> =
            level.iter().flat_map(|l| l.iter()).filter(|w| w.entered < head).map(|w| w.number).collect();
        if !met.is_empty() {
            self.keep(side, px, |w| w.entered >= head);
            self.filled.extend(met);
        }
    }

    /// A taker with lots left has met every phantom at `limit` or better.
    pub(super) fn swept(&mut self, side: Side, limit: i64) {
        let levels = &mut self.levels[side.index()];
        let met: Vec<i64> = match side {
            Side::Ask => levels.range(..=limit).map(|l| *l.0).collect(),
            Side::Bid => levels.range(limit..).map(|l| *l.0).rev().collect(),
        };
        for px in met {
            self.filled.extend(levels.remove(&px).iter().flatten().map(|w| w.number));
        }
    }

    fn keep(&mut self, side: Side, px: i64, stays: impl Fn(&Waiting) -> bool) {
        let levels = &mut self.levels[side.index()];
        if let Some(level) = levels.get_mut(&px) {
            level.retain(stays);
            if level.is_empty() {
                levels.remove(&px);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{Engine, Side};
    use crate::rng::Rng;

    #[test]
    fn a_phantom_is_met_in_its_turn_and_takes_nothing() {
        let (mut e, mut out) = (Engine::new(), Vec::new());
        let first = e.limit(Side::Bid, 50, 3, &mut out);
        assert!(e.place_phantom(0, Side::Bid, 50));
        e.limit(Side::Bid, 50, 4, &mut out);
        assert!(e.place_phantom(1, Side::Bid, 50));
        assert!(e.place_phantom(2, Side::Bid, 51));
        assert_eq!(e.phantoms.ahead_of(1, Side::Bid, 50), Some(7));
        e.immediate(Side::Ask, 50, 2, &mut out);
        assert_eq!(e.phantoms.take_filled(), [2], "a better price is met first");
        e.immediate(Side::Ask, 50, 1, &mut out);
        assert_eq!((e.phantoms.ahead_of(0, Side::Bid, 50), e.phantoms.take_filled()), (Some(0), vec![]));
        assert_eq!(e.cancel(first, &mut out), None);
        e.immediate(Side::Ask, 50, 1, &mut out);
        assert_eq!(e.phantoms.take_filled(), [0]);
        assert_eq!((e.qty_at(Side::Bid, 50), e.phantoms.ahead_of(1, Side::Bid, 50)), (3, Some(3)));
        // What is left of a taker that finds nothing more meets the last one; so does a quote placed on the other side.
        e.immediate(Side::Ask, 50, 4, &mut out);
        assert_eq!(e.phantoms.take_filled(), [1]);
        assert!(e.place_phantom(3, Side::Bid, 50));
        e.limit(Side::Ask, 50, 1, &mut out);
        assert_eq!(e.phantoms.take_filled(), [3]);
    }

    /// The same orders with and without phantoms, and every phantom's lots ahead counted along the true queue.
    #[test]
    fn phantoms_change_nothing_and_know_their_place() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let (mut with, mut without) = (Engine::new(), Engine::new());
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let (mut ids, mut waiting) = (Vec::new(), Vec::new());
            for n in 0..300 {
                let side = if rng.chance(0.5) { Side::Bid } else { Side::Ask };
                let (px, qty) = (97 + rng.below(7) as i64, 1 + rng.below(9) as i64);
                if rng.chance(0.3) && !ids.is_empty() {
                    let id = ids.swap_remove(rng.below(ids.len() as u64) as usize);
                    assert_eq!(with.cancel(id, &mut a), without.cancel(id, &mut b));
                } else {
                    ids.push(with.limit(side, px, qty, &mut a));
                    without.limit(side, px, qty, &mut b);
                }
                if with.place_phantom(n, side, px) {
                    waiting.push((n, side, px, with.last_id));
                }
                for number in with.phantoms.take_filled() {
                    waiting.retain(|w| w.0 != number);
                }
                for &(number, side, px, entered) in &waiting {
                    let before: i64 = with.queue(side, px).filter(|o| o.0 <= entered).map(|o| o.1).sum();
                    assert_eq!(with.phantoms.ahead_of(number, side, px), Some(before), "{seed} {n}");
                }
            }
            assert_eq!(a, b);
        }
    }
}
