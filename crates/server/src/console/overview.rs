//! How the server fares, at one look.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use ostracon_store::Denylist;

use super::{
    page::{self, Failure, Place},
    recent,
    session::Operator,
    store, traffic,
    words::{span, time},
};
use crate::{app::App, problem::Problem, routes::stats};

pub(super) async fn page(State(app): State<Arc<App>>, operator: Operator) -> Result<Response, Failure> {
    let Fragments { figures, recent } = Fragments::of(&app).await?;
    let content = html! {
        div.head {
            h1 { "Overview" }
            // By a script only: without one, the page is as old as its loading.
            p.live data-live="/admin/live" hidden { span role="status" data-state {} button.plain type="button" data-pause { "Pause" } }
        }
        div id="figures" { (figures) }
        section aria-labelledby="latest" {
            h2 id="latest" { "Revoked lately" }
            div id="recent" { (recent) }
        }
    };
    Ok(page::page(&operator, Place::Overview, &content))
}

/// What of the page changes by itself.
pub(super) struct Fragments {
    pub(super) figures: Markup,
    pub(super) recent: Markup,
}

impl Fragments {
    /// As they are now.
    pub(super) async fn of(app: &Arc<App>) -> Result<Self, Problem> {
        let told = stats::told(app).await?;
        let read = |denylist: &Denylist| Ok((denylist.next_expiries(store::EXPIRIES)?, recent::latest(denylist)?));
        let (expiries, latest) = app.look_up(read).await?;
        let (own, now) = (&app.tokens.issuer, app.now());
        Ok(Self {
            figures: html! {
                (traffic::traffic(app, &told))
                (store::store(&told, &expiries, own, now))
                p.hint { "Ostracon " (told.version) ", up for " (span(Duration::from_secs(told.uptime_secs))) ". As of " (time(now)) "." }
            },
            recent: recent::recent(&latest, app.denylist(), own),
        })
    }
}
