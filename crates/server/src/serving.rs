//! The application that is serving, and its exchange for another while requests go on.

use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
};

use axum::extract::FromRef;
use ostracon_store::StoreError;
use tokio::sync::watch;

use crate::{
    app::{App, OpenError},
    clock::Clock,
    config::Config,
    history, run,
    trail::Entry,
};

/// The application that requests are answered by, to be kept in an axum state and cloned at will. Each request keeps the
/// configuration it began with.
///
/// Whatever state a program has, [`Authenticated`](crate::Authenticated) finds this in it:
///
/// ```
/// use axum::extract::FromRef;
/// use ostracon_server::Serving;
///
/// #[derive(Clone)]
/// struct Shop {
///     ostracon: Serving,
///     // … and what else the program has.
/// }
///
/// impl FromRef<Shop> for Serving {
///     fn from_ref(shop: &Shop) -> Self {
///         shop.ostracon.clone()
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Serving(Arc<State>);

#[derive(Debug)]
struct State {
    app: watch::Sender<Arc<App>>,
    ending: watch::Sender<bool>,
}

/// The same, for whoever only looks after it.
#[derive(Debug)]
pub(crate) struct Watching(Weak<State>);

impl From<Arc<App>> for Serving {
    fn from(app: Arc<App>) -> Self {
        Self(Arc::new(State {
            app: watch::Sender::new(app),
            ending: watch::Sender::new(false),
        }))
    }
}

impl FromRef<Serving> for Arc<App> {
    fn from_ref(serving: &Serving) -> Self {
        serving.app()
    }
}

impl Serving {
    /// Opens what `config` describes, and sweeps it in the background until it is closed or nobody has it any more. For
    /// programs with a listener of their own; [`run`](crate::run()) does its own sweeping.
    ///
    /// The store takes a lock: another process, or another call, that has the same `data_dir` open is an error.
    ///
    /// ```
    /// # use ostracon_server::Config;
    /// use ostracon_server::{Clock, Serving};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # ostracon_store::write_new(&dir.path().join("key"), ostracon_server::new_secret()?.0.as_bytes())?;
    /// # let text = r#"
    /// # data_dir = "denylist"
    /// # tokens = { issuer = "https://shop.example", audience = "shop" }
    /// # keys = [{ kid = "k", alg = "HS256", secret_file = "key" }]
    /// # "#;
    /// # let config = Config::from_toml(text, dir.path())?;
    /// let ostracon = Serving::open(config, Clock::system()).await?;
    /// // … `axum::serve(listener, app).with_graceful_shutdown(…)`, and when that has ended:
    /// ostracon.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing is left running then.
    pub async fn open(config: Config, clock: Clock) -> Result<Self, OpenError> {
        let sweep_every = config.sweep_every;
        let opened = tokio::task::spawn_blocking(move || App::open(config, clock)).await;
        let panicked = |_| StoreError::Engine("the opening panicked".into());
        let serving = Self::from(opened.map_err(panicked)??);
        tokio::spawn(run::sweep(serving.downgrade(), sweep_every));
        tokio::spawn(run::record_refusals(serving.downgrade()));
        tokio::spawn(history::keep(serving.downgrade()));
        Ok(serving)
    }

    /// The application as it is now.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.0.app.borrow())
    }

    pub(crate) fn downgrade(&self) -> Watching {
        Watching(Arc::downgrade(&self.0))
    }

    /// Answers by `config` from here on: by its keys, clients, rules, lifetimes, cookies and limits of failures. The
    /// denylist stays open, and requests that are being answered are finished by what they began with. Blocks shortly.
    ///
    /// # Errors
    ///
    /// [`OpenError`], also for what cannot change without a restart; then everything is as it was.
    pub fn reload(&self, config: Config) -> Result<(), OpenError> {
        let level = config.log_level;
        let now = self.app();
        let next = now.reconfigured(config).inspect_err(|_| self.keep())?;
        next.kept.stale.store(false, Ordering::Relaxed);
        now.kept.trail.note(now.changes(&next));
        if let Some(LevelSwitch(set)) = now.kept.log_level.get() {
            set(level);
        }
        self.0.app.send_replace(Arc::new(next));
        Ok(())
    }

    /// Records that a configuration could not be used, and why.
    pub fn refused(&self, why: &dyn fmt::Display) {
        let entry = Entry::new("configuration").outcome("refused");
        self.app().kept.trail.note(entry.with("detail", why.to_string()));
    }

    /// Has `set` called with `log.level` of each configuration that is loaded from here on. Only the first call counts.
    pub fn switch_log_level(&self, set: impl Fn(tracing::Level) + Send + Sync + 'static) {
        self.app().kept.log_level.get_or_init(|| LevelSwitch(Box::new(set)));
    }

    /// Goes on by the configuration that it has, since the one that was read cannot be used: `/readyz` then says so.
    pub fn keep(&self) {
        self.app().kept.stale.store(true, Ordering::Relaxed);
    }

    /// Ends the answers that would go on for ever, which are the event streams. [`run`](crate::run) does so when it is told
    /// to end; whoever serves the routers otherwise has to.
    pub fn end(&self) {
        self.0.ending.send_replace(true);
    }

    /// The application now and whatever takes its place, and whether this is ending.
    pub(crate) fn watch(&self) -> (watch::Receiver<Arc<App>>, watch::Receiver<bool>) {
        (self.0.app.subscribe(), self.0.ending.subscribe())
    }

    /// Closes the denylist: what waits is written, and a checkpoint makes the next opening short. For the end of a program,
    /// when its requests are answered; what is to be revoked later is refused with 503.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there could be no checkpoint; all that was acknowledged is in the journal either way.
    pub async fn close(&self) -> Result<(), StoreError> {
        let app = self.app();
        let panicked = |_| StoreError::Engine("the closing panicked".into());
        let close = move || {
            let closed = app.denylist().close();
            app.kept.trail.close();
            closed
        };
        tokio::task::spawn_blocking(close).await.map_err(panicked)?
    }
}

impl Watching {
    /// The application as it is now, if it is.
    pub(crate) fn app(&self) -> Option<Arc<App>> {
        self.0.upgrade().map(|app| Serving(app).app())
    }
}

/// What is told the level of the log.
pub(crate) struct LevelSwitch(Box<dyn Fn(tracing::Level) + Send + Sync>);

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LevelSwitch")
    }
}
