//! One side of a book: quantity by key, and the keys in order. The best level is the greatest key.
//!
//! Quantities stand in an open-addressed table (one multiplication, one cache line); order comes from [`Tree`], a window of
//! bits over the prices. A deleted level keeps its place in the table with quantity 0, since prices come back; the table is
//! rebuilt when half full. Keys outside the widest window, which no real instrument has near its touch, go to a sorted map.
//! The table is never iterated in its own order.
use super::tree::Tree;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Window of a side when its first level comes, in price steps.
const SPAN_MIN: i64 = 1 << 18;
/// Widest window: 2^30 steps are 10.7 million dollars at a cent; 128 MiB of address space, committed only where levels lie.
const SPAN_MAX: i64 = 1 << 30;
/// Places of an empty table.
const PLACES_MIN: usize = 1 << 10;
/// Prices whose places lie side by side, as a power of two: two cache lines.
const BLOCK_BITS: u32 = 3;
/// Marks a free place.
const FREE: i64 = i64::MIN;

#[derive(Debug, Clone, Copy)]
struct Place {
    key: i64,
    qty: i64,
}

/// Levels of one side.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    places: Vec<Place>,
    used: usize,
    live: usize,
    tree: Tree,
    far: BTreeMap<i64, i64>,
    best: Option<i64>,
}

impl Levels {
    /// Sets the quantity of a level, 0 deletes it; returns what stood there.
    #[inline]
    pub fn set(&mut self, key: i64, qty: i64) -> i64 {
        if !self.tree.covers(key) && !self.widen(key) {
            return self.set_far(key, qty);
        }
        let at = self.place(key);
        let place = &mut self.places[at];
        let before = place.qty;
        if place.key == FREE {
            if qty == 0 {
                return 0;
            }
            place.key = key;
            self.used += 1;
        }
        place.qty = qty;
        if before == 0 && qty != 0 {
            self.added(key);
        } else if before != 0 && qty == 0 {
            self.removed(key);
        }
        before
    }

    /// Quantity of a level, 0 where there is none.
    #[inline]
    pub fn get(&self, key: i64) -> i64 {
        if !self.tree.covers(key) {
            return self.far.get(&key).copied().unwrap_or(0);
        }
        let place = self.places[self.place(key)];
        if place.key == FREE { 0 } else { place.qty }
    }

    /// The greatest key.
    #[inline]
    pub const fn best(&self) -> Option<i64> {
        self.best
    }

    /// Number of levels.
    pub fn len(&self) -> usize {
        self.live + self.far.len()
    }

    /// Levels from the best on, as (key, quantity).
    pub fn descending(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        std::iter::successors(self.best, |&key| self.below(key)).map(|key| (key, self.get(key)))
    }

    /// Deletes every level.
    pub fn clear(&mut self) {
        self.places.fill(Place { key: FREE, qty: 0 });
        self.tree.clear();
        self.far.clear();
        (self.used, self.live, self.best) = (0, 0, None);
    }

    #[inline]
    fn added(&mut self, key: i64) {
        self.live += 1;
        self.tree.insert(key);
        if self.best.is_none_or(|best| key > best) {
            self.best = Some(key);
        }
        if self.used * 2 > self.places.len() {
            self.rebuild();
        }
    }

    #[inline]
    fn removed(&mut self, key: i64) {
        self.live -= 1;
        self.tree.remove(key);
        if self.best == Some(key) {
            self.best = self.below(key);
        }
    }

    /// The greatest key strictly below `key`.
    #[inline]
    pub fn below(&self, key: i64) -> Option<i64> {
        let near = self.tree.below(key);
        if self.far.is_empty() {
            return near;
        }
        near.max(self.far.range(..key).next_back().map(|(&k, _)| k))
    }

    /// Where `key` is, or the free place where it would go.
    #[inline]
    fn place(&self, key: i64) -> usize {
        let mask = self.places.len() - 1;
        // Fibonacci hashing: the high bits of the product are well mixed. Neighbouring prices change together, so a block of
        // them stays together and shares its cache lines.
        let block = ((key >> BLOCK_BITS) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let mut at = ((block << BLOCK_BITS) | (key as u64 & ((1 << BLOCK_BITS) - 1))) as usize & mask;
        while self.places[at].key != key && self.places[at].key != FREE {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn set_far(&mut self, key: i64, qty: i64) -> i64 {
        let before = if qty == 0 { self.far.remove(&key) } else { self.far.insert(key, qty) };
        let tree_best = self.tree.below(self.tree.window().end);
        self.best = tree_best.max(self.far.last_key_value().map(|(&k, _)| k));
        before.unwrap_or(0)
    }

    /// Makes the window cover `key`; false where that would be too wide.
    #[cold]
    fn widen(&mut self, key: i64) -> bool {
        let old = self.tree.window();
        let (low, high) = if old.is_empty() { (key, key + 1) } else { (old.start.min(key), old.end.max(key + 1)) };
        if high - low > SPAN_MAX {
            return false;
        }
        let span = ((high - low) * 2).clamp(SPAN_MIN, SPAN_MAX);
        // Room on both sides, none on one where that would leave the other out.
        let base = low - (span - (high - low)) / 2;
        let levels: Vec<_> = self.descending().collect();
        self.tree = Tree::new(base, span);
        for (key, _) in levels {
            if self.tree.covers(key) && !self.far.contains_key(&key) {
                self.tree.insert(key);
            }
        }
        if self.places.is_empty() {
            self.places = vec![Place { key: FREE, qty: 0 }; PLACES_MIN];
        }
        self.take_near();
        true
    }

    /// Moves levels that the new window covers out of the far map.
    fn take_near(&mut self) {
        let near: Vec<_> = self.far.range(self.tree.window()).map(|(&k, &q)| (k, q)).collect();
        for (key, qty) in near {
            self.far.remove(&key);
            self.set(key, qty);
        }
    }

    /// Drops deleted levels from the table and gives it room.
    #[cold]
    fn rebuild(&mut self) {
        let levels: Vec<_> = self.descending().filter(|(key, _)| self.tree.covers(*key)).collect();
        let places = (levels.len() * 4).next_power_of_two().max(PLACES_MIN);
        self.places = vec![Place { key: FREE, qty: 0 }; places];
        self.used = levels.len();
        for (key, qty) in levels {
            let at = self.place(key);
            self.places[at] = Place { key, qty };
        }
    }
}

impl PartialEq for Levels {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.descending().eq(other.descending())
    }
}

impl Eq for Levels {}

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Formats without a closing mark need the length first.
        self.descending().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut levels = Levels::default();
        for (key, qty) in Vec::<(i64, i64)>::deserialize(deserializer)? {
            levels.set(key, qty);
        }
        Ok(levels)
    }
}
