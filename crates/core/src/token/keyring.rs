//! Whose keys count, and the check of a signature against them.

use std::collections::HashMap;

use super::{KeyError, VerifyingKey};
use crate::{
    claims::Claims,
    compact::Compact,
    header::{Header, TokenType},
    refusal::Refusal,
    target::Targets,
    text::{Issuer, KeyId},
};

/// The keys of one issuer, each under its own name.
#[derive(Debug, Default)]
pub struct IssuerKeys(HashMap<KeyId, VerifyingKey>);

impl IssuerKeys {
    /// Takes `key` in.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateKid`] when its name is taken; the key that has it stays.
    pub fn insert(&mut self, key: VerifyingKey) -> Result<(), KeyError> {
        match self.0.entry(key.kid().clone()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(KeyError::DuplicateKid),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(key);
                Ok(())
            }
        }
    }
}

/// All issuers that are trusted, each with its own keys: a key never vouches for another issuer (RFC 8725 §3.8).
#[derive(Debug, Default)]
pub struct Keyring(HashMap<Issuer, IssuerKeys>);

impl Keyring {
    /// Trusts `issuer` with `keys`, in place of what it had.
    pub fn trust(&mut self, issuer: Issuer, keys: IssuerKeys) {
        self.0.insert(issuer, keys);
    }

    /// Checks that `token` is of type `typ`, from a trusted issuer, and signed by the key of that issuer that it names,
    /// with the one algorithm of that key. Says nothing about its age: see [`decide`](crate::decide).
    ///
    /// What is read before the signature is checked chooses among configured keys and has no other effect (I7).
    ///
    /// # Errors
    ///
    /// [`Refusal`] of the first step that fails: size and segments, header, type, claims, issuer, key, signature.
    pub fn verify(&self, token: &str, typ: TokenType) -> Result<VerifiedToken, Refusal> {
        let compact = Compact::split(token)?;
        let header = Header::parse(&compact.decode_header()?)?;
        if header.typ() != Some(typ) {
            return Err(Refusal::Unsupported("typ"));
        }
        let claims = Claims::take(compact.decode_payload()?)?;
        let keys = self.0.get(claims.iss()).ok_or(Refusal::IssuerUnknown)?;
        let kid = header.kid().ok_or(Refusal::KeyUnknown)?;
        let key = keys.0.get(kid).ok_or(Refusal::KeyUnknown)?;
        if header.alg().parse() != Ok(key.alg()) {
            return Err(Refusal::Unsupported("alg"));
        }
        if !key.verifies(compact.signing_input(), compact.signature()) {
            return Err(Refusal::SignatureInvalid);
        }
        Ok(VerifiedToken {
            typ,
            kid: kid.clone(),
            claims,
        })
    }
}

/// A token whose signature was checked. Holding one is the proof; [`Keyring::verify`] is the only way to make one.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    typ: TokenType,
    kid: KeyId,
    claims: Claims,
}

impl VerifiedToken {
    /// What it is for.
    #[must_use]
    pub fn typ(&self) -> TokenType {
        self.typ
    }

    /// The key that signed it.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// All that a revocation could hit it by.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::of(&self.claims, Some(&self.kid))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::token::{Algorithm, SigningKey};

    const CLAIMS: &str = r#"{"iss":"i","sub":"u","jti":"j","iat":1,"exp":2}"#;

    fn issuer(name: &str) -> Issuer {
        Issuer::new(name).unwrap()
    }

    fn secret_key(kid: &str, fill: u8) -> SigningKey {
        SigningKey::from_secret(KeyId::new(kid).unwrap(), Algorithm::HS256, &[fill; 32]).unwrap()
    }

    fn ring(signers: &[(&str, &SigningKey)]) -> Keyring {
        let mut ring = Keyring::default();
        for (iss, signer) in signers {
            let mut keys = IssuerKeys::default();
            keys.insert(signer.verifying_key().unwrap()).unwrap();
            ring.trust(issuer(iss), keys);
        }
        ring
    }

