//! Time of each stage on the real recordings: ns a level.
//!
//! Reads `TICKERML_RECORDINGS` (or `../shared/data` beside the project) and says so where it is absent.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::read::GzDecoder;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use tickerml_core::book::Book;
use tickerml_core::event::Row;
use tickerml_core::wire::{Body, Scale, decode, head};

const FEEDS: [(&str, &str, Scale); 2] = [
    ("usdm", "binance_usdm/usdm_btcusdt_20240808.gz", Scale { price_precision: 2, qty_precision: 3 }),
    ("spot", "binance_spot/spot_btcusdt_20240809.gz", Scale { price_precision: 2, qty_precision: 8 }),
];

fn recordings() -> PathBuf {
    std::env::var_os("TICKERML_RECORDINGS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from)
}

/// The depth frames of a recording.
fn depth_frames(file: &Path) -> Option<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    GzDecoder::new(std::fs::File::open(file).ok()?).read_to_end(&mut text).ok()?;
    let payload = |line: &[u8]| line.iter().position(|&b| b == b' ').map(|at| line[at + 1..].to_vec());
    Some(
        text.split(|&b| b == b'\n')
            .filter_map(payload)
            .filter(|frame| frame.starts_with(b"{\"stream\"") && frame.windows(6).take(40).any(|w| w == b"@depth"))
            .collect(),
    )
}

fn stages(c: &mut Criterion) {
    for (name, file, scale) in FEEDS {
        let Some(frames) = depth_frames(&recordings().join(file)) else {
            println!("{name}: no recording at {file}, skipped");
            continue;
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut largest = (0, 0);
        let mut levels = 0;
        for (n, frame) in frames.iter().enumerate() {
            rows.clear();
            decode(frame, scale, &mut rows).expect("a recorded frame");
            levels += rows.len();
            largest = largest.max((rows.len(), n));
        }
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(levels as u64));
        group.bench_function("decode", |b| {
            b.iter(|| {
                for frame in &frames {
                    rows.clear();
                    black_box(decode(frame, scale, &mut rows).unwrap());
                }
            });
        });
        group.bench_function("decode+book", |b| {
            b.iter(|| {
                let mut book = Book::new();
                for frame in &frames {
                    rows.clear();
                    let decoded = decode(frame, scale, &mut rows).unwrap();
                    if let Body::Depth(_) = decoded.body {
                        for &row in &rows {
                            book.apply(row);
                        }
                    }
                    black_box((book.best_bid(), book.best_ask()));
                }
            });
        });
        group.bench_function("head", |b| {
            b.iter(|| {
                for frame in &frames {
                    black_box(head(frame).unwrap());
                }
            });
        });
        group.throughput(Throughput::Elements(largest.0 as u64));
        group.bench_function("largest message", |b| {
            let mut book = Book::new();
            b.iter(|| {
                rows.clear();
                decode(&frames[largest.1], scale, &mut rows).unwrap();
                for &row in &rows {
                    black_box(book.apply(row));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
