//! Identities of tokens and when they end, as comma-separated values (RFC 4180), one on a line.

use std::time::UNIX_EPOCH;

use csv_core::{ReadRecordResult, Reader};
use ostracon_core::{Issuer, Jti, Revocation, Target, UnixTime};

use super::{Assumed, Unusable, redis};

/// Columns of a line that are looked at.
const MOST: usize = 64;

/// Where `jti` and `exp` stand: first and second, or as the first line says, which may name `iss` as well.
#[derive(Debug)]
pub(super) struct Columns {
    jti: usize,
    exp: usize,
    iss: Option<usize>,
    /// Whether a line was looked at.
    begun: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            jti: 0,
            exp: 1,
            iss: None,
            begun: false,
        }
    }
}

impl Columns {
    /// Reads a line; none if it names the columns, as the first may.
    pub(super) fn read(&mut self, line: &[u8], assumed: &Assumed<'_>) -> Result<Option<Revocation>, Unusable> {
        let first = !std::mem::replace(&mut self.begun, true);
        let fields = fields(line)?;
        let column = |name: &str| fields.iter().position(|field| field.trim().eq_ignore_ascii_case(name));
        if let Some(jti) = column("jti").filter(|_| first) {
            let exp = column("exp").ok_or_else(|| Unusable::new("the first line names jti and not exp"))?;
            (self.jti, self.exp, self.iss) = (jti, exp, column("iss"));
            return Ok(None);
        }
        // Between other marks than commas all of a line is one field, which would be taken for a jti that no token has.
        if let [one] = &*fields
            && one.contains([';', '\t'])
        {
            return Err(Unusable::new("its columns are not separated by commas"));
        }
        let field = |at: usize| {
            fields
                .get(at)
                .map(|field| field.trim())
                .filter(|field| !field.is_empty())
        };
        let jti = field(self.jti).ok_or_else(|| Unusable::new("there is no jti"))?;
        let jti = Jti::new(jti).map_err(|error| Unusable::new(format!("jti: {error}")))?;
        let iss = match self.iss.and_then(field) {
            None => assumed.iss.clone(),
            Some(iss) => Issuer::new(iss).map_err(|error| Unusable::new(format!("iss: {error}")))?,
        };
        let target = Target::Token { iss, jti };
        let exp = field(self.exp).map(time).transpose()?;
        redis::entry(target, exp, None, assumed).map(Some)
    }
}

/// The fields of a line, without the mark of UTF-8 that spreadsheets put before a text: in files that were put together it may
/// stand before any line.
fn fields(line: &[u8]) -> Result<Vec<String>, Unusable> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Where lines end in it alone, all of them are one here, of which the first record would be taken for all.
    if line.contains(&b'\r') {
        return Err(Unusable::new("there is a carriage return in it"));
    }
    // Each quotation begins and ends on the line, and what is quoted twice within is even as well (RFC 4180 §2).
    if line.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"')) {
        return Err(Unusable::new("a quotation does not end on it"));
    }
    let mut text = vec![0; line.len().saturating_add(1)];
    let mut ends = [0; MOST];
    let mut reader = Reader::new();
    let (mut read, mut written, mut found) = (0_usize, 0_usize, 0_usize);
    loop {
        let (result, took, wrote, ended) = reader.read_record(
            line.get(read..).unwrap_or_default(),
            text.get_mut(written..).unwrap_or_default(),
            ends.get_mut(found..).unwrap_or_default(),
        );
        read = read.saturating_add(took);
        written = written.saturating_add(wrote);
        found = found.saturating_add(ended);
        match result {
            // It asks for more until it is shown that there is none.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record | ReadRecordResult::End => break,
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                return Err(Unusable::new("there are too many columns"));
            }
        }
    }
    let mut begin = 0_usize;
    let ends = ends.get(..found).unwrap_or_default();
    ends.iter()
        .map(|end| {
            let field = text.get(std::mem::replace(&mut begin, *end)..*end).unwrap_or_default();
            core::str::from_utf8(field)
                .map(str::to_owned)
                .map_err(|_| Unusable::new("it is no text"))
        })
        .collect()
}

