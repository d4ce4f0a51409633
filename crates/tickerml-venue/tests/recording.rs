//! A recording over real sockets: the same bytes, the snapshot at its place, a normal close at the end.
mod support;

use futures_util::StreamExt;
use std::io::Write;
use std::time::Duration;
use support::{get, serve, socket};
use tokio_tungstenite::tungstenite::Message;

const SNAPSHOT: &str = r#"{"lastUpdateId":102, "bids":[["1.00","5"]],"asks":[["1.10","4"]]}"#;

/// Ten diffs 100 ms apart, a trade after each, the snapshot after the third diff.
fn lines() -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for n in 0..10u64 {
        let at = 1_723_161_600_000_000_000 + n * 100_000_000;
        let id = 100 + n;
        lines.push((at, format!(r#"{{"stream":"aaausdt@depth@100ms","data":{{"e":"depthUpdate","U":{id},"u":{id},"b":[["1.0{n}","2"]],"a":[]}}}}"#)));
        lines.push((
            at + 5,
            format!(r#"{{"stream":"aaausdt@trade","data":{{"e":"trade","t":{n},"p":"1.05","q":"0.5"}}}}"#),
        ));
        if n == 2 {
            lines.push((at + 50_000_000, SNAPSHOT.to_owned()));
        }
    }
    lines
}

fn write_files(name: &str) -> [String; 2] {
    let dir = std::env::temp_dir();
    let write = |part: usize, lines: &[(u64, String)], gzip: bool| {
        let path = dir.join(format!("venue-{name}-{part}-{}", std::process::id()));
        let text: String = lines.iter().map(|(at, line)| format!("{at} {line}\n")).collect();
        let mut bytes = text.into_bytes();
        if gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes).and_then(|()| encoder.try_finish()).expect("packs");
            bytes = encoder.finish().expect("packs");
        }
        std::fs::write(&path, bytes).expect("writes");
        path.to_string_lossy().into_owned()
    };
    let all = lines();
    [write(1, &all[..8], true), write(2, &all[8..], false)]
}

async fn play(url: &str) -> Vec<String> {
    let mut ws = socket(url).await;
    let mut got = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(20), ws.next()).await.expect("silent").expect("no close frame") {
            Ok(Message::Text(text)) => got.push(text.to_string()),
            Ok(Message::Close(frame)) => {
                assert_eq!(u16::from(frame.expect("a code").code), 1000);
                return got;
            }
            other => assert!(matches!(other, Ok(Message::Ping(_))), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_recorded_bytes_come_in_order_and_then_a_normal_close() {
    let files = write_files("bytes");
    let config =
        serde_json::json!({"recording": {"files": files, "instrument": "binance_spot:AAAUSDT", "speed": 20.0}});
    let (server, base) = serve(&config.to_string());
    let (_, _, info) = get(&base, "/binance_spot/api/v3/exchangeInfo").await;
    assert!(info.contains(r#""tickSize":"0.01000000""#) && info.contains(r#""stepSize":"0.50000000""#), "{info}");
    let snapshot = {
        let base = base.clone();
        // Asked before anybody listens: it is kept waiting until the recording reaches its place.
        tokio::spawn(async move { get(&base, "/binance_spot/api/v3/depth?symbol=AAAUSDT&limit=5000").await })
    };
    let url = format!("ws://{base}/binance_spot/stream?streams=aaausdt@depth@100ms/aaausdt@trade");
    let want: Vec<String> = lines().into_iter().map(|(_, l)| l).filter(|l| l.contains("stream")).collect();
    assert_eq!(play(&url).await, want);
    let (status, _, body) = snapshot.await.expect("ends");
    assert_eq!((status, body.as_str()), (200, SNAPSHOT), "byte for byte");
    assert!(server.wait(Duration::from_secs(5)));
    let (_, _, info) = get(&base, "/control/info").await;
    assert!(info.contains(r#""source":"recording""#) && info.contains(r#""ended":true"#), "{info}");
    files.iter().for_each(|f| std::fs::remove_file(f).expect("was written"));
    server.stop();
}

#[tokio::test]
async fn only_subscribed_streams_come_and_any_depth_cadence_will_do() {
    let files = write_files("some");
    let config =
        serde_json::json!({"recording": {"files": files, "instrument": "binance_spot:AAAUSDT", "speed": 100.0}});
    let (server, base) = serve(&config.to_string());
    let got = play(&format!("ws://{base}/binance_spot/stream?streams=aaausdt@depth")).await;
    let want: Vec<String> = lines().into_iter().map(|(_, l)| l).filter(|l| l.contains("depthUpdate")).collect();
    assert_eq!(got, want);
    files.iter().for_each(|f| std::fs::remove_file(f).expect("was written"));
    server.stop();
}
