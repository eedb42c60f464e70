//! How far many revocations at once have come.

use serde::Serialize;
use utoipa::ToSchema;

/// Lines of which it is told why they were refused; of more, only how many.
const MOST_TOLD: usize = 1000;

/// What has become of the lines of a batch so far.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = BatchProgress)]
pub(crate) struct Progress {
    /// All lines up to this one are done with: durable, or refused.
    pub(crate) lines: u64,
    /// Those that denied more than was denied before.
    pub(crate) revoked: u64,
    /// Those that were so already.
    pub(crate) unchanged: u64,
    /// Those that could not be carried out.
    pub(crate) refused: u64,
    /// Which, and why.
    refusals: Vec<Refused>,
    /// Of how many more that is not told.
    refusals_left_out: u64,
}

/// A line that was not carried out. Never what stands on it: it may be a token (I8).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RefusedLine)]
pub(crate) struct Refused {
    pub(crate) line: u64,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Progress {
    pub(crate) fn refuse(&mut self, refused: Refused) {
        self.refused = self.refused.saturating_add(1);
        if self.refusals.len() < MOST_TOLD {
            self.refusals.push(refused);
        } else {
            self.refusals_left_out = self.refusals_left_out.saturating_add(1);
        }
    }
}
