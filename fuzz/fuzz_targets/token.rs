//! No text is a token but by its signature; what is signed is judged by what it says, whatever that is.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use ostracon_core::{Algorithm, Compact, Issuer, IssuerKeys, KeyId, Keyring, SigningKey, TokenType};

static SECRET: [u8; 32] = *b"\x9d\x03\x7f\xe1\x5c\xa8\x22\x41\xb6\x0e\xd9\x74\x13\xfa\x68\xc5\x2f\x90\xeb\x37\x84\x1d\x59\xc2\x06\xbf\x7a\xd3\x48\x95\x2c\xee";
static RING: LazyLock<Keyring> = LazyLock::new(|| {
    let key = SigningKey::from_secret(KeyId::new("k").expect("a name"), Algorithm::HS256, &SECRET).expect("a key");
    let mut keys = IssuerKeys::default();
    keys.insert(key.verifying_key().expect("a key")).expect("room");
    let mut ring = Keyring::default();
    ring.trust(Issuer::new("i").expect("a name"), keys);
    ring
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Ok(compact) = Compact::split(text) {
            assert_eq!(text, format!("{}.{}", compact.signing_input(), compact.signature()));
            for decoded in [compact.decode_header(), compact.decode_payload()]
                .into_iter()
                .flatten()
            {
                // One spelling for each sequence of bytes.
                assert!(text.contains(&URL_SAFE_NO_PAD.encode(decoded)));
            }
        }
        assert!(RING.verify(text, TokenType::Access).is_err(), "forged");
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#);
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), input.as_bytes());
    let signed = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
    if let Ok(token) = RING.verify(&signed, TokenType::Access) {
        assert_eq!(token.claims().iss().as_str(), "i");
        assert!(token.claims().token_id().is_some());
        assert!(RING.verify(&signed, TokenType::Refresh).is_err());
    }
});
