//! Reads the tape that the feed writes, with core's books, and compares them with the venue's truth.
use std::collections::BTreeMap;
use tickerml_core::book::Book;
use tickerml_core::event::{BookState, Message, Row, RowKind};
use tickerml_core::market::{Gap, Line, Market as Books, Visitor};
use tickerml_core::tape::{Record, RestHead};
use tickerml_feed::tape_port::OwnedRecord;
use tickerml_venue::faults::MISNUMBER;
use tickerml_venue::market::Market;

/// Applies rows and remembers, for each instrument, which record its book stands at.
#[derive(Default)]
struct Applied {
    at: BTreeMap<u16, u64>,
    turned_live: bool,
}

impl Visitor for Applied {
    fn message(&mut self, message: &Message, rows: &[Row], line: &mut Line) {
        rows.iter().for_each(|row| {
            line.book.apply(*row);
        });
        match rows.first().map(|r| r.kind()) {
            Some(RowKind::Bid | RowKind::Ask | RowKind::Clear) => {
                self.at.insert(message.instrument, message.pos);
            }
            Some(RowKind::State) => self.turned_live |= rows[0].px() == BookState::Live as i64,
            _ => {}
        }
    }
}

/// A span in which an instrument's book was Live, in stamps of arrival, and the update id with which it began.
pub struct Live {
    pub index: usize,
    pub from_ns: i64,
    pub to_ns: i64,
    pub from_id: u64,
}

/// Everything that a reader of the tape knows.
pub struct Reader {
    pub books: Books,
    applied: Applied,
    read: usize,
    /// Ids of the diff or snapshot at each `pos` that had one.
    ids: BTreeMap<u64, u64>,
    pub gaps: Vec<Gap>,
    pub compared: u64,
    /// Spans in which a book was Live.
    pub live: Vec<Live>,
}

impl Reader {
    pub fn new(slots: &[String]) -> Reader {
        let mut books = Books::new();
        books.set_slots(slots);
        let (ids, gaps, live) = (BTreeMap::new(), Vec::new(), Vec::new());
        Reader { books, applied: Applied::default(), read: 0, ids, gaps, compared: 0, live }
    }

    /// Reads on to the end of the tape, comparing as it goes.
    pub fn read(&mut self, tape: &[OwnedRecord], market: &Market) {
        for (pos, record) in tape.iter().enumerate().skip(self.read) {
            let pos = pos as u64;
            if let Some(id) = id_of(record) {
                self.ids.insert(pos, id);
            }
            let before: Vec<bool> = self.books.lines.iter().map(Line::is_live).collect();
            self.applied.turned_live = false;
            let at = self.applied.at.clone();
            let OwnedRecord { kind, slot, stamp, ref bytes } = *record;
            let record = Record { pos, kind, slot, ts_recv_ns: stamp.recv_ns, ts_mono_ns: stamp.mono_ns, bytes };
            self.books.record(&record, &mut self.applied).expect("records of our own making can be read");
            self.gaps.extend(self.books.take_gaps());
            self.note_live(&before, stamp.recv_ns);
            if self.applied.at != at || self.applied.turned_live {
                self.compare(market, pos);
            }
        }
        self.read = tape.len();
    }

    fn note_live(&mut self, before: &[bool], now_ns: i64) {
        for (index, line) in self.books.lines.iter().enumerate() {
            match (before.get(index).copied().unwrap_or(false), line.is_live()) {
                (false, true) => {
                    let from_id = self.ids[&self.applied.at[&(index as u16)]];
                    self.live.push(Live { index, from_ns: now_ns, to_ns: i64::MAX, from_id });
                }
                (true, false) => {
                    let open = self.live.iter_mut().rev().find(|live| live.index == index).expect("it was Live");
                    open.to_ns = now_ns;
                }
                _ => {}
            }
        }
    }

    /// Live books against the venue's: all right after a change of state, else every fourth message.
    fn compare(&mut self, market: &Market, pos: u64) {
        if !self.applied.turned_live && pos & 3 != 0 {
            return;
        }
        for (index, line) in self.books.lines.iter().enumerate().filter(|(_, l)| l.is_live()) {
            let at = self.applied.at[&(index as u16)];
            let id = self.ids[&at];
            let number = market.find(&line.instrument.symbol).expect("listed");
            let last_id = market.listings()[number].history().last_id();
            if id > last_id {
                // A diff with a wrong number is believed until the next one, which does not fit it.
                assert!(id / MISNUMBER <= last_id, "{id} lies ahead of the venue");
                continue;
            }
            let Some(truth) = market.book_at(number, id) else {
                // A snapshot with a false id of long ago is believed until the first diff, which does not fit it.
                assert!(id < last_id, "{id} lies ahead of the venue");
                continue;
            };
            let (tick, lot) = (line.instrument.tick, line.instrument.lot);
            let scaled = |side: usize| truth[side].iter().map(move |(px, qty)| (px * tick, qty * lot));
            let same = line.book.bids().eq(scaled(0).rev()) && line.book.asks().eq(scaled(1));
            assert!(same, "{} at {id}, pos {pos}: {}", line.instrument.id(), difference(&line.book, &truth, tick));
            self.compared += 1;
        }
    }
}

/// The first few prices that differ.
fn difference(book: &Book, truth: &[BTreeMap<i64, i64>; 2], tick: i64) -> String {
    let held: BTreeMap<i64, i64> = book.bids().chain(book.asks()).map(|(px, qty)| (px / tick, qty)).collect();
    let true_px: BTreeMap<i64, i64> = truth.iter().flatten().map(|(px, qty)| (*px, *qty)).collect();
    let extra: Vec<_> = held.keys().filter(|px| !true_px.contains_key(px)).take(5).collect();
    let missing: Vec<_> = true_px.keys().filter(|px| !held.contains_key(px)).take(5).collect();
    format!("{} levels held, {} true, extra {extra:?}, missing {missing:?}", held.len(), true_px.len())
}

/// `u` of a diff, `lastUpdateId` of a snapshot.
fn id_of(record: &OwnedRecord) -> Option<u64> {
    use tickerml_core::tape::RecordKind;
    let number = |text: &str, key: &str| -> Option<u64> {
        let rest = &text[text.find(key)? + key.len()..];
        rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    };
    match record.kind {
        RecordKind::Frame => {
            let text = std::str::from_utf8(&record.bytes).ok()?;
            number(text, "\"u\":").filter(|_| text.contains("depthUpdate"))
        }
        RecordKind::Rest => {
            let (_, body) = RestHead::decode(&record.bytes).ok()?;
            number(std::str::from_utf8(body).ok()?, "{\"lastUpdateId\":")
        }
        _ => None,
    }
}
