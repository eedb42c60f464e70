//! Whose keys count, and the check of a signature against them.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{IssuerKeys, Memory, VerifiedToken, trust};
use crate::{
    claims::Claims,
    compact::Compact,
    header::{Header, TokenType},
    refusal::Refusal,
    text::{Issuer, Jti},
    trace::{Observer, Step},
};

/// All issuers that are trusted, each with its own keys: a key never vouches for another issuer (RFC 8725 §3.8).
///
/// ```
/// use ostracon_core::{Algorithm, Issuer, IssuerKeys, KeyId, Keyring, Refusal, SigningKey, TokenType};
/// # let secret: Vec<u8> = (1..65_u32).map(|i| (i * i * i).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
///
/// let signer = SigningKey::from_secret(KeyId::new("2026-11")?, Algorithm::HS256, &secret)?;
/// let mut keys = IssuerKeys::default().with_audiences(["shop"]);
/// keys.insert(signer.verifying_key()?)?;
/// let mut keyring = Keyring::default();
/// keyring.trust(Issuer::new("https://auth.example")?, keys);
///
/// let claims = serde_json::json!({ "iss": "https://auth.example", "aud": "shop", "exp": 1_790_000_600 });
/// let token = signer.sign(TokenType::Access, &claims)?;
/// assert!(keyring.verify(&token, TokenType::Access)?.claims().aud().contains("shop"));
/// assert_eq!(keyring.verify(&token, TokenType::Refresh).unwrap_err(), Refusal::Unsupported("typ"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring {
    /// Shared, so that a copy with other keys of one issuer costs little.
    issuers: HashMap<Issuer, Arc<IssuerKeys>>,
    max_token_bytes: usize,
    unnamed: Option<Issuer>,
    /// Tokens that exactly these keys and settings have found good; whoever changes one of them begins another.
    memory: Memory,
}

impl Default for Keyring {
    fn default() -> Self {
        Self {
            issuers: HashMap::new(),
            max_token_bytes: Compact::MAX_BYTES,
            unnamed: None,
            memory: Memory::default(),
        }
    }
}

impl Keyring {
    /// The most that [`Keyring::with_max_token_bytes`] takes.
    pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

    /// With another bound on the size of tokens than [`Compact::MAX_BYTES`], up to [`Keyring::MAX_TOKEN_BYTES`].
    #[must_use]
    pub fn with_max_token_bytes(mut self, max_token_bytes: usize) -> Self {
        self.max_token_bytes = max_token_bytes.min(Self::MAX_TOKEN_BYTES);
        self.memory = self.memory.anew();
        self
    }

    /// With tokens without `iss` taken for those of `issuer`, whose keys alone can vouch for them: an application that
    /// verifies its own tokens has no need to say that they are its own.
    #[must_use]
    pub fn with_unnamed(self, issuer: Issuer) -> Self {
        let (unnamed, memory) = (Some(issuer), self.memory.anew());
        Self {
            unnamed,
            memory,
            ..self
        }
    }

    /// With a memory as large as `memory`, which begins empty and counts on where that one does. Access tokens that
    /// [`Keyring::verify`] finds good are kept in it, and one that comes again, letter for letter, is checked no more.
    ///
    /// What is remembered is that these keys vouch for the token, and nothing else: whether it has ended, is revoked, or
    /// is for somebody else is asked of [`decide`](crate::decide) each time. A keyring that is changed remembers nothing of
    /// what it was before; a clone of it does, for as long as neither is changed.
    #[must_use]
    pub fn with_memory(self, memory: &Memory) -> Self {
        let memory = memory.anew();
        Self { memory, ..self }
    }

    /// What is remembered.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Trusts `issuer` with `keys`, in place of what it had.
    pub fn trust(&mut self, issuer: Issuer, keys: impl Into<Arc<IssuerKeys>>) {
        self.issuers.insert(issuer, keys.into());
        self.memory = self.memory.anew();
    }

    /// Trusts `issuer` no more; what it was trusted with.
    pub fn distrust(&mut self, issuer: &Issuer) -> Option<Arc<IssuerKeys>> {
        self.memory = self.memory.anew();
        self.issuers.remove(issuer)
    }

    /// The keys of `issuer`.
    #[must_use]
    pub fn issuer(&self, issuer: &Issuer) -> Option<&IssuerKeys> {
        self.issuers.get(issuer).map(AsRef::as_ref)
    }

    /// All that are trusted, in no order.
    pub fn issuers(&self) -> impl Iterator<Item = (&Issuer, &IssuerKeys)> {
        self.issuers.iter().map(|(issuer, keys)| (issuer, keys.as_ref()))
    }

