//! A request has the token that a byte-by-byte reading of its fields finds, and none where there could be two.
//!
//! Input: a field on each line, `C` before a `Cookie`, anything else before an `Authorization`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_server::fuzzing::access_token;

fuzz_target!(|bytes: &[u8]| {
    let fields: Vec<_> = bytes
        .split(|b| *b == b'\n')
        .filter_map(|line| line.split_first())
        .map(|(kind, value)| (if *kind == b'C' { "cookie" } else { "authorization" }, value))
        .collect();
    let Some(found) = access_token(&fields, "s") else {
        return;
    };
    let (cookies, bearers): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| *name == "cookie");

    // One list, however many fields it comes in (RFC 6265bis §5.8.1).
    let mut by_cookie = Vec::new();
    for (_, field) in &cookies {
        let (mut at, end) = (0, field.len());
        while at <= end {
            let to = (at..end).find(|n| field[*n] == b';').unwrap_or(end);
            let (mut first, mut last) = (at, to);
            while first < last && matches!(field[first], b' ' | b'\t') {
                first += 1;
            }
            while first < last && matches!(field[last - 1], b' ' | b'\t') {
                last -= 1;
            }
            if last >= first + 2 && field[first] == b's' && field[first + 1] == b'=' {
                by_cookie.push(text(&field[first + 2..last]));
            }
            at = to + 1;
        }
    }
    let by_bearer = bearers.first().and_then(|(_, field)| {
        // What is no text is a token that cannot be good, whatever scheme it was.
        if core::str::from_utf8(field).is_err() {
            return Some("\u{fffd}".to_owned());
        }
        let scheme = field.get(..6)?.eq_ignore_ascii_case(b"bearer");
        let parted = field.get(6).is_none_or(|b| *b == b' ');
        let rest = field[6..]
            .iter()
            .position(|b| *b != b' ')
            .map_or(&b""[..], |n| &field[6 + n..]);
        (scheme && parted).then(|| text(rest))
    });

    let expected = match (by_bearer, &by_cookie[..]) {
        _ if bearers.len() > 1 || by_cookie.len() > 1 => Err(()),
        (Some(token), [cookie]) if token != *cookie => Err(()),
        (Some(token), _) => Ok(Some((token, true))),
        (None, [cookie]) => Ok(Some((cookie.clone(), false))),
        (None, _) => Ok(None),
    };
    assert_eq!(found, expected);
});

fn text(bytes: &[u8]) -> String {
    core::str::from_utf8(bytes).unwrap_or("\u{fffd}").to_owned()
}
