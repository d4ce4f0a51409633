//! Matching: price-time priority with a true queue at every price.
//!
//! Prices are ticks, quantities lots. Every book-changing step is told as an [`Output`], in order, so that whoever listens
//! can rebuild the book from outputs alone. The engine knows nothing of time, names or text.
mod phantom;

pub use phantom::Phantoms;
use std::collections::{BTreeMap, HashMap};

/// Side of the book that an order rests on (or of the taker: a bid buys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buyers.
    Bid,
    /// Sellers.
    Ask,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Side {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }

    /// 0 for bids, 1 for asks.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a step did to the book. One output takes one update id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Side of the level that changed.
    pub side: Side,
    /// Its price, ticks.
    pub px: i64,
    /// Displayed quantity before, lots; 0 for a level that was not there.
    pub before: i64,
    /// Displayed quantity after, lots; 0 deletes.
    pub after: i64,
    /// The execution that changed it, none for a placement or a cancel.
    pub fill: Option<Fill>,
}

/// One execution between a resting and an incoming order, at the resting order's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Order that rested.
    pub maker: u64,
    /// Order that came.
    pub taker: u64,
    /// Lots.
    pub qty: i64,
}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    id: u64,
    side: Side,
    px: i64,
    qty: i64,
    before: u32,
    after: u32,
}

/// A price with its queue, oldest order first.
#[derive(Debug, Clone, Copy)]
struct Level {
    qty: i64,
    orders: u32,
    head: u32,
    tail: u32,
}

/// The matching engine of one instrument.
#[derive(Debug, Default)]
pub struct Engine {
    levels: [BTreeMap<i64, Level>; 2],
    nodes: Vec<Node>,
    free: Vec<u32>,
    // Looked up, never iterated: its order cannot leak into the output.
    index: HashMap<u64, u32>,
    last_id: u64,
    /// Orders that stand in the queues and weigh nothing.
    pub phantoms: Phantoms,
}

impl Engine {
    /// An empty book.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Places a limit order: takes what it may, rests the remainder. Returns its id; `px` and `qty` must be above zero.
    pub fn limit(&mut self, side: Side, px: i64, qty: i64, out: &mut Vec<Output>) -> u64 {
        assert!(px > 0 && qty > 0, "price and quantity of an order are above zero");
        let id = self.new_id();
        let left = self.take(id, side, px, qty, out);
        if left > 0 {
            self.rest(id, side, px, left, out);
        }
        id
    }

    /// An order that takes at once what stands at `px` or better and rests nothing. Returns its id and the lots executed.
    pub fn immediate(&mut self, side: Side, px: i64, qty: i64, out: &mut Vec<Output>) -> (u64, i64) {
        assert!(qty > 0, "quantity of an order is above zero");
        let id = self.new_id();
        let left = self.take(id, side, px, qty, out);
        (id, qty - left)
    }

    /// Takes a resting order out of its queue. Returns its remaining lots, none where it no longer rests.
    pub fn cancel(&mut self, id: u64, out: &mut Vec<Output>) -> Option<i64> {
        let slot = self.index.remove(&id)?;
        let node = self.nodes[slot as usize];
        self.unlink(slot);
        self.phantoms.gone(node.side, node.px, id, node.qty);
        self.reduce(node.side, node.px, node.qty, None, out);
        Some(node.qty)
    }

    /// Best price of a side.
    pub fn best(&self, side: Side) -> Option<i64> {
        let levels = &self.levels[side.index()];
        match side {
            Side::Bid => levels.last_key_value().map(|(px, _)| *px),
            Side::Ask => levels.first_key_value().map(|(px, _)| *px),
        }
    }

    /// Displayed lots at a price.
    pub fn qty_at(&self, side: Side, px: i64) -> i64 {
        self.levels[side.index()].get(&px).map_or(0, |level| level.qty)
    }

    /// Orders at a price.
    pub fn orders_at(&self, side: Side, px: i64) -> u32 {
        self.levels[side.index()].get(&px).map_or(0, |level| level.orders)
    }

    /// Youngest order at a price.
    pub fn youngest(&self, side: Side, px: i64) -> Option<u64> {
        self.levels[side.index()].get(&px).map(|level| self.nodes[level.tail as usize].id)
    }

