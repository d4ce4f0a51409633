//! A book order by order: true places in the queues, from feeds that name every order (Bitstamp's order events, Coinbase's full
//! channel; exchanges.md 5.5). What it knows is what queue models are measured against.
use crate::sim::{Observed, QueueFit, Side};
use std::collections::BTreeMap;

/// Orders of one price, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Queue {
    orders: Vec<(u64, i64)>,
    qty: i64,
}

impl Queue {
    fn at(&self, id: u64) -> Option<usize> {
        self.orders.iter().position(|o| o.0 == id)
    }
}

/// The book of one instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct L3Book {
    levels: BTreeMap<(i8, i64), Queue>,
    // Looked up, never iterated.
    places: BTreeMap<u64, (Side, i64)>,
}

/// Something that happened to an order; the numbers are the `kind` column of [`fit_queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum L3Kind {
    /// It begins to rest with `qty`.
    Open = 1,
    /// `qty` of it was executed.
    Fill = 2,
    /// `qty` of it was cancelled.
    Cancel = 3,
}

impl L3Kind {
    /// The kind with this number.
    pub const fn from_u8(n: u8) -> Option<L3Kind> {
        Some(match n {
            1 => L3Kind::Open,
            2 => L3Kind::Fill,
            3 => L3Kind::Cancel,
            _ => return None,
        })
    }
}

/// An event of an order-by-order feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L3Event {
    /// When, ns.
    pub ts_ns: i64,
    /// What.
    pub kind: L3Kind,
    /// The order.
    pub id: u64,
    /// Its side.
    pub side: Side,
    /// Its price, scaled.
    pub px: i64,
    /// Quantity, scaled.
    pub qty: i64,
}

impl L3Book {
    /// An empty book.
    pub fn new() -> Self {
        L3Book::default()
    }

    /// An order goes to the end of its price's queue. False where the id rests already, or nothing is left of it.
    pub fn open(&mut self, id: u64, side: Side, px: i64, qty: i64) -> bool {
        if qty <= 0 || self.places.contains_key(&id) {
            return false;
        }
        self.places.insert(id, (side, px));
        let queue = self.levels.entry((side as i8, px)).or_default();
        queue.orders.push((id, qty));
        queue.qty += qty;
        true
    }

    /// An order that rested before the feed began: where ids grow with time, as Bitstamp's do, its id says before whom.
    pub fn open_before(&mut self, id: u64, side: Side, px: i64, qty: i64) -> bool {
        let opened = self.open(id, side, px, qty);
        if opened && let Some(queue) = self.levels.get_mut(&(side as i8, px)) {
            let place = queue.orders.iter().position(|o| o.0 > id).unwrap_or(queue.orders.len() - 1);
            queue.orders[place..].rotate_right(1);
        }
        opened
    }

    /// `qty` of an order is gone; its place stays. Returns the quantity that was ahead of it, none for an id that does not rest.
    pub fn reduce(&mut self, id: u64, qty: i64) -> Option<i64> {
        let ahead = self.ahead_of(id)?;
        let &(side, px) = self.places.get(&id)?;
        let queue = self.levels.get_mut(&(side as i8, px))?;
        let at = queue.at(id)?;
        let gone = qty.clamp(0, queue.orders[at].1);
        queue.orders[at].1 -= gone;
        queue.qty -= gone;
        if queue.orders[at].1 == 0 {
            queue.orders.remove(at);
            self.places.remove(&id);
            if queue.orders.is_empty() {
                self.levels.remove(&(side as i8, px));
            }
        }
        Some(ahead)
    }

    /// Quantity ahead of a resting order.
    pub fn ahead_of(&self, id: u64) -> Option<i64> {
        let queue = self.queue_of(id)?;
        Some(queue.orders.iter().take_while(|o| o.0 != id).map(|o| o.1).sum())
    }

    /// What is left of a resting order.
    pub fn qty_of(&self, id: u64) -> Option<i64> {
        let queue = self.queue_of(id)?;
        queue.at(id).map(|at| queue.orders[at].1)
    }

    /// Orders that rest at the price of this one, itself included.
    pub fn orders_beside(&self, id: u64) -> Option<usize> {
        self.queue_of(id).map(|queue| queue.orders.len())
    }

    /// Displayed quantity at a price.
    pub fn qty_at(&self, side: Side, px: i64) -> i64 {
        self.levels.get(&(side as i8, px)).map_or(0, |queue| queue.qty)
    }

    /// Levels of a side, best first: (price, quantity).
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        let all =
            self.levels.range((side as i8, i64::MIN)..=(side as i8, i64::MAX)).map(|(key, queue)| (key.1, queue.qty));
        if side == Side::Buy { Box::new(all.rev()) } else { Box::new(all) }
    }

    fn queue_of(&self, id: u64) -> Option<&Queue> {
        let &(side, px) = self.places.get(&id)?;
        self.levels.get(&(side as i8, px))
    }
}

