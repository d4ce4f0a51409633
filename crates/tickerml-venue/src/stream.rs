//! Stream names: what a client subscribes to, and which of a venue's entry points carries it (exchanges.md 1.4 and 3.1).
use tickerml_core::instrument::Venue;

/// A kind of market data about one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Diffs of the full book, every so many ms; 0 as fast as the venue makes them.
    Depth(u16),
    /// Every fill.
    Trade,
    /// Fills of one taker at one price (futures: within 100 ms).
    AggTrade,
    /// Best bid and ask whenever one changes.
    BookTicker,
    /// Mark, index and funding, every so many ms.
    MarkPrice(u16),
}

/// A venue's door. Spot has one; futures split book and trades from prices of the venue's own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Spot: everything.
    All,
    /// Futures `/public`: depth, bookTicker and the undocumented trade.
    Public,
    /// Futures `/market`: aggTrade, markPrice.
    Market,
}

impl Entry {
    /// Whether this door carries the channel; a subscription to one that it does not carry is acknowledged and silent.
    pub fn carries(self, channel: Channel) -> bool {
        match (self, channel) {
            (Entry::All, _) => true,
            (Entry::Public, Channel::AggTrade | Channel::MarkPrice(_)) => false,
            (Entry::Public, _) => true,
            (Entry::Market, channel) => !Entry::Public.carries(channel),
        }
    }
}

const SPOT: [Channel; 5] =
    [Channel::Depth(100), Channel::Depth(1000), Channel::Trade, Channel::AggTrade, Channel::BookTicker];

const FUTURES: [Channel; 9] = [
    Channel::Depth(0),
    Channel::Depth(100),
    Channel::Depth(250),
    Channel::Depth(500),
    Channel::Trade,
    Channel::AggTrade,
    Channel::BookTicker,
    Channel::MarkPrice(1000),
    Channel::MarkPrice(3000),
];

impl Channel {
    /// Channels that a venue has.
    pub fn of(venue: Venue) -> &'static [Channel] {
        if venue.is_futures() { &FUTURES } else { &SPOT }
    }

    /// The part of a stream's name behind the symbol, as the venue writes it.
    pub fn suffix(self) -> String {
        match self {
            Channel::Depth(1000) | Channel::Depth(250) => "depth".to_owned(),
            Channel::Depth(ms) => format!("depth@{ms}ms"),
            Channel::Trade => "trade".to_owned(),
            Channel::AggTrade => "aggTrade".to_owned(),
            Channel::BookTicker => "bookTicker".to_owned(),
            Channel::MarkPrice(1000) => "markPrice@1s".to_owned(),
            Channel::MarkPrice(_) => "markPrice".to_owned(),
        }
    }

    /// Reads the part of a stream's name behind the symbol; none for a channel that the venue does not have.
    pub fn parse(venue: Venue, suffix: &str) -> Option<Channel> {
        let plain = match suffix {
            "depth@1000ms" | "depth@250ms" => "depth",
            "markPrice@3s" => "markPrice",
            other => other,
        };
        Channel::of(venue).iter().copied().find(|c| c.suffix() == plain)
    }
}

/// The name under which a stream's frames come: lower-case symbol, the channel as the venue writes it.
pub(crate) fn canonical(venue: Venue, name: &str) -> String {
    let (symbol, suffix) = name.split_once('@').unwrap_or((name, ""));
    let suffix = Channel::parse(venue, suffix).map_or_else(|| suffix.to_owned(), Channel::suffix);
    format!("{}@{suffix}", symbol.to_lowercase())
}

/// The channel of a stream's full name.
pub(crate) fn channel_of(venue: Venue, name: &str) -> Option<Channel> {
    Channel::parse(venue, name.split_once('@')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_doors_part_them() {
        for venue in Venue::ALL {
            for channel in Channel::of(venue) {
                assert_eq!(Channel::parse(venue, &channel.suffix()), Some(*channel));
                assert!(Entry::All.carries(*channel));
                assert_ne!(Entry::Public.carries(*channel), Entry::Market.carries(*channel));
            }
        }
        assert_eq!(Channel::parse(Venue::BinanceSpot, "depth@1000ms"), Some(Channel::Depth(1000)));
        assert_eq!(Channel::parse(Venue::BinanceSpot, "markPrice"), None);
        assert_eq!(Channel::parse(Venue::BinanceUsdm, "rpiDepth@500ms"), None);
        assert!(Entry::Market.carries(Channel::AggTrade) && !Entry::Market.carries(Channel::Depth(0)));
    }
}
