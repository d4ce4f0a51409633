//! tickerml-venue
