//! A bare axum route: the least that an answer over HTTP can cost on this runtime. It reads no token and asks nothing, and
//! answers with as many headers as `GET /auth/verify` does. Says where it listens, and ends with its input.

#![expect(clippy::print_stdout, reason = "whoever starts it reads where it listens")]

use std::{io, thread};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, sync::oneshot};

async fn answer() -> impl IntoResponse {
    (
        StatusCode::OK,
        [
            ("cache-control", "no-store"),
            ("x-auth-subject", "user-1099511627776"),
            ("x-auth-session", "9e3779b97f4a7c159e3779b97f4a7c15"),
            ("x-auth-client", "web"),
            ("x-auth-scope", "read write"),
            ("x-auth-token-id", "9e3779b97f4a7c159e3779b97f4a7c15"),
            ("x-auth-expires", "1790000000"),
        ],
    )
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (end, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            drop(end);
        });
        let app = Router::new().route("/auth/verify", get(answer));
        tokio::select! {
            served = axum::serve(listener, app) => served,
            _ = ended => Ok(()),
        }
    })
}
