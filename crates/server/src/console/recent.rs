//! The latest of what was revoked and lifted, from the same journal that event streams are told from.

use maud::{Markup, html};
use ostracon_core::{Issuer, Reason};
use ostracon_store::{Denylist, Event, StoreError};

use super::words::{revocation_path, spaced, target, time};

/// Changes that are looked at, and shown.
const LOOKED_AT: u64 = 400;
const SHOWN: usize = 12;

/// The latest changes, the latest first, without refresh tokens that were exchanged. Blocks.
pub(super) fn latest(denylist: &Denylist) -> Result<Vec<Event>, StoreError> {
    let upto = denylist.changes().position();
    let mut changes = denylist.changes_since(upto.saturating_sub(LOOKED_AT));
    let mut latest = Vec::new();
    while changes.position() < upto {
        let before = changes.position();
        match changes.read_back(256) {
            Ok(events) => latest.extend(events.into_iter().map(|(_, event)| event)),
            // Swept away: what there is begins later.
            Err(StoreError::Gone(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        if changes.position() == before {
            break;
        }
    }
    latest.retain(|event| !matches!(event, Event::Revoked(revocation) if revocation.reason() == Reason::Rotated));
    latest.reverse();
    latest.truncate(SHOWN);
    Ok(latest)
}

pub(super) fn recent(latest: &[Event], denylist: &Denylist, own: &Issuer) -> Markup {
    html! {
        @if latest.is_empty() {
            p.hint { "Nothing was revoked lately." }
        } @else {
            table.list {
                thead { tr { th { "What" } th { "Why" } th { "When" } } }
                tbody {
                    @for event in latest {
                        @match event {
                            Event::Revoked(entry) => tr {
                                td data-label="What" { (target(entry.target(), own, Some(&revocation_path(denylist.id(entry.target().as_ref()))))) }
                                td data-label="Why" { (spaced(entry.reason().as_str())) @if let Some(note) = entry.note() { span.note { (note.as_str()) } } }
                                td data-label="When" { (time(entry.effective_at())) }
                            },
                            Event::Lifted(lifted) => tr.lifted {
                                td data-label="What" { (target(lifted, own, None)) }
                                td data-label="Why" { "lifted" }
                                td data-label="When" {}
                            },
                        }
                    }
                }
            }
        }
    }
}
