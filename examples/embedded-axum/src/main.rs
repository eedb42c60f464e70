//! An axum application with the denylist inside: no second process, no Redis.
//!
//! `ostracon init` makes the configuration; the listeners in it are not used here. Then
//! `PASSWORD=… cargo run -p embedded-axum -- ostracon-data/ostracon.toml`.

use std::{env, io::Write, path::PathBuf, sync::Arc};

use anyhow::Context;
use axum::{
    Form, Router,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use ostracon_server::{
    Authenticated, Clock, Config, Login, Note, Problem, Reason, Scope, Serving, Subject, Tier, require, router,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, signal::unix};

/// What the application's handlers share.
#[derive(Clone)]
struct Shop {
    ostracon: Serving,
    password: Arc<str>,
}

/// Where `Authenticated` finds what it asks.
impl FromRef<Shop> for Serving {
    fn from_ref(shop: &Shop) -> Self {
        shop.ostracon.clone()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path: PathBuf = env::args_os().nth(1).context("which configuration?")?.into();
    let ostracon = Serving::open(Config::load(&path)?, Clock::system()).await?;
    let shop = Shop {
        ostracon: ostracon.clone(),
        password: env::var("PASSWORD").context("PASSWORD is the one user's")?.into(),
    };

    let listen = env::var("LISTEN").unwrap_or("127.0.0.1:3000".into());
    let listener = TcpListener::bind(&listen).await.context(listen)?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    axum::serve(listener, application(shop)?)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    ostracon.close().await?;
    Ok(())
}

fn application(shop: Shop) -> anyhow::Result<Router> {
    let admin = Router::new()
        .route("/admin", get(async || "the orders of everybody"))
        .layer(
            require(shop.ostracon.clone())
                .scope(Scope::new("admin").map_err(anyhow::Error::msg)?)
                .tier(Tier::High),
        );
    Ok(Router::new()
        .route("/", get(greet))
        .route("/login", post(log_in))
        .route("/orders", get(orders).post(order))
        .route("/password", post(change_password))
        .merge(admin)
        // `/logout`, `/auth/logout`, `/auth/refresh` and what else browsers ask.
        .merge(router(shop.ostracon.clone()))
        .with_state(shop))
}

/// For everybody.
async fn greet(who: Option<Authenticated>) -> String {
    who.map_or("Welcome".into(), |who| format!("Welcome back, {}", who.subject()))
}

/// What the application wants to know of its users without asking its database.
#[derive(Deserialize, Serialize)]
struct Customer {
    customer: u32,
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

async fn log_in(State(shop): State<Shop>, Form(sent): Form<Credentials>) -> Result<Response, Problem> {
    // Who somebody is, and how that is proven, is the application's to know. This one has one user.
    let Ok(user) = Subject::new(sent.user) else {
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    if user.as_str() != "ada" || *sent.password != *shop.password {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    enter(&shop, user).await
}

/// A session, in two cookies.
async fn enter(shop: &Shop, user: Subject) -> Result<Response, Problem> {
    let login = Login::new(user).claims(Customer { customer: 4711 })?;
    let login = match Note::new("a browser") {
        Ok(device) => login.device(device),
        Err(_) => login,
    };
    let pair = shop.ostracon.log_in(login).await?;
    Ok((pair, Redirect::to("/")).into_response())
}

async fn orders(who: Authenticated) -> Result<String, Problem> {
    let Customer { customer } = who.extra()?;
    Ok(format!("the orders of customer {customer}"))
}

/// By cookie, only from the shop's own pages: the extractor sees to that.
async fn order(who: Authenticated) -> String {
    format!("ordered for {}", who.subject())
}

/// Every device is out; this one gets a session of its own.
async fn change_password(State(shop): State<Shop>, who: Authenticated) -> Result<Response, Problem> {
    // … the new password goes into the application's database here.
    let user = who.subject().clone();
    shop.ostracon
        .end_all_sessions(user.clone(), Reason::PasswordChange)
        .await?;
    enter(&shop, user).await
}
