//! How a level's decrease is shared out between those ahead of us and those behind (Rigtorp 2013, "Estimating order queue
//! position"; simulation.md 2, "Models").

/// Quantity ahead once a level went from `before` to `now`, `cancelled` of it beyond what was printed; `behind(front, back)` is
/// the part of a cancel that was behind.
#[inline]
pub fn shared_out(front: f64, before: f64, now: f64, cancelled: f64, behind: impl Fn(f64, f64) -> f64) -> f64 {
    if cancelled < 0.0 {
        return front.min(now);
    }
    let back = before - front;
    let part = behind(front, back);
    let part = if part.is_infinite() { 1.0 } else { part };
    // More than there was behind us cannot have gone there: the rest was ahead.
    let estimate = front - (1.0 - part) * cancelled + (back - part * cancelled).min(0.0);
    // `min` of a NaN and a number is the number.
    estimate.min(now)
}

/// Quantity ahead where all that was cancelled was ahead. What a print has left for us (below zero) stays.
#[inline]
pub fn all_ahead(front: f64, cancelled: f64) -> f64 {
    if cancelled > 0.0 { (front - cancelled).max(front.min(0.0)) } else { front }
}
