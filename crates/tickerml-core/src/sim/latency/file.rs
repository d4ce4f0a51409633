//! Latency `file:PATH`: orders that somebody sent, with what they took. Between two of them latency is interpolated, before the
//! first and behind the last it stays as it is there: hftbacktest's IntpOrderLatency, in the same layout (req_ts, exch_ts, resp_ts).
//!
//! `exch_ts <= 0` means that the venue refused the request for technical reasons, which is legal: a request sent in an interval
//! with such an end goes to nobody, and we hear of it after the interpolated resp_ts - req_ts. hftbacktest lets such a row bend the
//! responses of others too (its time of 0 becomes an end of the interpolation); here only orders that arrived say how long
//! responses take. `exch_ts` is venue time on our clock, as in our event files.
use super::Entry;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// req_ts, exch_ts and resp_ts of a file's rows, ns.
pub type Columns<'a> = [&'a [i64]; 3];

/// Measured latencies, in the order of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// (Request sent, latency until the venue; None where it was refused, until the answer), ns.
    entries: Vec<(i64, Option<i64>, i64)>,
    /// (Time at the venue, latency of the response), ns.
    responses: Vec<(i64, i64)>,
}

impl Recorded {
    /// Reads the columns of the file of this path.
    ///
    /// # Errors
    /// [`Error::BadLatency`] with the row: nothing there, times that go back, or a latency below 0.
    pub fn new(file: &str, [req_ns, exch_ns, resp_ns]: Columns<'_>) -> Result<Recorded> {
        let bad = |row: usize, reason: &'static str| Error::BadLatency { file: file.to_owned(), row, reason };
        if req_ns.is_empty() || req_ns.len() != exch_ns.len() || req_ns.len() != resp_ns.len() {
            return Err(bad(0, "it has no rows, or columns of different lengths; give one row an order"));
        }
        let (mut entries, mut responses) = (Vec::with_capacity(req_ns.len()), Vec::new());
        let (mut req_before, mut exch_before) = (i64::MIN, i64::MIN);
        for (row, ((&req, &exch), &resp)) in req_ns.iter().zip(exch_ns).zip(resp_ns).enumerate() {
            let refused = exch <= 0;
            if req <= 0 || req < req_before {
                return Err(bad(row, "req_ts goes back, or is not above 0; sort the file by it"));
            }
            if resp < req || (!refused && (exch < req || resp < exch)) {
                return Err(bad(row, "a latency is below 0: req_ts <= exch_ts <= resp_ts must hold"));
            }
            if !refused && exch < exch_before {
                return Err(bad(row, "exch_ts goes back: requests do not overtake; sort the file by it too"));
            }
            entries.push((req, (!refused).then_some(exch - req), resp - req));
            req_before = req;
            if !refused {
                responses.push((exch, resp - exch));
                exch_before = exch;
            }
        }
        Ok(Recorded { entries, responses })
    }

    /// For a request sent at `sent_ns`.
    pub fn entry(&self, sent_ns: i64) -> Entry {
        let next = self.entries.partition_point(|row| row.0 <= sent_ns);
        let (row, after) = match (next.checked_sub(1), self.entries.get(next)) {
            (Some(row), Some(after)) => (self.entries[row], *after),
            (Some(row), None) => (self.entries[row], self.entries[row]),
            (None, _) => (self.entries[0], self.entries[0]),
        };
        let between = |before_ns, after_ns| interpolate(sent_ns, (row.0, before_ns), (after.0, after_ns));
        match (row.1, after.1) {
            (Some(before_ns), Some(after_ns)) => Entry::Arrives(between(before_ns, after_ns)),
            _ => Entry::Refused(between(row.2, after.2)),
        }
    }

    /// For a report of venue time `at_ns`; 0 where no order ever arrived.
    pub fn response_ns(&self, at_ns: i64) -> i64 {
        let next = self.responses.partition_point(|row| row.0 <= at_ns);
        match (next.checked_sub(1).map(|at| self.responses[at]), self.responses.get(next)) {
            (Some(row), Some(after)) => interpolate(at_ns, row, *after),
            (Some(row), None) => row.1,
            (None, Some(first)) => first.1,
            (None, None) => 0,
        }
    }
}

/// The value at `x` between two points, with hftbacktest's rounding: towards the first value.
fn interpolate(x: i64, (x1, y1): (i64, i64), (x2, y2): (i64, i64)) -> i64 {
    if x2 <= x1 {
        return y1;
    }
    ((y2 - y1) as f64 / (x2 - x1) as f64 * (x - x1) as f64) as i64 + y1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_interpolated_between_orders_and_stays_at_the_ends() {
        let r = Recorded::new("", [&[100, 200, 300], &[110, 230, 350], &[115, 240, 380]]).unwrap();
        for (sent, want) in [(1, 10), (100, 10), (150, 20), (199, 29), (200, 30), (250, 40), (300, 50), (9_999, 50)] {
            assert_eq!(r.entry(sent), Entry::Arrives(want), "sent at {sent}");
        }
        for (at, want) in [(1, 5), (110, 5), (170, 7), (230, 10), (290, 20), (350, 30), (9_999, 30)] {
            assert_eq!(r.response_ns(at), want, "at {at}");
        }
    }

    #[test]
    fn a_refused_order_refuses_what_is_sent_beside_it_and_nothing_else() {
        let r = Recorded::new("", [&[100, 200, 300, 400], &[110, 0, 310, 410], &[120, 240, 320, 430]]).unwrap();
        assert_eq!(r.entry(150), Entry::Refused(30), "between 20 and 40");
        assert_eq!(r.entry(200), Entry::Refused(40));
        assert_eq!(r.entry(250), Entry::Refused(30));
        assert_eq!(r.entry(300), Entry::Arrives(10));
        assert_eq!(r.response_ns(210), 10, "between the two that arrived");
    }

    #[test]
    fn disorder_is_named_by_its_row() {
        for (req, exch, resp, row) in [
            (vec![], vec![], vec![], 0),
            (vec![100, 90], vec![110, 120], vec![120, 130], 1),
            (vec![100, 200], vec![110, 190], vec![120, 210], 1),
            (vec![100, 200], vec![110, 210], vec![105, 220], 0),
            (vec![100, 101], vec![210, 205], vec![220, 230], 1),
            (vec![0], vec![1], vec![2], 0),
        ] {
            let error = Recorded::new("a.npz", [&req, &exch, &resp]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.npz: row {row}: ")), "{error}");
        }
    }
}
