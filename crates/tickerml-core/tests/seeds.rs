//! The fuzz targets' seeds, each through the check of its target (rules.md 9). `make soak` starts from them and goes on.
mod oracle;

use oracle::{check_exchange_info, check_frame, check_snapshot, check_tape};
use std::path::Path;

fn each(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("seeds").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{} holds {} seeds", folder.display(), paths.len());
    for path in paths {
        let bytes = std::fs::read(&path).expect("a seed");
        println!("{}", path.display());
        check(&bytes);
        // What a flip of each bit makes of it, as a first step of the fuzzer.
        for bit in 0..bytes.len().min(400) * 8 {
            let mut near = bytes.clone();
            near[bit / 8] ^= 1 << (bit % 8);
            check(&near);
        }
    }
}

#[test]
fn frames_of_spot() {
    each("decode_spot", check_frame);
}

#[test]
fn frames_of_futures() {
    each("decode_usdm", check_frame);
}

#[test]
fn snapshots() {
    each("depth_snapshot", check_snapshot);
}

#[test]
fn exchange_infos() {
    each("exchange_info", check_exchange_info);
}

#[test]
fn tapes() {
    each("tape_scan", check_tape);
}
