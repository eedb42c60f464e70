//! A token that is proven.

use core::{any::Any, fmt};
use std::sync::{Arc, OnceLock};

use crate::{claims::Claims, header::TokenType, target::Targets, text::KeyId};

/// A token whose signature was checked. Holding one is the proof; [`Keyring::verify`](super::Keyring::verify) is the only
/// way to make one. A clone is the same one.
#[derive(Clone)]
pub struct VerifiedToken(Arc<Verified>);

struct Verified {
    typ: TokenType,
    kid: KeyId,
    claims: Claims,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl VerifiedToken {
    pub(super) fn new(typ: TokenType, kid: KeyId, claims: Claims) -> Self {
        Self(Arc::new(Verified {
            typ,
            kid,
            claims,
            kept: OnceLock::new(),
        }))
    }

    /// What it is for.
    #[must_use]
    pub fn typ(&self) -> TokenType {
        self.0.typ
    }

    /// The key that signed it.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.0.kid
    }

    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// All that a revocation could hit it by.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::of(&self.0.claims, Some(&self.0.kid))
    }

    /// What `make` makes of the claims, made once and kept as long as the token is, for all that follows from them alone:
    /// how they are written elsewhere, say. None where something of another type is kept already.
    pub fn kept<T: Any + Send + Sync>(&self, make: impl FnOnce(&Claims) -> T) -> Option<&T> {
        let kept = self.0.kept.get_or_init(|| Box::new(make(&self.0.claims)));
        kept.downcast_ref()
    }

    /// What it takes up, roughly and rather too much than too little: itself, its claims as JSON and as names, and the
    /// names once more in what is [kept](Self::kept) of them.
    pub(super) fn bytes(&self) -> usize {
        let named = self.0.claims.json_bytes().saturating_add(self.0.kid.as_str().len());
        size_of::<Verified>().saturating_add(named.saturating_mul(3))
    }
}

// I8: the claims show no more of themselves than they do elsewhere.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("typ", &self.0.typ)
            .field("kid", &self.0.kid)
            .field("claims", &self.0.claims)
            .finish_non_exhaustive()
    }
}
