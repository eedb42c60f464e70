//! Whether a secret can be guessed (RFC 8725 §3.5).

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::KeyError;

/// What a secret must be worth at least, as an attacker might count it.
const LEAST_BITS: f64 = 112.0;
/// What a letter of a word is worth: English has between one bit and two.
const WORD_LETTER_BITS: f64 = 1.5;

/// Refuses what no random generator makes. Random bytes pass as they are, in hexadecimal and in base64.
pub(super) fn check(secret: &[u8]) -> Result<(), KeyError> {
    if is_a_key(secret) {
        return Err(KeyError::SecretIsAKey);
    }
    let steps: Zeroizing<Vec<u8>> = secret
        .iter()
        .zip(secret.iter().skip(1))
        .map(|(a, b)| b.wrapping_sub(*a))
        .collect::<Vec<_>>()
        .into();
    // Few values, few steps between them (a, b, c, ...), the same thing again, or words.
    let guessable = spread_bits(secret) < LEAST_BITS
        || spread_bits(&steps) < LEAST_BITS
        || repeats(secret)
        || core::str::from_utf8(secret).is_ok_and(|text| text_bits(text) < LEAST_BITS);
    if guessable {
        Err(KeyError::SecretGuessable)
    } else {
        Ok(())
    }
}

/// CVE-2022-29217: a verifier that takes any key for a secret lets everyone sign who knows the public one. Looks through
/// the spellings in which keys are passed around; it cannot know them all.
fn is_a_key(secret: &[u8]) -> bool {
    let spelled = secret.trim_ascii();
    let has = |part: &[u8]| spelled.windows(part.len()).any(|window| window == part);
    // SSH keys are a type, a space, and the base64 of the type's length, which begins with zeros.
    let text = has(b"-----BEGIN") || has(b"\"kty\"") || has(b" AAAA");
    let decoded = || {
        let body: Zeroizing<Vec<u8>> = spelled
            .iter()
            .copied()
            .filter(|b| !b.is_ascii_whitespace())
            .collect::<Vec<_>>()
            .into();
        STANDARD.decode(&*body).map(Zeroizing::new)
    };
    text || is_der(secret) || is_der(secret.trim_ascii_end()) || decoded().is_ok_and(|bytes| is_der(&bytes))
}

/// Whether it is one DER sequence that begins with a number or another sequence, as all keys do.
fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x81, len, 0x30 | 0x02, ..] => bytes.len() == usize::from(*len).saturating_add(3),
        [0x30, 0x82, high, low, 0x30 | 0x02, ..] => {
            bytes.len() == usize::from(u16::from_be_bytes([*high, *low])).saturating_add(4)
        }
        [0x30, len, 0x30 | 0x02, ..] => bytes.len() == usize::from(*len).saturating_add(2),
        _ => false,
    }
}

/// Shannon's measure over the values that occur, times their number.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "an estimate of small numbers"
)]
fn spread_bits(values: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for value in values {
        if let Some(count) = counts.get_mut(usize::from(*value)) {
            *count = count.saturating_add(1);
        }
    }
    let all = values.len() as f64;
    let occurring = counts.into_iter().filter(|c| *c > 0).map(f64::from);
    occurring.map(|count| count * (all / count).log2()).sum()
}

/// Whether a first part of at most half its length makes up the whole.
fn repeats(secret: &[u8]) -> bool {
    let half = secret.len().checked_div(2).unwrap_or(0);
    (1..=half).any(|period| secret.iter().zip(secret.iter().skip(period)).all(|(a, b)| a == b))
}

/// What a text is worth when the attacker has a dictionary.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "an estimate of small numbers"
)]
fn text_bits(text: &str) -> f64 {
    let mut letters = 0;
    let mut word = Zeroizing::new(String::with_capacity(text.len()));
    let mut previous_lower = false;
    for c in text.chars().chain([' ']) {
        let continues = c.is_alphabetic() && !(c.is_uppercase() && previous_lower);
        if !continues {
            if is_like_a_word(&word) {
                letters = word.chars().count().saturating_add(letters);
            }
            word.clear();
        }
        if c.is_alphabetic() {
            word.push(c);
        }
        previous_lower = c.is_lowercase();
    }
    // What parts words is worth no more than they are.
    let parting = text.chars().filter(|c| !c.is_alphanumeric()).count();
    let cheap = letters.saturating_add(parting);
    let others = text.chars().count().saturating_sub(cheap);
    cheap as f64 * WORD_LETTER_BITS + others as f64 * alphabet(text).log2()
}

