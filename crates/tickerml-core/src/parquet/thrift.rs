//! As much of Thrift's compact protocol as a Parquet header and footer need: fields in ascending order, written only.
use crate::tape::{put_varint, zigzag};

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Writes one structure, and those inside it.
pub(super) struct Thrift<'a> {
    out: &'a mut Vec<u8>,
    /// Id of the field before: ids are written as differences.
    last: i16,
}

impl Thrift<'_> {
    /// Appends a structure whose fields `fields` writes.
    pub(super) fn write(out: &mut Vec<u8>, fields: impl FnOnce(&mut Thrift<'_>)) {
        let mut thrift = Thrift { out, last: 0 };
        fields(&mut thrift);
        thrift.out.push(0);
    }

    pub(super) fn flag(&mut self, id: i16, value: bool) {
        self.field(id, if value { TRUE } else { FALSE });
    }

    pub(super) fn byte(&mut self, id: i16, value: u8) {
        self.field(id, BYTE);
        self.out.push(value);
    }

    pub(super) fn i32(&mut self, id: i16, value: i32) {
        self.field(id, I32);
        put_varint(self.out, zigzag(value.into()));
    }

    pub(super) fn i64(&mut self, id: i16, value: i64) {
        self.field(id, I64);
        put_varint(self.out, zigzag(value));
    }

    pub(super) fn bytes(&mut self, id: i16, value: &[u8]) {
        self.field(id, BINARY);
        self.put_bytes(value);
    }

    pub(super) fn structure(&mut self, id: i16, fields: impl FnOnce(&mut Thrift<'_>)) {
        self.field(id, STRUCT);
        Thrift::write(self.out, fields);
    }

    pub(super) fn structures<T>(&mut self, id: i16, items: &[T], mut fields: impl FnMut(&mut Thrift<'_>, &T)) {
        self.list(id, STRUCT, items.len());
        for item in items {
            Thrift::write(self.out, |thrift| fields(thrift, item));
        }
    }

    pub(super) fn i32s(&mut self, id: i16, items: &[i32]) {
        self.list(id, I32, items.len());
        items.iter().for_each(|&item| put_varint(self.out, zigzag(item.into())));
    }

    /// A list of one text.
    pub(super) fn text_list(&mut self, id: i16, item: &str) {
        self.list(id, BINARY, 1);
        self.put_bytes(item.as_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        put_varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    fn field(&mut self, id: i16, kind: u8) {
        let step = id - self.last;
        debug_assert!((1..16).contains(&step), "field {id} after {}", self.last);
        self.out.push((step as u8) << 4 | kind);
        self.last = id;
    }

    fn list(&mut self, id: i16, kind: u8, count: usize) {
        const SHORT: usize = 15;
        self.field(id, LIST);
        if count < SHORT {
            self.out.push((count as u8) << 4 | kind);
        } else {
            self.out.push(0xF0 | kind);
            put_varint(self.out, count as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_lists_are_those_of_the_compact_protocol() {
        let mut out = Vec::new();
        Thrift::write(&mut out, |t| {
            t.i32(1, -1);
            t.structure(3, |inner| inner.flag(2, true));
            t.i32s(4, &[1; 15]);
            t.text_list(5, "ab");
        });
        let ones = [2; 15];
        let expected = [&[0x15, 1, 0x2C, 0x21, 0, 0x19, 0xF5, 15][..], &ones, &[0x19, 0x18, 2, b'a', b'b', 0]].concat();
        assert_eq!(out, expected);
    }
}
