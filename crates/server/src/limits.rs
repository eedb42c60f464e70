//! What one caller may take: connections, time, guesses, and streams.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// Limits as configured.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once on one listener; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take to arrive, nothing of an answer be taken, and a connection lie idle.
    pub header_timeout: Duration,
    /// How long a request may take from its head to its answer.
    pub request_timeout: Duration,
    /// Event streams at once; of the connections of a listener they never take more than half.
    pub event_streams: usize,
    /// How often a stream on which nothing happens says that it lives. Who takes nothing for twice as long is let go.
    pub event_heartbeat: Duration,
    /// The largest batch of revocations, in bytes.
    pub batch_bytes: u64,
    /// Failed client logins a minute, for each client and for each address, before they are answered 429.
    pub failures_per_minute: NonZeroU32,
}

const OVERVIEWS: usize = 64;

/// The event streams that are open, and how many were let go of because their readers were too slow.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: AtomicUsize,
    slow: AtomicU64,
}

/// A place among [`Streams`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Streams>);

impl Limits {
    /// How many event streams there may be.
    pub(crate) fn streams(&self) -> usize {
        self.event_streams.min((self.connections / 2).max(1))
    }

    /// How many overviews of the console may be live, which take none of the applications' streams.
    pub(crate) fn overviews(&self) -> usize {
        OVERVIEWS.min((self.connections / 4).max(1))
    }
}

impl Streams {
    /// A place, if fewer than `most` are taken.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let entered = |open: usize| (open < most).then(|| open.saturating_add(1));
        self.open.try_update(SeqCst, SeqCst, entered).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Place {
    /// Counts a slow reader; answers how many there were.
    pub(crate) fn count_slow(&self) -> u64 {
        self.0.slow.fetch_add(1, SeqCst).saturating_add(1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

/// Failed logins, counted by who was named and by where they came from.
///
/// Only failures are ever turned away. Secrets are 256 random bits, which nobody guesses however often; a limit that also
/// turned away the right secret would let whoever shares an address with a backend, or knows its name, keep it from
/// revoking.
pub(crate) struct Failures {
    by_client: Keyed<Box<str>>,
    by_address: Keyed<IpAddr>,
}

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

impl Failures {
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self {
            by_client: RateLimiter::hashmap(quota),
            by_address: RateLimiter::hashmap(quota),
        }
    }

    /// Counts a failure from `address` under the name of `client`, if that is one; for how long to hold off if there were
    /// too many.
    pub(crate) fn note(&self, address: Option<IpAddr>, client: Option<&str>) -> Option<Duration> {
        let clock = DefaultClock::default();
        let by_address = address.and_then(|address| self.by_address.check_key(&network(address)).err());
        let by_client = client.and_then(|client| self.by_client.check_key(&client.into()).err());
        let now = clock.now();
        [by_address, by_client]
            .into_iter()
            .flatten()
            .map(|too_many| too_many.wait_time_from(now))
            .max()
    }

    /// Forgets those who have long been quiet.
    pub(crate) fn sweep(&self) {
        self.by_address.retain_recent();
        self.by_client.retain_recent();
    }
}

/// What one caller holds of addresses: one of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl core::fmt::Debug for Failures {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Failures")
            .field("addresses", &self.by_address.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_client_and_by_address() {
        let address = |text: &str| Some(text.parse().unwrap());
        let failures = Failures::new(NonZeroU32::new(2).unwrap());
        assert_eq!(failures.note(address("127.0.0.1"), Some("web")), None);
        assert_eq!(failures.note(address("127.0.0.2"), Some("web")), None);
        let wait = failures.note(address("127.0.0.3"), Some("web")).unwrap();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_mins(1),
            "two a minute by name: {wait:?}"
        );
        assert_eq!(failures.note(address("127.0.0.1"), None), None);
        assert!(
            failures.note(address("127.0.0.1"), None).is_some(),
            "two a minute by address"
        );
        assert_eq!(failures.note(None, Some("other")), None);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = |event_streams, connections| Limits {
            connections,
            header_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
            event_streams,
            batch_bytes: 1 << 20,
            event_heartbeat: Duration::ZERO,
            failures_per_minute: NonZeroU32::MIN,
        };
        let streams = Arc::new(Streams::default());
        let places: Vec<_> = (0..3).filter_map(|_| streams.enter(limits(2, 100).streams())).collect();
        assert_eq!(places.len(), 2);
        assert!(
            streams.enter(limits(100, 4).streams()).is_none(),
            "half of the connections stay free"
        );
        drop(places);
        assert!(streams.enter(limits(1, 1).streams()).is_some());
        assert_eq!(
            [8, 10_000].map(|connections| limits(1, connections).overviews()),
            [2, OVERVIEWS]
        );
    }

    #[test]
    fn an_ipv6_caller_is_its_network() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8::1:2:3:4"), "2001:db8::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
