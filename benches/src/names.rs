//! Names of targets, by number: the same in every run, and no two alike.

use ostracon_core::{
    Claims, ClientId, Issuer, Jti, KeyId, Policy, Reason, Revocation, SessionId, Subject, Target, UnixTime,
};

/// The time that the denylist is asked at.
pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

/// From this number on nothing is ever listed.
pub const UNLISTED: u64 = 1 << 40;

/// Of each listing, so many entries from number 0 on are past their retention, and not swept.
pub const EXPIRED: u64 = 1_024;

/// The one issuer.
#[must_use]
pub fn issuer() -> Issuer {
    Issuer::new("https://auth.example").expect("a name")
}

/// The one signing key.
#[must_use]
pub fn kid() -> KeyId {
    KeyId::new("2026-09").expect("a name")
}

/// As long and as even as random identifiers are: 128 bits in hexadecimal.
fn spread(n: u64) -> String {
    let high = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{high:016x}{:016x}", high.rotate_left(29) ^ n)
}

/// The token number `n`.
#[must_use]
pub fn token(n: u64) -> Target {
    Target::Token {
        iss: issuer(),
        jti: Jti::new(spread(n)).expect("a name"),
    }
}

/// What is listed as number `n`: of ten, seven tokens, two sessions and a subject. The [expired](EXPIRED) are tokens.
#[must_use]
pub fn listed(n: u64) -> Target {
    let iss = issuer();
    match n % 10 {
        _ if n < EXPIRED => token(n),
        0 => Target::Subject {
            iss,
            sub: Subject::new(format!("user-{n}")).expect("a name"),
        },
        1 | 2 => Target::Session {
            iss,
            sid: SessionId::new(spread(n)).expect("a name"),
        },
        _ => token(n),
    }
}

/// The revocation of [`listed`] number `n`.
#[must_use]
pub fn revocation(n: u64) -> Revocation {
    let policy = Policy::default();
    let revocation = Revocation::new(listed(n), Reason::Logout, &policy, NOW);
    if n < EXPIRED {
        let exp = NOW.as_secs().saturating_sub(3_600);
        return revocation.expiring(UnixTime::from_secs(exp), &policy);
    }
    revocation
}

/// One entry of each of the kinds that [`listed`] leaves out, none of them a target of [`claims`].
#[must_use]
pub fn other_kinds() -> [Target; 3] {
    let other = || Issuer::new("https://other.example").expect("a name");
    [
        Target::Client {
            iss: issuer(),
            client_id: ClientId::new("retired").expect("a name"),
        },
        Target::Key {
            iss: issuer(),
            kid: KeyId::new("2019-01").expect("a name"),
        },
        Target::Issuer { iss: other() },
    ]
}

/// The claims set number `n` in JSON, with all that a target is made of.
#[must_use]
pub fn claims_json(n: u64, iat: u64) -> String {
    format!(
        r#"{{"iss":"https://auth.example","sub":"user-{n}","aud":"shop","client_id":"web","sid":"{}","jti":"{}","iat":{iat},"exp":{},"scope":"read write"}}"#,
        spread(n.wrapping_add(1 << 50)),
        spread(n),
        iat.saturating_add(600),
    )
}

/// The claims of token number `n`; from [`UNLISTED`] on, none of its targets is listed.
#[must_use]
pub fn claims(n: u64) -> Claims {
    Claims::parse(claims_json(n, NOW.as_secs()).as_bytes()).expect("claims")
}
