//! The application that is serving, and its exchange for another while requests go on.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use axum::extract::FromRef;

use crate::{
    app::{App, OpenError},
    config::Config,
    trail::Entry,
};

/// The application that requests are answered by. Each request keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Serving(Arc<RwLock<Arc<App>>>);

impl From<Arc<App>> for Serving {
    fn from(app: Arc<App>) -> Self {
        Self(Arc::new(RwLock::new(app)))
    }
}

impl FromRef<Serving> for Arc<App> {
    fn from_ref(serving: &Serving) -> Self {
        serving.app()
    }
}

impl Serving {
    /// The application as it is now.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
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
        let next = now.reconfigured(config).inspect_err(|error| self.refused(error))?;
        now.kept.trail.note(now.changes(&next));
        if let Some(LevelSwitch(set)) = now.kept.log_level.get() {
            set(level);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
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
}

/// What is told the level of the log.
pub(crate) struct LevelSwitch(Box<dyn Fn(tracing::Level) + Send + Sync>);

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LevelSwitch")
    }
}
