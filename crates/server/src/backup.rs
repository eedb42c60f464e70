//! What a backup of a server is: its denylist, and the small files beside it that cannot be made again.

use std::{path::Path, time::UNIX_EPOCH};

use ostracon_core::UnixTime;
use ostracon_store::{Backup, Denylist, Progress, StoreError};

/// The files of a data directory that belong to a backup beside the denylist itself: with another `successor-key` a retry
/// within the grace would get another pair (I10), and without `longest-lifetime` a cut-off could be forgotten too early
/// (I1). The list of sessions is not among them: no decision rests on it, and it fills again as they are refreshed.
const BESIDE: [&str; 2] = ["successor-key", "longest-lifetime"];

/// Backs `denylist` up into a new directory below `into`, named after the time and the last record. Blocks.
///
/// # Errors
///
/// As for [`Denylist::backup`].
pub fn back_up(
    denylist: &Denylist,
    into: &Path,
    now: UnixTime,
    watch: &mut dyn FnMut(Progress),
) -> Result<Backup, StoreError> {
    // 2026-11-25T01:53:44Z without what a file name should not have.
    let now = UNIX_EPOCH.checked_add(now.since(UnixTime::EPOCH)).unwrap_or(UNIX_EPOCH);
    let time = humantime::format_rfc3339_seconds(now).to_string();
    let time: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
    denylist.backup(into, &format!("ostracon-{time}"), &BESIDE, watch)
}
