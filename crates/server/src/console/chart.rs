//! Lines over time, drawn here. The drawing is stretched to the room that there is, so that what is to be read is not in it but
//! beside it.

use core::fmt::Write as _;

use maud::{Markup, html};

/// A line of a chart.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// The class that gives it its colour.
    pub(super) class: &'a str,
    /// What is said of it beside its name.
    pub(super) now: String,
    /// The oldest first; none where there is nothing to tell.
    pub(super) values: Vec<Option<f64>>,
}

/// Coordinates of the drawing.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A chart of `series`, which have as many values each and end now. `room` is how many there are once it is full; `shown` writes the largest of
/// all values.
pub(super) fn chart(
    title: &str,
    series: &[Series<'_>],
    room: usize,
    since: &str,
    shown: impl Fn(f64) -> String,
) -> Markup {
    let values = series.iter().flat_map(|series| &series.values).flatten();
    let top = values.copied().fold(0.0, f64::max);
    let scale = if top > 0.0 { top } else { 1.0 };
    let told = series.iter().fold(String::from(title), |told, series| {
        told + ": " + series.name + " " + &series.now
    });
    html! {
        figure.chart {
            figcaption {
                span.title { (title) }
                @for Series { name, class, now, .. } in series {
                    span.key { span.swatch.(class) {} (name) " " strong { (now) } }
                }
            }
            div.plot {
                span.top { (if top > 0.0 { shown(top) } else { String::new() }) }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(told) {
                    @for line in [0.0, 0.5, 1.0] {
                        line.grid x1="0" x2=(WIDTH) y1=(HEIGHT * line) y2=(HEIGHT * line) {}
                    }
                    @for Series { class, values, .. } in series {
                        path.(class) d=(path(values, room, scale)) {}
                    }
                }
            }
            div.axis { span { (since) } span { "now" } }
        }
    }
}

/// A path through `values`, the last of which is at the right; it is interrupted where there is none.
fn path(values: &[Option<f64>], room: usize, top: f64) -> String {
    let last = room.max(values.len()).saturating_sub(1).max(1);
    let step = WIDTH / f64::from(u32::try_from(last).unwrap_or(u32::MAX));
    let first = last.saturating_add(1).saturating_sub(values.len());
    let (mut path, mut is_drawing) = (String::new(), false);
    for (n, value) in (first..).zip(values) {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let x = step * f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let y = HEIGHT * (1.0 - value / top);
        let command = if is_drawing { 'L' } else { 'M' };
        // A value on its own is a dot: the line has round ends.
        let dot = if is_drawing { "" } else { "h0" };
        let _ = write!(path, "{command}{x:.1} {y:.1}{dot}");
        is_drawing = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_at_the_right_and_has_gaps() {
        let values = [Some(0.0), Some(1.0), None, Some(0.5)];
        assert_eq!(path(&values, 4, 1.0), "M0.0 120.0h0L200.0 0.0M600.0 60.0h0");
        assert_eq!(
            path(&values[..2], 4, 1.0),
            "M400.0 120.0h0L600.0 0.0",
            "while it is not full"
        );
        assert_eq!(path(&[], 4, 1.0), "");
    }

    #[test]
    fn a_chart_tells_what_it_draws_and_of_nothing_too() {
        let series = |values| {
            [Series {
                name: "a < b",
                class: "one",
                now: "3 / s".into(),
                values,
            }]
        };
        let drawn = chart("Rate", &series(vec![Some(3.0)]), 2, "then", |top| format!("{top}!")).into_string();
        assert!(
            drawn.contains("aria-label=\"Rate: a &lt; b 3 / s\"") && drawn.contains("3!"),
            "{drawn}"
        );
        let empty = chart("Rate", &series(vec![None, Some(0.0)]), 2, "then", |top| {
            format!("{top}!")
        })
        .into_string();
        assert!(!empty.contains("NaN") && !empty.contains('!'), "{empty}");
    }
}
