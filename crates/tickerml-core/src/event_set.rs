//! Normalized events in memory: 16 bytes a row and a header a message. Input of backtests, output of conversion.
use crate::error::{Error, Result};
use crate::event::{Message, Row, RowKind, flag};

/// Events of all instruments of a backtest, in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventSet {
    messages: Vec<Message>,
    rows: Vec<Row>,
}

/// Columns of an event file (contract.md, "Event files"), all of one length.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Tape record.
    pub pos: &'a [i64],
    /// Arrival, ns.
    pub ts_recv_ns: &'a [i64],
    /// Venue's time, ns; `i64::MIN` for none.
    pub ts_event_ns: &'a [i64],
    /// Kind.
    pub kind: &'a [u8],
    /// Price.
    pub px: &'a [i64],
    /// Quantity.
    pub qty: &'a [i64],
    /// Flags.
    pub flags: &'a [u8],
}

impl EventSet {
    /// Adds the rows of one instrument's file.
    ///
    /// # Errors
    /// [`Error::BadEvents`] for columns of unequal lengths, kinds or flags that do not exist, prices beyond 54 bits, quantities below 0,
    /// or stamps that go back.
    pub fn push(&mut self, instrument: u16, c: Columns<'_>) -> Result<()> {
        let n = c.pos.len();
        let lengths = [c.ts_recv_ns.len(), c.ts_event_ns.len(), c.kind.len(), c.px.len(), c.qty.len(), c.flags.len()];
        let bad = |row, reason| Error::BadEvents { row, reason };
        if lengths.iter().any(|&len| len != n) {
            return Err(bad(0, "columns of unequal lengths"));
        }
        self.rows.reserve(n);
        let mut start = 0;
        for row in 0..n {
            if row > 0 && c.ts_recv_ns[row] < c.ts_recv_ns[row - 1] {
                return Err(bad(row, "ts_recv_ns goes back"));
            }
            if c.flags[row] > flag::ALL {
                return Err(bad(row, "unknown flags"));
            }
            let kind = RowKind::from_u8(c.kind[row]).ok_or_else(|| bad(row, "unknown kind"))?;
            if c.qty[row] < 0 {
                return Err(bad(row, "a quantity below 0"));
            }
            let made = Row::new(kind, c.px[row], c.qty[row], c.flags[row]);
            self.rows.push(made.map_err(|_| bad(row, "a price above 54 bits"))?);
            if c.flags[row] & flag::LAST != 0 || row + 1 == n {
                self.messages.push(Message {
                    pos: c.pos[row] as u64,
                    ts_recv_ns: c.ts_recv_ns[row],
                    ts_event_ns: c.ts_event_ns[row],
                    instrument,
                    rows: (row + 1 - start) as u32,
                });
                start = row + 1;
            }
        }
        Ok(())
    }

    /// Puts several files into one order: (arrival, file as given, place in the file).
    pub fn sort(&mut self) {
        if self.messages.is_sorted_by_key(|m| m.ts_recv_ns) {
            return;
        }
        let mut starts = Vec::with_capacity(self.messages.len());
        let mut at = 0usize;
        for message in &self.messages {
            starts.push(at);
            at += message.rows as usize;
        }
        let mut order: Vec<usize> = (0..self.messages.len()).collect();
        order.sort_by_key(|&n| self.messages[n].ts_recv_ns);
        let rows = order
            .iter()
            .flat_map(|&n| self.rows[starts[n]..starts[n] + self.messages[n].rows as usize].iter().copied())
            .collect();
        self.messages = order.iter().map(|&n| self.messages[n]).collect();
        self.rows = rows;
    }

    /// Headers, in the order in which they are applied.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The rows of all messages, one after the other.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes that the events take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice()) + size_of_val(self.messages.as_slice())
    }
}
