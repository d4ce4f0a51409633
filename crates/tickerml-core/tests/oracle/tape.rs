//! The tape against its promises (rules.md 4): every byte accounted for, records as written, any flipped bit found.
use tickerml_core::tape::{
    BlockBuilder, Closed, ClosedBy, Cursor, HEADER_LEN, Packed, Packer, RecordKind, RunId, Scan, SegmentHeader,
    SegmentId, Unpacker, scan,
};

/// Reads `input` as a segment, as the payload of a block, and as records to write, with the place of a bit to flip.
pub fn check_tape(input: &[u8]) {
    for closed in [None, Some(ClosedBy::Stop), Some(ClosedBy::Successor)] {
        let closed = closed.map(|by| Closed { len: input.len() as u64 / 2, sha256: None, by });
        if let Ok(scan) = scan(input, &segment(), closed.as_ref()) {
            check_spans(&scan, input.len() as u64, closed.as_ref());
        }
    }
    check_payload(input);
    check_flip(input);
}

fn segment() -> SegmentId {
    SegmentId { run: RunId::new(1_723_161_255_000_000_000, 0xabc), epoch: 1, segment: 2 }
}

/// No two of blocks, damage and cut overlap, and none reaches beyond what there is.
fn check_spans(scan: &Scan, len: u64, closed: Option<&Closed>) {
    let mut spans: Vec<(u64, u64)> = scan.blocks.iter().map(|b| (b.offset, b.end())).collect();
    spans.extend(scan.damaged.iter().map(|d| (d.offset, d.offset + d.bytes)));
    spans.sort_unstable();
    assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "spans overlap: {spans:?}");
    let end = closed.map_or(len, |c| len.max(c.len));
    assert!(spans.iter().all(|span| span.1 <= end), "a span reaches beyond {end}: {spans:?}");
    let cut = scan.cut.map_or(0, |cut| cut.offset + cut.bytes);
    assert!(cut <= len && scan.padding <= len, "{scan:?}");
}

/// A second reading of a payload, byte by byte: kind, slot, bytes of each record of a known kind.
fn payload(raw: &[u8]) -> Option<Vec<(u8, u64, &[u8])>> {
    let mut rest = raw;
    let mut records = Vec::new();
    while let Some((&kind, behind)) = rest.split_first() {
        rest = behind;
        let mut numbers = [0u64; 4];
        for number in &mut numbers {
            let len = rest.iter().take(10).position(|b| b & 0x80 == 0)?;
            *number = rest[..=len].iter().rev().fold(0u64, |n, b| n.wrapping_shl(7) | u64::from(b & 0x7f));
            rest = &rest[len + 1..];
        }
        let bytes = rest.get(..usize::try_from(numbers[1]).ok()?)?;
        u16::try_from(numbers[0]).ok()?;
        rest = &rest[bytes.len()..];
        if RecordKind::from_u8(kind).is_some() {
            records.push((kind, numbers[0], bytes));
        }
    }
    Some(records)
}

fn check_payload(raw: &[u8]) {
    let mut cursor = Cursor::new(0, 0);
    let mut ours = Some(Vec::new());
    loop {
        match cursor.next(raw) {
            Ok(Some(record)) => {
                let list = ours.as_mut().expect("not ended");
                list.push((record.kind as u8, u64::from(record.slot), record.bytes));
            }
            Ok(None) => break,
            Err(_) => {
                ours = None;
                break;
            }
        }
    }
    assert_eq!(ours, payload(raw), "{raw:?}");
}

/// Writes `input` as records in two blocks, flips the bit that its first bytes choose, and reads what is left.
fn check_flip(input: &[u8]) {
    let Some((place, rest)) = input.split_first_chunk::<4>() else { return };
    let id = segment();
    let header = SegmentHeader { id, prev_len: 0, prev_sha256: [0; 32], first_pos: 0, created_ts_ns: 1 };
    let mut bytes = header.encode().to_vec();
    let (mut packer, mut packed) = (Packer::new().expect("zstd"), Packed::default());
    let mut builder = BlockBuilder::new(0, 0);
    let records: Vec<&[u8]> = rest.chunks(1 + usize::from(place[0] % 61)).take(64).collect();
    for half in records.chunks(records.len().div_ceil(2).max(1)) {
        for record in half {
            let ts = builder.next_pos() as i64;
            builder.push(RecordKind::Frame, u16::from(record[0]), ts, ts, record).expect("small");
        }
        packer.pack(&builder.take(Vec::new()), &mut packed).expect("zstd");
        packed.seal(&id, bytes.len() as u64, &mut bytes);
    }
    let closed = Closed { len: bytes.len() as u64, sha256: None, by: ClosedBy::Stop };
    let whole = scan(&bytes, &id, Some(&closed)).expect("our version");
    assert!(whole.damaged.is_empty() && whole.cut.is_none(), "{whole:?}");
    assert_eq!(read(&bytes, &whole), records);
    let bit = u32::from_le_bytes(*place) as usize % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let Ok(hurt) = scan(&bytes, &id, Some(&closed)) else {
        return assert!(bit / 8 < HEADER_LEN, "a block has no version");
    };
    check_spans(&hurt, bytes.len() as u64, Some(&closed));
    let at = bit as u64 / 8;
    let located = hurt.damaged.iter().any(|d| d.offset <= at && at < d.offset + d.bytes);
    assert!(located, "flip at {at} not found: {hurt:?}");
    let unhurt: Vec<_> = whole.blocks.iter().filter(|b| !(b.offset..b.end()).contains(&at)).copied().collect();
    assert_eq!(hurt.blocks, unhurt, "flip at {at}");
}

fn read(bytes: &[u8], scan: &Scan) -> Vec<Vec<u8>> {
    let mut unpacker = Unpacker::new().expect("zstd");
    let mut seen = Vec::new();
    for info in &scan.blocks {
        let mut cursor = unpacker.unpack(&bytes[info.offset as usize..], info).expect("a whole block");
        while let Some(record) = cursor.next(unpacker.raw()).expect("our records") {
            assert_eq!(record.pos as usize, seen.len());
            seen.push(record.bytes.to_vec());
        }
    }
    seen
}
