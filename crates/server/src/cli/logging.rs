//! The log of `ostracon serve`: text for people or JSON for programs, to standard error, at a level that can change.

use std::io;

use ostracon_server::LogFormat;
use tracing::Level;
use tracing_subscriber::{
    Layer, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Begins to log; what is answered sets another level.
pub(super) fn start(format: LogFormat, level: Level) -> impl Fn(Level) + Send + Sync + 'static {
    let (filter, switch) = reload::Layer::new(LevelFilter::from_level(level));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // A log that nobody reads any more is no reason to fail a request.
        .log_internal_errors(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    Registry::default().with(filter).with(lines).init();
    move |level| {
        // The subscriber lives as long as the process.
        let _ = switch.reload(LevelFilter::from_level(level));
    }
}
