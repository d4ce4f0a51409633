//! One connection with faults: frames go in, what the client gets comes out. Virtual time, no socket.
use super::{Fault, Injector, MISNUMBER, Place, Strike};
use crate::dialect;
use crate::market::OutFrame;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Frames held back at most: a minute of a busy connection; beyond it the link closes.
pub const HELD_MAX: usize = 65_536;

/// What happens on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A sound frame.
    Frame(Arc<OutFrame>),
    /// A frame of the server's own, or a damaged one: text in its combined wrapper.
    Text(String),
    /// The connection ends in this way: one of Close, Reset, Truncated, Oversized, BadUtf8.
    End(Fault),
    /// From now on nothing is sent or answered, not even a pong.
    Frozen,
    /// The connection answers again.
    Thawed,
}

/// State of one connection.
#[derive(Debug, Default)]
pub struct Link {
    held: VecDeque<Arc<OutFrame>>,
    held_until_ns: i64,
    frozen_until_ns: i64,
    close_at_ns: Option<i64>,
    swapped: Option<Arc<OutFrame>>,
    silent: BTreeMap<Arc<str>, i64>,
    ended: bool,
}

impl Link {
    /// A sound connection.
    pub fn new() -> Link {
        Link::default()
    }

    /// A connection that has ended.
    pub fn cut() -> Link {
        Link { ended: true, ..Link::default() }
    }

    /// Whether the connection has ended; nothing is delivered any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the other end gets nothing at all now, not even pongs.
    pub fn frozen(&self) -> bool {
        self.frozen_until_ns > 0
    }

    /// Whether nothing that lasts is the matter with it now: no lag, no freeze, no silent stream, no end ahead.
    pub fn is_sound(&self, now_ns: i64) -> bool {
        let silent = self.silent.values().any(|until| now_ns < *until);
        !(silent || self.ended || self.frozen() || self.close_at_ns.is_some() || now_ns < self.held_until_ns)
    }

    /// Lets time pass: releases what is due.
    pub fn poll(&mut self, now_ns: i64, out: &mut Vec<Delivery>) {
        if self.frozen() && now_ns >= self.frozen_until_ns {
            self.frozen_until_ns = 0;
            out.push(Delivery::Thawed);
        }
        if !self.frozen() && now_ns >= self.held_until_ns {
            out.extend(self.held.drain(..).map(Delivery::Frame));
        }
        if self.close_at_ns.is_some_and(|at| now_ns >= at) && !self.ended {
            self.end(Fault::Close, out);
        }
    }

    /// Sends a frame at `now_ns`; the injector decides what becomes of it.
    pub fn push(&mut self, now_ns: i64, frame: Arc<OutFrame>, injector: &mut Injector, out: &mut Vec<Delivery>) {
        self.poll(now_ns, out);
        if self.ended || self.frozen() {
            return;
        }
        let symbol = frame.stream.split('@').next().unwrap_or("").to_owned();
        if let Some(strike) = injector.strike(Place::Frame, &symbol, frame.diff) {
            return self.strike_frame(now_ns, strike, frame, out);
        }
        if self.silent.get(&frame.stream).is_some_and(|until| now_ns < *until) {
            return;
        }
        let strike = if frame.diff { injector.strike(Place::Diff, &symbol, true) } else { None };
        match strike {
            Some(strike) => self.strike_diff(now_ns, strike, frame, out),
            None => self.pass(now_ns, frame, out),
        }
    }

    fn strike_frame(&mut self, now_ns: i64, strike: Strike, frame: Arc<OutFrame>, out: &mut Vec<Delivery>) {
        match strike.fault {
            Fault::Freeze => {
                self.frozen_until_ns = now_ns + strike.lasts_ns;
                out.push(Delivery::Frozen);
            }
            Fault::ServerShutdown => {
                self.close_at_ns.get_or_insert(now_ns + strike.lasts_ns);
                out.push(Delivery::Text(dialect::server_shutdown(now_ns / 1_000_000)));
                self.pass(now_ns, frame, out);
            }
            fault => self.end(fault, out),
        }
    }

    fn strike_diff(&mut self, now_ns: i64, strike: Strike, frame: Arc<OutFrame>, out: &mut Vec<Delivery>) {
        match strike.fault {
            Fault::Drop => {}
            Fault::Duplicate => {
                self.pass(now_ns, Arc::clone(&frame), out);
                self.pass(now_ns, frame, out);
            }
            Fault::Reorder => {
                if let Some(earlier) = self.swapped.replace(frame) {
                    self.deliver(now_ns, earlier, out);
                }
            }
            Fault::Delay => {
                self.held_until_ns = self.held_until_ns.max(now_ns + strike.lasts_ns);
                self.pass(now_ns, frame, out);
            }
            Fault::Silence => {
                self.silent.insert(Arc::clone(&frame.stream), now_ns + strike.lasts_ns);
            }
            Fault::Misnumbered => {
                let [id, wrong] = [frame.last_id, frame.last_id * MISNUMBER].map(|id| format!("\"u\":{id},"));
                out.push(Delivery::Text(frame.text.replacen(&id, &wrong, 1)));
            }
            _ => {
                let half: String = frame.text.chars().take(frame.text.len() / 2).collect();
                out.push(Delivery::Text(half));
            }
        }
    }

    /// Delivers a frame and, behind a diff, the one that was to change places with it.
    fn pass(&mut self, now_ns: i64, frame: Arc<OutFrame>, out: &mut Vec<Delivery>) {
        let swapped = self.swapped.take_if(|s| s.stream == frame.stream);
        self.deliver(now_ns, frame, out);
        if let Some(later) = swapped {
            self.deliver(now_ns, later, out);
        }
    }

    fn deliver(&mut self, now_ns: i64, frame: Arc<OutFrame>, out: &mut Vec<Delivery>) {
        if now_ns >= self.held_until_ns {
            out.push(Delivery::Frame(frame));
        } else if self.held.len() < HELD_MAX {
            self.held.push_back(frame);
        } else {
            self.end(Fault::Close, out);
        }
    }

    fn end(&mut self, fault: Fault, out: &mut Vec<Delivery>) {
        self.ended = true;
        self.held.clear();
        out.push(Delivery::End(fault));
    }
}