    /// Orders of a price, oldest first: (id, lots).
    pub fn queue(&self, side: Side, px: i64) -> impl Iterator<Item = (u64, i64)> + '_ {
        let mut slot = self.levels[side.index()].get(&px).map_or(NONE, |level| level.head);
        std::iter::from_fn(move || {
            let node = self.nodes.get(slot as usize)?;
            slot = node.after;
            Some((node.id, node.qty))
        })
    }

    /// Places a phantom of this number behind what rests at a price; false where it would take.
    pub fn place_phantom(&mut self, number: usize, side: Side, px: i64) -> bool {
        if self.best(side.other()).is_some_and(|best| crosses(side, px, best)) {
            return false;
        }
        self.phantoms.place(number, side, px, self.last_id, self.qty_at(side, px));
        true
    }

    /// Side and price of a resting order.
    pub fn place_of(&self, id: u64) -> Option<(Side, i64)> {
        self.index.get(&id).map(|&slot| (self.nodes[slot as usize].side, self.nodes[slot as usize].px))
    }

    /// Lots queued before a resting order at its price.
    pub fn ahead_of(&self, id: u64) -> Option<i64> {
        let mut slot = self.nodes[*self.index.get(&id)? as usize].before;
        let mut ahead = 0;
        while slot != NONE {
            ahead += self.nodes[slot as usize].qty;
            slot = self.nodes[slot as usize].before;
        }
        Some(ahead)
    }

    /// Number of prices on a side.
    pub fn depth(&self, side: Side) -> usize {
        self.levels[side.index()].len()
    }

    /// Number of resting orders on both sides.
    pub fn orders(&self) -> usize {
        self.index.len()
    }

    /// Levels of a side, best first: (ticks, lots).
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        let all = self.levels[side.index()].iter().map(|(px, level)| (*px, level.qty));
        match side {
            Side::Bid => Box::new(all.rev()),
            Side::Ask => Box::new(all),
        }
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Executes against the other side down the queue of each price, best price first. Returns the lots left.
    fn take(&mut self, taker: u64, side: Side, limit: i64, mut qty: i64, out: &mut Vec<Output>) -> i64 {
        let other = side.other();
        while qty > 0 {
            let Some(px) = self.best(other).filter(|px| crosses(side, limit, *px)) else { break };
            let slot = self.levels[other.index()][&px].head;
            let node = &mut self.nodes[slot as usize];
            self.phantoms.passed(other, px, node.id);
            let done = qty.min(node.qty);
            node.qty -= done;
            qty -= done;
            let (maker, empty) = (node.id, node.qty == 0);
            if empty {
                self.index.remove(&maker);
                self.unlink(slot);
            }
            self.phantoms.gone(other, px, maker, done);
            self.reduce(other, px, done, Some(Fill { maker, taker, qty: done }), out);
        }
        if qty > 0 {
            self.phantoms.swept(other, limit);
        }
        qty
    }

    fn rest(&mut self, id: u64, side: Side, px: i64, qty: i64, out: &mut Vec<Output>) {
        let level = self.levels[side.index()].entry(px).or_insert(Level { qty: 0, orders: 0, head: NONE, tail: NONE });
        let node = Node { id, side, px, qty, before: level.tail, after: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot as usize] = node;
                slot
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        let before = level.qty;
        level.qty += qty;
        level.orders += 1;
        match level.tail {
            NONE => level.head = slot,
            tail => self.nodes[tail as usize].after = slot,
        }
        level.tail = slot;
        self.index.insert(id, slot);
        out.push(Output { side, px, before, after: before + qty, fill: None });
    }

    /// Takes a node out of its level's queue; the level's quantity is [`Engine::reduce`]'s part.
    fn unlink(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        if let Some(level) = self.levels[node.side.index()].get_mut(&node.px) {
            level.orders -= 1;
            if level.head == slot {
                level.head = node.after;
            }
            if level.tail == slot {
                level.tail = node.before;
            }
        }
        if node.before != NONE {
            self.nodes[node.before as usize].after = node.after;
        }
        if node.after != NONE {
            self.nodes[node.after as usize].before = node.before;
        }
        self.free.push(slot);
    }

    fn reduce(&mut self, side: Side, px: i64, qty: i64, fill: Option<Fill>, out: &mut Vec<Output>) {
        let levels = &mut self.levels[side.index()];
        let Some(level) = levels.get_mut(&px) else { return };
        let before = level.qty;
        level.qty -= qty;
        let after = level.qty;
        debug_assert!(after >= 0 && (after == 0) == (level.orders == 0));
        if after == 0 {
            levels.remove(&px);
        }
        out.push(Output { side, px, before, after, fill });
    }
}

