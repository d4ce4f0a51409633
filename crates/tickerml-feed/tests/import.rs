//! Imports: merging, units of stamps, garbage, several segments, and what is left behind.
use std::io::Write;
use std::path::{Path, PathBuf};
use tickerml_core::instrument::{Instrument, MetadataSource};
use tickerml_core::tape::{RecordKind, RestHead};
use tickerml_feed::import::{Format, ImportOptions, ImportReport, import};
use tickerml_feed::reader::{TapeReader, scan_tape};
use tickerml_feed::store::{DataFolder, RunState, StoreError, find_runs};

const INSTRUMENT: &str = "binance_spot:BTCUSDT";
const T: i64 = 1_723_161_255_000_000_000;

fn trade(n: u64) -> String {
    format!(r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","s":"BTCUSDT","t":{n},"p":"100.50","q":"0.00{n}"}}}}"#)
}

fn file(folder: &Path, name: &str, text: &str, gzip: bool) -> PathBuf {
    let path = folder.join(name);
    let bytes = if gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    } else {
        text.as_bytes().to_vec()
    };
    std::fs::write(&path, bytes).unwrap();
    path
}

fn options(folder: &Path) -> ImportOptions {
    ImportOptions { data_dir: folder.join("data"), now_ns: T, chance: 7, ..ImportOptions::default() }
}

fn run_import(folder: &Path, files: &[PathBuf]) -> ImportReport {
    import(Format::HftbacktestRaw, files, INSTRUMENT, &options(folder)).unwrap()
}

/// Every record of a tape: kind, stamp, payload.
fn records(tape: &str) -> Vec<(RecordKind, i64, String)> {
    let mut reader = TapeReader::open(tape.as_ref()).unwrap();
    let mut out = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.pos, out.len() as u64);
        out.push((record.kind, record.ts_recv_ns, String::from_utf8(record.bytes.to_vec()).unwrap()));
    }
    assert_eq!((reader.damaged(), reader.cut_bytes()), (&[][..], 0));
    out
}

#[test]
fn files_are_merged_by_stamp_and_ties_keep_the_order_given() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path(), "a.gz", &format!("{} {}\n{} {}\n", T, trade(1), T + 5000, trade(2)), true);
    let us = (T + 5000) / 1000;
    let second = file(folder.path(), "b", &format!("{us} {}\r\n{} {}", trade(3), us + 1, trade(4)), false);
    let report = run_import(folder.path(), &[second.clone(), first.clone()]);
    let frames: Vec<_> = records(&report.tape).into_iter().filter(|r| r.0 == RecordKind::Frame).collect();
    let wanted: Vec<_> =
        [(T, 1), (T + 5000, 3), (T + 5000, 2), (T + 6000, 4)].map(|(ts, n)| (RecordKind::Frame, ts, trade(n))).into();
    assert_eq!(frames, wanted);
    assert_eq!((report.frames, report.recv_backward, report.rejected_count), (4, 0, 0));
    assert_eq!((report.first_ts_recv_ns, report.last_ts_recv_ns), (Some(T), Some(T + 6000)));
    let bytes: u64 = (1..=4).map(|n| trade(n).len() as u64).sum();
    assert_eq!(report.bytes, bytes);
}

#[test]
fn the_tape_begins_with_epoch_configuration_and_the_inferred_instrument() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = r#"{"lastUpdateId":9,"bids":[["1.123456","5"]],"asks":[]}"#;
    let path = file(
        folder.path(),
        "a",
        &format!("{T} {}\n{T} {snapshot}\n{T} {}\n", trade(1), trade(25).replace("100.50", "101.0")),
        false,
    );
    let report = run_import(folder.path(), &[path]);
    let all = records(&report.tape);
    let kinds: Vec<_> = all.iter().map(|r| r.0).collect();
    use RecordKind::{Config, Connect, Epoch, Frame, Instrument as Meta, Rest};
    assert_eq!(kinds, [Epoch, Config, Meta, Connect, Frame, Rest, Frame]);
    let config: serde_json::Value = serde_json::from_str(&all[1].2).unwrap();
    assert_eq!(config["slots"], serde_json::json!(["/control", "binance_spot/public/0/a", "binance_spot/rest"]));
    let instrument: Instrument = serde_json::from_str(&all[2].2).unwrap();
    assert_eq!((instrument.price_precision, instrument.tick, instrument.qty_precision, instrument.lot), (1, 5, 4, 5));
    assert_eq!(instrument.metadata_source, MetadataSource::Inferred);
    let (head, body) = RestHead::decode(all[5].2.as_bytes()).unwrap();
    assert_eq!((head.what.as_str(), head.status, body), ("depth", 200, snapshot.as_bytes()));
    assert_eq!(report.snapshots, 1);
    let given = ImportOptions {
        tick: Some("0.01".into()),
        lot: Some("0.00001".into()),
        min_notional: Some("10".into()),
        chance: 8,
        ..options(folder.path())
    };
    let report = import(Format::HftbacktestRaw, &[folder.path().join("a")], INSTRUMENT, &given).unwrap();
    let instrument = report.instrument.unwrap();
    assert_eq!((instrument.tick, instrument.price_precision, instrument.min_notional.as_str()), (1, 2, "10"));
    assert_eq!(instrument.metadata_source, MetadataSource::Given);
    for least in ["ten", "-1", "0.000000001", ""] {
        let wrong = ImportOptions { min_notional: Some(least.into()), ..given.clone() };
        let error = import(Format::HftbacktestRaw, &[folder.path().join("a")], INSTRUMENT, &wrong).unwrap_err();
        assert!(error.to_string().contains("min_notional") && error.exit_code() == 4, "{least}: {error}");
    }
}

