//! The wall clock, watched by the monotonic one: what a wrong clock forgets is lost.

use std::time::Duration;

use ostracon_core::UnixTime;
use tokio::time::Instant;

/// How far wall clock and monotonic clock may drift apart before the wall clock is taken to have jumped.
const JUMP: Duration = Duration::from_mins(5);

/// How long after the start, or a jump, nothing is swept. A broom can wait.
const SETTLED_AFTER: Duration = Duration::from_mins(10);

/// When the clock was last known to go evenly, by both.
#[derive(Debug)]
pub(crate) struct Watch {
    wall: UnixTime,
    steady: Instant,
}

impl Watch {
    pub(crate) fn set(wall: UnixTime) -> Self {
        Self {
            wall,
            steady: Instant::now(),
        }
    }

    /// For how long the wall clock, which shows `wall`, is still to be distrusted; none once it has gone evenly for long
    /// enough. Begins anew where it has jumped.
    pub(crate) fn unsettled(&mut self, wall: UnixTime) -> Option<Duration> {
        let steady = self.steady.elapsed();
        let expected = self.wall.saturating_add(steady);
        if wall.since(expected) > JUMP || expected.since(wall) > JUMP {
            tracing::warn!("the clock has jumped; nothing is swept for a while");
            *self = Self::set(wall);
            return Some(SETTLED_AFTER);
        }
        SETTLED_AFTER.checked_sub(steady).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A glitch of the clock, which would have the sweeper forget weeks of revocations, is sat out.
    #[tokio::test(start_paused = true)]
    async fn nothing_is_swept_until_the_clock_has_gone_evenly_for_a_while() {
        let begun = Instant::now();
        let wall = |ahead: Duration| {
            UnixTime::from_secs(1_790_000_000)
                .saturating_add(begun.elapsed())
                .saturating_add(ahead)
        };
        let pass = |span| tokio::time::advance(span);
        let second = Duration::from_secs(1);
        let mut watch = Watch::set(wall(Duration::ZERO));
        pass(SETTLED_AFTER.saturating_sub(second)).await;
        assert_eq!(
            watch.unsettled(wall(Duration::ZERO)),
            Some(second),
            "not at the start, when the clock may be wrong"
        );
        pass(second).await;
        assert_eq!(
            [Duration::ZERO, JUMP].map(|ahead| watch.unsettled(wall(ahead))),
            [None, None]
        );
        let ahead = Duration::from_hours(40 * 24);
        assert_eq!(watch.unsettled(wall(ahead)), Some(SETTLED_AFTER), "a jump ahead");
        pass(second.saturating_mul(2)).await;
        assert_eq!(watch.unsettled(wall(Duration::ZERO)), Some(SETTLED_AFTER), "and back");
        pass(SETTLED_AFTER).await;
        assert_eq!(watch.unsettled(wall(Duration::ZERO)), None);
    }
}
