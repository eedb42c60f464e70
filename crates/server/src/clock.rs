//! The one clock. Everything else is told what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use ostracon_core::UnixTime;

/// Where the time comes from: the system, or what a test says.
#[derive(Clone, Copy, Debug)]
pub struct Clock(fn() -> UnixTime);

impl Clock {
    /// The system's clock. Before 1970 it reads as 1970, when no token is valid yet.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Self(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixTime::EPOCH.saturating_add(since)
        })
    }

    /// A clock that reads what `now` answers.
    #[must_use]
    pub fn from_fn(now: fn() -> UnixTime) -> Self {
        Self(now)
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0)()
    }
}
