//! The application that is serving, and its exchange for another while requests go on.

use std::sync::{Arc, PoisonError, RwLock, atomic::Ordering};

use axum::extract::FromRef;

use crate::{
    app::{App, OpenError},
    config::Config,
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
        let now = self.app();
        let next = now.reconfigured(config).inspect_err(|_| self.keep())?;
        next.kept.stale.store(false, Ordering::Relaxed);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    /// Goes on by the configuration that it has, since the one that was read cannot be used: `/readyz` then says so.
    pub fn keep(&self) {
        self.app().kept.stale.store(true, Ordering::Relaxed);
    }
}
