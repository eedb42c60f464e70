//! Attacks on signatures and encodings: A21 to A40.

use ostracon_tests::{Forge, compact, decoded, forged, keyed, segment};
use serde_json::json;

use super::{ES, HS, Scene};

#[test]
fn a21_a40_signatures_and_encodings() {
    let scene = Scene::new();
    let good = &scene.victim.access;
    let (input, text) = good.rsplit_once('.').unwrap();
    let (head, payload) = input.split_once('.').unwrap();
    let signature = decoded(text);
    let es = scene.es.mint(&json!({"typ": "JWT", "kid": "es"}), &scene.foreign(ES));
    let (es_input, es_text) = es.rsplit_once('.').unwrap();
    let (hs_head, hs_claims) = (
        r#"{"alg":"HS256","typ":"JWT","kid":"hs"}"#,
        scene.foreign(HS).to_string(),
    );
    let mac = keyed("x", hs_head, &hs_claims);
    let (hs_input, _) = mac.rsplit_once('.').unwrap();
    let mut tokens: Vec<(&str, String)> = vec![
        ("A21", format!("{hs_input}.")),
        ("A21", format!("{input}.")),
        ("A25", forged(good)),
        ("A25", format!("{input}.{}", segment(&signature[..63]))),
        ("A25", format!("{input}.{}", segment(&signature[..32]))),
        ("A28", Forge::twin(good)),
        ("A30", format!("{good}=")),
        ("A30", format!("{good}==")),
        ("A31", format!("{good}!!!!")),
        ("A31", format!("{good}%2E")),
        ("A34", format!("{input}. {text}")),
        ("A34", format!("{head}\t.{payload}.{text}")),
        ("A34", format!("{input}.{text}\n")),
        ("A34", format!("{input}.\n{text}")),
        ("A35", format!("\"{good}\"")),
        ("A36", head.to_owned()),
        ("A36", input.to_owned()),
        ("A36", format!("{good}.{text}")),
        ("A36", format!("{good}.{text}.{text}")),
        ("A36", format!(".{good}")),
        ("A36", format!("{good}.")),
        ("A36", "..".to_owned()),
        ("A37", ".".repeat(20_000)),
        ("A38", format!("{}.{payload}.{text}", "A".repeat(20_000))),
        ("A38", format!("{input}.{}", "A".repeat(20_000))),
        (
            "A39",
            format!(r#"{{"protected":"{head}","payload":"{payload}","signature":"{text}"}}"#),
        ),
        ("A40", compact(b"\xff\xfe{\x00}\x00", payload, &signature)),
    ];
    let one = |r: u8, s: u8| {
        let mut bytes = vec![0; 64];
        (bytes[31], bytes[63]) = (r, s);
        segment(bytes)
    };
    // The order of P-256, big-endian (SEC 2 §2.4.2).
    let order = decoded("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let es_signature = decoded(es_text);
    let der = [
        b"\x30\x44\x02\x20",
        &es_signature[..32],
        b"\x02\x20",
        &es_signature[32..],
    ]
    .concat();
    for signature in [
        one(0, 0),
        one(1, 0),
        one(0, 1),
        segment([&order[..], &es_signature[32..]].concat()),
        segment([&es_signature[..32], &order].concat()),
        segment(der),
        segment(&es_signature[..63]),
        segment([&es_signature[..], &[0]].concat()),
    ] {
        tokens.push(("A22 to A24", format!("{es_input}.{signature}")));
    }
    // A32, A33: the same octets in another spelling.
    let other = good.replace('-', "+").replace('_', "/");
    if other != *good {
        tokens.push(("A32", other));
    }
    let last = text.chars().next_back().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    assert_eq!(place % 16, 0, "of its last character four bits are unused");
    for unused in 1..16 {
        let other = &alphabet[place + unused..=place + unused];
        tokens.push(("A33", format!("{}{other}", &good[..good.len() - 1])));
    }
    for bytes in [
        &b"\xef\xbb\xbf{\"alg\":\"EdDSA\"}"[..],
        b"{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}",
        b"{\"alg\":\"EdDSA\",\"kid\":\"\\ud800\"}",
    ] {
        tokens.push(("A40", scene.forge.sign(bytes, scene.claims(|_| ()))));
    }
    let utf16: Vec<_> = scene.claims(|_| ()).encode_utf16().flat_map(u16::to_be_bytes).collect();
    let boms = [b"\xef\xbb\xbf", scene.claims(|_| ()).as_bytes()].concat();
    for payload in [
        utf16,
        boms,
        scene.claims(|_| ()).replace("victim", "vic\\ud800").into_bytes(),
    ] {
        tokens.push(("A40", scene.forge.sign(scene.forge.header(""), payload)));
    }
    scene.refuses(&tokens);
}
