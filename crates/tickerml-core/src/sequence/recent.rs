//! The diffs that a stream has brought lately.
use serde::{Deserialize, Serialize};

/// How many are kept: 25 s of a stream of ten a second, so that a second socket may lag by as much in a hand-over.
const KEPT: usize = 256;

/// Last ids (`u`) of the diffs before, the oldest forgotten first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recent {
    ids: Vec<u64>,
    oldest: usize,
}

impl Recent {
    pub const fn new() -> Self {
        Recent { ids: Vec::new(), oldest: 0 }
    }

    pub fn push(&mut self, id: u64) {
        if self.ids.len() < KEPT {
            return self.ids.push(id);
        }
        self.ids[self.oldest] = id;
        self.oldest = (self.oldest + 1) % KEPT;
    }

    pub fn has(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }
}
