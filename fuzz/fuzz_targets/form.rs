//! A form is what a second reading of it finds, or refused where a name stands twice or it is not properly encoded; a client is one by its secret alone,
//! in either spelling of HTTP Basic.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use ostracon_fuzz::{SECRET, any_twice, form, form_text, is_encoded, json};
use ostracon_server::fuzzing::{self, is_client};

const PASSWORD: &str = "p-_~%+ q";

fuzz_target!(|bytes: &[u8]| {
    let expected = form(bytes);
    let names: Vec<_> = expected.iter().map(|(name, _)| name).collect();
    match fuzzing::form(bytes) {
        Ok(found) => {
            assert!(is_encoded(bytes) && !any_twice(&names) && names.len() <= 64);
            assert_eq!(found, expected);
        }
        Err((_, told)) => {
            let is_one = is_encoded(bytes) && !any_twice(&names) && names.len() <= 64;
            assert!(!is_one, "{told}");
            assert!(!told.contains(SECRET));
        }
    }

    // Where a form may be an object, it is one of texts, each name once.
    let expected = json(bytes).and_then(|value| {
        let members = value.as_object()?.iter();
        members
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<Vec<_>>>()
    });
    let found = fuzzing::flat_object(bytes).ok().map(|mut found| {
        found.sort();
        found
    });
    assert_eq!(found, expected);

    let value = [b"Basic ", STANDARD.encode(bytes).as_bytes()].concat();
    assert_eq!(is_client(&[&value], "web", PASSWORD), Some(is_ours(bytes)));
    // A field as it came, and two of them.
    let sent = core::str::from_utf8(bytes).ok().and_then(|text| {
        let encoded = text.get(6..)?.trim_start_matches(' ');
        let basic = text.get(..6)?.eq_ignore_ascii_case("basic ") && text.is_ascii();
        Some(basic && STANDARD.decode(encoded).is_ok_and(|pair| is_ours(&pair)))
    });
    if let Some(found) = is_client(&[bytes], "web", PASSWORD) {
        assert_eq!(found, sent.unwrap_or(false));
        assert_eq!(is_client(&[bytes, &value], "web", PASSWORD), Some(false));
    }
});

/// Whether a pair is the name and the secret (RFC 7617 §2), or these as a form has them (RFC 6749 §2.3.1).
fn is_ours(pair: &[u8]) -> bool {
    let Some(colon) = pair.iter().position(|b| *b == b':') else {
        return false;
    };
    let (id, secret) = (&pair[..colon], &pair[colon + 1..]);
    core::str::from_utf8(pair).is_ok()
        && form_text(id) == "web"
        && (secret == PASSWORD.as_bytes() || form_text(secret) == PASSWORD)
}
