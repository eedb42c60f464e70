//! Second readings, written for the fuzz targets alone and simpler than what they are held against.

use serde_json::Value;

/// What every refusal may be asked not to repeat: seeds have it where a stranger's words stand (I8).
pub const SECRET: &str = "SECRET";

/// Names and values of a form (WHATWG URL §5.1): `&` between them, `=` behind the name, `+` for a space, `%` and two digits
/// for a byte; what is no UTF-8 becomes U+FFFD.
pub fn form(bytes: &[u8]) -> Vec<(String, String)> {
    let pairs = bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair.iter().position(|b| *b == b'=');
            let (name, value) = at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
            (form_text(name), form_text(value))
        })
        .collect()
}

/// A name or a value of a form.
pub fn form_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&decoded(bytes).0).into_owned()
}

/// Whether a form is properly encoded: each `%` has its two digits, and what comes of all of it is UTF-8.
pub fn is_encoded(bytes: &[u8]) -> bool {
    let (text, is_whole) = decoded(bytes);
    is_whole && String::from_utf8(text).is_ok()
}

/// The bytes that a form stands for, and whether each `%` in it has its two digits; one that has not stands for itself.
fn decoded(bytes: &[u8]) -> (Vec<u8>, bool) {
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut text, mut is_whole, mut at) = (Vec::new(), true, 0);
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                text.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => text.push(b' '),
            (b, ..) => {
                is_whole &= b != b'%';
                text.push(b);
            }
        }
        at += 1;
    }
    (text, is_whole)
}

/// Whether some name stands twice.
pub fn any_twice<T: PartialEq>(names: &[T]) -> bool {
    names.iter().enumerate().any(|(n, name)| names[..n].contains(name))
}

/// The JSON value of `bytes`, if no member stands twice in it: as many colons stand outside of strings as it has members.
pub fn json(bytes: &[u8]) -> Option<Value> {
    fn members(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(members).sum(),
            Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
            _ => 0,
        }
    }
    let value = serde_json::from_slice(bytes).ok()?;
    let (mut colons, mut within, mut escaped) = (0, false, false);
    for b in bytes {
        match b {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b':' if !within => colons += 1,
            _ => {}
        }
    }
    (colons == members(&value)).then_some(value)
}

/// Whole seconds or a position as they are written, if they are: digits alone, and no more than fit.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.bytes()
        .try_fold(0_u64, |n, b| {
            n.checked_mul(10)?.checked_add(u64::from(b.wrapping_sub(b'0')))
        })
        .filter(|_| digits)
}

/// The first bytes of `bytes` as a number, and what is behind them; zeros where there are none.
pub fn take(bytes: &[u8]) -> (u16, &[u8]) {
    let (first, rest) = bytes.split_at(bytes.len().min(2));
    (first.iter().fold(0, |n, b| n << 8 | u16::from(*b)), rest)
}
