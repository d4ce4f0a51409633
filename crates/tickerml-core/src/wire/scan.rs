//! A cursor over JSON text: just enough to walk objects whose keys we know and to skip what we do not.
//!
//! It borrows, allocates nothing and never looks back. Strings with escapes are not decoded here: [`Token::Escape`] sends the
//! caller to the slow way, which lets serde_json rewrite the text once.
use crate::error::Error;

/// Deepest nesting that [`Cursor::skip_value`] follows: no venue goes beyond 6, hostile text may try.
const DEPTH_MAX: u32 = 64;

/// Why a read stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A string with a backslash where a plain one was needed.
    Escape,
    /// Not the JSON that was expected.
    Bad(Error),
}

impl From<Error> for Token {
    fn from(error: Error) -> Self {
        Token::Bad(error)
    }
}

/// Result of scanning.
pub type Scan<T> = std::result::Result<T, Token>;

/// Index of the first quote, backslash, control character or byte beyond ASCII from `at` on, or the length: eight bytes at a
/// time.
#[inline]
fn plain_end(buf: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(bytes) = buf.get(at..at + 8) {
        let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5C)) | control | word) & HIGHS;
        // Borrows only raise false hits behind a true one, so the lowest is exact.
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20 | 0x80..);
    buf.get(at..).and_then(|rest| rest.iter().position(special)).map_or(buf.len(), |n| at + n)
}

