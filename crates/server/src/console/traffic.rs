//! What `/auth/verify` is asked, what it answers, and what the prefilter spares.

use maud::{Markup, html};

use super::{
    chart::{Series, chart},
    words::{count, latency, number, percent, span},
};
use crate::{
    app::App,
    history::{KEPT, Span, float},
    metrics::Check,
    routes::stats::Told,
};

/// Looks that make up what is called now, and the whole.
const NOW: usize = 3;
const ALL: usize = KEPT;

/// Where a chart begins.
const SINCE: &str = "15 min ago";

pub(super) fn traffic(app: &App, told: &Told) -> Markup {
    let history = &app.kept.history;
    let (spans, now, all) = (history.spans(), history.last(NOW), history.last(ALL));
    html! {
        section aria-labelledby="traffic" {
            h2 id="traffic" { "Traffic" }
            div.charts {
                (requests(&spans, now.as_ref(), SINCE))
                (latencies(&spans, now.as_ref(), SINCE))
            }
            div.columns {
                (denials(all.as_ref()))
                (prefilter(told, all.as_ref()))
            }
        }
    }
}

fn requests(spans: &[Span], now: Option<&Span>, since: &str) -> Markup {
    let a_second = |rate: Option<f64>| rate.map_or("–".into(), |rate| format!("{} / s", number(rate)));
    let passed = |span: &Span| (span.rate() - span.denied_rate()).max(0.0);
    let series = [
        Series {
            name: "let in",
            class: "one",
            now: a_second(now.map(passed)),
            values: spans.iter().map(passed).map(Some).collect(),
        },
        Series {
            name: "denied",
            class: "two",
            now: a_second(now.map(Span::denied_rate)),
            values: spans.iter().map(Span::denied_rate).map(Some).collect(),
        },
    ];
    chart("Verifications", &series, KEPT, since, |top| {
        format!("{} / s", number(top))
    })
}

fn latencies(spans: &[Span], now: Option<&Span>, since: &str) -> Markup {
    let of = |q: f64| {
        let now = now.and_then(|now| now.quantile(q)).map_or("–".into(), latency);
        (now, spans.iter().map(|span| span.quantile(q)).collect())
    };
    let ((half, halves), (most, mosts)) = (of(0.5), of(0.99));
    let series = [
        Series {
            name: "half within",
            class: "one",
            now: half,
            values: halves,
        },
        Series {
            name: "99 % within",
            class: "three",
            now: most,
            values: mosts,
        },
    ];
    chart("Time to the answer", &series, KEPT, since, latency)
}

fn denials(all: Option<&Span>) -> Markup {
    let Some(all) = all else {
        return html! { div { h3 { "Denied, by reason" } p.hint { "It began a moment ago." } } };
    };
    let mut reasons: Vec<_> = all.traffic.denials.iter().collect();
    reasons.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    html! {
        div {
            h3 { "Denied, by reason" }
            @if reasons.is_empty() {
                p.hint { "Nobody in the last " (span(all.took)) "." }
            } @else {
                table.figures {
                    thead { tr { th { "Reason" } th.n { "In " (span(all.took)) } th.n { "Share" } } }
                    tbody {
                        @for (reason, n) in reasons {
                            tr { th scope="row" { code { (reason) } } td.n { (count(format_args!("{n:.0}"))) } td.n { (percent(n / float(all.traffic.verified).max(1.0))) } }
                        }
                    }
                }
            }
        }
    }
}

fn prefilter(told: &Told, all: Option<&Span>) -> Markup {
    let prefilter = &told.prefilter;
    let rate = &prefilter.false_positive_rate;
    let within = all.map(|all| span(all.took));
    let checks = all.map_or([0; 4], |all| all.traffic.checks);
    let of = checks.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let told_of = |check: Check| match check {
        Check::Skipped => "spared the disk",
        Check::Hit => "found listed",
        Check::FalsePositive => "looked up in vain",
        Check::Unfiltered => "looked up without a filter",
    };
    html! {
        div {
            h3 { "Prefilter" }
            table.figures {
                thead { tr { th { "Tokens" } th.n { "In " (within.as_deref().unwrap_or("–")) } th.n { "Share" } } }
                tbody {
                    @for (check, n) in Check::ALL.into_iter().zip(checks) {
                        tr { th scope="row" { (told_of(check)) } td.n { (count(n)) } td.n { (if of == 0 { "–".into() } else { percent(float(n) / float(of)) }) } }
                    }
                }
            }
            dl.facts {
                dt { "False positives" }
                dd { (rate.measured.map_or("–".into(), percent)) " measured, " (rate.expected.map_or("–".into(), percent)) " expected, " (percent(rate.target)) " aimed at" }
                dt { "State" }
                dd {
                    (prefilter.state)
                    @if prefilter.missing_shards > 0 { ", " (prefilter.missing_shards) " shards to go" }
                    @if let Some(fill) = prefilter.fill { ", " (percent(fill)) " of the bits set" }
                }
            }
        }
    }
}
