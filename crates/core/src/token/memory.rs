//! Access tokens that were found good, so that each signature is checked once.
//!
//! What is kept is a proof, never a verdict: the token as it was spelled, and what [`Keyring::verify`](super::Keyring::verify)
//! made of it, which depends on the keys and on nothing that changes with time.

use core::{
    fmt,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use std::{hash::RandomState, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quick_cache::{
    Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use zeroize::Zeroizing;

use super::VerifiedToken;

/// A bounded memory of access tokens whose signature was found good; see [`Keyring::with_memory`](super::Keyring::with_memory).
/// The default has no room and remembers nothing. A clone is the same memory.
///
/// Tokens are found by a keyed hash and compared in full. What is used again stays, and what comes once goes first, so
/// that a flood of good tokens does not drive out those that are in use; nothing else than a good token ever gets in. No
/// lock is held for longer than a comparison, or the eviction of one entry.
///
/// A token is a secret for as long as it lives: nothing here shows one, and what goes is overwritten.
#[derive(Clone, Default)]
pub struct Memory {
    room: usize,
    /// None without room.
    tokens: Option<Arc<Tokens>>,
    counts: Arc<Counts>,
}

type Tokens = Cache<Text, VerifiedToken, Weight, RandomState>;

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a [`Memory`] fares.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Remembered {
    /// Tokens that are in it.
    pub tokens: usize,
    /// What they take up, in bytes: rather too much than too little.
    pub bytes: u64,
    /// Tokens that were in it when they were looked for.
    pub hits: u64,
    /// Tokens that had to be verified since they were not, forged ones among them.
    pub misses: u64,
}

impl Memory {
    /// A token that takes up so many bytes, from which follows how much is noted of those that went.
    const USUAL: usize = 4_096;
    /// Locks, each with its share of the room.
    const SHARDS: usize = 16;
    /// The least room that is worth its name.
    pub const LEAST: usize = 1 << 20;

    /// A memory of at most `room` bytes, of which each token takes some two kilobytes; less than [`Memory::LEAST`] is none.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self::default().resized(room)
    }

    /// An empty memory of at most `room` bytes that counts on where this one does.
    #[must_use]
    pub fn resized(&self, room: usize) -> Self {
        let options = OptionsBuilder::new()
            .shards(Self::SHARDS)
            .estimated_items_capacity(room / Self::USUAL)
            .weight_capacity(u64::try_from(room).unwrap_or(u64::MAX))
            .build();
        let fits = |_: &_| room >= Self::LEAST;
        let tokens = options
            .ok()
            .filter(fits)
            .map(|options| Cache::with_options(options, Weight, RandomState::new(), DefaultLifecycle::default()));
        Self {
            room,
            tokens: tokens.map(Arc::new),
            counts: Arc::clone(&self.counts),
        }
    }

    /// An empty one of the same size that counts on where this one does.
    pub(super) fn anew(&self) -> Self {
        self.resized(self.room)
    }

    /// What is known of `token`.
    pub(super) fn recall(&self, token: &str) -> Option<VerifiedToken> {
        let known = self.tokens.as_ref()?.get(&Spelling(token))?;
        self.counts.hits.fetch_add(1, Relaxed);
        Some(known)
    }

    /// Counts a token that had to be verified.
    pub(super) fn missed(&self) {
        if self.tokens.is_some() {
            self.counts.misses.fetch_add(1, Relaxed);
        }
    }

    /// Keeps what `token` was proven to be, if there is room.
    pub(super) fn keep(&self, token: &str, verified: &VerifiedToken) {
        if let Some(tokens) = &self.tokens {
            tokens.insert(Text(Zeroizing::new(token.into())), verified.clone());
        }
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> Remembered {
        Remembered {
            tokens: self.tokens.as_ref().map_or(0, |tokens| tokens.len()),
            bytes: self.tokens.as_ref().map_or(0, |tokens| tokens.weight()),
            hits: self.counts.hits.load(Relaxed),
            misses: self.counts.misses.load(Relaxed),
        }
    }
}

// I8: only counts.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("room", &self.room)
            .field("remembered", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A token, overwritten when it is let go.
#[derive(Eq)]
struct Text(Zeroizing<Box<str>>);

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Spelling(&self.0).equivalent(other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Spelling(&self.0).hash(state);
    }
}

/// A token that is looked for.
struct Spelling<'t>(&'t str);

/// Bytes at the end of a token that its place follows from: 192 bits of its signature, which nobody chooses. What they are
/// is compared like all else; two tokens of one ending would share a place, not a proof.
const ENDING: usize = 32;

impl Hash for Spelling<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let all = self.0.as_bytes();
        state.write(all.last_chunk::<ENDING>().map_or(all, |ending| ending.as_slice()));
        state.write_usize(all.len());
    }
}

