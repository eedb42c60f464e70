//! The application that is serving, and its exchange for another while requests go on.

use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::watch;

use crate::{
    app::{App, OpenError},
    config::Config,
};

/// The application that requests are answered by. Each request keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Serving(Arc<State>);

#[derive(Debug)]
struct State {
    app: watch::Sender<Arc<App>>,
    ending: watch::Sender<bool>,
}

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
    /// The application as it is now.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.0.app.borrow())
    }

    /// Answers by `config` from here on: by its keys, clients, rules, lifetimes, cookies and limits of failures. The
    /// denylist stays open, and requests that are being answered are finished by what they began with. Blocks shortly.
    ///
    /// # Errors
    ///
    /// [`OpenError`], also for what cannot change without a restart; then everything is as it was.
    pub fn reload(&self, config: Config) -> Result<(), OpenError> {
        let next = self.app().reconfigured(config)?;
        self.0.app.send_replace(Arc::new(next));
        Ok(())
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
}
