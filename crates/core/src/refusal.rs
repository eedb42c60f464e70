//! Why a token is refused.

use alloc::boxed::Box;
use core::fmt;

use crate::revocation::Revocation;

/// The part of a token that a refusal speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Segment {
    /// The whole.
    Token,
    /// The JOSE header.
    Header,
    /// The claims set.
    Claims,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Header => "header",
            Self::Claims => "claims set",
        })
    }
}

/// Why a token is refused: the token's fault, but for [`Refusal::StoreUnavailable`]. The text never repeats anything of the token but the names of standard members (I8).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is longer than is looked at.
    #[error("token is larger than the limit")]
    TooLarge,
    /// It is not the compact form of a signed JSON Web Token.
    #[error("{0} is malformed: {1}")]
    Malformed(Segment, &'static str),
    /// It asks for something that this verifier does not do, or is a token for another use.
    #[error("token is not supported here: {0}")]
    Unsupported(&'static str),
    /// No key of its issuer has its `kid` and algorithm.
    #[error("no key for this token")]
    KeyUnknown,
    /// Its signature does not verify.
    #[error("signature is invalid")]
    SignatureInvalid,
    /// A claim is absent or not what it must be.
    #[error("claim {0} is invalid: {1}")]
    ClaimInvalid(&'static str, &'static str),
    /// `now >= exp + leeway`, or what was forgotten by the store could have been about it.
    #[error("token is expired")]
    Expired,
    /// It is older than what is at stake allows; a fresh one of the same login may pass.
    #[error("token is too old for what is at stake")]
    TooOld,
    /// `now < nbf - leeway`, or it was issued in the future.
    #[error("token is not yet valid")]
    NotYetValid,
    /// Its `iss` is none that is trusted.
    #[error("issuer is not known")]
    IssuerUnknown,
    /// Its `aud` names none of the audiences asked for.
    #[error("token is for another audience")]
    AudienceMismatch,
    /// It is on the denylist.
    #[error("token is revoked")]
    Revoked(Box<Revocation>),
    /// It lacks a scope that is asked for.
    #[error("scope is not sufficient")]
    ScopeInsufficient,
    /// The denylist had to be asked and gave no answer: nothing is known against the token, and nothing for it (I5).
    #[error("the denylist cannot be asked")]
    StoreUnavailable,
}

impl Refusal {
    /// The stable word for programs.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => Code::TokenTooLarge,
            Self::Malformed(..) => Code::TokenMalformed,
            Self::Unsupported(_) => Code::TokenUnsupported,
            Self::KeyUnknown => Code::KeyUnknown,
            Self::SignatureInvalid => Code::SignatureInvalid,
            Self::ClaimInvalid(..) => Code::ClaimsInvalid,
            Self::Expired | Self::TooOld => Code::TokenExpired,
            Self::NotYetValid => Code::TokenNotYetValid,
            Self::IssuerUnknown => Code::IssuerUnknown,
            Self::AudienceMismatch => Code::AudienceMismatch,
            Self::Revoked(_) => Code::TokenRevoked,
            Self::ScopeInsufficient => Code::ScopeInsufficient,
            Self::StoreUnavailable => Code::StoreUnavailable,
        }
    }
}

/// The words that programs match on, one for each kind of refusal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is the word that it is written as")]
#[non_exhaustive]
pub enum Code {
    TokenTooLarge,
    TokenMalformed,
    TokenUnsupported,
    KeyUnknown,
    SignatureInvalid,
    ClaimsInvalid,
    TokenExpired,
    TokenNotYetValid,
    IssuerUnknown,
    AudienceMismatch,
    TokenRevoked,
    ScopeInsufficient,
    StoreUnavailable,
}

impl Code {
    /// The word in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenTooLarge => "token_too_large",
            Self::TokenMalformed => "token_malformed",
            Self::TokenUnsupported => "token_unsupported",
            Self::KeyUnknown => "key_unknown",
            Self::SignatureInvalid => "signature_invalid",
            Self::ClaimsInvalid => "claims_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::IssuerUnknown => "issuer_unknown",
            Self::AudienceMismatch => "audience_mismatch",
            Self::TokenRevoked => "token_revoked",
            Self::ScopeInsufficient => "scope_insufficient",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}
