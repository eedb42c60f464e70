//! What is revoked.

use alloc::{boxed::Box, string::String};

use serde::{Deserialize, Serialize};

use crate::{
    policy::Policy,
    target::{Target, Targets},
    text::{TextError, check},
    time::UnixTime,
};

/// Why something was revoked.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word that it is written as")]
pub enum Reason {
    Logout,
    Admin,
    PasswordChange,
    PermissionChange,
    AccountSuspended,
    AccountDeleted,
    Compromised,
    Rotated,
    ReuseDetected,
    #[default]
    Other,
}

impl Reason {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Logout,
        Self::Admin,
        Self::PasswordChange,
        Self::PermissionChange,
        Self::AccountSuspended,
        Self::AccountDeleted,
        Self::Compromised,
        Self::Rotated,
        Self::ReuseDetected,
        Self::Other,
    ];

    /// The word in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Admin => "admin",
            Self::PasswordChange => "password_change",
            Self::PermissionChange => "permission_change",
            Self::AccountSuspended => "account_suspended",
            Self::AccountDeleted => "account_deleted",
            Self::Compromised => "compromised",
            Self::Rotated => "rotated",
            Self::ReuseDetected => "reuse_detected",
            Self::Other => "other",
        }
    }
}

/// A remark for people, at most [`Note::MAX_BYTES`] long, on one line.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct Note(Box<str>);

impl Note {
    /// The longest there is, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks and keeps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text, Self::MAX_BYTES)?;
        Ok(Self(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Note {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text)
    }
}

/// A target, and for how long and from what cut-off it is denied.
///
/// Times are whole seconds. Invariants: `before` stands exactly where [`Kind::has_cutoff`](crate::Kind::has_cutoff)
/// says so; `retained_until` lies past the last moment at which policy would accept a token that this denies (I1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    target: Target,
    before: Option<UnixTime>,
    effective_at: UnixTime,
    retained_until: UnixTime,
    reason: Reason,
    note: Option<Note>,
}

impl Revocation {
    /// A revocation of `target` that takes effect at `now`, kept for as long as `policy` could accept what it denies.
    ///
    /// A subject, client, key or issuer is cut off at `now`; see [`Revocation::before`]. A session has no cut-off: all that
    /// was issued of it by now is denied, and whoever goes on issuing for an ended session is not stopped for good. A token is taken to live for
    /// as long as any can; see [`Revocation::expiring`].
    #[must_use]
    pub fn new(target: Target, reason: Reason, policy: &Policy, now: UnixTime) -> Self {
        let now = now.floor_to_second();
        let before = target.as_ref().kind().has_cutoff().then_some(now);
        // I1: the last token to be hit was issued at the end of this second, or, where there is no cut-off, by a clock that
        // is ahead of ours by as much as can be configured.
        let second = core::time::Duration::from_secs(1);
        let ahead = if before.is_some() {
            second
        } else {
            second.saturating_add(Policy::MAX_LEEWAY)
        };
        let last = now.saturating_add(ahead);
        let retained_until = policy.forgettable(last.saturating_add(policy.longest_lifetime()));
        Self {
            target,
            before,
            effective_at: now,
            retained_until,
            reason,
            note: None,
        }
    }

    /// With the cut-off at `before`; tokens and sessions have none and stay as they are.
    ///
    /// It covers its whole second: a token issued in that second is denied, whether before or after.
    #[must_use]
    pub fn before(mut self, before: UnixTime, policy: &Policy) -> Self {
        if self.before.is_some() {
            let before = before.floor_to_second();
            self.before = Some(before);
            // I1: the last token to be hit was issued at the end of that second.
            let last = before.saturating_add(core::time::Duration::from_secs(1));
            self.retained_until = policy.forgettable(last.saturating_add(policy.longest_lifetime()));
        }
        self
    }

    /// For a token that ends at `exp`: kept until policy refuses it anyway. Other targets stay as they are.
    #[must_use]
    pub fn expiring(mut self, exp: UnixTime, policy: &Policy) -> Self {
        if matches!(self.target, Target::Token { .. }) {
            self.retained_until = policy.forgettable(exp);
        }
        self
    }

