//! The best of a recorded book at given venue times: what a fill is marked against afterwards.
use super::clock::{Clock, ClockKind};
use super::in_venue_time;
use super::marks::Quote;
use super::sorted::clock_offset_ns;
use super::stand::VenueRows;
use crate::book::Book;
use crate::event::{BookState, RowKind};
use crate::event_set::EventSet;
use std::sync::Arc;

/// The best at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Best prices and quantities.
    pub quote: Quote,
    /// Number of the stretch during which the book was Live without a break, from 1; 0 where it was not, and outside of the input.
    pub stretch: u32,
}

/// The best of an instrument at the venue times `times_ns`, which must not go back: the book behind everything that
/// happened up to then, with the clock that a session would use.
///
/// Times behind the last message are unknown: what would have happened by then was not recorded.
pub fn quotes_at(
    set: &Arc<EventSet>,
    instrument: u16,
    kind: ClockKind,
    base_latency_ns: i64,
    times_ns: &[i64],
) -> Vec<Sample> {
    let clock = |n| match kind {
        ClockKind::Least => Clock::Fixed(clock_offset_ns(set, n, base_latency_ns).unwrap_or(0)),
        _ => Clock::new(kind, base_latency_ns),
    };
    let instruments = set.messages().iter().map(|m| m.instrument).max().map_or(0, |last| last + 1);
    let mut sorted = in_venue_time(set.clone(), (0..instruments).map(clock).collect(), base_latency_ns);
    let nothing = Sample { quote: Quote::NONE, stretch: 0 };
    let Some(mut lane) = sorted.lane(usize::from(instrument)) else { return vec![nothing; times_ns.len()] };
    let (mut book, mut live, mut stretch) = (Book::new(), false, 0);
    let mut samples = Vec::with_capacity(times_ns.len());
    for &time_ns in times_ns {
        while lane.next_ns() <= time_ns
            && let Some((_, message, first)) = lane.pop()
        {
            for &row in lane.rows(first, message.rows) {
                if row.kind() == RowKind::State {
                    let now = BookState::from_u8(row.px() as u8) == Some(BookState::Live);
                    stretch += u32::from(now && !live);
                    live = now;
                } else {
                    book.apply(row);
                }
            }
        }
        let known = live && lane.next_ns() != i64::MAX;
        samples.push(if known { Sample { quote: Quote::of(&book), stretch } } else { nothing });
    }
    samples
}
