//! Lines of a stream that arrives in pieces, each bounded and numbered.

/// The longest line that is looked at, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// A line of a stream, counted from one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    /// What stands on it, without what ends it; none when it is longer than [`MAX_LINE_BYTES`].
    pub(crate) text: Option<Vec<u8>>,
}

/// Takes pieces in and hands lines out. Holds no more than one line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    number: u64,
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// The lines that end in `piece`.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            // Room for what may be a carriage return.
            if self.begun.len().saturating_add(part.len()) > MAX_LINE_BYTES.saturating_add(1) {
                self.too_long = true;
                self.begun.clear();
            } else if !self.too_long {
                self.begun.extend_from_slice(part);
            }
            if parts.peek().is_some() {
                lines.push(self.end());
            }
        }
        lines
    }

    /// The last line, if it was begun and not ended.
    pub(crate) fn finish(mut self) -> Option<Line> {
        (self.too_long || !self.begun.is_empty()).then(|| self.end())
    }

    fn end(&mut self) -> Line {
        self.number = self.number.saturating_add(1);
        let mut text = std::mem::take(&mut self.begun);
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        let too_long = std::mem::take(&mut self.too_long) || text.len() > MAX_LINE_BYTES;
        Line {
            number: self.number,
            text: (!too_long).then_some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &[u8], size: usize) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut found: Vec<_> = stream.chunks(size).flat_map(|piece| lines.push(piece)).collect();
        found.extend(lines.finish());
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let stream = b"one\r\n\ntwo\n\r\nthree";
        let texts = |size| {
            let lines = all(stream, size);
            assert!(lines.iter().map(|line| line.number).eq(1..=5), "{lines:?}");
            lines.into_iter().map(|line| line.text.unwrap()).collect::<Vec<_>>()
        };
        for size in 1..=stream.len() {
            assert_eq!(
                texts(size),
                [&b"one"[..], b"", b"two", b"", b"three"],
                "in pieces of {size}"
            );
        }
        assert!(all(b"", 1).is_empty());
        assert_eq!(all(b"a\n", 2).len(), 1, "an end is no beginning");
    }

    #[test]
    fn a_line_that_is_too_long_is_none_and_the_next_is_whole() {
        for size in [1, 1000, 70_000, 1 << 20] {
            let longest = vec![b'x'; MAX_LINE_BYTES];
            let stream = [&longest[..], b"\r\n", &longest, b"x\nnext\n", &longest, b"xyz"].concat();
            let lines = all(&stream, size);
            let told: Vec<_> = lines.iter().map(|line| line.text.as_ref().map(Vec::len)).collect();
            assert_eq!(told, [Some(MAX_LINE_BYTES), None, Some(4), None], "in pieces of {size}");
        }
    }
}
