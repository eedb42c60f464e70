//! What `jsonwebtoken` 11 lets through, measured, beside what this crate says to the same token: a test of both. When the
//! library closes one of its gaps the test fails, and the line can go.

use jsonwebtoken::{DecodingKey, Validation, decode as bare};
use ostracon_core::{Code, Demand, Facts, Policy, TokenType, UnixTime, decide};
use serde_json::{Value, json};

use crate::support::{CLAIMS, HEADER, one, secret, signed, signed_with};

/// Claims with the end left open: far off for the library, whose clock is that of the machine.
const OPEN: &str = r#"{"iss":"i","sub":"u","jti":"j","aud":"shop","iat":1000,"exp":@}"#;
const FAR: &str = "90000000000";
const NEAR: &str = "1600";

fn bare_verdict(token: &str, key: &[u8], required: &[&str]) -> bool {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["shop"]);
    validation.set_issuer(&["i"]);
    validation.set_required_spec_claims(required);
    bare::<Value>(token, &DecodingKey::from_secret(key), &validation).is_ok()
}

fn our_verdict(token: &str, at: u64) -> Result<(), Code> {
    let verified = one()
        .verify(token, TokenType::Access)
        .map_err(|refusal| refusal.code())?;
    let demand = Demand {
        audiences: &["shop"],
        ..Demand::default()
    };
    let policy = Policy::default();
    decide(
        verified.claims(),
        &demand,
        &Facts::none(),
        &policy,
        UnixTime::from_secs(at),
    )
    .map_err(|refusal| refusal.code())
}

