//! Cuts and flips on a small tape, over byte slices (rules.md 4 and 9, reliability.md 4 rows 4 and 5).
use sha2::{Digest, Sha256};
use tickerml_core::tape::{
    BlockBuilder, BlockInfo, Closed, ClosedBy, HEADER_LEN, Packed, Packer, RecordKind, RunId, Scan, SegmentHeader,
    SegmentId, Unpacker, scan,
};

/// A small generator of chance (xorshift64*), so that every failure names its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }
}

fn segment_id() -> SegmentId {
    SegmentId { run: RunId::new(1_723_161_255_000_000_000, 0xabc), epoch: 1, segment: 2 }
}

/// A segment of `blocks` blocks of 40 records each, followed by `padding` zeros.
fn tape(blocks: usize, padding: usize) -> Vec<u8> {
    let id = segment_id();
    let header = SegmentHeader { id, prev_len: 0, prev_sha256: [0; 32], first_pos: 0, created_ts_ns: 1 };
    let mut bytes = header.encode().to_vec();
    let (mut builder, mut packer, mut packed) = (BlockBuilder::new(0, 0), Packer::new().unwrap(), Packed::default());
    let mut chance = Chance(7);
    for n in 0..blocks as i64 {
        for k in 0..40 {
            let text = format!("{{\"u\":{n},\"b\":[[\"{}\",\"{}\"]]}}", chance.next(1 << 40), chance.next(1 << 20));
            builder.push(RecordKind::Frame, 1, n * 1000 + k, n * 1000 + k + 5, text.as_bytes()).unwrap();
        }
        packer.pack(&builder.take(Vec::new()), &mut packed).unwrap();
        packed.seal(&id, bytes.len() as u64, &mut bytes);
    }
    bytes.resize(bytes.len() + padding, 0);
    bytes
}

fn read(bytes: &[u8], blocks: &[BlockInfo]) -> Vec<u64> {
    let mut unpacker = Unpacker::new().unwrap();
    let mut seen = Vec::new();
    for info in blocks {
        let mut cursor = unpacker.unpack(&bytes[info.offset as usize..], info).unwrap();
        while let Some(record) = cursor.next(unpacker.raw()).unwrap() {
            seen.push(record.pos);
        }
    }
    seen
}

fn open(bytes: &[u8]) -> Scan {
    scan(bytes, &segment_id(), None).unwrap()
}

#[test]
fn a_whole_tape_is_read_whole() {
    let bytes = tape(6, 0);
    let found = open(&bytes);
    assert_eq!((found.blocks.len(), found.cut, found.damaged.len()), (6, None, 0));
    assert_eq!(read(&bytes, &found.blocks), (0..240).collect::<Vec<_>>());
    assert_eq!((found.next_pos, found.valid_len), (Some(240), bytes.len() as u64));
    assert_eq!(open(&tape(6, 5000)).padding, 5000);
}

/// The tape cut at every byte of its last two blocks: by truncation, and by zeros as in a preallocated file.
#[test]
fn cuts_at_every_byte_of_the_last_two_blocks() {
    let bytes = tape(5, 0);
    let whole = open(&bytes).blocks;
    for end in whole[3].offset as usize..bytes.len() {
        let kept: Vec<_> = whole.iter().copied().filter(|b| b.end() <= end as u64).collect();
        let valid = kept.last().unwrap().end();
        let mut zeroed = bytes.clone();
        zeroed[end..].fill(0);
        zeroed.resize(bytes.len() + 4096, 0);
        let data = zeroed.iter().rposition(|&b| b != 0).unwrap() as u64 + 1;
        for (cut, bytes_cut) in [(&bytes[..end], data - valid.min(data)), (&zeroed[..], data - valid.min(data))] {
            let found = open(cut);
            assert_eq!(found.blocks, kept, "end {end}");
            assert_eq!(found.damaged, [], "end {end}");
            assert_eq!(found.valid_len, valid);
            let reported = found.cut.map_or(0, |c| c.bytes);
            assert_eq!(reported, bytes_cut, "end {end}: every byte of the torn tail is reported");
            assert_eq!(found.cut.is_none(), end as u64 == valid, "end {end}");
        }
    }
}

#[test]
fn a_segment_that_was_never_begun_is_a_cut() {
    for bytes in [vec![], vec![0; 4096], tape(1, 0)[..60].to_vec()] {
        let found = open(&bytes);
        assert_eq!((found.blocks.len(), found.damaged.len()), (0, 0));
    }
}

/// In a closed segment any mismatch is damage; in an open one a flip is never taken for a cut.
#[test]
fn ten_thousand_flips_are_found_and_located() {
    let padding = 3000;
    let open_tape = tape(12, padding);
    let closed_tape = &open_tape[..open_tape.len() - padding];
    let sha256 = Some(Sha256::digest(closed_tape).into());
    let closed = Closed { len: closed_tape.len() as u64, sha256, by: ClosedBy::Stop };
    let whole = open(&open_tape).blocks;
    let mut chance = Chance(42);
    for n in 0..10_000 {
        let is_open = n % 2 == 0;
        let mut bytes = if is_open { open_tape.clone() } else { closed_tape.to_vec() };
        let bit = chance.next(bytes.len() as u64 * 8);
        let at = bit / 8;
        bytes[at as usize] ^= 1 << (bit % 8);
        let found = scan(&bytes, &segment_id(), (!is_open).then_some(&closed)).unwrap();
        assert_eq!(found.cut, None, "flip {n} of bit {bit}");
        let [damage] = found.damaged[..] else { panic!("flip {n} of bit {bit}: {:?}", found.damaged) };
        assert!((damage.offset..damage.offset + damage.bytes).contains(&at), "flip {n} of bit {bit}: {damage:?}");
        let kept: Vec<_> = whole.iter().copied().filter(|b| !(b.offset..b.end()).contains(&at)).collect();
        assert_eq!(found.blocks, kept, "flip {n} of bit {bit}: all other blocks are read");
        assert_eq!(found.header.is_some(), at >= HEADER_LEN as u64);
    }
}

