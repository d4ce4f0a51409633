//! How a level's decrease is shared out between those ahead of us and those behind (Rigtorp 2013, "Estimating order queue
//! position"; simulation.md 2, "Models").
use super::Place;

/// Moves `place` for a level that went from `before` to `now`; `behind(front, back)` is the part of a cancel that was behind.
#[inline]
pub fn shared_out(place: &mut Place, before: f64, now: f64, behind: impl Fn(f64, f64) -> f64) {
    // What was printed has moved us already.
    let cancelled = before - now - place.traded;
    place.traded = 0.0;
    if cancelled < 0.0 {
        place.cap(now);
        return;
    }
    let front = place.front;
    let back = before - front;
    let part = behind(front, back);
    let part = if part.is_infinite() { 1.0 } else { part };
    // More than there was behind us cannot have gone there: the rest was ahead.
    let estimate = front - (1.0 - part) * cancelled + (back - part * cancelled).min(0.0);
    // `min` of a NaN and a number is the number.
    place.front = estimate.min(now);
}