/// A level as it was at the last look.
struct Before {
    qty: i64,
    /// (id, ahead, quantity)
    orders: Vec<(u64, i64, i64)>,
    traded: i64,
}

/// Measures the curve of the queue model `fitted`: every resting order is an observer of its level, looked at every `look_ns`.
///
/// Events must be in the order of the feed; fills and cancels of orders that do not rest are passed over.
pub fn fit_queue(events: impl Iterator<Item = L3Event>, look_ns: i64) -> QueueFit {
    let (mut book, mut fit) = (L3Book::new(), QueueFit::new());
    let mut touched: BTreeMap<(i8, i64), Before> = BTreeMap::new();
    let mut next_ns = i64::MIN;
    for event in events {
        if event.ts_ns >= next_ns {
            look(&book, &mut touched, &mut fit);
            next_ns = (event.ts_ns.div_euclid(look_ns) + 1) * look_ns;
        }
        let key = (event.side as i8, event.px);
        let before = touched.entry(key).or_insert_with(|| Before::of(book.levels.get(&key)));
        match event.kind {
            L3Kind::Open => {
                book.open(event.id, event.side, event.px, event.qty);
            }
            L3Kind::Fill | L3Kind::Cancel => {
                if book.reduce(event.id, event.qty).is_some() && event.kind == L3Kind::Fill {
                    before.traded += event.qty;
                }
            }
        }
    }
    look(&book, &mut touched, &mut fit);
    fit
}

impl Before {
    fn of(queue: Option<&Queue>) -> Before {
        let mut ahead = 0;
        let orders = queue.iter().flat_map(|q| &q.orders).map(|&(id, qty)| {
            ahead += qty;
            (id, ahead - qty, qty)
        });
        let orders = orders.collect();
        Before { qty: queue.map_or(0, |q| q.qty), orders, traded: 0 }
    }
}

fn look(book: &L3Book, touched: &mut BTreeMap<(i8, i64), Before>, fit: &mut QueueFit) {
    for (key, before) in std::mem::take(touched) {
        let Some(queue) = book.levels.get(&key) else { continue };
        let mut ahead = 0;
        for &(id, qty) in &queue.orders {
            // One whose own quantity changed is no bystander.
            if let Some(&(_, front, _)) = before.orders.iter().find(|o| o.0 == id && o.2 == qty) {
                fit.observe(Observed {
                    before: (before.qty - qty) as f64,
                    now: (queue.qty - qty) as f64,
                    traded: before.traded as f64,
                    front_before: front as f64,
                    front_now: ahead as f64,
                });
            }
            ahead += qty;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn places_are_those_of_a_plain_list() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let (mut book, mut list): (L3Book, Vec<(u64, i64, i64)>) = (L3Book::new(), Vec::new());
            for id in 0..300 {
                let (px, qty) = (rng.below(3) as i64, 1 + rng.below(5) as i64);
                if rng.chance(0.5) {
                    assert!(book.open(id, Side::Buy, px, qty) && !book.open(id, Side::Buy, px, qty));
                    list.push((id, px, qty));
                } else if !list.is_empty() {
                    let at = rng.below(list.len() as u64) as usize;
                    let (gone, px, left) = list[at];
                    let ahead: i64 = list[..at].iter().filter(|o| o.1 == px).map(|o| o.2).sum();
                    assert_eq!(book.reduce(gone, qty), Some(ahead));
                    list[at].2 -= qty.min(left);
                    list.retain(|o| o.2 > 0);
                }
                for px in 0..3 {
                    assert_eq!(book.qty_at(Side::Buy, px), list.iter().filter(|o| o.1 == px).map(|o| o.2).sum::<i64>());
                }
            }
            assert!(book.levels(Side::Buy).map(|l| l.0).collect::<Vec<_>>().is_sorted_by(|a, b| a > b));
            assert_eq!((book.levels(Side::Sell).count(), book.reduce(9999, 1)), (0, None));
        }
    }

    #[test]
    fn what_rested_before_stands_first() {
        let mut book = L3Book::new();
        book.open(7, Side::Sell, 5, 2);
        assert!(book.open_before(3, Side::Sell, 5, 4));
        assert_eq!((book.ahead_of(7), book.ahead_of(3), book.orders_beside(7)), (Some(4), Some(0), Some(2)));
    }

    #[test]
    fn cancels_from_the_tail_are_seen_as_such() {
        let mut events = Vec::new();
        let mut at = |kind, id, qty| events.push(L3Event { ts_ns: 0, kind, id, side: Side::Buy, px: 9, qty });
        (0..200).for_each(|id| at(L3Kind::Open, id, 10));
        (100..200).rev().for_each(|id| at(L3Kind::Cancel, id, 10));
        for (n, event) in events.iter_mut().enumerate() {
            event.ts_ns = n as i64;
        }
        let share = fit_queue(events.into_iter(), 1).share();
        assert!(share[..16].iter().all(|s| *s < 1e-6), "{share:?}");
    }
}
