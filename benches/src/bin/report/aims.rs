//! What was aimed at, beside what was reached in this run.

use maud::{Markup, html};

use crate::figures::{Figures, list, number, round, row, text, time};

/// Something that was aimed at.
struct Aim {
    what: &'static str,
    bound: Bound,
    figure: Figure,
}

enum Bound {
    Least(f64),
    Most(f64),
}

use Bound::{Least, Most};

/// Where the median of a run is found.
enum Figure {
    /// Nanoseconds: of a bench, in a table, the row.
    Time(&'static str, &'static str, &'static str),
    /// Times: of a bench, among its ratios, the row.
    Ratio(&'static str, &'static str),
    /// Times as many requests a second: of the comparison over HTTP, in a list, against whom.
    Requests(&'static str, &'static str),
    /// Nanoseconds that the first opening took, which is that after a kill.
    Opening,
}

use Figure::{Opening, Ratio, Requests, Time};

const fn aim(what: &'static str, bound: Bound, figure: Figure) -> Aim {
    Aim { what, bound, figure }
}

const AIMS: [Aim; 23] = [
    aim(
        "a check of an unlisted token, a million listed, with nothing else asked",
        Most(100.0),
        Time("check", "1000000 entries, nothing else asked", "absent, on"),
    ),
    aim(
        "the same without the prefilter against with it, among questions of all sorts",
        Least(30.0),
        Ratio("check", "1000000: absent, off / absent, on"),
    ),
    aim(
        "the same with nothing else asked",
        Least(30.0),
        Ratio("check", "1000000: absent, off / absent, on, nothing else asked"),
    ),
    aim(
        "with ten million listed, among questions of all sorts",
        Least(20.0),
        Ratio("check", "10000000: absent, off / absent, on"),
    ),
    aim(
        "six targets, none listed, against one",
        Most(3.0),
        Ratio("check", "1000000: six absent, on / absent, on"),
    ),
    aim(
        "HS256 the first time, denylist and all, against a bare decode",
        Most(1.3),
        Ratio("verify", "HS256: first time / bare decode"),
    ),
    aim(
        "EdDSA the first time, against seen before",
        Least(20.0),
        Ratio("verify", "EdDSA: first time / seen before"),
    ),
    aim(
        "ES256 the first time, against seen before",
        Least(20.0),
        Ratio("verify", "ES256: first time / seen before"),
    ),
    aim(
        "RS256 the first time, against seen before",
        Least(20.0),
        Ratio("verify", "RS256: first time / seen before"),
    ),
    aim(
        "GET /auth/verify against a bare axum route",
        Least(0.9),
        Requests("servers_ratios", "bare axum route"),
    ),
    aim(
        "GET /auth/verify against hapi and Redis",
        Least(30.0),
        Requests("servers_ratios", "hapi + Redis"),
    ),
    aim(
        "GET /auth/verify against a bare Redis GET",
        Least(1.0),
        Requests("servers_ratios", "bare Redis GET"),
    ),
    aim(
        "durable revocations of one writer against Redis",
        Least(1.5),
        Ratio("revoke", "Redis, appendfsync always, 1 client / 1 writer"),
    ),
    aim(
        "of eight, by threads",
        Least(2.5),
        Ratio("revoke", "Redis, appendfsync always, 8 clients / 8 writers"),
    ),
    aim(
        "of eight, by tasks",
        Least(2.5),
        Ratio("revoke", "Redis, appendfsync always, 8 tasks / 8 tasks"),
    ),
    aim(
        "of 64, by threads",
        Least(6.0),
        Ratio("revoke", "Redis, appendfsync always, 64 clients / 64 writers"),
    ),
    aim(
        "of 64, by tasks",
        Least(6.0),
        Ratio("revoke", "Redis, appendfsync always, 64 tasks / 64 tasks"),
    ),
    aim(
        "the time that 64 threads take against a bare file",
        Most(2.0),
        Ratio("revoke", "64 writers / bare file, 64 records a sync"),
    ),
    aim(
        "the time that 64 tasks take against a bare file",
        Most(2.0),
        Ratio("revoke", "64 tasks / bare file, 64 records a sync"),
    ),
    aim(
        "POST /v1/revocations against hapi and Redis",
        Least(1.0),
        Requests("revoking_ratios", "hapi + Redis"),
    ),
    aim(
        "POST /v1/revocations against Express and Redis",
        Least(1.0),
        Requests("revoking_ratios", "Express + Redis"),
    ),
    aim(
        "POST /v1/revocations against a bare SETEX",
        Least(1.0),
        Requests("revoking_ratios", "Redis SETEX, appendfsync always"),
    ),
    aim("open after a kill, a million listed", Most(1e9), Opening),
];

impl Figure {
    fn of(&self, figures: &Figures) -> Option<f64> {
        match self {
            Time(bench, table, name) => Some(row(&figures.of(bench), table, name)?.median),
            Ratio(bench, name) => Some(row(&figures.of(bench), "ratio", name)?.median),
            Requests(of, against) => {
                let http = figures.of("http");
                let found = list(&http, of)
                    .iter()
                    .find(|ratio| text(ratio, "against") == *against)?;
                number(found.get("rate")?, "median")
            }
            Opening => Some(number(list(&figures.of("scale"), "opened").first()?, "secs")? * 1e9),
        }
    }

    fn shown(&self, figure: f64) -> String {
        match self {
            Time(..) | Opening => time(figure),
            Ratio(..) | Requests(..) => format!("{} times", round(figure)),
        }
    }
}

/// The table of all aims.
pub(crate) fn table(figures: &Figures) -> Markup {
    let told = |aim: &Aim| {
        let reached = aim.figure.of(figures);
        let (sign, bound) = match aim.bound {
            Least(least) => ("≥", least),
            Most(most) => ("≤", most),
        };
        let word = match (reached, &aim.bound) {
            (None, _) => "not measured",
            (Some(reached), Least(least)) if reached >= *least => "met",
            (Some(reached), Most(most)) if reached <= *most => "met",
            _ => "not met",
        };
        html! { tr {
            td { (aim.what) }
            td.n { (sign) " " (aim.figure.shown(bound)) }
            td.n { (reached.map_or("-".to_owned(), |reached| aim.figure.shown(reached))) }
            td { (word) }
        } }
    };
    html! {
        h2 { "What was aimed at" }
        p.soft {
            "Medians of this run. Redis, where it is bare, parses no HTTP and no JSON, knows no caller, and keeps no record of who \
             revoked what; what a route without any work and a bare file reach in the same run, the tables below have."
        }
        div.scroll { table {
            thead { tr { th {} th.n { "aim" } th.n { "reached" } th {} } }
            tbody { @for aim in &AIMS { (told(aim)) } }
        } }
    }
}
