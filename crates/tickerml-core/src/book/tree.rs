//! A set of integers in a window, as a tree of 64-bit words: insert, remove and "next lower" in a few instructions.
use std::ops::Range;

/// Keys `base..base + span` of which any may be in the set. A word of a layer says which words of the layer below hold a bit.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    base: i64,
    span: i64,
    /// The lowest layer: a bit for each key.
    words: Vec<u64>,
    /// The layers above it.
    upper: Vec<Vec<u64>>,
}

impl Tree {
    /// An empty set over a window of at least `span` keys. Memory: `span / 8` bytes, committed only where keys lie.
    pub fn new(base: i64, span: i64) -> Self {
        let mut upper = Vec::new();
        let words = vec![0u64; (span.max(64) as usize).div_ceil(64)];
        let mut wide = words.len();
        while wide > 1 {
            wide = wide.div_ceil(64);
            upper.push(vec![0u64; wide]);
        }
        Tree { base, span: (words.len() as i64) * 64, words, upper }
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

    /// Where a key that the window covers lies in it, from 0.
    #[inline]
    pub const fn place(&self, key: i64) -> usize {
        key.wrapping_sub(self.base) as usize
    }

    /// Words of the lowest layer: key number n of the window is in word n / 64.
    pub const fn words(&self) -> usize {
        self.words.len()
    }

    /// Puts the key at a place of the window into the set, or takes it out. True where that leaves its word without any.
    #[inline]
    pub fn put(&mut self, at: usize, is: bool) -> bool {
        let word = &mut self.words[at / 64];
        let was_empty = *word == 0;
        *word = *word & !(1 << (at % 64)) | u64::from(is) << (at % 64);
        let is_empty = *word == 0;
        match (was_empty, is_empty) {
            (true, false) => self.first_of(at / 64),
            (false, true) => self.last_of(at / 64),
            _ => {}
        }
        is_empty && !was_empty
    }

    /// A word got its first key: its bit in the layer above is set, and so on upwards.
    fn first_of(&mut self, mut at: usize) {
        for layer in &mut self.upper {
            let word = &mut layer[at / 64];
            let was_empty = *word == 0;
            *word |= 1 << (at % 64);
            if !was_empty {
                return;
            }
            at /= 64;
        }
    }

    /// A word lost its last key.
    fn last_of(&mut self, mut at: usize) {
        for layer in &mut self.upper {
            let word = &mut layer[at / 64];
            *word &= !(1 << (at % 64));
            if *word != 0 {
                return;
            }
            at /= 64;
        }
    }

    /// The greatest key.
    pub fn last(&self) -> Option<i64> {
        self.below(self.base.saturating_add(self.span))
    }

    /// The greatest key below `key`.
    #[inline]
    pub fn below(&self, key: i64) -> Option<i64> {
        if key <= self.base || self.span == 0 {
            return None;
        }
        // The word of the key before, that key included; then, layer by layer, the words strictly before.
        let mut at = (key - self.base).min(self.span) as usize - 1;
        let lower = self.words[at / 64] & (u64::MAX >> (63 - at % 64));
        if lower != 0 {
            return Some(self.base + (at / 64 * 64) as i64 + top_bit(lower));
        }
        for (depth, layer) in self.upper.iter().enumerate() {
            at /= 64;
            let lower = layer[at / 64] & ((1 << (at % 64)) - 1);
            if lower != 0 {
                return Some(self.descend(depth, (at / 64 * 64) + top_bit(lower) as usize));
            }
        }
        None
    }

    /// The greatest key under word `at` of the layer below `upper[depth]`.
    fn descend(&self, depth: usize, mut at: usize) -> i64 {
        for layer in self.upper[..depth].iter().rev() {
            at = at * 64 + top_bit(layer[at]) as usize;
        }
        self.base + (at * 64) as i64 + top_bit(self.words[at])
    }
}

/// Number of the highest bit that is set.
#[inline]
const fn top_bit(word: u64) -> i64 {
    63 - word.leading_zeros() as i64
}