#[test]
fn a_closed_segment_is_held_to_its_record() {
    let bytes = tape(4, 0);
    let record = |len: usize, by| Closed { len: len as u64, sha256: Some(Sha256::digest(&bytes[..len]).into()), by };
    let stop = record(bytes.len(), ClosedBy::Stop);
    let scan_with = |bytes: &[u8], closed| scan(bytes, &segment_id(), Some(closed)).unwrap();
    assert_eq!(scan_with(&bytes, &stop).damaged, []);
    for end in [bytes.len() - 1, bytes.len() - 400, 200, 1, 0] {
        assert!(!scan_with(&bytes[..end], &stop).damaged.is_empty(), "shorter: {end}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(scan_with(&longer, &stop).damaged.len(), 1);
    let other = tape(4, 0);
    let wrong = Closed { sha256: Some([1; 32]), ..stop };
    assert_eq!(scan_with(&other, &wrong).damaged[0].bytes, other.len() as u64);
}

/// A restart records the valid length of the segment before; what lies beyond is padding, a cut, or damage.
#[test]
fn beyond_the_length_that_a_successor_records() {
    let bytes = tape(4, 0);
    let blocks = open(&bytes).blocks;
    let len = blocks[2].end();
    let closed = Closed { len, sha256: None, by: ClosedBy::Successor };
    let scan_with = |bytes: &[u8]| scan(bytes, &segment_id(), Some(&closed)).unwrap();
    let poisoned = scan_with(&bytes);
    assert_eq!(
        (poisoned.blocks.len(), poisoned.damaged.len()),
        (3, 0),
        "a block written again elsewhere is not read twice"
    );
    assert_eq!(poisoned.cut.unwrap().bytes, blocks[3].len);
    let torn = scan_with(&bytes[..len as usize + 100]);
    assert_eq!((torn.blocks.len(), torn.cut.unwrap().bytes, torn.damaged.len()), (3, 100, 0));
    let mut padded = bytes[..len as usize].to_vec();
    padded.resize(len as usize + 1000, 0);
    assert_eq!((scan_with(&padded).padding, scan_with(&padded).damaged.len()), (1000, 0));
    padded[len as usize + 500] = 4;
    assert_eq!(scan_with(&padded).damaged[0].offset, len + 500);
}

#[test]
fn a_block_at_another_place_does_not_verify() {
    let bytes = tape(3, 0);
    let blocks = open(&bytes).blocks;
    let second = &bytes[blocks[1].offset as usize..blocks[1].end() as usize];
    let stale = [&bytes[..], second].concat();
    let found = open(&stale);
    assert_eq!((found.blocks.len(), found.damaged.len()), (3, 1), "a stale block at another offset");
    let elsewhere = SegmentId { epoch: 9, ..segment_id() };
    assert_eq!(scan(&bytes, &elsewhere, None).unwrap().blocks, [], "the same bytes under another name");
}

#[test]
fn a_newer_version_is_refused() {
    let mut bytes = tape(1, 0);
    bytes[8] = 200;
    let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
    bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    assert!(scan(&bytes, &segment_id(), None).is_err());
}

#[test]
fn a_record_above_a_blocks_size_is_one_block() {
    let big: Vec<u8> = (0..5_079_379u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut builder = BlockBuilder::new(0, 0);
    builder.push(RecordKind::Rest, 3, 5, 6, &big).unwrap();
    assert!(builder.is_full());
    let mut packed = Packed::default();
    Packer::new().unwrap().pack(&builder.take(Vec::new()), &mut packed).unwrap();
    let mut bytes = tape(0, 0);
    packed.seal(&segment_id(), bytes.len() as u64, &mut bytes);
    let found = open(&bytes);
    let mut unpacker = Unpacker::new().unwrap();
    let mut cursor = unpacker.unpack(&bytes[HEADER_LEN..], &found.blocks[0]).unwrap();
    let record = cursor.next(unpacker.raw()).unwrap().unwrap();
    assert_eq!((record.pos, record.slot, record.bytes == big), (0, 3, true));
}

/// Garbage where a tape should be: no panic, no endless loop, nothing believed.
#[test]
fn garbage_is_damage() {
    let mut chance = Chance(3);
    for n in 0..300 {
        let mut bytes = tape(3, 0);
        let (from, len) = (chance.next(bytes.len() as u64) as usize, chance.next(3000) as usize);
        let to = (from + len + 1).min(bytes.len());
        bytes[from..to].iter_mut().for_each(|b| *b = chance.next(256) as u8);
        let found = open(&bytes);
        assert!(found.blocks.len() <= 3 && (!found.damaged.is_empty() || found.cut.is_some() || len < 2), "case {n}");
    }
}
