//! A file is the same in whatever pieces it arrives; what is read on a line is what a second reading of it finds, is kept
//! for as long as its token could be accepted (I1), and is read again as it was exported; a refusal repeats nothing (I8).
//!
//! Input: the file, whose last byte also says where it is cut in two.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use ostracon_core::{Kind, Revocation, UnixTime};
use ostracon_fuzz::{SECRET, json, number};
use ostracon_server::fuzzing::transfer::{ISSUER, NOW, PREFIX, exported, import};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let lines = import(&[bytes]);
    let cut = bytes.last().map_or(0, |cut| usize::from(*cut));
    let (first, second) = bytes.split_at(bytes.len().min(cut));
    assert_eq!(import(&[first, second]), lines, "in two pieces");

    let mut columns = (0, 1);
    for (line, [as_json, as_redis, as_csv]) in &lines {
        for found in [as_json, as_redis, as_csv] {
            match found {
                Ok(Some(entry)) => is_exported(entry),
                Ok(None) => {}
                Err(told) => assert!(!told.contains(SECRET), "{told}"),
            }
        }
        if let Ok(Some(entry)) = as_json {
            let json = json(line).expect("members that stand once");
            assert_eq!(
                json["target"]["kind"].as_str(),
                Some(entry.target().as_ref().kind().as_str())
            );
            assert_eq!(
                json.get("note").and_then(Value::as_str),
                entry.note().map(|note| note.as_str())
            );
            if let Some(until) = json.get("retained_until").and_then(Value::as_u64) {
                assert_eq!(entry.retained_until().as_secs(), until);
            }
        }
        if let Ok(Some(entry)) = as_redis {
            let text = core::str::from_utf8(line).expect("a text");
            let token = text.strip_prefix(PREFIX).expect("the prefix");
            let (key, ttl) = token.trim_end().rsplit_once([' ', '\t']).expect("a TTL");
            let claims = URL_SAFE_NO_PAD
                .decode(key.split('.').nth(1).expect("a payload"))
                .expect("base64url");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            is_token(entry, claims["jti"].as_str());
            assert_eq!(claims.get("iss").and_then(Value::as_str).unwrap_or(ISSUER), ISSUER);
            let exp = claims.get("exp").and_then(Value::as_f64).unwrap_or(0.0);
            assert!(entry.retained_until().as_secs() as f64 >= exp);
            let ttl = number(ttl).map_or(NOW, |ttl| UnixTime::from_millis(NOW.as_millis() + ttl));
            assert!(entry.retained_until() >= ttl);
        }
        let fields = fields(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line));
        let named = |name: &str| fields.iter().position(|field| field.trim().eq_ignore_ascii_case(name));
        match as_csv {
            Ok(None) => columns = named("jti").zip(named("exp")).expect("names"),
            Ok(Some(entry)) => {
                let field = |at: usize| fields.get(at).map(|field| field.trim());
                is_token(entry, field(columns.0));
                let exp = field(columns.1).and_then(number).unwrap_or(0);
                assert!(entry.retained_until().as_secs() >= exp);
            }
            Err(_) => {}
        }
    }
});

fn is_exported(entry: &Revocation) {
    let line = exported(entry).expect("a line");
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    let [(_, [read, ..])] = &import(&[&line])[..] else {
        panic!("one line")
    };
    assert_eq!(read.as_ref().ok(), Some(&Some(entry.clone())));
}

fn is_token(entry: &Revocation, jti: Option<&str>) {
    let target = entry.target().as_ref();
    assert_eq!((target.kind(), Some(target.name())), (Kind::Token, jti));
}

/// The fields of a line (RFC 4180), with whatever stands in them: a quotation goes on to its end, and two quotation marks
/// in it are one.
fn fields(line: &[u8]) -> Vec<String> {
    let (mut fields, mut field, mut rest) = (Vec::new(), Vec::new(), line);
    let (mut quoted, mut begun) = (false, false);
    while let Some((b, behind)) = rest.split_first() {
        rest = behind;
        match b {
            b'"' if quoted && rest.first() == Some(&b'"') => {
                field.push(b'"');
                rest = &rest[1..];
            }
            b'"' if quoted => quoted = false,
            b'"' if !begun => (quoted, begun) = (true, true),
            b',' if !quoted => {
                fields.push(core::mem::take(&mut field));
                begun = false;
            }
            b => {
                field.push(*b);
                begun = true;
            }
        }
    }
    fields.push(field);
    fields
        .iter()
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .collect()
}