    /// With a remark.
    #[must_use]
    pub fn noted(mut self, note: Option<Note>) -> Self {
        self.note = note;
        self
    }

    /// Puts a revocation together again from what was stored of one. Times are cut to whole seconds.
    #[must_use]
    pub fn restored(
        target: Target,
        before: Option<UnixTime>,
        effective_at: UnixTime,
        retained_until: UnixTime,
        reason: Reason,
        note: Option<Note>,
    ) -> Self {
        Self {
            // A cut-off that was lost must not read as one at the beginning of time.
            before: target
                .as_ref()
                .kind()
                .has_cutoff()
                .then(|| before.unwrap_or(UnixTime::MAX).floor_to_second()),
            target,
            effective_at: effective_at.floor_to_second(),
            retained_until: retained_until.ceil_to_second(),
            reason,
            note,
        }
    }

    /// What is denied.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The cut-off: what was issued up to the end of this second is denied. None: all is.
    #[must_use]
    pub fn cutoff(&self) -> Option<UnixTime> {
        self.before
    }

    /// When it took effect.
    #[must_use]
    pub fn effective_at(&self) -> UnixTime {
        self.effective_at
    }

    /// From when on it may be forgotten; it is no longer in force at that moment.
    #[must_use]
    pub fn retained_until(&self) -> UnixTime {
        self.retained_until
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The remark.
    #[must_use]
    pub fn note(&self) -> Option<&Note> {
        self.note.as_ref()
    }

    /// Whether it denies a token of its target that was issued at `iat`. One that does not say when is denied (A59).
    #[must_use]
    pub fn denies(&self, iat: Option<UnixTime>) -> bool {
        match (self.before, iat) {
            (Some(before), Some(iat)) => iat.as_secs() <= before.as_secs(),
            _ => true,
        }
    }

    /// The `iat` for a token that is issued at `now` after this was revoked, a new login after a logout everywhere, so that
    /// the cut-off spares it; none when whatever is issued now is to be denied, too.
    ///
    /// A cut-off covers its whole second, since `iat` seldom says more than that and the old login must not be spared. A
    /// login within that second therefore gets the beginning of the next, ahead of the clock by less than a second; a
    /// policy without leeway refuses it for that long.
    #[must_use]
    pub fn spared_iat(&self, now: UnixTime) -> Option<UnixTime> {
        let before = self.before.filter(|before| before.as_secs() <= now.as_secs())?;
        Some(now.max(before.saturating_add(core::time::Duration::from_secs(1))))
    }

    /// Whether it denies the token that has these `targets`, at `now`.
    #[must_use]
    pub fn hits(&self, targets: &Targets<'_>, now: UnixTime) -> bool {
        now < self.retained_until && self.denies(targets.iat()) && targets.iter().any(|t| t == self.target.as_ref())
    }

    /// The stricter of two revocations of one target: later cut-off, later end. What people read of it (reason, note,
    /// beginning) is from the one with the later cut-off, between equals from one that is not [`Reason::Rotated`], which
    /// alone leaves a retry its grace, between equals from the earlier.
    ///
    /// A revocation of another target changes nothing. Commutative, associative and idempotent, so that the order in which records are applied does not matter.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        // Of another target, it has nothing to say about this one.
        if self.target != other.target {
            return self;
        }
        let retained_until = self.retained_until.max(other.retained_until);
        let lax = |r: &Self| r.reason == Reason::Rotated;
        let rank = |r: &Self| {
            (
                core::cmp::Reverse(r.before),
                lax(r),
                r.effective_at,
                r.reason,
                r.note.clone(),
            )
        };
        let told = if rank(&self) <= rank(&other) { self } else { other };
        Self { retained_until, ..told }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::text::{Issuer, Subject};

    fn subject() -> Target {
        Target::Subject {
            iss: Issuer::new("i").unwrap(),
            sub: Subject::new("u").unwrap(),
        }
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn a72_a_cutoff_covers_its_whole_second_and_no_more() {
        let policy = Policy::default();
        let cutoff = Revocation::new(subject(), Reason::Logout, &policy, UnixTime::from_millis(100_700));
        assert_eq!(cutoff.cutoff(), Some(at(100)));
        for (iat_millis, denied) in [(99_000, true), (100_000, true), (100_999, true), (101_000, false)] {
            assert_eq!(
                cutoff.denies(Some(UnixTime::from_millis(iat_millis))),
                denied,
                "{iat_millis}"
            );
        }
    }

    /// The whole second of the cut-off is dead, and yet a login within it lives: it is told to begin a moment later.
    #[test]
    fn a72_a_login_in_the_second_of_the_cutoff_is_spared_and_the_old_one_is_not() {
        let policy = Policy::default();
        let cutoff = Revocation::new(subject(), Reason::Logout, &policy, UnixTime::from_millis(100_700));
        for now in [100_700, 100_999, 101_000, 150_123] {
            let now = UnixTime::from_millis(now);
            let iat = cutoff.spared_iat(now).unwrap();
            assert!(!cutoff.denies(Some(iat)) && iat >= now, "{now:?}");
            assert!(iat.since(now) < Duration::from_secs(1), "{now:?}");
        }
        assert!(cutoff.denies(Some(UnixTime::from_millis(100_699))));
        // What is cut off ahead of time, or with no cut-off at all, spares nothing that is issued now.
        assert_eq!(cutoff.spared_iat(UnixTime::from_millis(99_999)), None);
        let session = Target::Session {
            iss: Issuer::new("i").unwrap(),
            sid: crate::SessionId::new("s").unwrap(),
        };
        let session = Revocation::new(session, Reason::Logout, &policy, at(100));
        assert_eq!(session.spared_iat(at(200)), None);
    }

    #[test]
    fn a_lost_cutoff_denies_everything_and_not_nothing() {
        let entry = Revocation::restored(subject(), None, at(5), at(100), Reason::Admin, None);
        assert_eq!(entry.cutoff(), Some(UnixTime::from_secs(UnixTime::MAX.as_secs())));
        assert!(entry.denies(Some(at(50))));
    }

    #[test]
    fn what_people_read_of_two_equals_is_from_the_earlier() {
        let entry = |effective, note: &str| {
            let note = Some(Note::new(note).unwrap());
            Revocation::restored(subject(), Some(at(1)), at(effective), at(9), Reason::Admin, note)
        };
        let merged = entry(7, "late").merge(entry(3, "early"));
        assert_eq!(
            (merged.effective_at(), merged.note().map(Note::as_str)),
            (at(3), Some("early"))
        );
        let other = Target::Issuer {
            iss: Issuer::new("i").unwrap(),
        };
        let foreign = Revocation::new(other, Reason::Admin, &Policy::default(), at(500));
        assert_eq!(entry(7, "late").merge(foreign), entry(7, "late"));
    }

    #[test]
    fn a59_a_token_that_does_not_say_when_is_denied() {
        assert!(Revocation::new(subject(), Reason::Logout, &Policy::default(), at(100)).denies(None));
    }

    /// A row of the store with times past the year 9999 came back as another revocation than it had been written from:
    /// what was cut to the last moment was no whole second, which is all that a row holds.
    #[test]
    fn times_are_whole_seconds_at_the_end_of_time_too() {
        let end = UnixTime::MAX;
        for before in [None, Some(end)] {
            let once = Revocation::restored(subject(), before, end, end, Reason::Other, None);
            let times = [once.cutoff().unwrap(), once.effective_at(), once.retained_until()];
            assert_eq!(times.map(|t| t.as_millis() % 1_000), [0; 3]);
            let [before, effective, retained] = times.map(|t| at(t.as_secs()));
            let again = Revocation::restored(subject(), Some(before), effective, retained, Reason::Other, None);
            assert_eq!(again, once);
        }
        let made = Revocation::new(subject(), Reason::Other, &Policy::default(), end);
        assert_eq!(made.retained_until().as_millis() % 1_000, 0);
    }

    fn revocation() -> impl Strategy<Value = Revocation> {
        let reasons = prop_oneof![Just(Reason::Logout), Just(Reason::Admin), Just(Reason::Rotated)];
        let notes = proptest::option::of("[ab]".prop_map(|n| Note::new(n).unwrap()));
        (0..3_u64, 0..3_u64, 0..3_u64, reasons, notes).prop_map(|(before, effective, retained, reason, note)| {
            Revocation::restored(subject(), Some(at(before)), at(effective), at(retained), reason, note)
        })
    }

    proptest! {
        #[test]
        fn merge_is_commutative_associative_and_idempotent(a in revocation(), b in revocation(), c in revocation()) {
            prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
            prop_assert_eq!(a.clone().merge(b.clone()).merge(c.clone()), a.clone().merge(b.merge(c)));
            prop_assert_eq!(a.clone().merge(a.clone()), a);
        }

        /// The stricter stands: whatever one of the two denies, the merged one denies.
        #[test]
        fn merge_keeps_the_stricter(a in revocation(), b in revocation(), iat in 0..4_u64, now in 0..4_u64) {
            let both = a.clone().merge(b.clone());
            let target = subject();
            let claims = format!(r#"{{"iss":"i","sub":"u","exp":9,"iat":{iat}}}"#);
            let claims = crate::Claims::parse(claims.as_bytes()).unwrap();
            let targets = Targets::of(&claims, None);
            prop_assert!(both.target() == &target);
            let rotated = |r: &Revocation| r.reason() == Reason::Rotated;
            prop_assert!(a.cutoff() != b.cutoff() || rotated(&both) == (rotated(&a) && rotated(&b)));
            for one in [a, b] {
                prop_assert!(!one.hits(&targets, at(now)) || both.hits(&targets, at(now)));
            }
        }

        /// I1 for a revocation as it is made: no token that it hits is accepted again once it may be forgotten, of whatever
        /// kind its target is and however far ahead the clock that issued it was.
        #[test]
        fn i1_retention_covers_every_token_that_was_accepted_when_it_was_revoked(
            kind in 0..6_usize, now_millis in 1_000_000..1_003_000_u64, ahead_millis in 0..301_000_u64,
            leeway in prop_oneof![Just(0_u64), 140..=160_u64, 299..=300_u64], longest in 1..700_u64,
        ) {
            let policy = Policy::default()
                .with_leeway(Duration::from_secs(leeway)).unwrap()
                .with_longest_lifetime(Duration::from_secs(longest));
            let now = UnixTime::from_millis(now_millis);
            // Mostly within what is accepted: the boundary is where it matters.
            let iat_millis = now_millis + ahead_millis.min(leeway * 1000);
            let exp = iat_millis + longest * 1000;
            let json = format!(
                r#"{{"iss":"i","sub":"u","jti":"j","sid":"s","client_id":"c","iat":{}.{:03},"exp":{}.{:03}}}"#,
                iat_millis / 1000, iat_millis % 1000, exp / 1000, exp % 1000,
            );
            let claims = crate::Claims::parse(json.as_bytes()).unwrap();
            let kid = crate::KeyId::new("k").unwrap();
            let targets = Targets::of(&claims, Some(&kid));
            let target = targets.iter().nth(kind).unwrap().to_owned();
            let entry = Revocation::new(target, Reason::Admin, &policy, now);
            let judge = |at| crate::decide(&claims, &crate::Demand::default(), &crate::Facts::none(), &policy, at);
            if entry.hits(&targets, now) {
                let end = entry.retained_until();
                prop_assert!(judge(end).is_err(), "{:?} is accepted again at {end:?}", entry.target());
            }
        }

        /// I1: what may be forgotten is already refused, at the boundary and one step to either side.
        #[test]
        fn i1_retention_covers_the_last_token_that_a_cutoff_could_hit(
            before in 10..20_u64, issued_millis in 0..1_999_u64, leeway in 297..=300_u64, longest in 1..5_u64,
        ) {
            let policy = Policy::default()
                .with_leeway(Duration::from_secs(leeway)).unwrap()
                .with_longest_lifetime(Duration::from_secs(longest));
            let cutoff = Revocation::new(subject(), Reason::Admin, &policy, at(0)).before(at(before), &policy);
            let iat = UnixTime::from_millis(before * 1000 + issued_millis);
            if cutoff.denies(Some(iat)) {
                let accepted_until = iat.saturating_add(policy.longest_lifetime()).saturating_add(policy.leeway());
                prop_assert!(cutoff.retained_until() >= accepted_until);
            }
        }
    }
}
