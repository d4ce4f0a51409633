//! Which door a path leads to. The path alone tells WebSocket, REST and control apart.
use crate::stream::Entry;
use tickerml_core::instrument::Venue;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A WebSocket. `raw` frames come without the combined wrapper.
    Socket {
        /// Whose streams.
        venue: Venue,
        /// Which door; none for a futures path that has been retired: it opens and stays silent.
        entry: Option<Entry>,
        /// `/ws` rather than `/stream`.
        raw: bool,
        /// Stream named in the path (`/ws/<stream>`).
        named: Option<String>,
    },
    /// A REST endpoint, for example `depth`.
    Rest {
        /// Whose.
        venue: Venue,
        /// Name behind `/api/v3/` and its like.
        endpoint: String,
    },
    /// A control command, for example `info`.
    Control(String),
    /// Nothing.
    Unknown,
}

/// Reads a path such as `/binance_usdm/public/stream` or `/binance_spot/api/v3/depth`.
pub fn route(path: &str) -> Route {
    let mut parts = path.trim_matches('/').split('/');
    let first = parts.next().unwrap_or("");
    let rest: Vec<&str> = parts.collect();
    if first == "control" {
        return Route::Control(rest.join("/"));
    }
    let Ok(venue) = first.parse::<Venue>() else { return Route::Unknown };
    match rest[..] {
        [family, version, endpoint] if (family, version) == rest_base(venue) => {
            Route::Rest { venue, endpoint: endpoint.to_owned() }
        }
        _ => socket(venue, &rest).unwrap_or(Route::Unknown),
    }
}

/// The two parts of a REST path before the endpoint.
fn rest_base(venue: Venue) -> (&'static str, &'static str) {
    match venue {
        Venue::BinanceSpot | Venue::BinanceUs => ("api", "v3"),
        Venue::BinanceUsdm => ("fapi", "v1"),
        Venue::BinanceCoinm => ("dapi", "v1"),
    }
}

fn socket(venue: Venue, rest: &[&str]) -> Option<Route> {
    let (entry, rest) = match rest {
        ["public", rest @ ..] if venue.is_futures() => (Some(Entry::Public), rest),
        ["market", rest @ ..] if venue.is_futures() => (Some(Entry::Market), rest),
        rest => (if venue.is_futures() { None } else { Some(Entry::All) }, rest),
    };
    let (raw, named) = match rest {
        ["stream"] => (false, None),
        ["ws"] => (true, None),
        ["ws", stream] => (true, Some((*stream).to_owned())),
        _ => return None,
    };
    Some(Route::Socket { venue, entry, raw, named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_doors() {
        let socket = |venue, entry, raw, named: Option<&str>| Route::Socket {
            venue,
            entry,
            raw,
            named: named.map(str::to_owned),
        };
        let rest = |venue, endpoint: &str| Route::Rest { venue, endpoint: endpoint.to_owned() };
        for (path, want) in [
            ("/binance_spot/stream", socket(Venue::BinanceSpot, Some(Entry::All), false, None)),
            ("/binance_spot/ws/a@trade", socket(Venue::BinanceSpot, Some(Entry::All), true, Some("a@trade"))),
            ("/binance_usdm/public/stream", socket(Venue::BinanceUsdm, Some(Entry::Public), false, None)),
            ("/binance_usdm/market/ws", socket(Venue::BinanceUsdm, Some(Entry::Market), true, None)),
            ("/binance_usdm/stream", socket(Venue::BinanceUsdm, None, false, None)),
            ("/binance_spot/api/v3/depth", rest(Venue::BinanceSpot, "depth")),
            ("/binance_usdm/fapi/v1/exchangeInfo", rest(Venue::BinanceUsdm, "exchangeInfo")),
            ("/binance_usdm/api/v3/depth", Route::Unknown),
            ("/control/info", Route::Control("info".to_owned())),
            ("/binance_spot/market/stream", Route::Unknown),
            ("/", Route::Unknown),
        ] {
            assert_eq!(route(path), want, "{path}");
        }
    }
}
