//! REST requests: when they go out, what their records hold, and what an answer means.
use super::books::scale;
use super::venues::explain;
use super::{Action, Supervisor};
use crate::rest::{RestAnswer, Sent, What};
use crate::tape_port::Tape;
use tickerml_core::event::Row;
use tickerml_core::instrument::Venue;
use tickerml_core::tape::{RecordKind, RestHead};
use tickerml_core::wire;

/// Levels of a probe, the cheapest that every venue has.
const PROBE_LIMIT: u32 = 5;
/// Weight of exchangeInfo on the dearest venue (exchanges.md 1.7); of a probe (1.5, 3.4).
const INFO_WEIGHT: u32 = 20;
const PROBE_WEIGHT: u32 = 5;
/// Headers that are kept in the record.
const HEADERS_KEPT: [&str; 4] = ["retry-after", "x-mbx-used-weight-1m", "content-type", "date"];

impl<T: Tape> Supervisor<T> {
    /// An answer came, or the request failed.
    pub fn answered(&mut self, id: u64, now_ns: i64, answer: &RestAnswer) {
        if self.stopped {
            return;
        }
        for venue in 0..self.venues.len() {
            if let Some(sent) = self.venues[venue].rest.answered(id) {
                self.conclude(venue, sent, now_ns, answer);
            }
        }
        self.pump_rest(now_ns);
    }

    /// Sends what may be sent; at most one request a venue is on its way.
    pub(super) fn pump_rest(&mut self, now_ns: i64) {
        for venue in 0..self.venues.len() {
            if let Some(sent) = self.venues[venue].rest.overdue(now_ns) {
                let answer = RestAnswer { error: "no answer in time".to_owned(), ..RestAnswer::default() };
                self.conclude(venue, sent, now_ns, &answer);
            }
            let venue_works = self.venues[venue].blocked.is_none() && self.tape_stalled_since_ns.is_none();
            if venue_works && self.venues[venue].rest.idle_with_jobs() {
                self.send_next(venue, now_ns);
            }
        }
    }

    fn send_next(&mut self, venue: usize, now_ns: i64) {
        let ts_ns = self.anchor.stamp(now_ns).recv_ns;
        let snapshot_weight = self.plan.venues[venue].snapshot_weight;
        let weight = |what| match what {
            What::ExchangeInfo { .. } => INFO_WEIGHT,
            What::Snapshot { .. } => snapshot_weight,
            What::Probe { .. } => PROBE_WEIGHT,
        };
        let mut queue = std::mem::replace(&mut self.venues[venue].rest, crate::rest::RestQueue::new(1));
        queue.keep(|what| self.needed(what));
        let sent = queue.next(self.requests + 1, now_ns, ts_ns, weight);
        self.venues[venue].rest = queue;
        if let Some(sent) = sent {
            self.requests = sent.id;
            self.counters.requests += 1;
            let url = self.url(venue, sent.what);
            self.actions.push(Action::Request { id: sent.id, url });
        }
    }

    fn needed(&self, what: What) -> bool {
        match what {
            What::ExchangeInfo { .. } => true,
            What::Snapshot { shard, symbol } => self.wants(shard, symbol),
            What::Probe { shard, .. } => self.lane_open(shard, 0) || self.lane_open(shard, 1),
        }
    }

    fn conclude(&mut self, venue: usize, sent: Sent, now_ns: i64, answer: &RestAnswer) {
        self.record_answer(venue, sent, now_ns, answer);
        if let Some(pause_ns) = self.venues[venue].rest.obey(answer, now_ns) {
            let name = self.plan.venues[venue].venue;
            let detail = format!("{name}: REST, HTTP {}: {} s", answer.status, pause_ns / 1_000_000_000);
            self.health(0, now_ns, "budget", "paused", &detail);
        }
        if matches!(answer.status, 451 | 403) {
            let url = self.plan.venues[venue].rest_url.clone();
            self.block_venue(venue, answer.status, url, now_ns);
            return;
        }
        if answer.status != 200 {
            self.counters.rest_errors += 1;
            let (what, why) = (self.describe(venue, sent.what), explain(answer));
            let host = self.plan.venues[venue].rest_url.clone();
            self.note_failure(venue, &host, &why);
            self.errors.push(format!("{what}: {why}"));
        }
        let done = match sent.what {
            What::ExchangeInfo { all } => self.apply_metadata(venue, all, answer, now_ns),
            What::Snapshot { shard, symbol } => {
                let id = self.depth_id(shard, symbol, answer);
                if id.is_none() && answer.status == 200 {
                    self.want_metadata(venue, now_ns);
                }
                id.is_some_and(|id| self.apply_snapshot((shard, symbol), (id, sent.sent_ts_ns), now_ns))
            }
            What::Probe { shard, symbol } => {
                if let Some(id) = self.depth_id(shard, symbol, answer) {
                    self.apply_probe(shard, symbol, id, now_ns);
                }
                true
            }
        };
        if !done && self.fatal.is_none() {
            self.venues[venue].rest.retry(sent, now_ns);
        }
    }

