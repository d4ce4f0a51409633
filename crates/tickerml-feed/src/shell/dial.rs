//! TCP and TLS connections: rustls with ring and the system's roots, no way to switch verification off.
use crate::config::Url;
use rustls::pki_types::ServerName;
use std::cell::OnceCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One address of a host gets this long, so that a black hole (IPv6 without a route) leaves time for the next one.
const ADDRESS_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 6;

/// Makes connections; loads the roots once, when TLS is first needed.
#[derive(Default)]
pub struct Dialer {
    tls: OnceCell<TlsConnector>,
}

impl Dialer {
    /// A dialer with the system's roots.
    pub fn new() -> Self {
        Dialer::default()
    }

    /// A dialer that trusts what `config` trusts: for tests with their own authority.
    pub fn with_tls(config: rustls::ClientConfig) -> Self {
        Dialer { tls: OnceCell::from(TlsConnector::from(Arc::new(config))) }
    }

    /// Connects to the host of `url`.
    ///
    /// # Errors
    /// What failed, in words.
    pub async fn connect(&self, url: &Url) -> Result<Stream, String> {
        let tcp = self.tcp(url).await?;
        tcp.set_nodelay(true).map_err(|e| format!("{}: {e}", url.host))?;
        if !url.tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(url.host.clone()).map_err(|_| format!("{:?} is no host name", url.host))?;
        let tls = self.connector()?.connect(name, tcp).await;
        tls.map(|s| Stream::Tls(Box::new(s))).map_err(|e| tls_words(&url.host, &e))
    }

    async fn tcp(&self, url: &Url) -> Result<TcpStream, String> {
        let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
        let mut addresses: Vec<_> = found.map_err(|e| format!("cannot resolve {}: {e}", url.host))?.collect();
        // IPv4 first: every venue has it, and a broken IPv6 route is the commoner fault of home lines.
        addresses.sort_by_key(std::net::SocketAddr::is_ipv6);
        let mut last = format!("{} has no address", url.host);
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = format!("cannot connect to {address}: {error}"),
                Err(_) => last = format!("cannot connect to {address}: no answer"),
            }
        }
        Err(last)
    }

    fn connector(&self) -> Result<&TlsConnector, String> {
        if let Some(connector) = self.tls.get() {
            return Ok(connector);
        }
        let connector = TlsConnector::from(Arc::new(system_tls()?));
        Ok(self.tls.get_or_init(|| connector))
    }
}

fn system_tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("the system has no root certificates: install the package ca-certificates".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| format!("TLS: {e}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn tls_words(host: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let lower = text.to_lowercase();
    let clock = lower.contains("expired") || lower.contains("notvalidyet") || lower.contains("not valid yet");
    let hint = if clock { "; is this machine's clock right?" } else { "" };
    format!("TLS with {host} refused: {text}{hint}")
}

/// A connection with or without TLS.
pub enum Stream {
    /// Loopback only (see [`Url::parse`]).
    Plain(TcpStream),
    /// Everything else.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
