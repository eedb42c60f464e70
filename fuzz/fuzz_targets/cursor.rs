//! A place to go on from (`Last-Event-ID`, cursors, limits) is the one that digits say, or refused; and the next page that a
//! page names is one.
//!
//! Input: a `Last-Event-ID` on the first line if it begins with `#`, a query behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::Kind;
use ostracon_fuzz::{any_twice, form, is_encoded, number};
use ostracon_server::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let (header, query) = match bytes.split_first() {
        Some((b'#', rest)) => {
            let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            (Some(&rest[..end]), rest.get(end + 1..).unwrap_or_default())
        }
        _ => (None, bytes),
    };
    let pairs = form(query);
    let names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
    let is_query = is_encoded(query) && !any_twice(&names) && names.len() <= 64;
    let value = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| &**value);

    if let Some(found) = fuzzing::resumes_behind(header, query) {
        // The header is the later of the two, also where it says nothing.
        let told = match header {
            Some(text) => core::str::from_utf8(text).ok().filter(|text| text.is_ascii()),
            None => Some(value("last_event_id").unwrap_or("")),
        };
        let expected = match told {
            Some("") => Some(None),
            Some(text) => number(text).map(Some),
            None => None,
        };
        assert_eq!(found.ok(), expected.filter(|_| is_query));
    }

    let limit = value("limit")
        .map_or(Some(100), number)
        .filter(|limit| (1..=1000).contains(limit));
    let as_answered = |id: &str| id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b));
    let kind = value("kind").map(|word| Kind::ALL.into_iter().find(|kind| kind.as_str() == word));
    let is_good = is_query
        && limit.is_some()
        && kind != Some(None)
        && value("cursor").is_none_or(as_answered)
        && value("sub").is_none_or(is_name);
    match fuzzing::listing(query) {
        Ok((found, sub, cursor, most)) => {
            assert!(is_good);
            assert_eq!((found, sub.as_deref()), (value("kind"), value("sub")));
            assert_eq!((cursor.as_deref(), Some(most as u64)), (value("cursor"), limit));
        }
        Err((_, told)) => assert!(!is_good, "{told}"),
    }

    let is_good = is_query
        && limit.is_some()
        && value("cursor").is_none_or(|cursor| number(cursor).is_some())
        && matches!(value("order"), None | Some("newest" | "oldest"));
    match fuzzing::audit(query, 42) {
        Ok((cursor, most, next)) => {
            assert!(is_good);
            assert_eq!((cursor, Some(most as u64)), (value("cursor").and_then(number), limit));
            // The same order, limit and filters, from there on.
            let next = next.strip_prefix('?').expect("a query");
            let again = fuzzing::audit(next.as_bytes(), 42).expect("a page");
            assert_eq!((again.0, again.1, &*again.2), (Some(42), most, &*format!("?{next}")));
            let filter = |pairs: &[(String, String)], name| {
                pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
            };
            for name in ["kind", "client", "sub"] {
                assert_eq!(filter(&form(next.as_bytes()), name), filter(&pairs, name));
            }
        }
        Err((_, told)) => assert!(!is_good, "{told}"),
    }
});

fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
}
