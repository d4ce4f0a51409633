//! Serves a venue from a configuration as JSON (default `{}`), prints where, and stays until told to stop:
//! `cargo run -p tickerml-venue --example serve -- '{"seed":7}'`.
use std::time::Duration;
use tickerml_venue::{config::Config, error::Error, server::Server};

fn main() -> Result<(), Error> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "{}".to_owned());
    let server = Server::start(&Config::from_json(&text)?)?;
    let urls = server.urls();
    println!("ws_url={} rest_url={} control_url={}", urls.ws_url, urls.rest_url, urls.control_url);
    while !server.wait(Duration::from_secs(3_600)) {}
    Ok(())
}
