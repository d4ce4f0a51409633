//! Hashes the sources that decide, so that a run is pinned to the code that made it and not to a version that a rebuild
//! forgets to raise (rules.md 3).
//!
//! `TICKERML_SOURCES` is the start of SHA-256 over every `crates/*/src/**.rs` and `Cargo.lock`: path, length and bytes, in
//! the order of the paths. No time and no place goes in, so a checkout and an sdist of it agree. The Python modules that
//! decide are added where they are loaded, in `tickerml.version`.
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Digits that are kept: 48 bits tell the builds of one machine apart.
const DIGITS: usize = 12;

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let mut files = vec![root.join("Cargo.lock")];
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    for folder in entries(&root.join("crates")) {
        let sources = folder.join("src");
        println!("cargo::rerun-if-changed={}", sources.display());
        collect(&sources, &mut files);
    }
    let mut named: Vec<(String, PathBuf)> = files.into_iter().map(|file| (name(&root, &file), file)).collect();
    named.sort();
    let mut hash = Sha256::new();
    for (name, file) in named {
        // An sdist without a lock file still has a version of its own.
        let bytes = std::fs::read(&file).unwrap_or_default();
        hash.update(format!("{name}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=TICKERML_SOURCES={}", &digits[..DIGITS]);
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

fn name(root: &Path, file: &Path) -> String {
    let parts = file.strip_prefix(root).unwrap_or(file).components();
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}
