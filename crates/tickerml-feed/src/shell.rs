//! The thin ring around the supervisor: real sockets, real clocks, one thread.
pub mod dial;
pub mod http;
mod socket;
#[cfg(test)]
mod tests;

use crate::clock::SystemClock;
use crate::stats::Stats;
use crate::supervisor::{Action, ConnId, Supervisor, TICK_NS};
use crate::tape_port::Tape;
use dial::Dialer;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// Messages from other threads that may wait for the feed's thread: a burst of the engine's records within one tick.
pub const INBOX_MAX: usize = 1_024;
/// How often the wall clock is compared and the statistics are published.
const PUBLISH_NS: i64 = 250_000_000;
const WALL_NS: i64 = 100_000_000;
/// At the end a tape that takes nothing gets this long to take what waits, of the 20 s of an orderly stop (reliability.md
/// P11).
const SETTLE: Duration = Duration::from_secs(10);
/// Close frames get this long at the end.
const GOODBYE: Duration = Duration::from_millis(500);

/// What other threads ask of the feed's thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbox {
    /// Write a record or resync a book: see [`Supervisor::command`].
    Command(String, String),
    /// End the run with this reason.
    Stop(String),
    /// Close everything without ending the run: see [`Supervisor::leave`].
    Leave,
}

/// What other threads can see.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Statistics of the last quarter second.
    pub stats: Mutex<Stats>,
    /// Why the feed cannot go on.
    pub error: Mutex<Option<String>>,
}

/// The supervisor with its clock, shared by the tasks of one thread.
pub(crate) struct Core<T: Tape> {
    pub sup: Supervisor<T>,
    pub clock: SystemClock,
}

pub(crate) struct Shared<T: Tape> {
    pub core: RefCell<Core<T>>,
    pub dialer: Dialer,
    /// Wakes the driver when actions wait.
    pub wake: Notify,
}

impl<T: Tape> Shared<T> {
    /// Tells the supervisor something that happened now, and wakes the driver when that asks for actions.
    pub fn tell<R>(&self, what: impl FnOnce(&mut Supervisor<T>, i64) -> R) -> R {
        let mut core = self.core.borrow_mut();
        let now_ns = core.clock.mono_ns();
        let result = what(&mut core.sup, now_ns);
        if core.sup.has_actions() {
            self.wake.notify_one();
        }
        result
    }
}

struct Link {
    commands: mpsc::Sender<socket::Command>,
    task: JoinHandle<()>,
}

struct Driver<T: Tape> {
    shared: Rc<Shared<T>>,
    links: BTreeMap<ConnId, Link>,
    /// Connections that say goodbye.
    closing: Vec<JoinHandle<()>>,
    requests: JoinSet<()>,
    outbox: Arc<Outbox>,
    published_ns: i64,
    published_frames: u64,
    walled_ns: i64,
}

/// Runs the supervisor until it is told to stop or cannot go on, and gives it back; none is a bug of this module. Call within a `LocalSet`.
pub async fn run<T: Tape + 'static>(
    sup: Supervisor<T>,
    clock: SystemClock,
    dialer: Dialer,
    mut inbox: mpsc::Receiver<Inbox>,
    outbox: Arc<Outbox>,
) -> Option<Supervisor<T>> {
    let shared = Rc::new(Shared { core: RefCell::new(Core { sup, clock }), dialer, wake: Notify::new() });
    let mut driver = Driver {
        shared: Rc::clone(&shared),
        links: BTreeMap::new(),
        closing: Vec::new(),
        requests: JoinSet::new(),
        outbox,
        published_ns: i64::MIN / 2,
        published_frames: 0,
        walled_ns: i64::MIN / 2,
    };
    shared.tell(|sup, now_ns| sup.begin(clock.wall(), now_ns));
    loop {
        let rest = driver.step();
        if shared.tell(|sup, _| sup.fatal().is_some().then(|| sup.leave())).is_some() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shared.wake.notified() => {}
            message = inbox.recv() => {
                if driver.receive(message) {
                    break;
                }
            }
        }
    }
    driver.finish().await;
    drop(driver);
    // Every task has ended, so nobody else holds it.
    Rc::into_inner(shared).map(|shared| shared.core.into_inner().sup)
}

