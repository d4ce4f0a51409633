//! The queue of REST requests of one venue: one at a time, within the weight budget, slower after failures.
use crate::budget::Budget;
use std::collections::VecDeque;

/// A request that has no answer after this is given up (the shell's own time-out is 10 s).
pub const ANSWER_MAX_NS: i64 = 15_000_000_000;
/// First wait after a failure or a snapshot that was too old; then twice and four times (exchanges.md 1.5).
const RETRY_NS: i64 = 500_000_000;
/// Wait of a 429 and of a 418 that do not say `Retry-After`.
const PAUSE_429_NS: i64 = 10_000_000_000;
const PAUSE_418_NS: i64 = 120_000_000_000;
/// Binance bans for up to three days.
const PAUSE_MAX_S: i64 = 3 * 86_400;
/// Jobs are one a book and kind; far above any plan's books.
const JOBS_MAX: usize = 20_000;
/// The weight window of every Binance venue.
const WEIGHT_WINDOW_NS: i64 = 60_000_000_000;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Metadata of the configured symbols, or of all.
    ExchangeInfo {
        /// Without naming symbols: the answer is larger, but tells which symbol does not exist.
        all: bool,
    },
    /// A book's snapshot.
    Snapshot {
        /// Shard index.
        shard: usize,
        /// Symbol index in the shard.
        symbol: usize,
    },
    /// A small look at a book whose stream is silent.
    Probe {
        /// Shard index.
        shard: usize,
        /// Symbol index in the shard.
        symbol: usize,
    },
}

impl What {
    /// Word in the REST record's head.
    pub const fn name(self) -> &'static str {
        match self {
            What::ExchangeInfo { .. } => "exchange_info",
            What::Snapshot { .. } => "depth",
            What::Probe { .. } => "probe",
        }
    }
}

/// An answer, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestAnswer {
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as it came.
    pub body: Vec<u8>,
    /// Why no answer came; empty otherwise.
    pub error: String,
}

impl RestAnswer {
    /// A header as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.headers.iter().find(|(n, _)| n == name)?.1.trim().parse().ok()
    }
}

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Dense in the process.
    pub id: u64,
    /// What it is for.
    pub what: What,
    /// When it went out, receive-stamp time.
    pub sent_ts_ns: i64,
    sent_ns: i64,
    attempts: u32,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    what: What,
    not_before_ns: i64,
    attempts: u32,
}

/// Requests of one venue.
#[derive(Debug)]
pub struct RestQueue {
    jobs: VecDeque<Job>,
    sent: Option<Sent>,
    weight: Budget,
    paused_until_ns: i64,
}

impl RestQueue {
    /// A queue under `weight_per_min`.
    pub fn new(weight_per_min: u32) -> Self {
        RestQueue {
            jobs: VecDeque::new(),
            sent: None,
            weight: Budget::new(weight_per_min, WEIGHT_WINDOW_NS),
            paused_until_ns: i64::MIN,
        }
    }

    /// Adds a request unless the same one waits or is on its way.
    pub fn want(&mut self, what: What, not_before_ns: i64) {
        let known = self.sent.is_some_and(|s| s.what == what) || self.jobs.iter().any(|j| j.what == what);
        if !known && self.jobs.len() < JOBS_MAX {
            self.jobs.push_back(Job { what, not_before_ns, attempts: 0 });
        }
    }

    /// Drops waiting requests that nobody needs any more.
    pub fn keep(&mut self, mut needed: impl FnMut(What) -> bool) {
        self.jobs.retain(|job| needed(job.what));
    }

    /// The next request that may go out now, if any. `weight_of` is its cost.
    pub fn next(&mut self, id: u64, now_ns: i64, ts_ns: i64, weight_of: impl Fn(What) -> u32) -> Option<Sent> {
        if self.sent.is_some() || now_ns < self.paused_until_ns {
            return None;
        }
        let at = self.jobs.iter().position(|job| job.not_before_ns <= now_ns)?;
        let cost = weight_of(self.jobs[at].what);
        if self.weight.ready_at(now_ns, cost) > now_ns {
            return None;
        }
        let job = self.jobs.remove(at)?;
        self.weight.spend(now_ns, cost);
        self.sent = Some(Sent { id, what: job.what, sent_ts_ns: ts_ns, sent_ns: now_ns, attempts: job.attempts });
        self.sent
    }

    /// Takes the request that `id` answers; none for an answer that nobody waits for.
    pub fn answered(&mut self, id: u64) -> Option<Sent> {
        self.sent.take_if(|sent| sent.id == id)
    }

