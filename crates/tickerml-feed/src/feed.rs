//! The feed as other threads see it: start, watch, stop.
use crate::clock::{Anchor, SystemClock};
use crate::config::FeedConfig;
use crate::shell::dial::Dialer;
use crate::shell::{INBOX_MAX, Inbox, Outbox, lock, run};
use crate::stats::Stats;
use crate::supervisor::{Start, Supervisor};
use crate::tape_port::Tape;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};

/// A feed on its own thread, which ends when it is stopped or dropped.
pub struct Feed<T: Tape> {
    thread: Option<JoinHandle<Option<T>>>,
    done: Receiver<()>,
    inbox: mpsc::Sender<Inbox>,
    outbox: Arc<Outbox>,
}

impl<T: Tape + Send + 'static> Feed<T> {
    /// Starts the feed's thread, which writes to `tape`. `last_stamp_ns` is the stamp of the run's last record, if any.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why no thread could be made.
    pub fn start(config: &FeedConfig, tape: T, start: Start, last_stamp_ns: Option<i64>) -> Result<Self, String> {
        let plan = config.plan()?;
        let outbox = Arc::new(Outbox::default());
        let (inbox, receiver) = mpsc::channel(INBOX_MAX);
        let (finished, done) = sync_channel(1);
        let shared = Arc::clone(&outbox);
        let body = move || {
            let clock = SystemClock::start();
            let anchor = Anchor::new(clock.wall_ns(), clock.mono_ns(), last_stamp_ns);
            let sup = Supervisor::new(plan, tape, anchor, start);
            let work = std::panic::AssertUnwindSafe(|| drive(sup, clock, receiver, Arc::clone(&shared)));
            let result =
                std::panic::catch_unwind(work).unwrap_or_else(|_| Err("the feed's thread panicked".to_owned()));
            let tape = result.map_err(|error| _ = lock(&shared.error).get_or_insert(error)).ok();
            // Nobody waits when the owner is gone.
            let _ = finished.send(());
            tape
        };
        let thread = std::thread::Builder::new().name("tickerml-feed".to_owned()).spawn(body);
        let thread = thread.map_err(|e| format!("cannot start the feed's thread: {e}"))?;
        Ok(Feed { thread: Some(thread), done, inbox, outbox })
    }

    /// Asks for a record or a resync: see [`Supervisor::command`].
    ///
    /// # Errors
    /// When the feed has ended, or [`INBOX_MAX`] messages wait.
    pub fn command(&self, kind: &str, payload: &str) -> Result<(), String> {
        self.send(Inbox::Command(kind.to_owned(), payload.to_owned()))
    }

    /// Asks the feed to close its sockets and to end the tape with STOP; [`Feed::join`] waits for it.
    pub fn stop(&self, reason: &str) {
        self.send_surely(Inbox::Stop(reason.to_owned()));
    }

    /// Asks the feed to close its sockets and to leave the tape without STOP, so that the run can be gone on with.
    pub fn leave(&self) {
        self.send_surely(Inbox::Leave);
    }

    fn send_surely(&self, message: Inbox) {
        // A closed inbox means that it has ended. A full one is drained within a tick, so this ends.
        let mut pending = Some(message);
        while let Some(message) = pending.take() {
            if let Err(TrySendError::Full(message)) = self.inbox.try_send(message) {
                std::thread::yield_now();
                pending = Some(message);
            }
        }
    }

    /// Statistics of the last quarter second.
    pub fn stats(&self) -> Stats {
        lock(&self.outbox.stats).clone()
    }

    /// Why the feed cannot go on, or how it failed; it still has to be stopped.
    pub fn error(&self) -> Option<String> {
        lock(&self.outbox.error).clone()
    }

    /// Waits for the end; true when it has ended. [`Feed::into_tape`] then gives the tape back, unless the tape did not
    /// take all that it was handed: [`Feed::error`] says so.
    pub fn join(&self, timeout: Duration) -> bool {
        self.ended() || !matches!(self.done.recv_timeout(timeout), Err(RecvTimeoutError::Timeout))
    }

    /// The tape, after the end; waits for it. None after a failure, or when it was taken.
    pub fn into_tape(&mut self) -> Option<T> {
        self.thread.take()?.join().ok().flatten()
    }

    /// Whether its thread has ended.
    pub fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn send(&self, message: Inbox) -> Result<(), String> {
        self.inbox.try_send(message).map_err(|e| match e {
            TrySendError::Full(_) => format!("the feed has {INBOX_MAX} messages waiting"),
            TrySendError::Closed(_) => "the feed has ended".to_owned(),
        })
    }
}

/// Runs the shell on this thread until it is stopped.
fn drive<T: Tape + 'static>(
    sup: Supervisor<T>,
    clock: SystemClock,
    inbox: mpsc::Receiver<Inbox>,
    outbox: Arc<Outbox>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start the feed's runtime: {e}"))?;
    let local = tokio::task::LocalSet::new();
    let sup = local.block_on(&runtime, run(sup, clock, Dialer::new(), inbox, outbox));
    drop(local);
    // A name lookup that hangs must not hold up the end.
    runtime.shutdown_background();
    let mut sup = sup.ok_or_else(|| "a task of the feed did not end".to_owned())?;
    match sup.tape_mut().waits() {
        Some(what) => Err(what),
        None => Ok(sup.into_tape()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape_port::MemoryTape;
    use serde_json::json;
    use tickerml_core::tape::RecordKind;

    fn config(port: u16) -> FeedConfig {
        let base = format!("127.0.0.1:{port}");
        let config = json!({"venues": [{
            "venue": "binance_spot", "ws_url": format!("ws://{base}"), "rest_url": format!("http://{base}"),
            "symbols": ["BTCUSDT"], "channels": ["depth@100ms"], "snapshot_limit": 5000, "weight_per_min": 6000,
            "snapshot_weight": 250}]});
        FeedConfig::from_json(&config.to_string()).unwrap()
    }

    #[test]
    fn a_feed_starts_takes_commands_and_stops() {
        // A port that was free a moment ago: nothing answers, and nothing needs to.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut feed = Feed::start(&config(port), MemoryTape::default(), Start::default(), Some(i64::MAX / 2)).unwrap();
        feed.command("command", "{}").unwrap();
        feed.command("nonsense", "{}").unwrap();
        feed.stop("test");
        assert!(feed.join(Duration::from_secs(10)));
        assert!(feed.stats().errors.iter().any(|e| e.contains("nonsense")));
        assert!(feed.command("command", "{}").is_err());
        feed.stop("again");
        let tape = feed.into_tape().unwrap();
        let kinds: Vec<RecordKind> = tape.records.iter().map(|r| r.kind).collect();
        assert_eq!(
            (kinds[0], kinds[1], *kinds.last().unwrap()),
            (RecordKind::Epoch, RecordKind::Config, RecordKind::Stop)
        );
        assert!(kinds.contains(&RecordKind::Command));
        assert!(tape.records[0].stamp.recv_ns > i64::MAX / 2, "after the last stamp of the run");
        assert!(feed.join(Duration::ZERO) && feed.into_tape().is_none());
    }

    #[test]
    fn a_bad_configuration_starts_nothing() {
        let mut bad = config(1);
        bad.venues[0].rest_url = "http://example.com".into();
        let error = Feed::start(&bad, MemoryTape::default(), Start::default(), None).err().unwrap();
        assert!(error.contains("loopback only"), "{error}");
    }
}
