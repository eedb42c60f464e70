//! `POST /v1/revocations/batch`: many at once, one on each line.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use ostracon_core::{Revocation, Target};
use ostracon_store::{Commit, StoreError};

use super::revocations::{self, Asked, asked};
use crate::{
    answer::Json,
    app::App,
    body,
    client::{Caller, Role},
    lines::{Line, Lines, MAX_LINE_BYTES},
    problem::Problem,
    progress::{Progress, Refused},
    sender::Sender,
    trail::Entry,
};

/// What becomes durable by one sync.
const CHUNK: usize = 4096;

/// Revokes many at once, one on each line.
///
/// The lines are as the body of `POST /v1/revocations`. Some thousands of them become durable at a time; a bad line stops
/// nothing, and the answer names it.
#[utoipa::path(
    post,
    path = "/v1/revocations/batch",
    tag = "backends",
    security(("client" = ["revoke"])),
    request_body(
        content(("application/x-ndjson"), ("application/ndjson"), ("application/jsonl")),
        description = "Newline-delimited JSON, up to `limits.batch`; a line up to 64 KiB."
    ),
    responses((status = OK, description = "What became of the lines.", body = Progress))
)]
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    // Looked at before the body is read: it may be long.
    let client = Caller::of(&request)
        .authorize(&app.clients, &app.failures, Some(Role::Revoke))?
        .id()
        .to_owned();
    if !body::is_lines(request.headers()) {
        return Err(Problem::media_type_unsupported(body::LINES.first().unwrap_or(&"")));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > app.limits.batch_bytes) {
        return Err(Problem::batch_too_large(app.limits.batch_bytes));
    }
    app.kept.trail.ready()?;
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let mut batch = Batch::new(&app);
    let ended = batch.take(request.into_body()).await;
    // What was taken in is durable, whatever came behind it, unless the store failed.
    let flushed = batch.flush().await;
    let progress = batch.progress;
    tracing::info!(
        client,
        revoked = progress.revoked,
        unchanged = progress.unchanged,
        refused = progress.refused,
        "a batch was revoked by a client"
    );
    let done = ended.and(flushed);
    let record = Entry::new("batch").by(&client).from(&sender);
    let record = record
        .with("revoked", progress.revoked)
        .with("unchanged", progress.unchanged)
        .with("refused", progress.refused)
        .outcome(if done.is_ok() { "done" } else { "broken_off" });
    app.kept.trail.record(record).await?;
    match done {
        Ok(()) => Ok(Json(progress).into_response()),
        Err(problem) => Err(problem.after(progress)),
    }
}

struct Batch<'a> {
    app: &'a App,
    chunk: Vec<Revocation>,
    /// The last line that was looked at.
    line: u64,
    /// Of these, what is no news.
    standing: u64,
    refused: Vec<Refused>,
    /// Whether some of what was looked at could not be sent on its way: nothing behind it may count as done.
    broken: bool,
    /// What is on its way to the disk while the next lines are looked at.
    written: Option<Written>,
    progress: Progress,
}

/// Lines that are waited for.
struct Written {
    commit: Commit,
    line: u64,
    standing: u64,
    refused: Vec<Refused>,
}

impl<'a> Batch<'a> {
    fn new(app: &'a App) -> Self {
        Self {
            app,
            chunk: Vec::with_capacity(CHUNK),
            line: 0,
            standing: 0,
            refused: Vec::new(),
            broken: false,
            written: None,
            progress: Progress::default(),
        }
    }

    async fn take(&mut self, mut body: Body) -> Result<(), Problem> {
        let limits = &self.app.limits;
        let (mut lines, mut bytes) = (Lines::default(), 0_u64);
        loop {
            // A batch may take long, but not for want of the next piece.
            let frame = tokio::time::timeout(limits.request_timeout, body.frame()).await;
            let piece = match frame.map_err(|_| Problem::request_timeout())? {
                None => break,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return Err(Problem::body_malformed("the body did not arrive whole")),
            };
            bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if bytes > limits.batch_bytes {
                return Err(Problem::batch_too_large(limits.batch_bytes));
            }
            for line in lines.push(&piece) {
                self.look_at(line).await?;
            }
        }
        match lines.finish() {
            Some(line) => self.look_at(line).await,
            None => Ok(()),
        }
    }