#[test]
fn what_jsonwebtoken_lets_through_is_refused() {
    let same = ("@", "@");
    let header = |more: &str| HEADER.replace('{', &format!("{{{more},"));
    let plain = || HEADER.to_owned();
    let deep = format!(r#""x":{}{},"jti""#, "[".repeat(100), "]".repeat(100));
    for (what, header, (from, to), code) in [
        (
            "P15, A46: crit",
            header(r#""crit":["bork"]"#),
            same,
            Code::TokenUnsupported,
        ),
        ("P16: crit empty", header(r#""crit":[]"#), same, Code::TokenUnsupported),
        (
            "P13, A50: nested",
            header(r#""cty":"JWT""#),
            same,
            Code::TokenUnsupported,
        ),
        ("A48: zip", header(r#""zip":"DEF""#), same, Code::TokenUnsupported),
        ("A48: enc", header(r#""enc":"A256GCM""#), same, Code::TokenUnsupported),
        (
            "P39, A51: typ",
            HEADER.replace("at+jwt", "logout+jwt"),
            same,
            Code::TokenUnsupported,
        ),
        (
            "P36: no typ",
            HEADER.replace(r#""typ":"at+jwt","#, ""),
            same,
            Code::TokenUnsupported,
        ),
        (
            "A60: iss array",
            plain(),
            (r#""iss":"i""#, r#""iss":["i"]"#),
            Code::ClaimsInvalid,
        ),
        ("A60: no iss", plain(), (r#""iss":"i","#, ""), Code::ClaimsInvalid),
        ("A61: no aud", plain(), (r#","aud":"shop""#, ""), Code::AudienceMismatch),
        ("A61: aud null", plain(), (r#""shop""#, "null"), Code::ClaimsInvalid),
        ("A61: aud object", plain(), (r#""shop""#, "{}"), Code::ClaimsInvalid),
        (
            "A61: aud mixed",
            plain(),
            (r#""shop""#, r#"["shop",5]"#),
            Code::ClaimsInvalid,
        ),
        ("A58: future iat", plain(), ("1000", "1599"), Code::TokenNotYetValid),
        ("A53: iat a string", plain(), ("1000", r#""1000""#), Code::ClaimsInvalid),
        (
            "A57: nbf a string",
            plain(),
            (r#""jti""#, r#""nbf":"1","jti""#),
            Code::ClaimsInvalid,
        ),
        (
            "A57: nbf in the future",
            plain(),
            (r#""jti""#, r#""nbf":80000000000,"jti""#),
            Code::TokenNotYetValid,
        ),
        (
            "A54: exp of 2^64 - 1",
            plain(),
            ("@", "18446744073709551615"),
            Code::ClaimsInvalid,
        ),
        ("a life of 2852 years", plain(), ("@", FAR), Code::ClaimsInvalid),
        (
            "A41: jti twice",
            plain(),
            (r#""jti":"j""#, r#""jti":"x","jti":"j""#),
            Code::TokenMalformed,
        ),
        (
            "A41: nested twice",
            plain(),
            (r#""jti""#, r#""x":{"y":1,"y":2},"jti""#),
            Code::TokenMalformed,
        ),
        ("A44: depth 100", plain(), (r#""jti""#, &deep), Code::TokenMalformed),
        ("A62: jti empty", plain(), (r#""j""#, r#""""#), Code::ClaimsInvalid),
        ("A62: jti a number", plain(), (r#""j""#, "7"), Code::ClaimsInvalid),
        ("A62: no jti", plain(), (r#","jti":"j""#, ""), Code::ClaimsInvalid),
    ] {
        let token = |exp| signed(&header, OPEN.replace(from, to).replace('@', exp));
        assert!(
            bare_verdict(&token(FAR), &secret(7), &["exp"]),
            "{what}: no longer let through"
        );
        assert_eq!(our_verdict(&token(NEAR), 1_100), Err(code), "{what}");
    }
    // A55: equality with `exp`, and a minute past it, for whoever takes the library's default leeway.
    assert_eq!(Validation::default().leeway, 60);
    // A8, P23: a secret that is none.
    let empty = signed_with(b"", HEADER, OPEN.replace('@', FAR));
    assert!(bare_verdict(&empty, b"", &["exp"]));
    assert_eq!(our_verdict(&empty, 1_100), Err(Code::SignatureInvalid));
    // What is refused here is not refused for being signed otherwise.
    assert_eq!(our_verdict(&signed(HEADER, CLAIMS), 1_100), Ok(()));
}

#[test]
fn a42_an_array_of_claims_passes_the_library_when_the_type_is_its_own() {
    #[derive(serde::Deserialize)]
    struct Mine(i64, i64, String, String, String);
    let array = signed(HEADER, r#"[90000000000,0,"u","i","shop"]"#);
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["shop"]);
    let read = bare::<Mine>(&array, &DecodingKey::from_secret(&secret(7)), &validation);
    let passes = read.is_ok_and(|t| {
        let Mine(exp, nbf, sub, iss, aud) = t.claims;
        (exp, nbf, &sub[..], &iss[..], &aud[..]) == (90_000_000_000, 0, "u", "i", "shop")
    });
    assert!(passes, "A42: no longer let through");
    assert_eq!(our_verdict(&array, 1_100), Err(Code::TokenMalformed));
}

#[test]
fn p002_p003_p007_p021_p037_what_both_refuse() {
    let far = OPEN.replace('@', FAR);
    let token = signed(HEADER, &far);
    let (input, tag) = token.rsplit_once('.').unwrap();
    let claims = |from: &str, to: &str| signed(HEADER, far.replace(from, to));
    for (what, token) in [
        ("A30: padding", format!("{token}=")),
        ("A31: junk", format!("{token}!!!!")),
        ("A33: unused bits", format!("{input}.{}{}", &tag[..42], twin(tag))),
        ("A34: white space", format!(" {token}")),
        ("A34: a line", format!("{token}\n")),
        ("A36: four segments", format!("{token}.")),
        ("P21: JSON", json!({ "payload": input, "signature": tag }).to_string()),
        ("A40: a BOM", signed(HEADER, format!("\u{feff}{far}"))),
        ("A43: trailing", signed(HEADER, format!("{far}ABCD"))),
        ("A54: 1e400", claims("90000000000", "1e400")),
        ("A54: negative", claims("90000000000", "-1")),
        ("A53: exp a string", claims("90000000000", r#""90000000000""#)),
        ("P18: alg in lower case", signed(HEADER.replace("HS256", "hs256"), &far)),
        (
            "A41: alg twice",
            signed(HEADER.replace('{', r#"{"alg":"HS256","#), &far),
        ),
        ("A41: exp twice", claims(r#""jti""#, r#""exp":90000000000,"jti""#)),
    ] {
        assert!(!bare_verdict(&token, &secret(7), &["exp"]), "{what}");
        assert!(our_verdict(&token, 1_100).is_err(), "{what}");
    }
}

/// The last character of a tag, spelled otherwise in the bits that are not used.
fn twin(tag: &str) -> char {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET.iter().position(|b| tag.as_bytes().last() == Some(b)).unwrap();
    char::from(ALPHABET[last ^ 1])
}