/// Seconds since 1970, or a date as RFC 3339 writes it.
fn time(text: &str) -> Result<UnixTime, Unusable> {
    let date = || {
        let date = humantime::parse_rfc3339_weak(text).ok()?;
        Some(UnixTime::EPOCH.saturating_add(date.duration_since(UNIX_EPOCH).ok()?))
    };
    let secs = text.parse().ok().map(UnixTime::from_secs);
    secs.or_else(date)
        .ok_or_else(|| Unusable::new("exp is neither seconds since 1970 nor a time such as 2027-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::tests::{NOW, assumed};

    fn read_all(lines: &[&str]) -> Vec<Result<Option<(String, u64)>, String>> {
        let mut columns = Columns::default();
        let told = |entry: Revocation| {
            (
                entry.target().as_ref().name().to_owned(),
                entry.retained_until().as_secs(),
            )
        };
        let read = |line: &&str| assumed(|assumed| columns.read(line.as_bytes(), assumed));
        lines
            .iter()
            .map(read)
            .map(|read| read.map(|e| e.map(told)).map_err(|e| e.detail))
            .collect()
    }

    #[test]
    fn columns_stand_in_order_or_as_they_are_named() {
        let until = NOW + 600 + 300;
        let entry = |jti: &str| Ok(Some((jti.to_owned(), until)));
        let plain = read_all(&[
            "a,1790000600",
            " b , 1790000600 ,more",
            "\"c,\"\"d\"\"\",2026-09-21T14:23:20Z",
        ]);
        assert_eq!(plain, [entry("a"), entry("b"), entry("c,\"d\"")]);
        let named = read_all(&["\u{feff}user,EXP,jti", "u,1790000600,a", "jti,1790000600,b"]);
        assert_eq!(named, [Ok(None), entry("a"), entry("b")]);
        assert_eq!(
            read_all(&["a,1790000600", "\u{feff}b,1790000600"]),
            [entry("a"), entry("b")]
        );
        // Without an end, the longest life is assumed.
        let open = read_all(&["a", "a,", "a,\"\""]);
        assert!(
            open.iter()
                .all(|read| matches!(read, Ok(Some((_, end))) if *end > NOW + 86_400)),
            "{open:?}"
        );
    }

    /// A file whose lines end in carriage returns is one line here. Its first record was read, and the others passed over
    /// in silence: an import that told of one token, and left all the others good.
    #[test]
    fn what_is_behind_a_carriage_return_is_not_passed_over() {
        for bad in [
            "a,1790000600\rb,1790000600",
            "a\r\rb",
            "jti,exp\ra,1790000600",
            "\r\"b\r",
        ] {
            let read = read_all(&[bad]);
            assert!(
                matches!(&read[..], [Err(why)] if why.contains("carriage return")),
                "{read:?}"
            );
        }
        assert!(read_all(&["\"a\rb\",1790000600"])[0].is_err(), "no jti has one");
    }

    #[test]
    fn i8_what_cannot_be_used_is_told_without_what_it_is() {
        let many = ",".repeat(100);
        for bad in [
            ",1790000600",
            "SECRET,SECRET",
            "SECRET\u{1},1790000600",
            "SECRET,1790000600000",
            "SECRET,-1",
            "SECRET;1790000600",
            "SECRET\t1790000600",
            "\"SECRET,1790000600",
            many.as_str(),
        ] {
            let read = read_all(&[bad]);
            assert!(
                matches!(&read[..], [Err(why)] if !why.contains("SECRET")),
                "{bad}: {read:?}"
            );
        }
        let named = read_all(&["jti,ends", "a,1790000600"]);
        assert!(named[0].is_err());
    }

    /// It was imported as of the configured issuer, and so denied nothing.
    #[test]
    fn a_named_issuer_is_the_one_of_the_token() {
        let mut columns = Columns::default();
        let mut read = |line: &str| assumed(|assumed| columns.read(line.as_bytes(), assumed));
        assert!(read("iss,jti,exp").unwrap().is_none());
        let own = read(",a,1790000600").unwrap().unwrap();
        let named = read("https://auth.example,a,1790000600").unwrap().unwrap();
        assert_eq!(own.target(), named.target());
        let foreign = read("https://other.example,a,1790000600").unwrap_err();
        assert!(foreign.detail.contains("none that is trusted"), "{}", foreign.detail);
        assert!(read("not a\u{1}name,a,1790000600").is_err());
    }
}
