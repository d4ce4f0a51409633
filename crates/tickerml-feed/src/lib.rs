//! tickerml-feed