/// How many characters a text seems to choose from.
fn alphabet(text: &str) -> f64 {
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return 16.0;
    }
    let classes = [
        (text.chars().any(char::is_lowercase), 26.0),
        (text.chars().any(char::is_uppercase), 26.0),
        (text.chars().any(|c| c.is_ascii_digit()), 10.0),
    ];
    classes
        .into_iter()
        .filter(|(occurs, _)| *occurs)
        .map(|(_, size)| size)
        .sum()
}

/// Three letters or more of one case (the first may be a capital), with a vowel, without four consonants in a row.
fn is_like_a_word(run: &str) -> bool {
    let rest = run.chars().skip(1);
    let one_case = rest.clone().all(char::is_lowercase) || run.chars().all(char::is_uppercase);
    let vowel = |c: char| !c.is_ascii() || matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    let mut consonants = 0_u32;
    let longest = run.chars().map(|c| {
        consonants = if vowel(c) { 0 } else { consonants.saturating_add(1) };
        consonants
    });
    run.chars().count() >= 3 && one_case && longest.max().unwrap_or(0) < 4 && run.chars().any(vowel)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn p031_a20_what_people_think_up_is_refused() {
        for secret in [
            "a-string-secret-at-least-256-bits-long",
            "correct horse battery staple correct",
            "ThisIsMySuperSecretPasswordForTokens",
            "this is the secret of our company 2026!",
            "passwordpasswordpasswordpassword",
            "00000000000000000000000000000000",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0123456789abcdef0123456789abcdef",
            "qwertyuiopqwertyuiopqwertyuiopqw",
            "your-512-bit-secret-your-512-bit-secret",
            "Aujourd'hui nous avons mang\u{e9} du fromage",
            "CHANGE_ME_CHANGE_ME_PLEASE_CHANGE_ME",
        ] {
            assert!(secret.len() >= 32, "{secret} is not refused for its length");
            assert_eq!(check(secret.as_bytes()), Err(KeyError::SecretGuessable), "{secret}");
        }
        let counting: Vec<u8> = (0..64).collect();
        assert_eq!(check(&counting), Err(KeyError::SecretGuessable));
        assert_eq!(check(&[7; 32]), Err(KeyError::SecretGuessable));
    }

    #[test]
    fn a05_a_key_is_no_secret() {
        let ed25519 = STANDARD
            .decode("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
            .unwrap();
        let mut rsa = vec![0x30, 0x82, 0x01, 0x04, 0x30];
        rsa.resize(0x0104 + 4, 0x5a);
        let mut ec = vec![0x30, 0x81, 0x80, 0x02];
        ec.resize(0x80 + 3, 0x5a);
        let json = br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}"#;
        for key in [
            &ed25519[..],
            &rsa,
            &ec,
            json,
            b"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw",
            b"ssh-ed25519 AAAA",
        ] {
            assert_eq!(check(key), Err(KeyError::SecretIsAKey), "{:?}", key.first_chunk::<8>());
        }
        rsa.push(0);
        assert_ne!(check(&rsa), Err(KeyError::SecretIsAKey));
    }

    proptest! {
        #[test]
        fn p031_random_bytes_pass_in_every_spelling(secret in any::<[u8; 32]>()) {
            use core::fmt::Write;
            let hex = secret.iter().fold(String::new(), |mut hex, b| { write!(hex, "{b:02x}").unwrap(); hex });
            prop_assert_eq!(check(&secret), Ok(()));
            prop_assert_eq!(check(hex.as_bytes()), Ok(()));
            prop_assert_eq!(check(hex.to_uppercase().as_bytes()), Ok(()));
            prop_assert_eq!(check(STANDARD.encode(secret).as_bytes()), Ok(()));
        }
    }
}