fn crosses(taker: Side, limit: i64, px: i64) -> bool {
    match taker {
        Side::Bid => px <= limit,
        Side::Ask => px >= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_oldest_order_of_the_best_price_trades_first() {
        let (mut e, mut out) = (Engine::new(), Vec::new());
        let first = e.limit(Side::Ask, 101, 5, &mut out);
        let second = e.limit(Side::Ask, 101, 5, &mut out);
        let better = e.limit(Side::Ask, 100, 1, &mut out);
        assert_eq!(e.ahead_of(second), Some(5));
        out.clear();
        let (taker, done) = e.immediate(Side::Bid, 101, 8, &mut out);
        let fills: Vec<_> = out.iter().filter_map(|o| o.fill.map(|f| (f.maker, o.px, f.qty))).collect();
        assert_eq!(done, 8);
        assert_eq!(fills, [(better, 100, 1), (first, 101, 5), (second, 101, 2)]);
        assert!(out.iter().all(|o| o.fill.is_some_and(|f| f.taker == taker)));
        assert_eq!((e.qty_at(Side::Ask, 101), e.ahead_of(second)), (3, Some(0)));
    }

    #[test]
    fn a_cancel_in_the_middle_keeps_the_queue() {
        let (mut e, mut out) = (Engine::new(), Vec::new());
        let ids: Vec<u64> = (1..=4).map(|q| e.limit(Side::Bid, 50, q, &mut out)).collect();
        assert_eq!(e.cancel(ids[1], &mut out), Some(2));
        assert_eq!(e.cancel(ids[1], &mut out), None);
        assert_eq!((e.ahead_of(ids[3]), e.youngest(Side::Bid, 50)), (Some(4), Some(ids[3])));
        e.cancel(ids[3], &mut out);
        assert_eq!((e.youngest(Side::Bid, 50), e.orders_at(Side::Bid, 50)), (Some(ids[2]), 2));
    }

    /// Conservation and FIFO against a naive model: a plain list of orders in time order.
    #[test]
    fn random_orders_agree_with_a_naive_book() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let (mut e, mut out) = (Engine::new(), Vec::new());
            let mut naive: Vec<(u64, Side, i64, i64)> = Vec::new();
            let (mut placed, mut cancelled, mut filled) = (0, 0, 0);
            for _ in 0..400 {
                let side = if rng.chance(0.5) { Side::Bid } else { Side::Ask };
                let (px, qty) = (95 + rng.below(11) as i64, 1 + rng.below(9) as i64);
                out.clear();
                if rng.chance(0.3) && !naive.is_empty() {
                    let (id, ..) = naive.remove(rng.below(naive.len() as u64) as usize);
                    cancelled += e.cancel(id, &mut out).expect("it rests in both");
                } else {
                    let id = e.limit(side, px, qty, &mut out);
                    placed += qty;
                    let left = naive_take(&mut naive, side, px, qty, &out);
                    filled += 2 * (qty - left);
                    if left > 0 {
                        naive.push((id, side, px, left));
                    }
                }
                assert_eq!(naive.len(), e.orders());
            }
            let resting: i64 = naive.iter().map(|o| o.3).sum();
            let displayed: i64 = [Side::Bid, Side::Ask].iter().flat_map(|s| e.levels(*s)).map(|(_, q)| q).sum();
            assert_eq!((resting, placed), (displayed, cancelled + filled + resting));
            assert!(e.best(Side::Bid).unwrap_or(0) < e.best(Side::Ask).unwrap_or(i64::MAX));
        }
    }

    /// What the naive book would trade, checked fill by fill; returns the lots left.
    fn naive_take(book: &mut Vec<(u64, Side, i64, i64)>, side: Side, px: i64, mut qty: i64, out: &[Output]) -> i64 {
        let mut fills = out.iter().filter_map(|o| o.fill.map(|f| (f.maker, o.px, f.qty)));
        while qty > 0 {
            let key = |o: &(u64, Side, i64, i64)| (if side == Side::Bid { o.2 } else { -o.2 }, o.0);
            let Some(best) = book.iter().filter(|o| o.1 != side && crosses(side, px, o.2)).map(key).min() else {
                break;
            };
            let at = book.iter().position(|o| key(o) == best && o.1 != side).expect("just found");
            let done = qty.min(book[at].3);
            assert_eq!(fills.next(), Some((book[at].0, book[at].2, done)));
            qty -= done;
            book[at].3 -= done;
            if book[at].3 == 0 {
                book.remove(at);
            }
        }
        assert_eq!(fills.next(), None);
        qty
    }
}