    /// Takes a request whose answer is overdue.
    pub fn overdue(&mut self, now_ns: i64) -> Option<Sent> {
        self.sent.take_if(|sent| now_ns - sent.sent_ns >= ANSWER_MAX_NS)
    }

    /// Counts what the venue says we used, and pauses when it says so: then for how long, ns.
    pub fn obey(&mut self, answer: &RestAnswer, now_ns: i64) -> Option<i64> {
        if let Some(used) = answer.number("x-mbx-used-weight-1m").and_then(|n| u32::try_from(n).ok()) {
            self.weight.observe(now_ns, used);
        }
        let default_ns = match answer.status {
            429 => PAUSE_429_NS,
            418 => PAUSE_418_NS,
            _ => return None,
        };
        let asked_ns = answer.number("retry-after").map(|s| s.clamp(1, PAUSE_MAX_S) * 1_000_000_000);
        let pause_ns = asked_ns.unwrap_or(default_ns);
        self.paused_until_ns = self.paused_until_ns.max(now_ns.saturating_add(pause_ns));
        Some(pause_ns)
    }

    /// True while the venue has told us to wait.
    pub const fn paused(&self, now_ns: i64) -> bool {
        now_ns < self.paused_until_ns
    }

    /// Puts a failed request back, half a second later, then one, then two.
    pub fn retry(&mut self, sent: Sent, now_ns: i64) {
        let wait_ns = RETRY_NS << sent.attempts.min(2);
        self.jobs.push_back(Job { what: sent.what, not_before_ns: now_ns + wait_ns, attempts: sent.attempts + 1 });
    }

    /// Weight used in the last minute.
    pub fn weight_used(&mut self, now_ns: i64) -> u32 {
        self.weight.used(now_ns)
    }

    /// True when something waits and nothing is on its way.
    pub fn idle_with_jobs(&self) -> bool {
        self.sent.is_none() && !self.jobs.is_empty()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MS: i64 = 1_000_000;
    const A: What = What::Snapshot { shard: 0, symbol: 0 };
    const B: What = What::Snapshot { shard: 0, symbol: 1 };

    fn answer(status: u16, headers: &[(&str, &str)]) -> RestAnswer {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        RestAnswer { status, headers, ..RestAnswer::default() }
    }

    #[test]
    fn one_at_a_time_each_once_in_order() {
        let mut queue = RestQueue::new(1_000);
        for what in [A, B, A] {
            queue.want(what, 0);
        }
        assert_eq!(queue.next(1, 0, 0, |_| 250).unwrap().what, A);
        queue.want(A, 0);
        assert_eq!(queue.next(2, 0, 0, |_| 250), None);
        assert_eq!(queue.answered(9), None);
        assert!(queue.answered(1).is_some());
        assert_eq!(queue.next(2, 0, 0, |_| 250).unwrap().what, B);
        assert_eq!(queue.overdue(ANSWER_MAX_NS - 1), None);
        assert_eq!(queue.overdue(ANSWER_MAX_NS).unwrap().what, B);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn failures_wait_longer_and_budgets_hold() {
        let mut queue = RestQueue::new(500);
        queue.want(A, 0);
        let mut now = 0;
        for wait_ms in [500, 1_000, 2_000, 2_000] {
            let sent = queue.next(1, now, 0, |_| 1).unwrap();
            queue.answered(1);
            queue.retry(sent, now);
            assert_eq!(queue.next(1, now + (wait_ms - 1) * MS, 0, |_| 1), None);
            now += wait_ms * MS;
        }
        assert_eq!(queue.next(1, now, 0, |_| 497), None, "4 of 500 are spent");
        assert!(queue.next(1, now, 0, |_| 496).is_some());
    }

    #[test]
    fn retry_after_pauses_the_venue() {
        for (status, headers, pause_ms) in
            [(429, &[("retry-after", "7")][..], 7_000), (429, &[], 10_000), (418, &[], 120_000)]
        {
            let mut queue = RestQueue::new(500);
            queue.want(A, 0);
            queue.obey(&answer(status, headers), 0);
            assert_eq!(queue.next(1, (pause_ms - 1) * MS, 0, |_| 1), None, "{status}");
            assert!(queue.next(1, pause_ms * MS, 0, |_| 1).is_some());
        }
        let mut queue = RestQueue::new(500);
        queue.want(A, 0);
        queue.obey(&answer(200, &[("x-mbx-used-weight-1m", "499")]), 0);
        assert_eq!(queue.next(1, 0, 0, |_| 2), None);
    }
}
