//! The prints of the last five minutes: the unit of a place in the queue, and what an order's size is compared with.
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How long a print counts.
const WINDOW_NS: i64 = 300_000_000_000;
/// Most prints that are kept, 16 bytes each; a busier market has a shorter window.
const PRINTS_MAX: usize = 1 << 16;
/// Up to so many prints the median is that of the moment; of more it may be ten seconds old, for it takes long to find.
const AT_ONCE_MAX: usize = 256;
const MEDIAN_AGE_NS: i64 = 10_000_000_000;

/// Sizes of the prints of five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prints {
    recent: VecDeque<(i64, i64)>,
    volume: i128,
    /// Median, and when it was taken.
    median: Option<(i64, i64)>,
    /// Room to work in; empty between two uses.
    #[serde(skip)]
    sizes: Vec<i64>,
}

impl Prints {
    /// A print of `qty` at `at_ns`, which never goes back.
    #[inline]
    pub fn push(&mut self, at_ns: i64, qty: i64) {
        if self.recent.len() == PRINTS_MAX {
            self.pop();
        }
        self.forget(at_ns);
        self.recent.push_back((at_ns, qty));
        self.volume += i128::from(qty);
    }

    /// Sum of the sizes.
    pub fn volume(&mut self, now_ns: i64) -> i64 {
        self.forget(now_ns);
        i64::try_from(self.volume).unwrap_or(i64::MAX)
    }

    /// Median of the sizes, of an even number the mean of the middle two, rounded down; 0 without a print.
    pub fn median(&mut self, now_ns: i64) -> i64 {
        self.forget(now_ns);
        match self.median {
            Some((at_ns, median))
                if self.recent.len() > AT_ONCE_MAX && now_ns < at_ns.saturating_add(MEDIAN_AGE_NS) =>
            {
                median
            }
            _ => {
                self.sizes.extend(self.recent.iter().map(|print| print.1));
                let median = median_of(&mut self.sizes);
                self.sizes.clear();
                self.median = Some((now_ns, median));
                median
            }
        }
    }

    #[inline]
    fn forget(&mut self, now_ns: i64) {
        while self.recent.front().is_some_and(|print| print.0 <= now_ns.saturating_sub(WINDOW_NS)) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        self.volume -= self.recent.pop_front().map_or(0, |print| i128::from(print.1));
    }
}

fn median_of(sizes: &mut [i64]) -> i64 {
    if sizes.is_empty() {
        return 0;
    }
    let middle = sizes.len() / 2;
    let even = sizes.len().is_multiple_of(2);
    let (below, &mut upper, _) = sizes.select_nth_unstable(middle);
    let lower = if even { below.iter().copied().max().unwrap_or(upper) } else { upper };
    lower + (upper - lower) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_are_forgotten_after_five_minutes() {
        let mut p = Prints::default();
        assert_eq!((p.median(0), p.volume(0)), (0, 0));
        for (at, qty) in [(0, 7), (1, 3), (2, 100)] {
            p.push(at, qty);
        }
        assert_eq!((p.median(2), p.volume(2)), (7, 110));
        assert_eq!((p.median(WINDOW_NS), p.volume(WINDOW_NS)), (51, 103), "of two the mean, rounded down");
        assert_eq!((p.median(WINDOW_NS + 2), p.volume(WINDOW_NS + 2)), (0, 0));
    }

    #[test]
    fn memory_and_work_are_bounded() {
        let mut p = Prints::default();
        for n in 0..3 * PRINTS_MAX as i64 {
            p.push(n, n);
            let median = p.median(n);
            assert!(n < AT_ONCE_MAX as i64 || median <= n);
        }
        assert_eq!(p.recent.len(), PRINTS_MAX);
        assert_eq!(p.volume, p.recent.iter().map(|print| i128::from(print.1)).sum());
    }
}
