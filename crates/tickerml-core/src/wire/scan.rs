//! A cursor over JSON text: just enough to walk objects whose keys we know and to skip what we do not.
//!
//! It borrows, allocates nothing and never looks back. Strings with escapes are not decoded here: [`Token::Escape`] sends the
//! caller to the slow way, which lets serde_json rewrite the text once.
use super::swar::{self, HIGHS, ONES, hits};
use crate::error::Error;

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
pub(super) fn plain_end(buf: &[u8], mut at: usize) -> usize {
    while let Some(word) = swar::word(buf, at) {
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = hits(word, b'"') | hits(word, b'\\') | ((control | word) & HIGHS);
        // Borrows only raise false hits behind a true one, so the lowest is exact.
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
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
        match self.buf.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.peek_behind_space(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Scan<u8> {
        while let Some(&byte) = self.buf.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(self.bad("text ends early"))
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
        match self.plain_string() {
            Some(text) => Ok(text),
            None => self.any_string(),
        }
    }

    /// The same where it comes next and is ASCII; otherwise none, and nothing is consumed.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<&'a [u8]> {
        if *self.buf.get(self.at)? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = plain_end(self.buf, start);
        if *self.buf.get(end)? != b'"' {
            return None;
        }
        self.at = end + 1;
        self.buf.get(start..end)
    }

    /// The same with white space in front, letters beyond ASCII, or what is wrong.
    #[cold]
    fn any_string(&mut self) -> Scan<&'a [u8]> {
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
    #[inline(always)]
    pub fn key(&mut self) -> Scan<&'a [u8]> {
        // Nearly every key of a hot message is one letter.
        if let Some([b'"', letter, b'"', b':']) = self.buf.get(self.at..).and_then(<[u8]>::first_chunk)
            && letter.is_ascii_alphabetic()
        {
            let key = self.at + 1;
            self.at += 4;
            return Ok(&self.buf[key..=key]);
        }
        self.any_key()
    }

    /// The same of any length, with white space in front or other letters.
    #[inline(never)]
    fn any_key(&mut self) -> Scan<&'a [u8]> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// A whole number that fits 63 bits.
    #[inline]
    pub fn integer(&mut self) -> Scan<i64> {
        match swar::whole(self.buf, self.at) {
            (_, 0) => self.any_integer(),
            (value, len) => {
                self.at += len;
                Ok(value)
            }
        }
    }

    /// The same of any length, with white space in front or a sign.
    #[cold]
    fn any_integer(&mut self) -> Scan<i64> {
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
    fn integers_are_whole_and_bounded() {
        let read = |text: &str| Cursor::new(text.as_bytes(), "test").integer();
        assert_eq!(read("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(read(" -5,"), Ok(-5));
        for bad in ["9223372036854775808", "1.0", "1e3", "", "-", "x", "\"1\"", "01"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
