//! Where a session's items come from: the only place where live, replay and backtest differ.
use crate::errors;
use crate::feed::Feed;
use pyo3::prelude::*;
use std::time::Duration;
use tickerml_core::error::Result;
use tickerml_core::session::{EventInput, Input, Peek, Session as Core, Step};
use tickerml_feed::reader::TapeInput;
use tickerml_feed::recorder::{EngineTail, Fill, TailInput};

/// How long a live session waits before it looks for signals again.
const WAIT: Duration = Duration::from_millis(200);

/// Waits on a feed that has ended before it is sure that STOP will not come: 5 s for a disk that was busy.
const ENDED_WAITS_MAX: u32 = 25;

/// One of the three.
pub enum Source {
    Tail(Box<Live>),
    Tape(Box<TapeInput>),
    Events(EventInput),
}

/// The engine's end of a tape that is being recorded, and the feed that records it.
pub struct Live {
    input: TailInput,
    feed: Py<Feed>,
    /// Waits since the feed ended.
    ended_waits: u32,
}

impl Live {
    /// Reads on where `tail` stands.
    pub fn new(tail: EngineTail, feed: Py<Feed>) -> Live {
        Live { input: TailInput::new(tail), feed, ended_waits: 0 }
    }

    /// Waits for more. `begins` is true while instruments are awaited.
    ///
    /// # Errors
    /// What ended the feed, once everything that it wrote was read: the end of the tape is then not the end of the run.
    fn wait(&mut self, begins: bool) -> PyResult<()> {
        if self.input.wait(WAIT).map_err(errors::store)? != Fill::TimedOut {
            return Ok(());
        }
        let feed = self.feed.get();
        if let Some(text) = feed.failed().or_else(|| feed.unreachable().filter(|_| begins)) {
            return Err(errors::failure(&text));
        }
        self.ended_waits += u32::from(feed.ended());
        match self.ended_waits {
            0..=ENDED_WAITS_MAX => Ok(()),
            _ => Err(errors::failure("the feed ended, and its tape took no STOP: is the disk full?")),
        }
    }
}

impl Source {
    /// True of a feed that still goes on.
    pub const fn is_live(&self) -> bool {
        matches!(self, Source::Tail(_))
    }

    /// Lets the session take up to `items_max` items.
    ///
    /// # Errors
    /// What the input says.
    pub fn advance(&mut self, core: &mut Core, items_max: usize) -> Result<Step> {
        match self {
            Source::Tail(live) => core.advance(&mut live.input, items_max),
            Source::Tape(input) => core.advance(input.as_mut(), items_max),
            Source::Events(input) => core.advance(input, items_max),
        }
    }

    /// The next record; none of event files, which have none.
    pub fn peek_record(&mut self) -> Option<Result<Peek<'_>>> {
        match self {
            Source::Tail(live) => Some(live.input.peek()),
            Source::Tape(input) => Some(input.peek()),
            Source::Events(_) => None,
        }
    }

    /// Asks the feed for what the session wants of it; where it cannot take that now, again next time. A replay asks nobody.
    pub fn tell_feed(&mut self, core: &mut Core) {
        let Source::Tail(live) = self else { return };
        core.market.hand_wants(|want| {
            let (kind, bytes) = want.record();
            live.input.tail().append_from_engine(kind, bytes).is_ok()
        });
    }

    /// Waits for more, where more may come. `begins` is true while instruments are awaited.
    ///
    /// # Errors
    /// What ended the feed.
    pub fn wait(&mut self, py: Python<'_>, begins: bool) -> PyResult<()> {
        match self {
            Source::Tail(live) => py.detach(|| live.wait(begins)),
            Source::Tape(_) | Source::Events(_) => Ok(()),
        }
    }

    /// Damage ends a replay unless it was allowed.
    ///
    /// # Errors
    /// Where the damage is.
    pub fn check_damage(&self, allowed: bool) -> PyResult<()> {
        let Source::Tape(input) = self else { return Ok(()) };
        match input.reader().damaged().first() {
            Some(d) if !allowed => Err(errors::unsound(&format!(
                "{} at byte {}: {}; --allow-damage reads on",
                d.segment, d.offset, d.reason
            ))),
            _ => Ok(()),
        }
    }
}
