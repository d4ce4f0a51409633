//! Parquet's encodings of integers, as bytes before compression.
use crate::tape::{put_varint, zigzag};

const BLOCK: usize = 128;
const MINI: usize = 32;
const MINIS: usize = BLOCK / MINI;

/// PLAIN: eight bytes each, lowest first.
pub(super) fn plain(values: &[i64], out: &mut Vec<u8>) {
    out.reserve(8 * values.len());
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// BYTE_STREAM_SPLIT: all lowest bytes, then all second ones, ...
pub(super) fn split(values: &[i64], out: &mut Vec<u8>) {
    for byte in 0..8 {
        out.extend(values.iter().map(|&value| (value >> (8 * byte)) as u8));
    }
}

/// DELTA_BINARY_PACKED: differences less the least of their 128, in as few bits as the 32 beside them need.
pub(super) fn delta(values: &[i64], out: &mut Vec<u8>) {
    let Some((&first, rest)) = values.split_first() else { return };
    put_varint(out, BLOCK as u64);
    put_varint(out, MINIS as u64);
    put_varint(out, values.len() as u64);
    put_varint(out, zigzag(first));
    let mut before = first;
    for block in rest.chunks(BLOCK) {
        let mut deltas = [0; BLOCK];
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(before);
            before = value;
        }
        let least = deltas[..block.len()].iter().copied().min().unwrap_or(0);
        put_varint(out, zigzag(least));
        let mut above = [0; BLOCK];
        for (above, delta) in above.iter_mut().zip(&deltas[..block.len()]) {
            *above = delta.wrapping_sub(least) as u64;
        }
        let widths: [u32; MINIS] = std::array::from_fn(|n| {
            let all = above[n * MINI..][..MINI].iter().fold(0, |bits, value| bits | value);
            u64::BITS - all.leading_zeros()
        });
        out.extend(widths.map(|width| width as u8));
        for (mini, width) in above.chunks(MINI).zip(widths).take(block.len().div_ceil(MINI)) {
            pack(mini, width, out);
        }
    }
}

/// Indices of at most `width` bits: runs of eight and more as a count and the index, the others packed by eights.
pub(super) fn runs(indices: &[u8], width: u32, out: &mut Vec<u8>) {
    let (mut at, mut packed_from) = (0, 0);
    while at < indices.len() {
        let run = indices[at..].iter().take_while(|&&index| index == indices[at]).count();
        if run < 8 {
            at = indices.len().min(at + 8);
            continue;
        }
        pack_eights(&indices[packed_from..at], width, out);
        put_varint(out, (run as u64) << 1);
        out.push(indices[at]);
        at += run;
        packed_from = at;
    }
    pack_eights(&indices[packed_from..], width, out);
}

fn pack_eights(indices: &[u8], width: u32, out: &mut Vec<u8>) {
    if indices.is_empty() {
        return;
    }
    put_varint(out, (indices.len().div_ceil(8) as u64) << 1 | 1);
    for eight in indices.chunks(8) {
        let mut values = [0; 8];
        for (value, &index) in values.iter_mut().zip(eight) {
            *value = index.into();
        }
        pack(&values, width, out);
    }
}

/// Values of `width` bits each, lowest bits first. Their number is a multiple of eight, so the bits fill whole bytes.
fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held): (u128, u32) = (0, 0);
    for &value in values {
        bits |= u128::from(value) << held;
        held += width;
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    #[test]
    fn the_specification_s_examples_come_out() {
        // Encodings.md: 1 to 5 have no difference but one; 7, 5, 3, 1, 2, 3, 4, 5 have -2 and 1.
        assert_eq!(encoded(|out| delta(&[1, 2, 3, 4, 5], out)), [128, 1, 4, 5, 2, 2, 0, 0, 0, 0]);
        let second = encoded(|out| delta(&[7, 5, 3, 1, 2, 3, 4, 5], out));
        assert_eq!(second, [128, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0xC0, 0x3F, 0, 0, 0, 0, 0, 0]);
        // 0 to 7 in three bits each.
        assert_eq!(encoded(|out| runs(&[0, 1, 2, 3, 4, 5, 6, 7], 3, out)), [3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
    }

    #[test]
    fn runs_begin_at_eights_and_end_anywhere() {
        let indices = [&[1, 2, 3][..], &[5; 14]].concat();
        // The first eight are mixed, nine fives are left.
        assert_eq!(encoded(|out| runs(&indices, 4, out)), [3, 0x21, 0x53, 0x55, 0x55, 18, 5]);
    }

    #[test]
    fn bytes_are_split_by_their_place() {
        assert_eq!(encoded(|out| split(&[0x0102, -1], out))[..6], [2, 255, 1, 255, 0, 255]);
    }
}
