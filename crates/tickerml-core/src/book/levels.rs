//! One side of a book: quantity by key, and the keys in order. The best level is the greatest key.
//!
//! Quantities stand in pages of 64 neighbouring keys, found by one table: prices that change together lie together, and no key
//! is hashed or compared. Order comes from [`Tree`], a window of bits over the prices; a word of its lowest layer is a page.
//! Keys outside the widest window, which no real instrument has near its touch, go to a sorted map.
use super::tree::Tree;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Window of a side when its first level comes, in price steps.
const SPAN_MIN: i64 = 1 << 18;
/// Widest window: 2^30 steps are 10.7 million dollars at a cent; 192 MiB of address space, committed only where levels lie.
const SPAN_MAX: i64 = 1 << 30;
/// Keys of a page: those of a word of [`Tree`].
const PAGE: usize = 64;
/// The page of keys without one. It is never written, so that reading needs no question.
const NO_PAGE: u32 = 0;
/// Below every key.
const NO_KEY: i64 = i64::MIN;

/// Levels of one side.
#[derive(Debug, Clone)]
pub struct Levels {
    /// The page of each word of the window.
    pages: Vec<u32>,
    /// Quantities, page by page; 0 where there is no level.
    qtys: Vec<i64>,
    /// Pages that hold no level any more.
    free: Vec<u32>,
    live: usize,
    tree: Tree,
    far: BTreeMap<i64, i64>,
    /// [`NO_KEY`] without any.
    best: i64,
}

impl Levels {
    /// Sets the quantity of a level, 0 deletes it; returns what stood there.
    #[inline]
    pub fn set(&mut self, key: i64, qty: i64) -> i64 {
        if !self.tree.covers(key) && !self.widen(key) {
            return self.set_far(key, qty);
        }
        let at = self.tree.place(key);
        let mut page = self.pages[at / PAGE];
        if page == NO_PAGE {
            if qty == 0 {
                return 0;
            }
            page = self.open_page(at / PAGE);
        }
        let before = std::mem::replace(&mut self.qtys[page as usize * PAGE + at % PAGE], qty);
        // Whether a level comes or goes is anyone's guess, so nothing here branches on it.
        let (was, is) = (before != 0, qty != 0);
        self.live = self.live + usize::from(is) - usize::from(was);
        if self.tree.put(at, is) {
            self.free.push(page);
            self.pages[at / PAGE] = NO_PAGE;
        }
        if key >= self.best {
            self.touched(key, is);
        }
        before
    }

    /// Quantity of a level, 0 where there is none.
    #[inline]
    pub fn get(&self, key: i64) -> i64 {
        if !self.tree.covers(key) {
            return self.far.get(&key).copied().unwrap_or(0);
        }
        let at = self.tree.place(key);
        self.qtys[self.pages[at / PAGE] as usize * PAGE + at % PAGE]
    }

    /// The greatest key.
    #[inline]
    pub fn best(&self) -> Option<i64> {
        (self.best != NO_KEY).then_some(self.best)
    }

    /// Number of levels.
    pub fn len(&self) -> usize {
        self.live + self.far.len()
    }

    /// Levels from the best on, as (key, quantity).
    pub fn descending(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        std::iter::successors(self.best(), |&key| self.below(key)).map(|key| (key, self.get(key)))
    }

    /// Deletes every level.
    pub fn clear(&mut self) {
        while let Some(key) = self.tree.last() {
            let at = self.tree.place(key);
            self.pages[at / PAGE] = NO_PAGE;
            self.tree.put(at, false);
        }
        self.qtys.truncate(PAGE);
        self.free.clear();
        self.far.clear();
        (self.live, self.best) = (0, NO_KEY);
    }

    /// A key at or above the best was set.
    fn touched(&mut self, key: i64, is: bool) {
        if is {
            self.best = key;
        } else if key == self.best {
            self.best = self.below(key).unwrap_or(NO_KEY);
        }
    }

    /// A page without levels, for a word of the window that has none.
    #[cold]
    fn open_page(&mut self, word: usize) -> u32 {
        let page = self.free.pop().unwrap_or_else(|| {
            self.qtys.resize(self.qtys.len() + PAGE, 0);
            (self.qtys.len() / PAGE - 1) as u32
        });
        self.pages[word] = page;
        page
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

    #[cold]
    fn set_far(&mut self, key: i64, qty: i64) -> i64 {
        let before = if qty == 0 { self.far.remove(&key) } else { self.far.insert(key, qty) };
        self.best = self.tree.last().unwrap_or(NO_KEY).max(self.far_best());
        before.unwrap_or(0)
    }

    fn far_best(&self) -> i64 {
        self.far.last_key_value().map_or(NO_KEY, |(&key, _)| key)
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
        let levels: Vec<_> = self.descending().filter(|(key, _)| self.tree.covers(*key)).collect();
        self.tree = Tree::new(base, span);
        self.pages = vec![NO_PAGE; self.tree.words()];
        self.qtys = vec![0; PAGE];
        self.free.clear();
        (self.live, self.best) = (0, self.far_best());
        for (key, qty) in levels {
            self.set(key, qty);
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
}

impl Default for Levels {
    fn default() -> Self {
        Levels {
            pages: Vec::new(),
            qtys: Vec::new(),
            free: Vec::new(),
            live: 0,
            tree: Tree::default(),
            far: BTreeMap::new(),
            best: NO_KEY,
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