impl<T: Tape + 'static> Driver<T> {
    /// Lets time pass and carries out what is due; answers how long nothing will be.
    fn step(&mut self) -> Duration {
        let clock = self.shared.core.borrow().clock;
        let now_ns = clock.mono_ns();
        {
            let sup = &mut self.shared.core.borrow_mut().sup;
            if now_ns - self.walled_ns >= WALL_NS {
                self.walled_ns = now_ns;
                sup.observe_wall(clock.wall(), now_ns);
            }
            sup.tick(now_ns);
        }
        self.perform();
        self.publish(now_ns);
        let due_ns = self.shared.core.borrow().sup.tick_due_ns();
        Duration::from_nanos((due_ns - now_ns).clamp(1_000_000, TICK_NS) as u64)
    }

    fn perform(&mut self) {
        let mut actions = Vec::new();
        self.shared.core.borrow_mut().sup.take_actions(&mut actions);
        for action in actions {
            match action {
                Action::Open { conn, url } => self.open(conn, url),
                Action::Ping { conn } => {
                    if let Some(link) = self.links.get(&conn) {
                        // A full queue means that a ping already waits.
                        let _ = link.commands.try_send(socket::Command::Ping);
                    }
                }
                Action::Close { conn } => self.close(conn),
                Action::Request { id, url } => self.request(id, url),
            }
        }
    }

    fn open(&mut self, conn: ConnId, url: String) {
        let (commands, receiver) = mpsc::channel(socket::COMMANDS_MAX);
        let task = tokio::task::spawn_local(socket::run(Rc::clone(&self.shared), conn, url, receiver));
        self.links.insert(conn, Link { commands, task });
    }

    fn close(&mut self, conn: ConnId) {
        if let Some(link) = self.links.remove(&conn) {
            // Dropping the sender is the command: the task says goodbye for a moment and ends.
            drop(link.commands);
            self.closing.retain(|task| !task.is_finished());
            self.closing.push(link.task);
        }
    }

    fn request(&mut self, id: u64, url: String) {
        let shared = Rc::clone(&self.shared);
        while self.requests.try_join_next().is_some() {}
        self.requests.spawn_local(async move {
            let answer = http::get(&shared.dialer, &url).await;
            shared.tell(|sup, now_ns| sup.answered(id, now_ns, &answer));
        });
    }

    /// True when the run ends.
    fn receive(&mut self, message: Option<Inbox>) -> bool {
        let reason = match message {
            Some(Inbox::Command(kind, payload)) => {
                // An unknown instrument or kind is the caller's bug; it is shown with the other errors.
                self.shared.tell(|sup, now_ns| {
                    if let Err(error) = sup.command(&kind, &payload, now_ns) {
                        sup.note_error(error);
                    }
                });
                return false;
            }
            Some(Inbox::Stop(reason)) => reason,
            Some(Inbox::Leave) => {
                self.shared.tell(|sup, _| sup.leave());
                return true;
            }
            None => "the owner of the feed is gone".to_owned(),
        };
        self.shared.tell(|sup, now_ns| sup.stop(&reason, now_ns));
        true
    }

    fn publish(&mut self, now_ns: i64) {
        if now_ns - self.published_ns < PUBLISH_NS {
            return;
        }
        let mut stats = self.shared.core.borrow_mut().sup.stats(now_ns);
        let frames = stats.counters.frames - self.published_frames;
        stats.frames_per_s = frames as f64 * 1e9 / (now_ns - self.published_ns) as f64;
        self.published_frames = stats.counters.frames;
        self.published_ns = now_ns;
        if let Some(fatal) = &stats.fatal {
            lock(&self.outbox.error).get_or_insert_with(|| fatal.clone());
        }
        *lock(&self.outbox.stats) = stats;
    }

    async fn finish(&mut self) {
        self.perform();
        self.published_ns = i64::MIN / 2;
        let now_ns = self.shared.core.borrow().clock.mono_ns();
        self.publish(now_ns);
        self.requests.shutdown().await;
        for mut task in self.closing.drain(..) {
            if tokio::time::timeout(GOODBYE, &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
        self.settle().await;
    }

    /// Waits while the tape does not take what it was handed; what is left then is for the caller to see.
    async fn settle(&self) {
        let deadline = tokio::time::Instant::now() + SETTLE;
        let hopes = || {
            let mut core = self.shared.core.borrow_mut();
            core.sup.tape_mut().waits().is_some() && core.sup.tape().failed().is_none()
        };
        while hopes() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_nanos(TICK_NS as u64)).await;
        }
    }
}

/// A lock that a panicking holder cannot poison for others: what it guards is replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