#[test]
fn garbage_is_rejected_by_file_and_line_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        format!("{T} {}", trade(1)),
        "garbage".to_owned(),
        format!("{} {}", T - 50, trade(2)),
        format!("{T} {}", &trade(3)[..40]),
        String::new(),
        format!("12 {}", trade(4)),
        format!("{T} {}", trade(5).replace("btcusdt@", "ethusdt@")),
        format!("{T} {}", trade(6)),
    ];
    let path = file(folder.path(), "bad", &lines.join("\n"), false);
    let report = run_import(folder.path(), &[path]);
    assert_eq!((report.frames, report.recv_backward, report.rejected_count), (3, 1, 4));
    let mut at: Vec<u64> = report.rejected.iter().map(|r| r.line).collect();
    at.sort_unstable();
    assert_eq!(at, [2, 4, 6, 7]);
    assert!(report.rejected.iter().all(|r| r.file.ends_with("bad") && !r.reason.is_empty()));
    let stamps: Vec<i64> = records(&report.tape).iter().skip(4).map(|r| r.1).collect();
    assert_eq!(stamps, [T, T, T], "a stamp that goes back is raised");
}

#[test]
fn the_report_names_a_thousand_lines_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{T} {}\n{}{}", trade(1), "x\n".repeat(1500), format!("{T} {{]\n").repeat(700));
    let report = run_import(folder.path(), &[file(folder.path(), "bad", &text, true)]);
    assert_eq!((report.rejected.len(), report.rejected_count, report.frames), (1000, 2200, 1));
}

#[test]
fn an_import_that_accepts_nothing_leaves_nothing_and_exits_6() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "bad", "garbage\n", false);
    let error = import(Format::HftbacktestRaw, &[path], INSTRUMENT, &options(folder.path())).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(matches!(&error, StoreError::NothingImported { reason } if reason.contains("bad:1:")), "{error}");
    let left = std::fs::read_dir(folder.path().join("data/tapes")).unwrap().count();
    assert_eq!(left, 0);
    let missing = import(Format::HftbacktestRaw, &[folder.path().join("no")], INSTRUMENT, &options(folder.path()));
    assert_eq!(missing.unwrap_err().exit_code(), 3);
    let no_steps = file(folder.path(), "ack", &format!("{T} {{\"result\":null,\"id\":1}}\n"), false);
    let error = import(Format::HftbacktestRaw, &[no_steps], INSTRUMENT, &options(folder.path())).unwrap_err();
    assert!(error.to_string().contains("--tick"), "{error}");
}

#[test]
fn a_gzip_that_ends_early_keeps_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..5000).map(|n| format!("{} {}\n", T + n, trade(n as u64))).collect();
    let path = file(folder.path(), "a.gz", &text, true);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let report = run_import(folder.path(), &[path]);
    assert!((1000..5000).contains(&report.frames), "{}", report.frames);
    assert_eq!(report.rejected_count, 1);
    assert!(report.rejected[0].reason.contains("cannot be read"), "{:?}", report.rejected);
}

#[test]
fn jsonl_lines_are_read_with_their_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let line = serde_json::json!({"recv_ts_ns": T, "payload": trade(3)});
    let path = file(folder.path(), "a.jsonl", &format!("{line}\n{{\"recv_ts_ns\":1}}\n"), false);
    let report = import(Format::Jsonl, &[path], INSTRUMENT, &options(folder.path())).unwrap();
    assert_eq!((report.frames, report.rejected_count), (1, 1));
    assert_eq!(records(&report.tape)[4], (RecordKind::Frame, T, trade(3)));
}

#[test]
fn a_long_import_is_several_segments_and_ends_as_a_closed_run() {
    let folder = tempfile::tempdir().unwrap();
    let noise = |n: u64| {
        (0..12).map(|k| format!("{:016x}", (n * 12 + k).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect::<String>()
    };
    let frame = |n: u64| trade(n % 9 + 1).replace("BTCUSDT", &noise(n));
    let day = 86_400_000_000_000;
    let text: String = (0..20_000u64).map(|n| format!("{} {}\n", T + n as i64 * day / 15_000, frame(n))).collect();
    let path = file(folder.path(), "a.gz", &text, true);
    let small = ImportOptions { segment_bytes: 1 << 20, ..options(folder.path()) };
    let report = import(Format::HftbacktestRaw, &[path], INSTRUMENT, &small).unwrap();
    let scan = scan_tape(report.tape.as_ref()).unwrap();
    assert!(scan.segments >= 3, "two days, and more than 1 MiB: {}", scan.segments);
    assert_eq!((scan.records, scan.damaged.len(), scan.missing_records), (20_004, 0, 0));
    assert_eq!(records(&report.tape)[4 + 19_999].2, frame(19_999));
    let runs = find_runs(&DataFolder::new(folder.path().join("data")));
    assert_eq!((runs.len(), runs[0].state, runs[0].records), (1, RunState::Ended, 20_004));
    let mut reader = TapeReader::open_at(report.tape.as_ref(), 15_000).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().pos, 15_000);
}
