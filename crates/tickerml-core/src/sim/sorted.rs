//! A whole recording in venue time, known beforehand: only for comparisons that answer whatever has arrived.
use super::stand::VenueRows;
use crate::event::{Message, Row, RowKind};
use crate::event_set::EventSet;
use crate::units::UNDEF_TS_NS;
use std::sync::Arc;

/// Messages of each instrument by venue time; those of one time as they arrived.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sorted {
    set: Arc<EventSet>,
    lanes: Vec<Places>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Places {
    /// (Venue time, index of the message, index of its first row).
    order: Vec<(i64, u32, usize)>,
    next: usize,
}

/// One instrument's messages.
pub(super) struct Lane<'a> {
    set: &'a EventSet,
    places: &'a mut Places,
}

impl Sorted {
    /// Sorts by what `time` says of a message and its first row; messages without a time concern no venue.
    pub fn new(set: Arc<EventSet>, mut time: impl FnMut(&Message, Row) -> Option<i64>) -> Self {
        let mut lanes: Vec<Places> = Vec::new();
        let mut row = 0;
        for (n, message) in set.messages().iter().enumerate() {
            if let Some(first) = set.rows().get(row)
                && let Some(at_ns) = time(message, *first)
            {
                let lane = usize::from(message.instrument);
                if lanes.len() <= lane {
                    lanes.resize_with(lane + 1, Places::default);
                }
                lanes[lane].order.push((at_ns, n as u32, row));
            }
            row += message.rows as usize;
        }
        for lane in &mut lanes {
            lane.order.sort_by_key(|place| place.0);
        }
        Sorted { set, lanes }
    }

    pub fn lane(&mut self, n: usize) -> Option<Lane<'_>> {
        self.lanes.get_mut(n).map(|places| Lane { set: &self.set, places })
    }

    pub fn next_ns(&self, n: usize) -> i64 {
        self.lanes.get(n).and_then(|lane| lane.order.get(lane.next)).map_or(i64::MAX, |place| place.0)
    }
}

impl VenueRows for Lane<'_> {
    #[inline]
    fn next_ns(&self) -> i64 {
        self.places.order.get(self.places.next).map_or(i64::MAX, |place| place.0)
    }

    #[inline]
    fn pop(&mut self) -> Option<(i64, Message, usize)> {
        let &(at_ns, message, row) = self.places.order.get(self.places.next)?;
        self.places.next += 1;
        Some((at_ns, self.set.messages()[message as usize], row))
    }

    #[inline]
    fn rows(&self, first: usize, count: u32) -> &[Row] {
        &self.set.rows()[first..first + count as usize]
    }
}

/// The offset of profile `hftbacktest`: the least (arrival - venue stamp) of all depth and trade messages of an instrument, less
/// the base latency (contract.md, "Settings by name"); none without a stamp.
pub fn clock_offset_ns(set: &EventSet, instrument: u16, base_latency_ns: i64) -> Option<i64> {
    let mut row = 0;
    let mut least: Option<i64> = None;
    for message in set.messages() {
        let kind = set.rows()[row].kind();
        row += message.rows as usize;
        let counts = matches!(kind, RowKind::Bid | RowKind::Ask | RowKind::BuyTrade | RowKind::SellTrade);
        if counts && message.instrument == instrument && message.ts_event_ns != UNDEF_TS_NS {
            let difference = message.ts_recv_ns.saturating_sub(message.ts_event_ns);
            least = Some(least.map_or(difference, |least| least.min(difference)));
        }
    }
    least.map(|least| least.saturating_sub(base_latency_ns))
}
