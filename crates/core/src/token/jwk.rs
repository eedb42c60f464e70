//! Keys in JSON (RFC 7517).

use core::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    Algorithm, KeyError,
    public::{Curve, PublicKey},
};
use crate::{json, text::KeyId};

/// The largest set that is looked at, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// One key, understood and checked.
pub(super) struct Jwk {
    pub(super) kid: Option<KeyId>,
    pub(super) alg: Algorithm,
    pub(super) material: Material,
}

pub(super) enum Material {
    Secret(Zeroizing<Vec<u8>>),
    Pair(PublicKey, Option<Private>),
}

/// The private members, in the order of RFC 7518 §6.3.2 for RSA, and `d` alone otherwise.
pub(super) struct Private(pub(super) Vec<Bytes>);

/// What a key is to be used for here.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Sign,
    Verify,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Verify => "verify",
        }
    }
}

#[derive(Deserialize)]
struct Members {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<Bytes>,
    e: Option<Bytes>,
    x: Option<Bytes>,
    y: Option<Bytes>,
    k: Option<Bytes>,
    d: Option<Bytes>,
    p: Option<Bytes>,
    q: Option<Bytes>,
    dp: Option<Bytes>,
    dq: Option<Bytes>,
    qi: Option<Bytes>,
}

/// What stood in canonical base64url. Zeroised, since it may be private.
pub(super) struct Bytes(pub(super) Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64url")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| E::custom("not base64url"))?;
                Ok(Bytes(Zeroizing::new(bytes)))
            }
        }
        from.deserialize_str(Text)
    }
}

impl Jwk {
    /// Reads one key, to be used for `purpose`, with `wanted` where it does not name its algorithm.
    pub(super) fn parse(json: &[u8], purpose: Use, wanted: Option<Algorithm>) -> Result<Self, KeyError> {
        Self::strict(json)?;
        let members: Members = serde_json::from_slice(json).map_err(|_| KeyError::NotAJwk)?;
        members.understand(purpose, wanted)
    }

    /// Whether it has a member that only its owner may know (RFC 7518 §6.2.2, §6.3.2, §6.4).
    pub(super) fn is_private(json: &[u8]) -> Result<bool, KeyError> {
        let names = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let members = json::object(json, names).map_err(|_| KeyError::NotAJwk)?;
        Ok(members.iter().any(Option::is_some))
    }

    /// The keys of a set, each as it stands (RFC 7517 §5).
    pub(super) fn split(set: &[u8]) -> Result<Vec<&RawValue>, KeyError> {
        #[derive(Deserialize)]
        struct Set<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        Self::strict(set)?;
        let set: Set<'_> = serde_json::from_slice(set).map_err(|_| KeyError::NotAJwk)?;
        Ok(set.keys)
    }

    /// RFC 7517 §4: no member stands twice; here nowhere, known or not.
    fn strict(json: &[u8]) -> Result<(), KeyError> {
        if json.len() > MAX_BYTES {
            return Err(KeyError::NotAJwk);
        }
        json::object(json, []).map(|[]| ()).map_err(|_| KeyError::NotAJwk)
    }
}

impl Members {
    fn understand(self, purpose: Use, wanted: Option<Algorithm>) -> Result<Jwk, KeyError> {
        self.check_use(purpose)?;
        let named = match &self.alg {
            None => None,
            Some(name) => Some(name.parse::<Algorithm>().map_err(|_| KeyError::Unsupported("alg"))?),
        };
        if named.is_some() && wanted.is_some() && named != wanted {
            return Err(KeyError::AlgorithmMismatch);
        }
        let kid = match &self.kid {
            None => None,
            Some(kid) => Some(KeyId::new(kid.as_str()).map_err(|_| KeyError::NotAJwk)?),
        };
        let (material, usual) = self.material()?;
        let alg = named.or(wanted).or(usual).ok_or(KeyError::JwkMember("alg"))?;
        let fits = match &material {
            Material::Secret(_) => alg.secret_bytes().is_some(),
            Material::Pair(PublicKey::Rsa { .. }, _) => alg.is_rsa(),
            Material::Pair(PublicKey::Ec { curve, .. }, _) => alg == curve.alg(),
            Material::Pair(PublicKey::Ed { .. }, _) => alg == Algorithm::EdDSA,
        };
        if !fits {
            return Err(KeyError::AlgorithmMismatch);
        }
        Ok(Jwk { kid, alg, material })
    }

    /// RFC 7517 §4.2 and §4.3.
    fn check_use(&self, purpose: Use) -> Result<(), KeyError> {
        let name = purpose.name();
        if self.purpose.as_deref().is_some_and(|u| u != "sig") {
            return Err(KeyError::NotFor(name));
        }
        let Some(ops) = &self.key_ops else {
            return Ok(());
        };
        // RFC 7517 §4.3 knows eight; each is held against the others.
        if ops.len() > 16 {
            return Err(KeyError::NotAJwk);
        }
        let twice = ops
            .iter()
            .enumerate()
            .any(|(at, op)| ops.iter().take(at).any(|o| o == op));
        if twice {
            return Err(KeyError::NotAJwk);
        }
        if ops.iter().any(|op| op == name) {
            Ok(())
        } else {
            Err(KeyError::NotFor(name))
        }
    }

    /// The key, and the algorithm that such a key is for when nobody says otherwise.
    fn material(self) -> Result<(Material, Option<Algorithm>), KeyError> {
        let member = |value: Option<Bytes>, name| value.ok_or(KeyError::JwkMember(name));
        match self.kty.as_str() {
            "oct" => Ok((Material::Secret(member(self.k, "k")?.0), None)),
            "RSA" => {
                let public = PublicKey::rsa(&member(self.n, "n")?.0, &member(self.e, "e")?.0)?;
                let private = match self.d {
                    None => None,
                    // RFC 7518 §6.3.2 lets the others be absent; nothing here can sign without them.
                    Some(d) => Some(Private(vec![
                        d,
                        member(self.p, "p")?,
                        member(self.q, "q")?,
                        member(self.dp, "dp")?,
                        member(self.dq, "dq")?,
                        member(self.qi, "qi")?,
                    ])),
                };
                Ok((Material::Pair(public, private), Some(Algorithm::RS256)))
            }
            "EC" => {
                let curve = match self.crv.as_deref() {
                    Some("P-256") => Curve::P256,
                    Some("P-384") => Curve::P384,
                    Some(_) => return Err(KeyError::Unsupported("crv")),
                    None => return Err(KeyError::JwkMember("crv")),
                };
                let public = PublicKey::ec(curve, &member(self.x, "x")?.0, &member(self.y, "y")?.0)?;
                let private = self.d.map(|d| Private(vec![d]));
                Ok((Material::Pair(public, private), Some(curve.alg())))
            }
            "OKP" => {
                match self.crv.as_deref() {
                    Some("Ed25519") => {}
                    Some(_) => return Err(KeyError::Unsupported("crv")),
                    None => return Err(KeyError::JwkMember("crv")),
                }
                let public = PublicKey::ed(&member(self.x, "x")?.0)?;
                let private = self.d.map(|d| Private(vec![d]));
                Ok((Material::Pair(public, private), Some(Algorithm::EdDSA)))
            }
            _ => Err(KeyError::Unsupported("kty")),
        }
    }
}
