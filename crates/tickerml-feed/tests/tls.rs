//! Certificates that must be refused, each with a reason that a person can act on; and one that must not.
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tickerml_feed::shell::dial::Dialer;
use tickerml_feed::shell::http::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, as a server shows it.
struct Shown(CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, valid in these years, signed by `by` or by itself.
fn certificate(name: &str, years: (i32, i32), by: Option<&CertifiedIssuer<'static, KeyPair>>) -> Shown {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Shown(certificate.der().clone(), key)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A dialer that trusts `authority` and nothing else.
fn dialer(authority: &CertifiedIssuer<'static, KeyPair>) -> Dialer {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder =
        rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Dialer::with_tls(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What a GET of `https://localhost` gives when the server shows this.
async fn ask(dialer: &Dialer, shown: Shown) -> tickerml_feed::rest::RestAnswer {
    let builder =
        rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![shown.0], shown.1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let serve = async {
        let (tcp, _) = listener.accept().await.unwrap();
        // A refused handshake is what most of these are about.
        if let Ok(mut tls) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await {
            let _ = tls.read(&mut [0; 4096]).await.unwrap();
            tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            tls.flush().await.unwrap();
        }
    };
    tokio::join!(get(dialer, &url), serve).0
}

#[test]
fn only_a_valid_certificate_of_a_trusted_authority_is_accepted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (trusted, other) = (authority(), authority());
    let dialer = dialer(&trusted);
    let by = Some(&trusted);
    runtime.block_on(async {
        let good = ask(&dialer, certificate("localhost", (2020, 2090), by)).await;
        assert_eq!((good.status, good.body.as_slice(), good.error.as_str()), (200, &b"ok"[..], ""));
        for (shown, word) in [
            (certificate("localhost", (2000, 2001), by), "expired"),
            (certificate("localhost", (2090, 2091), by), "clock"),
            (certificate("example.org", (2020, 2090), by), "not valid for name"),
            (certificate("localhost", (2020, 2090), None), "UnknownIssuer"),
            // The stranger has the name of the trusted one, but not its key.
            (certificate("localhost", (2020, 2090), Some(&other)), "BadSignature"),
        ] {
            let refused = ask(&dialer, shown).await;
            assert_eq!(refused.status, 0, "{word}");
            let text = refused.error.to_lowercase();
            assert!(
                text.contains("tls with localhost refused") && text.contains(&word.to_lowercase()),
                "{}",
                refused.error
            );
        }
    });
}
