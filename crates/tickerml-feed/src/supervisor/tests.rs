//! The supervisor in virtual time: each rule by itself, then seeds of everything at once.
mod faults;
mod rig;
mod rules;
mod rules_tape;
mod rules_venues;
mod world;
