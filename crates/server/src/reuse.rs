//! The alarm when a refresh token is used again: whether it looks like theft, or like a browser that was too slow.

use std::{sync::Arc, time::Duration};

use ostracon_core::{Reason, Target};
use ostracon_store::Seen;

use crate::{app::App, rotation::Wish, session::Grant, trail::Entry};

/// Up to how long after the exchange the same sender is taken to have raced with itself: a request that was retried, a
/// tab that slept.
const RACE: Duration = Duration::from_mins(1);

/// How a token was used again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reuse {
    /// How long after it was exchanged.
    pub(crate) after: Duration,
    /// Whether its successor was exchanged, too: it is no parent of what is in use, but further back.
    pub(crate) is_older: bool,
}

/// How this sender compares with who refreshed the session last; none where either is not known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Likeness {
    address: Option<bool>,
    agent: Option<bool>,
}

impl Likeness {
    fn of(now: Option<Seen>, last: Option<Seen>) -> Self {
        let (Some(now), Some(last)) = (now, last) else {
            return Self::default();
        };
        Self {
            address: now.address.zip(last.address).map(|(now, last)| now == last),
            agent: now.agent.zip(last.agent).map(|(now, last)| now == last),
        }
    }
}

impl Reuse {
    /// What it looks like: `theft` by another sender, a `race` of one with itself, or `unclear`. The session is ended
    /// either way; it is for who asks afterwards what that was.
    fn looks_like(self, likeness: Likeness) -> &'static str {
        match (likeness.address, likeness.agent) {
            (Some(false), _) | (_, Some(false)) => "theft",
            (Some(true), Some(true)) if self.after <= RACE && !self.is_older => "race",
            _ => "unclear",
        }
    }
}

impl App {
    /// Tells everybody that a token of `grant`, whose session was ended for it, was used again.
    pub(crate) async fn raise_alarm(&self, grant: &Grant, reuse: &Reuse, wish: Wish<'_>) {
        let (registry, sub, sid) = (Arc::clone(&self.kept.registry), grant.sub.clone(), grant.sid.clone());
        let last = tokio::task::spawn_blocking(move || {
            // What the last refresh has left is there before it is compared with.
            registry.settle().and_then(|()| registry.session(&sub, &sid))
        });
        let last = last
            .await
            .ok()
            .and_then(Result::ok)
            .flatten()
            .and_then(|session| session.seen);
        let sender = wish.sender;
        let now = sender.map(|sender| Seen {
            address: sender.address,
            agent: sender.agent,
        });
        let likeness = Likeness::of(now, last);
        let looks_like = reuse.looks_like(likeness);
        let after = reuse.after.as_secs();
        tracing::warn!(
            sid = %grant.sid, client = %grant.client_id, seconds_after = after, looks_like,
            "a refresh token is used again; its session is ended"
        );
        self.kept.metrics.reuse(looks_like);
        let session = Target::Session {
            iss: self.tokens.issuer.clone(),
            sid: grant.sid.clone(),
        };
        let entry = Entry::new("refresh_reuse")
            .about(&session)
            .because(Reason::ReuseDetected)
            .with("sub", grant.sub.as_str())
            .with("issued_to", grant.client_id.as_str())
            .with("client", wish.client)
            .with("seconds_after", after)
            .with("token", if reuse.is_older { "older" } else { "parent" })
            .with("same_address", likeness.address)
            .with("same_agent", likeness.agent)
            .with(
                "last_address",
                last.and_then(|seen| seen.address).map(|address| address.to_string()),
            )
            .with("looks_like", looks_like)
            .outcome("session_ended");
        self.kept.trail.note(match sender {
            Some(sender) => entry.from(sender),
            None => entry,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sender_shortly_after_is_a_race_and_another_one_is_a_thief() {
        let seen = |address: [u8; 4], agent| {
            Some(Seen {
                address: Some(address.into()),
                agent,
            })
        };
        let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let looks_like = |now, last, secs, is_older| {
            let reuse = Reuse {
                after: Duration::from_secs(secs),
                is_older,
            };
            reuse.looks_like(Likeness::of(now, last))
        };
        let (same, other) = (seen(here, Some(1)), seen(there, Some(2)));
        assert_eq!(looks_like(same, same, 60, false), "race");
        assert_eq!(looks_like(same, same, 61, false), "unclear", "too late for a retry");
        assert_eq!(
            looks_like(same, same, 1, true),
            "unclear",
            "further back than a tab that slept would be"
        );
        assert_eq!(looks_like(other, same, 1, false), "theft");
        assert_eq!(looks_like(seen(there, Some(1)), same, 1, false), "theft");
        assert_eq!(looks_like(seen(here, Some(2)), same, 1, false), "theft");
        assert_eq!(looks_like(seen(here, None), same, 1, false), "unclear");
        assert_eq!(looks_like(None, same, 1, false), "unclear");
        assert_eq!(
            looks_like(same, None, 1, false),
            "unclear",
            "never refreshed, or not known any more"
        );
    }
}
