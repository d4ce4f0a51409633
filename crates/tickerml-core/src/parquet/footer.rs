//! What stands at the end of a file: schema, row groups, metadata.
use super::column::{ColumnMeta, PLAIN, RLE};
use super::thrift::Thrift;
use super::{Form, SCHEMA};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const VERSION: i32 = 2;
const INT32: i32 = 1;
const INT64: i32 = 2;
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const ZSTD: i32 = 6;
const UINT_8: i32 = 11;

/// A row group that is written.
pub(super) struct Group {
    pub(super) columns: Vec<ColumnMeta>,
    pub(super) rows: u64,
}

/// Appends the footer.
pub(super) fn footer(groups: &[Group], rows: u64, metadata: &[(String, String)], out: &mut Vec<u8>) {
    // The root, then its columns: Parquet's schema is a tree in preorder.
    let elements: Vec<Option<(&str, Form)>> = std::iter::once(None).chain(SCHEMA.map(Some)).collect();
    Thrift::write(out, |file| {
        file.i32(1, VERSION);
        file.structures(2, &elements, |element, what| match what {
            None => {
                element.bytes(4, b"schema");
                element.i32(5, SCHEMA.len() as i32);
            }
            Some((name, form)) => column_schema(element, name, *form),
        });
        file.i64(3, rows as i64);
        file.structures(4, groups, row_group);
        file.structures(5, metadata, |pair, (key, value)| {
            pair.bytes(1, key.as_bytes());
            pair.bytes(2, value.as_bytes());
        });
        file.bytes(6, concat!("tickerml version ", env!("CARGO_PKG_VERSION")).as_bytes());
        // Least and greatest are by the type's own order: a union whose first field is an empty structure.
        file.structures(7, &SCHEMA, |order, _| order.structure(1, |_| ()));
    });
}

/// Key of the metadata that proves where the footer says pages lie: those prove themselves, one page for another would not
/// be noticed.
pub(super) const LAYOUT_HASH: &str = "layout_sha256";

/// SHA-256 of a text: 1 for each column that may be absent, else 0; then a line for each row group, with its rows and for
/// each column the offset of its data and of its dictionary (0 for none), its bytes and its values.
pub(super) fn layout_hash(groups: &[Group]) -> String {
    let mut text = String::new();
    text.extend(SCHEMA.iter().map(|(_, form)| if *form == Form::PlainOrAbsent { '1' } else { '0' }));
    for group in groups {
        let _ = write!(text, "\n{}", group.rows);
        for meta in &group.columns {
            let dictionary = meta.dictionary_offset.unwrap_or(0);
            let _ = write!(text, " {}:{dictionary}:{}:{}", meta.data_offset, meta.bytes, meta.values);
        }
    }
    crate::units::hex(&Sha256::digest(text.as_bytes()))
}

fn column_schema(element: &mut Thrift<'_>, name: &str, form: Form) {
    element.i32(1, physical(form));
    element.i32(3, if form == Form::PlainOrAbsent { OPTIONAL } else { REQUIRED });
    element.bytes(4, name.as_bytes());
    if form == Form::Dictionary {
        element.i32(6, UINT_8);
        element.structure(10, |logical| {
            logical.structure(10, |integer| {
                integer.byte(1, 8);
                integer.flag(2, false);
            });
        });
    }
}

fn row_group(group: &mut Thrift<'_>, what: &Group) {
    let columns: Vec<_> = SCHEMA.iter().zip(&what.columns).collect();
    group.structures(1, &columns, |column, ((name, form), meta)| {
        column.i64(2, 0);
        column.structure(3, |data| column_meta(data, name, *form, meta));
    });
    group.i64(2, what.columns.iter().map(|meta| meta.raw_bytes).sum::<u64>() as i64);
    group.i64(3, what.rows as i64);
}

fn column_meta(data: &mut Thrift<'_>, name: &str, form: Form, meta: &ColumnMeta) {
    data.i32(1, physical(form));
    match form {
        Form::Dictionary => data.i32s(2, &[PLAIN, RLE, form.encoding()]),
        _ => data.i32s(2, &[RLE, form.encoding()]),
    }
    data.text_list(3, name);
    data.i32(4, ZSTD);
    data.i64(5, meta.values as i64);
    data.i64(6, meta.raw_bytes as i64);
    data.i64(7, meta.bytes as i64);
    data.i64(9, meta.data_offset as i64);
    if let Some(offset) = meta.dictionary_offset {
        data.i64(11, offset as i64);
    }
    data.structure(12, |statistics| {
        statistics.i64(3, meta.nulls as i64);
        if let Some((least, most)) = &meta.range {
            statistics.bytes(5, most);
            statistics.bytes(6, least);
        }
    });
}

const fn physical(form: Form) -> i32 {
    match form {
        Form::Dictionary => INT32,
        _ => INT64,
    }
}
