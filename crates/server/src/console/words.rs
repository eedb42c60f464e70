//! Figures, times and names as people read them.

use std::{fmt::Display, time::Duration};

use bytesize::ByteSize;
use maud::{Markup, html};
use ostracon_core::{Issuer, Reason, Target, UnixTime};

use crate::config::Config;

/// A point in time, in UTC to the second.
pub(super) fn time(at: UnixTime) -> Markup {
    let text = Config::date(at);
    let shown = text.replace('T', " ").replace('Z', "");
    html! { time datetime=(text) title="UTC" { (shown) } }
}

/// How far `at` lies ahead of `now`, or how long ago it was.
pub(super) fn distance(at: UnixTime, now: UnixTime) -> Markup {
    let told = if at > now {
        format!("in {}", span(at.since(now)))
    } else {
        format!("{} ago", span(now.since(at)))
    };
    html! { time datetime=(Config::date(at)) title=(Config::date(at)) { (told) } }
}

/// In its two largest units.
pub(super) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let [days, hours, mins] = [secs / 86_400, secs / 3_600 % 24, secs / 60 % 60];
    match (days, hours, mins) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, mins) => format!("{mins} min"),
        (0, hours, mins) => format!("{hours} h {mins} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A count, its thousands apart.
pub(super) fn count(count: impl Display) -> String {
    let digits = count.to_string();
    let mut told = String::new();
    for (n, digit) in digits.char_indices() {
        if n > 0 && digits.len().saturating_sub(n) % 3 == 0 {
            told.push('\u{202f}');
        }
        told.push(digit);
    }
    told
}

pub(super) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A rate, or another number that may be small: three figures of it.
pub(super) fn number(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        0.0 => "0".into(),
        n if n >= 0.095 => format!("{n:.2}"),
        _ => "< 0.1".into(),
    }
}

/// Seconds, in the unit that fits.
pub(super) fn latency(secs: f64) -> String {
    match secs {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{} ms", number(s * 1e3)),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// A share, with as many places as it needs.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".into(),
        p if p >= 10.0 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        _ => "< 0.01 %".into(),
    }
}

/// Words that programs know something by, for people.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// A target: its kind and its name, which leads to `href` where there is one, and its issuer where that is not `own`.
pub(super) fn target(target: &Target, own: &Issuer, href: Option<&str>) -> Markup {
    let target = target.as_ref();
    let iss = target.iss();
    // An issuer is named by itself.
    let name = Some(target.name()).filter(|name| !name.is_empty());
    let code = html! { code.name { (name.unwrap_or(iss.as_str())) } };
    html! {
        span.kind { (target.kind().as_str()) } " "
        @match href { Some(href) => a href=(href) { (code) }, None => (code) }
        @if name.is_some() && iss != own { " " span.of { "of " (iss) } }
    }
}

/// The page of the revocation `id`.
pub(super) fn revocation_path(id: impl Display) -> String {
    format!("/admin/revocations/{id}")
}

/// A sentence of what is meant to stand in one.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(chars).chain(['.']).collect()
    })
}

/// The reasons that an operator can give: not those that the server gives itself.
pub(super) const REASONS: [Reason; 7] = [
    Reason::Admin,
    Reason::PasswordChange,
    Reason::PermissionChange,
    Reason::AccountSuspended,
    Reason::AccountDeleted,
    Reason::Compromised,
    Reason::Other,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_in_few_digits() {
        let counted = [0, 999, 1_000, 12_345_678].map(|n| count(n).replace('\u{202f}', " "));
        assert_eq!(counted, ["0", "999", "1 000", "12 345 678"]);
        assert_eq!(
            [0.0, 0.04, 0.5, 12.34, 345.6].map(number),
            ["0", "< 0.1", "0.50", "12.3", "346"]
        );
        assert_eq!([0.000_025, 0.012_3, 1.5].map(latency), ["25 µs", "12.3 ms", "1.50 s"]);
        assert_eq!(
            [0.0, 0.000_01, 0.001, 0.5].map(percent),
            ["0 %", "< 0.01 %", "0.10 %", "50.0 %"]
        );
        let spans = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(|secs| span(Duration::from_secs(secs)));
        assert_eq!(
            spans,
            ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 1 h"]
        );
    }
}
