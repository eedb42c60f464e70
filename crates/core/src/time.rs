//! Points in time.

use core::{fmt, time::Duration};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (RFC 7519 §2, `NumericDate`).
///
/// Invariant: not later than the end of the year 9999, so that adding a lifetime or a leeway cannot overflow and any
/// value can be written as a date.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(u64);

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The start of a second; what lies past [`UnixTime::MAX`] becomes it.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// A millisecond; what lies past [`UnixTime::MAX`] becomes it.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// Seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Seconds since the epoch, rounded up.
    #[must_use]
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// `span` later, at most [`UnixTime::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The start of the second that this lies in.
    pub(crate) const fn floor_to_second(self) -> Self {
        Self::from_secs(self.as_secs())
    }

    /// The next start of a second, this itself if it is one; within the last second of all, the start of that.
    pub(crate) fn ceil_to_second(self) -> Self {
        Self::from_secs(self.as_secs_ceil().min(Self::MAX.as_secs()))
    }

    /// The span from `earlier` to here, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_stops_at_the_last_moment_that_is_a_date() {
        assert_eq!(UnixTime::from_secs(u64::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::MAX.saturating_add(Duration::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::EPOCH.saturating_add(Duration::from_millis(1)).as_millis(), 1);
    }

    #[test]
    fn a_second_is_left_at_its_end() {
        let t = UnixTime::from_millis(1_500);
        assert_eq!((t.as_secs(), t.as_secs_ceil()), (1, 2));
        assert_eq!(
            (UnixTime::from_secs(2).as_secs(), UnixTime::from_secs(2).as_secs_ceil()),
            (2, 2)
        );
        assert_eq!(
            (t.floor_to_second(), t.ceil_to_second()),
            (UnixTime::from_secs(1), UnixTime::from_secs(2))
        );
        // The last second has no next one, and still what is rounded is whole.
        let last = UnixTime::from_millis(253_402_300_799_000);
        assert_eq!(
            (UnixTime::MAX.floor_to_second(), UnixTime::MAX.ceil_to_second()),
            (last, last)
        );
    }
}