/// A position in JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    /// The whole text.
    pub buf: &'a [u8],
    /// Index of the next byte.
    pub at: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `buf`; `what` names the message in errors.
    pub const fn new(buf: &'a [u8], what: &'static str) -> Self {
        Cursor { buf, at: 0, what }
    }

    /// An error at this place.
    #[cold]
    pub fn bad(&self, reason: &'static str) -> Token {
        Token::Bad(Error::BadMessage { what: self.what, offset: self.at, reason })
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    pub fn peek(&mut self) -> Scan<u8> {
        loop {
            match self.buf.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(self.bad("text ends early")),
            }
        }
    }

    /// Consumes `byte`.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.buf.get(self.at) == Some(&byte) || self.peek()? == byte {
            self.at += 1;
            return Ok(());
        }
        Err(self.bad("unexpected byte"))
    }

    /// Consumes `byte` if it is next.
    #[inline]
    pub fn accept(&mut self, byte: u8) -> Scan<bool> {
        let hit = self.peek()? == byte;
        self.at += usize::from(hit);
        Ok(hit)
    }

    /// A string without escapes, borrowed.
    #[inline]
    pub fn string(&mut self) -> Scan<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        let end = plain_end(self.buf, start);
        match self.buf.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(&self.buf[start..end])
            }
            Some(b'\\') => Err(Token::Escape),
            Some(0x80..) => self.other_alphabet(start, end),
            Some(_) => Err(self.bad("control character in a string")),
            None => {
                self.at = self.buf.len();
                Err(self.bad("string without end"))
            }
        }
    }

    /// Goes on with a string from `start` whose byte at `end` is beyond ASCII.
    #[cold]
    fn other_alphabet(&mut self, start: usize, mut end: usize) -> Scan<&'a [u8]> {
        while matches!(self.buf.get(end), Some(0x80..)) {
            end = plain_end(self.buf, end + 1);
        }
        match self.buf.get(end) {
            Some(b'"') => self.at = end + 1,
            Some(b'\\') => return Err(Token::Escape),
            _ => return Err(self.bad("string without end")),
        }
        let text = &self.buf[start..end];
        std::str::from_utf8(text).map(str::as_bytes).map_err(|_| self.bad("not UTF-8"))
    }

    /// A key and its colon.
    #[inline]
    pub fn key(&mut self) -> Scan<&'a [u8]> {
        // Nearly every key of a hot message is one letter.
        if let Some([b'"', letter, b'"', b':']) = self.buf.get(self.at..self.at + 4)
            && !matches!(letter, b'"' | b'\\' | 0..0x20 | 0x80..)
        {
            self.at += 4;
            return Ok(&self.buf[self.at - 3..self.at - 2]);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// A whole number that fits 63 bits.
    #[inline]
    pub fn integer(&mut self) -> Scan<i64> {
        let negative = self.accept(b'-')?;
        let start = self.at;
        let mut value: i64 = 0;
        while let Some(digit) = self.buf.get(self.at).map(|b| b.wrapping_sub(b'0')).filter(|&d| d <= 9) {
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(i64::from(digit)))
                .ok_or_else(|| self.bad("number above 63 bits"))?;
            self.at += 1;
        }
        // Zero with a sign is a float to serde_json.
        let leading_zero = self.buf.get(start) == Some(&b'0') && (negative || self.at > start + 1);
        if self.at == start || leading_zero || matches!(self.buf.get(self.at), Some(b'.' | b'e' | b'E')) {
            return Err(self.bad("not a whole number"));
        }
        Ok(if negative { -value } else { value })
    }

    /// true or false.
    #[inline]
    pub fn boolean(&mut self) -> Scan<bool> {
        self.peek()?;
        let rest = &self.buf[self.at..];
        for (text, value) in [(&b"true"[..], true), (&b"false"[..], false)] {
            if rest.starts_with(text) {
                self.at += text.len();
                return Ok(value);
            }
        }
        Err(self.bad("not true or false"))
    }

    /// Behind a member or element: true when another follows, false when `close` ended the list.
    #[inline]
    pub fn more(&mut self, close: u8) -> Scan<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.bad("expected a comma or the end")),
        }
    }

    /// Skips one value of any kind; its strings may hold escapes.
    pub fn skip_value(&mut self) -> Scan<()> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: u32) -> Scan<()> {
        if depth > DEPTH_MAX {
            return Err(self.bad("nested too deeply"));
        }
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' => self.skip_list(b'}', depth, true),
            b'[' => self.skip_list(b']', depth, false),
            _ => self.skip_scalar(),
        }
    }

    fn skip_list(&mut self, close: u8, depth: u32, keyed: bool) -> Scan<()> {
        self.at += 1;
        if self.accept(close)? {
            return Ok(());
        }
        loop {
            if keyed {
                if self.peek()? != b'"' {
                    return Err(self.bad("expected a key"));
                }
                self.skip_string()?;
                self.expect(b':')?;
            }
            self.skip_nested(depth + 1)?;
            if !self.more(close)? {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Scan<()> {
        let start = self.at;
        let mut plain = true;
        self.at = plain_end(self.buf, start + 1);
        while let Some(&byte) = self.buf.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return if plain { Ok(()) } else { self.judge::<String>(start, "bad text") };
                }
                0..0x20 => return Err(self.bad("control character in a string")),
                _ => {
                    plain = false;
                    let next = self.at + if byte == b'\\' { 2 } else { 1 };
                    self.at = plain_end(self.buf, next.min(self.buf.len()));
                }
            }
        }
        Err(self.bad("string without end"))
    }

    fn skip_scalar(&mut self) -> Scan<()> {
        let start = self.at;
        while self.buf.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        match &self.buf[start..self.at] {
            b"true" | b"false" | b"null" | b"0" => Ok(()),
            [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) && rest.len() < 300 => Ok(()),
            _ => self.judge::<serde_json::Value>(start, "not a JSON value"),
        }
    }

    /// Lets serde_json say of what was passed since `start` whether it is JSON: escapes, other alphabets, rare numbers.
    #[cold]
    fn judge<T: serde::de::DeserializeOwned>(&self, start: usize, reason: &'static str) -> Scan<()> {
        let text = self.buf.get(start..self.at).unwrap_or_default();
        serde_json::from_slice::<T>(text).map(|_| ()).map_err(|_| self.bad(reason))
    }

    /// Demands that nothing but white space follows.
    pub fn end(&mut self) -> Scan<()> {
        while let Some(byte) = self.buf.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Err(self.bad("text behind the end"));
            }
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_accepts_what_json_accepts() {
        for text in ["1", "-1.5e-8", "\"a\\\"b\"", "[]", "{}", "[1,[2,{\"a\":null}],true]", " { \"x\" : [ 1 , 2 ] } "] {
            let mut c = Cursor::new(text.as_bytes(), "test");
            assert_eq!(c.skip_value().and_then(|()| c.end()), Ok(()), "{text}");
        }
        for text in ["", "[", "{\"a\"}", "[1,]", "tru", "01", "\"a", "{a:1}", "[1 2]", "1 2", "-", "\u{1}"] {
            let mut c = Cursor::new(text.as_bytes(), "test");
            assert!(c.skip_value().and_then(|()| c.end()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(Cursor::new(deep.as_bytes(), "test").skip_value().is_err());
    }

    #[test]
    fn integers_are_whole_and_bounded() {
        let read = |text: &str| Cursor::new(text.as_bytes(), "test").integer();
        assert_eq!(read("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(read(" -5,"), Ok(-5));
        for bad in ["9223372036854775808", "1.0", "1e3", "", "-", "x", "\"1\"", "01"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
