//! REST depth with faults: request in, answer out. Virtual time, no socket.
use super::{Fault, Injector, Place, Strike};
use crate::dialect::error_body;
use crate::market::Market;

const MINUTE_NS: i64 = 60_000_000_000;

/// An answer and when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside type and length.
    pub headers: Vec<(String, String)>,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
    /// Not before this venue time, ns.
    pub ready_ns: i64,
}

/// The REST side of one venue: request weights, bans, faults.
#[derive(Debug, Default)]
pub struct Desk {
    minute: i64,
    used_weight: u64,
    banned_until_ns: i64,
    ban_status: u16,
}

impl Desk {
    /// A desk that nobody has asked yet.
    pub fn new() -> Desk {
        Desk::default()
    }

    /// Answers a depth request made at `now_ns`.
    pub fn depth(&mut self, market: &Market, query: (&str, usize), injector: &mut Injector, now_ns: i64) -> Answer {
        let (symbol, limit) = query;
        let Some(number) = market.find(symbol) else {
            return answer(400, error_body(-1121, "Invalid symbol."), now_ns);
        };
        let (limit, weight) = limit_and_weight(market.venue().is_futures(), limit);
        if let Some(refusal) = self.refuse(market, weight, now_ns) {
            return refusal;
        }
        let strike = injector.strike(Place::Snapshot, symbol, true);
        let mut reply = match strike {
            Some(strike) => self.faulty(market, (number, limit), strike, injector, now_ns),
            None => answer(200, market.snapshot(number, limit).unwrap_or_default(), now_ns),
        };
        reply.headers.push(("X-MBX-USED-WEIGHT-1M".to_owned(), self.used_weight.to_string()));
        reply
    }

    /// Counts weight; refuses while banned and above the venue's limit a minute.
    fn refuse(&mut self, market: &Market, weight: u64, now_ns: i64) -> Option<Answer> {
        if now_ns < self.banned_until_ns {
            return Some(self.banned(now_ns));
        }
        let minute = now_ns / MINUTE_NS;
        if self.minute != minute {
            (self.minute, self.used_weight) = (minute, 0);
        }
        self.used_weight += weight;
        let most = if market.venue().is_futures() { 2_400 } else { 6_000 };
        (self.used_weight > most).then(|| self.ban(429, (minute + 1) * MINUTE_NS, now_ns))
    }

    fn ban(&mut self, status: u16, until_ns: i64, now_ns: i64) -> Answer {
        (self.ban_status, self.banned_until_ns) = (status, until_ns);
        self.banned(now_ns)
    }

    fn banned(&self, now_ns: i64) -> Answer {
        let seconds = (self.banned_until_ns - now_ns + 999_999_999) / 1_000_000_000;
        let text = "Too much request weight used; current limit is reached. Please use WebSocket Streams instead.";
        let mut reply = answer(self.ban_status, error_body(-1003, text), now_ns);
        reply.headers.push(("Retry-After".to_owned(), seconds.to_string()));
        reply
    }

    fn faulty(
        &mut self,
        market: &Market,
        (number, limit): (usize, usize),
        strike: Strike,
        injector: &mut Injector,
        now_ns: i64,
    ) -> Answer {
        let body = || market.snapshot(number, limit).unwrap_or_default();
        match strike.fault {
            Fault::Slow => answer(200, body(), now_ns + strike.lasts_ns),
            Fault::Stale => answer(200, stale(market, number, limit, injector), now_ns),
            Fault::Mismatched => answer(200, mismatched(market, number, limit), now_ns),
            Fault::Status429 => self.ban(429, now_ns + strike.lasts_ns, now_ns),
            Fault::Status418 => self.ban(418, now_ns + strike.lasts_ns, now_ns),
            Fault::Html => {
                let page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
                Answer { content_type: "text/html", ..answer(200, page.to_owned(), now_ns) }
            }
            Fault::HalfBody => {
                let whole = body();
                answer(200, whole[..whole.len() / 2].to_owned(), now_ns)
            }
            _ => {
                let status = [500, 502, 503, 504][injector.rng().below(4) as usize];
                answer(status, error_body(-1001, "Internal error; unable to process your request."), now_ns)
            }
        }
    }
}

/// A true book, up to twenty thousand changes old.
fn stale(market: &Market, number: usize, limit: usize, injector: &mut Injector) -> String {
    let listing = &market.listings()[number];
    let back = 100 + injector.rng().below(20_000) as usize;
    let id = listing.history().id_before(back).unwrap_or(listing.history().last_id());
    listing.snapshot_at(id, limit, market.now_ns()).unwrap_or_default()
}

/// The book with an id from long before: of another node, say. It must be refused, because it lies before every diff that
/// the client can have. (An id that lies among them with a wrong body cannot be told on Binance: rules.md 6.)
fn mismatched(market: &Market, number: usize, limit: usize) -> String {
    let listing = &market.listings()[number];
    listing.body(listing.history().levels(), listing.history().last_id() / 2, limit, market.now_ns())
}

/// The limit that is really given, and the weight that it costs (exchanges.md 1.5, 3.4).
fn limit_and_weight(futures: bool, limit: usize) -> (usize, u64) {
    if futures {
        let limit = [5, 10, 20, 50, 100, 500].into_iter().find(|l| limit <= *l).unwrap_or(1_000);
        return (limit, [(50, 2), (100, 5), (500, 10)].into_iter().find(|(l, _)| limit <= *l).map_or(20, |(_, w)| w));
    }
    let weight = [(100, 5), (500, 25), (1_000, 50)].into_iter().find(|(l, _)| limit <= *l).map_or(250, |(_, w)| w);
    (limit.clamp(1, 5_000), weight)
}

fn answer(status: u16, body: String, ready_ns: i64) -> Answer {
    Answer { status, headers: Vec::new(), content_type: "application/json;charset=UTF-8", body, ready_ns }
}