impl Equivalent<Text> for Spelling<'_> {
    // The whole of it: a token that differs in one letter was signed by nobody. And in a time that depends on nothing but
    // how long it is, which the place follows from, too.
    fn equivalent(&self, kept: &Text) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), kept.0.as_bytes()).is_ok()
    }
}

/// What an entry takes up.
#[derive(Clone)]
struct Weight;

impl Weight {
    /// What is there of each, whatever it says: its place, and the blocks of memory that it is in.
    const EACH: usize = 768;
}

impl Weighter<Text, VerifiedToken> for Weight {
    fn weight(&self, text: &Text, token: &VerifiedToken) -> u64 {
        let bytes = text.0.len().saturating_add(token.bytes()).saturating_add(Self::EACH);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{claims::Claims, header::TokenType, text::KeyId};

    fn verified(sub: &str) -> VerifiedToken {
        let claims = format!(r#"{{"iss":"i","sub":"{sub}","exp":9}}"#);
        let claims = Claims::parse(claims.as_bytes()).unwrap();
        VerifiedToken::new(TokenType::Access, KeyId::new("k").unwrap(), claims)
    }

    fn subject(memory: &Memory, token: &str) -> Option<String> {
        let known = memory.recall(token)?;
        Some(known.claims().sub().unwrap().as_str().to_owned())
    }

    /// No two signatures end alike; if they did, each token would still be itself.
    #[test]
    fn tokens_of_one_place_are_compared_in_full() {
        let memory = Memory::new(Memory::LEAST);
        let signature = "s".repeat(64);
        let (one, other) = (format!("aa.bb.{signature}"), format!("aa.bc.{signature}"));
        let place = |token: &str| {
            use core::hash::BuildHasher;
            let fixed = core::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
            fixed.hash_one(Spelling(token))
        };
        assert_eq!(place(&one), place(&other));
        memory.keep(&one, &verified("one"));
        assert_eq!(subject(&memory, &one).as_deref(), Some("one"));
        assert_eq!(subject(&memory, &other), None);
        memory.keep(&other, &verified("other"));
        assert_eq!(subject(&memory, &one).as_deref(), Some("one"));
        assert_eq!(subject(&memory, &other).as_deref(), Some("other"));
        // A kept token is looked for as it is hashed when the table grows.
        assert_eq!(place(&one), {
            use core::hash::BuildHasher;
            let fixed = core::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
            fixed.hash_one(Text(Zeroizing::new(one.as_str().into())))
        });
        let Remembered { tokens, hits, .. } = memory.stats();
        assert_eq!((tokens, hits), (2, 3));
    }

    /// Good tokens that come once: the room is never exceeded, and what is in use stays.
    #[test]
    fn a_flood_stays_within_the_room_and_leaves_what_is_in_use() {
        let memory = Memory::new(Memory::LEAST);
        let token = |n: u32| format!("{}.{n:064}", "h".repeat(400));
        let in_use: Vec<_> = (0..20).map(token).collect();
        for token in &in_use {
            memory.keep(token, &verified("in-use"));
        }
        for n in 100..20_100 {
            memory.keep(&token(n), &verified("once"));
            assert!(memory.stats().bytes <= 1 << 20);
            if n % 50 == 0 {
                // Seen again, as long as it is there.
                for token in &in_use {
                    memory.recall(token);
                }
            }
        }
        let held = memory.stats().tokens;
        assert!((200..1_000).contains(&held), "{held} tokens in a mebibyte");
        let left = in_use.iter().filter(|token| memory.recall(token).is_some()).count();
        assert!(left >= 19, "{left} of 20 outlived 20,000 that came once");
    }

    #[test]
    fn what_is_larger_than_its_share_is_not_kept() {
        let memory = Memory::new(Memory::LEAST);
        memory.keep("small", &verified("a"));
        memory.keep(&"l".repeat(Memory::LEAST), &verified("a"));
        assert_eq!(memory.stats().tokens, 1);
        for none in [Memory::default(), Memory::new(0), Memory::new(Memory::LEAST - 1)] {
            none.keep("small", &verified("a"));
            assert!(none.recall("small").is_none());
            assert_eq!(none.stats(), Remembered::default());
        }
    }

    #[test]
    fn i8_it_shows_nothing_of_what_it_keeps() {
        let memory = Memory::new(Memory::LEAST);
        let (token, subject) = ("aaaa.bbbb.cccc", "who-it-is");
        memory.keep(token, &verified(subject));
        let shown = format!("{memory:?} {memory:#?}");
        assert!(!shown.contains("bbbb") && !shown.contains(subject), "{shown}");
        assert!(shown.contains("tokens: 1"), "{shown}");
    }
}
