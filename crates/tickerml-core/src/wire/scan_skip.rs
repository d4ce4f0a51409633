//! Skipping what nobody asked for, proven to be JSON all the same.
use super::scan::{Cursor, Scan, plain_end};

/// Deepest nesting that [`Cursor::skip_value`] follows: no venue goes beyond 6, hostile text may try.
const DEPTH_MAX: u32 = 64;

impl Cursor<'_> {
    /// Skips one value of any kind; its strings may hold escapes.
    #[inline]
    pub fn skip_value(&mut self) -> Scan<()> {
        if self.plain_string().is_some() {
            return Ok(());
        }
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
}
