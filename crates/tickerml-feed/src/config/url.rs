//! The URLs that a feed connects to.

/// The parts of a URL that a connection needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// True for `https` and `wss`.
    pub tls: bool,
    /// Host without brackets.
    pub host: String,
    /// Port, the scheme's own where none is given.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

impl Url {
    /// Reads `http`, `https`, `ws` and `wss` URLs. Without TLS only loopback is allowed: market data over plain text
    /// could be changed by anyone on the way.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let bad = |why: &str| format!("URL {text:?}: {why}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no scheme"))?;
        let tls = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(bad("scheme must be http, https, ws or wss")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("must not hold a user or password"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("has a bad port"))?;
        if host.is_empty() || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("has no host, or spaces in its path"));
        }
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !tls && !loopback {
            return Err(bad("plain text is allowed on loopback only; use https or wss"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { tls, host: host.to_owned(), port, path })
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_tls_are_for_loopback_only() {
        let url = Url::parse("http://[::1]:8080/a?b=c").unwrap();
        assert_eq!(url, Url { tls: false, host: "::1".into(), port: 8080, path: "/a?b=c".into() });
        assert_eq!(Url::parse("wss://h").unwrap(), Url { tls: true, host: "h".into(), port: 443, path: "/".into() });
        for bad in ["http://example.com", "ftp://h", "h", "https://", "https://h:x", "https://u:p@h", "https://h/a b"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
