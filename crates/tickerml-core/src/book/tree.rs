//! A set of integers in a window, as a tree of 64-bit words: insert, remove and "next lower" in a few instructions.
use std::ops::Range;

/// Keys `base..base + span` of which any may be in the set. A word of a layer says which words of the layer below hold a bit.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    base: i64,
    span: i64,
    layers: Vec<Vec<u64>>,
}

impl Tree {
    /// An empty set over a window of at least `span` keys. Memory: `span / 8` bytes, committed only where keys lie.
    pub fn new(base: i64, span: i64) -> Self {
        let mut layers = Vec::new();
        let mut words = span.max(64) as usize;
        while words > 1 {
            words = words.div_ceil(64);
            layers.push(vec![0u64; words]);
        }
        Tree { base, span: (layers[0].len() as i64) * 64, layers }
    }

    /// The keys that may be in the set.
    pub fn window(&self) -> Range<i64> {
        self.base..self.base + self.span
    }

    /// True where `key` may be in the set.
    #[inline]
    pub fn covers(&self, key: i64) -> bool {
        // One comparison: keys below the base wrap to huge numbers.
        (key.wrapping_sub(self.base) as u64) < self.span as u64
    }

    /// Adds a key that the window covers.
    #[inline]
    pub fn insert(&mut self, key: i64) {
        let mut at = (key - self.base) as usize;
        for layer in &mut self.layers {
            let word = &mut layer[at / 64];
            let was_empty = *word == 0;
            *word |= 1 << (at % 64);
            if !was_empty {
                return;
            }
            at /= 64;
        }
    }

    /// Removes a key that the window covers.
    #[inline]
    pub fn remove(&mut self, key: i64) {
        let mut at = (key - self.base) as usize;
        for layer in &mut self.layers {
            let word = &mut layer[at / 64];
            *word &= !(1 << (at % 64));
            if *word != 0 {
                return;
            }
            at /= 64;
        }
    }

    /// The greatest key below `key`.
    #[inline]
    pub fn below(&self, key: i64) -> Option<i64> {
        if key <= self.base || self.span == 0 {
            return None;
        }
        // The word of the key before, that key included; then, layer by layer, the words strictly before.
        let mut at = (key - self.base).min(self.span) as usize - 1;
        let mut mask = u64::MAX >> (63 - at % 64);
        for (depth, layer) in self.layers.iter().enumerate() {
            let lower = layer[at / 64] & mask;
            if lower != 0 {
                let found = (at / 64) * 64 + (63 - lower.leading_zeros() as usize);
                return Some(self.descend(depth, found));
            }
            at /= 64;
            mask = (1 << (at % 64)) - 1;
        }
        None
    }

    /// The greatest key under position `at` of layer `depth`.
    #[inline]
    fn descend(&self, depth: usize, mut at: usize) -> i64 {
        for layer in self.layers[..depth].iter().rev() {
            at = at * 64 + (63 - layer[at].leading_zeros() as usize);
        }
        self.base + at as i64
    }

    /// Empties the set, touching only words that hold a key.
    pub fn clear(&mut self) {
        while let Some(key) = self.below(self.base + self.span) {
            self.remove(key);
        }
    }
}
