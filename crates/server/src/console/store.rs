//! What is listed, when it ends, and what it takes.

use maud::{Markup, html};
use ostracon_core::{Issuer, Revocation, UnixTime};

use super::words::{bytes, count, distance, percent, target};
use crate::{
    history::float,
    routes::stats::{Entries, Told},
};

/// Expiries that are shown.
pub(super) const EXPIRIES: usize = 6;

pub(super) fn store(told: &Told, expiries: &[(UnixTime, Revocation)], own: &Issuer, now: UnixTime) -> Markup {
    let store = &told.store;
    html! {
        section aria-labelledby="store" {
            h2 id="store" { "Store" }
            @if store.writes_refused {
                p.notice.bad role="alert" { "The store takes no more writes: nothing can be revoked. What is listed is still denied. The log says why." }
            }
            @if told.audit.failing {
                p.notice.bad role="alert" { "The audit log cannot be written. The log says why." }
            }
            div.columns {
                (entries(told.entries.as_ref()))
                div {
                    h3 { "Ends next" }
                    @if expiries.is_empty() {
                        p.hint { "Nothing is listed, or it was a moment ago." }
                    } @else {
                        ol.plain {
                            @for (at, entry) in expiries {
                                li { (target(entry.target(), own, None)) " " span.when { (distance(*at, now)) } }
                            }
                        }
                    }
                }
                div {
                    h3 { "Takes" }
                    dl.facts {
                        dt { "Disk" }
                        dd { (bytes(store.disk_bytes)) ": journal " (bytes(store.journal_bytes)) ", engine " (bytes(store.engine_bytes)) }
                        dt { "Filter" }
                        dd {
                            (bytes(u64::try_from(told.prefilter.bytes).unwrap_or(u64::MAX)))
                            @if let Some(fill) = told.prefilter.fill { ", " (percent(fill)) " filled" }
                        }
                        dt { "Pending" }
                        dd { (count(u64::try_from(store.pending_changes).unwrap_or(u64::MAX))) " changes" }
                        dt { "Commits" }
                        dd { (count(store.commits)) " of " (count(store.committed_records)) " records, " (count(store.failed_commits)) " failed" }
                        dt { "Last sweep" }
                        dd { (told.sweep.last_at.map_or(html! { "none yet" }, |at| distance(UnixTime::from_secs(at), now))) }
                    }
                }
            }
        }
    }
}

fn entries(entries: Option<&Entries>) -> Markup {
    let Some(entries) = entries else {
        return html! { div { h3 { "Listed" } p.hint { "Being counted, after an end that was no close." } } };
    };
    let kinds = [
        ("token", entries.token),
        ("session", entries.session),
        ("subject", entries.subject),
        ("client", entries.client),
        ("key", entries.key),
        ("issuer", entries.issuer),
    ];
    let most = kinds.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    html! {
        div {
            h3 { "Listed: " (count(entries.total)) }
            table.figures.bars {
                tbody {
                    @for (kind, n) in kinds {
                        tr {
                            th scope="row" { a href={ "/admin/revocations?kind=" (kind) } { (kind) } }
                            td.bar aria-hidden="true" { svg { rect width={ (format!("{:.1}", 100.0 * float(n) / float(most))) "%" } height="100%" rx="2" {} } }
                            td.n { (count(n)) }
                        }
                    }
                }
            }
        }
    }
}