    /// A token with `header` and `claims` as they stand, properly signed with `key`.
    fn signed(key: &SigningKey, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let engine = jsonwebtoken::EncodingKey::from_secret(&[7; 32]);
        assert_eq!(key.kid().as_str(), "k");
        let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &engine, jsonwebtoken::Algorithm::HS256).unwrap();
        format!("{input}.{signature}")
    }

    fn refusal(ring: &Keyring, token: &str) -> Refusal {
        ring.verify(token, TokenType::Access).expect_err("refused")
    }

    #[test]
    fn what_is_signed_verifies_and_keeps_its_type() {
        let key = secret_key("k", 7);
        let ring = ring(&[("i", &key)]);
        let claims: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
        let token = key.sign(TokenType::Access, &claims).unwrap();
        assert_eq!(ring.verify(&token, TokenType::Access).unwrap().kid().as_str(), "k");
        // P36: each type is refused in the other's place.
        assert_eq!(
            ring.verify(&token, TokenType::Refresh).unwrap_err(),
            Refusal::Unsupported("typ")
        );
        let refresh = key.sign(TokenType::Refresh, &claims).unwrap();
        assert_eq!(refusal(&ring, &refresh), Refusal::Unsupported("typ"));
    }

    #[test]
    fn a01_a03_p028_the_algorithm_is_the_keys() {
        let key = secret_key("k", 7);
        let ring = ring(&[("i", &key)]);
        for alg in ["none", "None", "HS384", "HS512", "RS256", "hs256"] {
            let token = signed(&key, &format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"k"}}"#), CLAIMS);
            assert_eq!(refusal(&ring, &token), Refusal::Unsupported("alg"), "{alg}");
        }
    }

    #[test]
    fn a14_a17_kid_is_an_exact_key_of_a_map() {
        let key = secret_key("k", 7);
        let ring = ring(&[("i", &key)]);
        for kid in [
            r#""kid":"K","#,
            r#""kid":"../../dev/null","#,
            r#""kid":"' UNION SELECT 'k'--","#,
            r#""kid":"k ","#,
            "",
        ] {
            let token = signed(&key, &format!(r#"{{{kid}"alg":"HS256","typ":"at+jwt"}}"#), CLAIMS);
            assert_eq!(refusal(&ring, &token), Refusal::KeyUnknown, "{kid}");
        }
    }

    #[test]
    fn a18_p032_a_key_vouches_for_its_own_issuer_only() {
        let (key, foreign) = (secret_key("k", 7), secret_key("k", 8));
        let ring = ring(&[("other", &key), ("i", &foreign)]);
        let header = r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#;
        assert_eq!(refusal(&ring, &signed(&key, header, CLAIMS)), Refusal::SignatureInvalid);
        let elsewhere = CLAIMS.replace(r#""i""#, r#""I""#);
        assert_eq!(
            refusal(&ring, &signed(&key, header, &elsewhere)),
            Refusal::IssuerUnknown
        );
    }

    #[test]
    fn a25_one_bit_flipped_anywhere() {
        let key = secret_key("k", 7);
        let ring = ring(&[("i", &key)]);
        let token = signed(&key, r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#, CLAIMS);
        assert!(ring.verify(&token, TokenType::Access).is_ok());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1;
            let flipped = String::from_utf8(bytes).unwrap();
            assert!(ring.verify(&flipped, TokenType::Access).is_err(), "byte {at}");
        }
    }

    #[test]
    fn p023_p024_weak_keys_are_refused() {
        let kid = || KeyId::new("k").unwrap();
        assert!(matches!(
            SigningKey::from_secret(kid(), Algorithm::HS256, &[7; 31]),
            Err(KeyError::SecretTooShort {
                found: 31,
                least: 32,
                ..
            })
        ));
        assert!(matches!(
            SigningKey::from_secret(kid(), Algorithm::HS512, &[7; 63]),
            Err(KeyError::SecretTooShort { .. })
        ));
        assert!(matches!(
            SigningKey::from_secret(kid(), Algorithm::ES256, &[7; 64]),
            Err(KeyError::WrongKind { .. })
        ));
        assert!(matches!(
            SigningKey::from_pem(kid(), Algorithm::HS256, b""),
            Err(KeyError::WrongKind { .. })
        ));
        assert!(matches!(
            SigningKey::from_pem(kid(), Algorithm::RS256, b"x"),
            Err(KeyError::NotAPrivateKey { .. })
        ));
    }

    #[test]
    fn i8_debug_shows_no_key() {
        let key = secret_key("k", 0x41);
        let shown = format!("{key:?} {:?} {:?}", key.verifying_key().unwrap(), ring(&[("i", &key)]));
        assert!(!shown.contains("AAAA") && !shown.contains("65, 65"), "{shown}");
    }
}