    /// Checks that `token` is of type `typ`, from a trusted issuer, and signed by the key of that issuer that it names,
    /// with the one algorithm of that key, and that it is within what the issuer is trusted for. Says nothing about its
    /// age: see [`decide`](crate::decide).
    ///
    /// What is read before the signature is checked chooses among configured keys and has no other effect (I7).
    ///
    /// # Errors
    ///
    /// [`Refusal`] of the first step that fails: size and segments, header, type, claims, issuer, key, algorithm,
    /// signature, trust.
    pub fn verify(&self, token: &str, typ: TokenType) -> Result<VerifiedToken, Refusal> {
        // Others are used once, and live long: no reason to keep them in memory.
        let keeps = typ == TokenType::Access;
        if keeps {
            if let Some(known) = self.recall(token) {
                return Ok(known);
            }
            self.memory.missed();
        }
        let verified = self.verify_observed(token, typ, &mut ())?;
        if keeps {
            self.memory.keep(token, &verified);
        }
        Ok(verified)
    }

    /// What [`Keyring::verify`] would answer for the access token `token`, if that is remembered. None says nothing of it.
    #[must_use]
    pub fn recall(&self, token: &str) -> Option<VerifiedToken> {
        self.memory.recall(token)
    }

    /// The same as [`Keyring::verify`], each step taken, whatever is remembered, and shown to `observer`. Nothing can
    /// follow a step that fails.
    ///
    /// # Errors
    ///
    /// As for [`Keyring::verify`].
    pub fn verify_observed<O: Observer>(
        &self,
        token: &str,
        typ: TokenType,
        observer: &mut O,
    ) -> Result<VerifiedToken, Refusal> {
        let compact = seen(observer, Step::Form, Compact::split_within(token, self.max_token_bytes))?;
        let header = compact.decode_header().and_then(|bytes| Header::parse(&bytes));
        let header = seen(observer, Step::Header, header)?;
        let take = |payload| Claims::take(payload, self.unnamed.as_ref());
        let parse = || compact.decode_payload().and_then(take);
        // Who it says it is from decides whether it may leave open what it is for; where that cannot be told, a later step
        // says why.
        let early = header.generic().map(|generic| (generic, parse()));
        let may_be_open = |(generic, claims): &(_, Result<Claims, _>)| {
            let takes = |issuer: &IssuerKeys| issuer.trust().takes_generic(typ, *generic);
            match claims.as_ref().ok().and_then(|claims| self.issuer(claims.iss())) {
                Some(issuer) => takes(issuer),
                None => self.issuers().any(|(_, issuer)| takes(issuer)),
            }
        };
        let same = header.typ() == Some(typ) || early.as_ref().is_some_and(may_be_open);
        seen(
            observer,
            Step::Type,
            same.then_some(()).ok_or(Refusal::Unsupported("typ")),
        )?;
        let claims = early.map_or_else(parse, |(_, claims)| claims);
        let mut claims = seen(observer, Step::Claims, claims)?;
        let issuer = self.issuers.get(claims.iss()).ok_or(Refusal::IssuerUnknown);
        let issuer = seen(observer, Step::Issuer, issuer)?;
        let key = issuer.named(header.kid(), header.alg()).ok_or(Refusal::KeyUnknown);
        let key = seen(observer, Step::Key, key)?;
        let same = header.alg().parse() == Ok(key.alg());
        seen(
            observer,
            Step::Algorithm,
            same.then_some(()).ok_or(Refusal::Unsupported("alg")),
        )?;
        let good = key.verifies(&compact);
        seen(
            observer,
            Step::Signature,
            good.then_some(()).ok_or(Refusal::SignatureInvalid),
        )?;
        let is_open = header.typ().is_none();
        let may_be = if is_open { trust::can_be(typ, &claims) } else { Ok(()) };
        let covered = may_be.and_then(|()| issuer.covers(typ, &claims, key));
        claims = seen(
            observer,
            Step::Trust,
            covered.and_then(|()| issuer.trust().read(typ, claims)),
        )?;
        if claims.jti().is_none() {
            claims = claims.identified_by(token_digest(compact.signing_input())?);
        }
        Ok(VerifiedToken::new(typ, key.kid().clone(), claims))
    }
}

fn seen<T>(observer: &mut impl Observer, step: Step, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
    observer.step(step, outcome.as_ref().map(|_| ()));
    outcome
}

/// What a token without `jti` goes by. The signing input is the same for each spelling of the signature and cannot be
/// changed without the key; the whole token has neither property (A27, A30, A33).
fn token_digest(signing_input: &str) -> Result<Jti, Refusal> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"ostracon: a token without jti, version 1\0");
    context.update(signing_input.as_bytes());
    let digest = URL_SAFE_NO_PAD.encode(context.finish());
    Jti::new(format!("sha-256:{digest}")).map_err(|_| Refusal::ClaimInvalid("jti", "absent"))
}