    /// `lastUpdateId` of a body that is a whole snapshot of this instrument; the tape's reader judges by the same rule.
    fn depth_id(&mut self, shard: usize, symbol: usize, answer: &RestAnswer) -> Option<u64> {
        if answer.status != 200 {
            return None;
        }
        let plan = &self.shards[shard].plan;
        let instrument = self.venues[plan.venue].instruments.iter().find(|i| i.symbol == plan.symbols[symbol])?;
        let scale = scale(instrument);
        let mut rows: Vec<Row> = Vec::new();
        match wire::depth_snapshot(&answer.body, scale, &mut rows) {
            Ok((id, _)) => Some(id),
            Err(error) => {
                self.counters.rest_errors += 1;
                let id = self.instrument_id(shard, symbol);
                self.errors.push(format!("{id}: snapshot refused: {error}"));
                None
            }
        }
    }

    fn record_answer(&mut self, venue: usize, sent: Sent, now_ns: i64, answer: &RestAnswer) {
        let kept = |(name, _): &&(String, String)| HEADERS_KEPT.contains(&name.as_str());
        let head = RestHead {
            id: sent.id,
            what: sent.what.name().to_owned(),
            symbol: self.symbol(sent.what).to_owned(),
            url: self.url(venue, sent.what),
            sent_ts_ns: sent.sent_ts_ns,
            status: answer.status,
            headers: answer.headers.iter().filter(kept).cloned().collect(),
            error: answer.error.clone(),
        };
        let slot = self.plan.rest_slots[venue];
        self.append(RecordKind::Rest, slot, now_ns, &head.encode(&answer.body));
    }

    fn symbol(&self, what: What) -> &str {
        match what {
            What::ExchangeInfo { .. } => "",
            What::Snapshot { shard, symbol } | What::Probe { shard, symbol } => {
                &self.shards[shard].plan.symbols[symbol]
            }
        }
    }

    fn describe(&self, venue: usize, what: What) -> String {
        format!("{}: {} {}", self.plan.venues[venue].venue, what.name(), self.symbol(what))
    }

    fn url(&self, venue: usize, what: What) -> String {
        let config = &self.plan.venues[venue];
        let base = config.rest_url.trim_end_matches('/');
        let (depth, info) = config.rest_paths();
        match what {
            What::ExchangeInfo { all: true } => format!("{base}{info}"),
            What::ExchangeInfo { all: false } => {
                format!("{base}{info}{}", symbols_query(config.venue, &config.symbols))
            }
            What::Snapshot { .. } => {
                format!("{base}{depth}?symbol={}&limit={}", escape(self.symbol(what)), config.snapshot_limit)
            }
            What::Probe { .. } => format!("{base}{depth}?symbol={}&limit={PROBE_LIMIT}", escape(self.symbol(what))),
        }
    }
}

/// Spot answers for named symbols only; futures always give all of theirs.
fn symbols_query(venue: Venue, symbols: &[String]) -> String {
    if venue.is_futures() {
        return String::new();
    }
    let quoted: Vec<String> = symbols.iter().map(|s| format!("%22{}%22", escape(s))).collect();
    format!("?symbols=%5B{}%5D", quoted.join(","))
}

/// Percent-encodes what is not unreserved: symbols may be non-ASCII (exchanges.md 1.7).
fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