    async fn look_at(&mut self, Line { number, text }: Line) -> Result<(), Problem> {
        self.line = number;
        let asked = match text {
            Some(text) if text.trim_ascii().is_empty() => return Ok(()),
            Some(text) => match body::line::<revocations::Body>(&text) {
                Ok(body) => asked(self.app, body).await,
                Err(problem) => Err(problem),
            },
            None => Err(Problem::body_too_large(MAX_LINE_BYTES)),
        };
        match asked {
            Ok(Asked::New(revocation)) => self.chunk.push(revocation),
            Ok(Asked::Stands(_)) => self.standing = self.standing.saturating_add(1),
            // I5: that the store cannot tell is no fault of the line.
            Err(problem) if problem.is_server_error() => {
                self.line = number.saturating_sub(1);
                return Err(problem);
            }
            Err(problem) => {
                let (code, detail) = problem.told();
                self.refused.push(Refused {
                    line: number,
                    code,
                    detail,
                });
            }
        }
        if self.chunk.len() >= CHUNK || self.refused.len() >= CHUNK {
            self.write().await?;
        }
        Ok(())
    }

    /// Sends what was looked at on its way, once what is before it has arrived.
    async fn write(&mut self) -> Result<(), Problem> {
        let chunk = std::mem::take(&mut self.chunk);
        self.broken = true;
        let (chunk, ended) = self.without_ended_sessions(chunk).await?;
        self.arrive().await?;
        self.written = Some(Written {
            commit: self.app.denylist().submit(chunk)?,
            line: self.line,
            standing: std::mem::take(&mut self.standing).saturating_add(ended),
            refused: std::mem::take(&mut self.refused),
        });
        self.broken = false;
        Ok(())
    }

    /// A session has no cut-off, and ends once: to end it again is nothing new, unless what stands has run out.
    async fn without_ended_sessions(&self, chunk: Vec<Revocation>) -> Result<(Vec<Revocation>, u64), StoreError> {
        let is_session = |revocation: &Revocation| matches!(revocation.target(), Target::Session { .. });
        if !chunk.iter().any(is_session) {
            return Ok((chunk, 0));
        }
        let now = self.app.now();
        let look = move |denylist: &ostracon_store::Denylist| {
            let (mut left, mut ended) = (Vec::with_capacity(chunk.len()), 0_u64);
            for revocation in chunk {
                let standing = if is_session(&revocation) {
                    denylist.entry(revocation.target().as_ref())?
                } else {
                    None
                };
                if standing.is_some_and(|standing| now < standing.retained_until()) {
                    ended = ended.saturating_add(1);
                } else {
                    left.push(revocation);
                }
            }
            Ok((left, ended))
        };
        self.app.look_up(look).await
    }

    /// Waits for what is on its way.
    async fn arrive(&mut self) -> Result<(), Problem> {
        let Some(written) = self.written.take() else {
            return Ok(());
        };
        let receipts = written.commit.await?;
        let progress = &mut self.progress;
        for receipt in receipts {
            let count = if receipt.changed {
                &mut progress.revoked
            } else {
                &mut progress.unchanged
            };
            *count = count.saturating_add(1);
        }
        progress.unchanged = progress.unchanged.saturating_add(written.standing);
        progress.lines = written.line;
        written.refused.into_iter().for_each(|refused| progress.refuse(refused));
        Ok(())
    }

    /// Makes durable what was looked at.
    async fn flush(&mut self) -> Result<(), Problem> {
        if !self.broken {
            self.write().await?;
        }
        self.arrive().await
    }
}
