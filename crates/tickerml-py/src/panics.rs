//! What is said where our own code panics: it is a defect, and one line.
//!
//! Where Python called, the panic becomes a `PanicException` and whoever catches that speaks; a thread of our own has
//! nobody else to speak for it. With `TICKERML_DEBUG` set everything is said, backtrace included.
use std::panic::PanicHookInfo;

/// Puts our words in the place of Rust's.
pub fn register() {
    if std::env::var_os("TICKERML_DEBUG").is_none() {
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            if let Some(name) = thread.name().filter(|&name| name != "main") {
                eprintln!("a defect of tickerml in thread {name}: {}", text(panic));
            }
        }));
    }
}

fn text(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let what = payload.downcast_ref::<&str>().copied();
    let what = what.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
    panic.location().map_or_else(|| what.to_owned(), |at| format!("{what} ({}:{})", at.file(), at.line()))
}
