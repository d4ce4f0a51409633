//! What happens by itself between two items of the input: reports that reach us, venues that may go on, timed views.
use super::input::Item;
use super::{Session, ViewCause};
use crate::tape::RecordKind;

/// Views for reports between two boundaries; later reports come with the timed view (rules.md 1).
const REPORT_VIEWS_MAX: u32 = 16;
/// No boundary is emitted across a longer silence (rules.md 1).
const SILENCE_MAX_NS: i64 = 3_600_000_000_000;

/// Longest time behind an input's end for what is under way: a policy that never rests would go on for ever.
const END_NS_MAX: i64 = 60_000_000_000;

/// What happens next by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// A report reaches us.
    Report,
    /// Something happens at a venue, or may be known now.
    Venue,
    /// A timed view.
    Boundary,
}

impl Session {
    /// Lets happen what is due before `item`; true when that made a view.
    pub(super) fn due_before(&mut self, item: Item<'_>) -> bool {
        let ts_ns = item.ts_ns();
        if item.is(RecordKind::Epoch) {
            // The process was gone: what was under way is settled by the restart itself (rules.md 3).
            return false;
        }
        // Boundaries are not emitted across a restart, a step of the clock or a long silence.
        let silent = self.last.0 != i64::MIN && ts_ns.saturating_sub(self.last.0) > SILENCE_MAX_NS;
        if silent || item.is(RecordKind::Clock) {
            self.boundary_ns = self.boundary_ns.map(|b| b.max(self.boundary_at(ts_ns)));
        }
        loop {
            match self.next_due() {
                (due_ns, _) if due_ns >= ts_ns => return false,
                (due_ns, due) => {
                    if self.happen(due_ns, due) {
                        return true;
                    }
                }
            }
        }
    }

    /// Behind the input's end without STOP: what is under way still happens, and boundaries go on as long as something does
    /// (simulation.md 2, "the last decision"); true when that made a view.
    pub(super) fn is_last_due(&mut self) -> bool {
        let end_ns = self.last.0.saturating_add(END_NS_MAX);
        loop {
            let (due_ns, due) = self.next_due();
            let more = self.sim.due_ns().min(self.sim.next_report_ns());
            if due_ns >= end_ns || (due == Due::Boundary && more == i64::MAX) {
                return self.tell_the_last();
            }
            if self.happen(due_ns, due) {
                return true;
            }
        }
    }

    /// Fills and rejects that were to come with a step that will not be: they are shown, for they happened.
    fn tell_the_last(&mut self) -> bool {
        let Some(last) = self.news.iter().rfind(|report| report.is_urgent()) else { return false };
        self.make_view(last.ts_ns, ViewCause::Report);
        true
    }

    /// What is due first, and when; of one moment reports, then the venues, then the boundary.
    #[inline]
    fn next_due(&self) -> (i64, Due) {
        let (report, venue) = (self.sim.next_report_ns(), self.sim.due_ns());
        let boundary = self.boundary_ns.unwrap_or(i64::MAX);
        if report <= venue && report <= boundary {
            (report, Due::Report)
        } else if venue <= boundary {
            (venue, Due::Venue)
        } else {
            (boundary, Due::Boundary)
        }
    }

    /// Lets it happen; true when that made a view.
    fn happen(&mut self, now_ns: i64, due: Due) -> bool {
        match due {
            Due::Report => return self.receive(now_ns, self.boundary_ns.unwrap_or(i64::MAX)),
            Due::Venue => self.sim.advance(now_ns, &self.market.lines, self.last.1),
            Due::Boundary => {
                self.market.advance_to(now_ns, &mut self.sim);
                self.boundary_ns = Some(now_ns.saturating_add(self.settings.step_ns));
                self.report_views = 0;
                self.make_view(now_ns, ViewCause::Step);
                return true;
            }
        }
        false
    }

    /// All reports of one moment; true when they call for a view of their own.
    fn receive(&mut self, now_ns: i64, boundary_ns: i64) -> bool {
        let mut urgent = false;
        while self.sim.next_report_ns() == now_ns {
            let Some(report) = self.sim.deliver() else { break };
            urgent |= report.is_urgent();
            self.stats.fills += u64::from(report.fill.is_some());
            self.news.push(report);
        }
        if !urgent || now_ns == boundary_ns || self.report_views >= REPORT_VIEWS_MAX {
            return false;
        }
        self.report_views += 1;
        self.make_view(now_ns, ViewCause::Report);
        true
    }

    /// The first boundary at or after `ts_ns`: multiples of the step since 1970.
    pub(super) const fn boundary_at(&self, ts_ns: i64) -> i64 {
        let step = self.settings.step_ns;
        match ts_ns.rem_euclid(step) {
            0 => ts_ns,
            over => ts_ns.saturating_add(step - over),
        }
    }
}
