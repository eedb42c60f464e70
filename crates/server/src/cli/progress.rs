//! How far long work is, on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `of` bytes, or a count of bytes where it is not known how many there will be.
pub(super) fn bytes(of: Option<u64>, what: &'static str) -> ProgressBar {
    let template = match of {
        Some(_) => "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
        None => "{msg} {spinner} {bytes}, {elapsed}",
    };
    shown(of, template).with_message(what)
}

/// A count of entries.
pub(super) fn entries(what: &'static str) -> ProgressBar {
    shown(None, "{msg} {spinner} {human_pos} entries, {elapsed}").with_message(what)
}

fn shown(of: Option<u64>, template: &str) -> ProgressBar {
    // To stderr, so that what is printed can be piped; hidden where that is no terminal.
    let bar = ProgressBar::with_draw_target(of, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
