//! The first contact with each venue, and what it means for the run when there is none.
use super::Supervisor;
use crate::rest::RestAnswer;
use crate::tape_port::Tape;

/// How long a venue is tried before its first connection opens (contract.md: exit 1 after the retry budget). A router that
/// starts with us needs half of it. Once a venue was reached it is tried for ever.
pub const FIRST_CONTACT_MAX_NS: i64 = 60_000_000_000;

/// How far the first contact with a venue has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contact {
    /// Since when it is tried: metadata first, then a connection.
    pub since_ns: i64,
    /// A connection was open.
    pub reached: bool,
    /// What went wrong last, with the host.
    pub failure: String,
    /// The budget is used up: in words.
    pub unreachable: Option<String>,
}

impl Contact {
    /// In words, while the venue is out of reach.
    pub fn now_unreachable(&self) -> Option<String> {
        self.unreachable.clone().filter(|_| !self.reached)
    }
}

impl<T: Tape> Supervisor<T> {
    /// Something failed at a host of the venue: remembered for the case that nothing ever succeeds.
    pub(super) fn note_failure(&mut self, venue: usize, host: &str, why: &str) {
        self.venues[venue].contact.failure = format!("{host}: {why}");
    }

    /// Counts the time that each venue has had. Time in which we may not or cannot ask is the venue's or the disk's own.
    pub(super) fn watch_contacts(&mut self, now_ns: i64) {
        for venue in 0..self.venues.len() {
            if self.venues[venue].blocked.is_some() {
                continue;
            }
            let held = self.tape_stalled_since_ns.is_some()
                || self.venues[venue].rest.paused(now_ns)
                || self.venues[venue].connect_after_ns > now_ns;
            let contact = &mut self.venues[venue].contact;
            if contact.reached || contact.unreachable.is_some() {
                continue;
            }
            if held {
                contact.since_ns = now_ns;
            } else if now_ns - contact.since_ns >= FIRST_CONTACT_MAX_NS {
                self.give_up(venue, now_ns);
            }
        }
    }

    /// The budget is used up. The venue is tried on for those that can wait for it.
    fn give_up(&mut self, venue: usize, now_ns: i64) {
        let name = self.plan.venues[venue].venue;
        let seconds = FIRST_CONTACT_MAX_NS / 1_000_000_000;
        let text = format!("{name}: no contact within {seconds} s: {}", self.venues[venue].contact.failure);
        self.health(0, now_ns, "venue", "unreachable", &text);
        self.errors.push(text.clone());
        self.venues[venue].contact.unreachable = Some(text);
        self.end_without_venues();
    }

    /// Nothing can be recorded where every venue is blocked or out of reach.
    pub(super) fn end_without_venues(&mut self) {
        let why = |v: &super::Venue| v.blocked.clone().or_else(|| v.contact.now_unreachable());
        let all: Option<Vec<String>> = self.venues.iter().map(why).collect();
        if let Some(all) = all {
            self.fatal.get_or_insert_with(|| all.join("; "));
        }
    }
}

/// Why an answer is of no use, with the venue's own words where it is short.
pub(super) fn explain(answer: &RestAnswer) -> String {
    const WORDS_MAX: usize = 160;
    if answer.status == 0 {
        return answer.error.clone();
    }
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(WORDS_MAX)]).replace(['\r', '\n'], " ");
    format!("HTTP {} {text}", answer.status)
}
