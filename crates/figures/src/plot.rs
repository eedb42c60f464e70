//! Plots of figures, as SVG that reads in light and in dark.
//!
//! Axes and lines are drawn by plotters. Its colours are numbers in attributes, which a style sheet in the drawing gives their
//! meaning: ink, grid, and one hue for each series, by `prefers-color-scheme`. Each series has its name at its end, so that no
//! legend has to be looked up, and nothing is told by colour alone.

use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// A plot cannot be drawn: a figure is none, or negative on an axis of powers.
#[derive(Debug)]
pub struct PlotError(String);

impl core::fmt::Display for PlotError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a plot cannot be drawn: {}", self.0)
    }
}

impl core::error::Error for PlotError {}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// What it shows, with its unit.
    pub label: &'a str,
    /// Whether equal distances are equal factors.
    pub is_log: bool,
    /// How a mark is written.
    pub shown: fn(f64) -> String,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// What stands at its end.
    pub name: String,
    /// In the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    /// What is said above it.
    pub title: &'a str,
    /// From left to right.
    pub x: Axis<'a>,
    /// From the bottom up.
    pub y: Axis<'a>,
    /// Up to six, each with points of its own.
    pub series: &'a [Series],
}

/// A figure with a range.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What stands beside it.
    pub name: String,
    /// How long it is.
    pub value: f64,
    /// From where to where it may be.
    pub range: (f64, f64),
}

/// Bars, one below the other.
#[derive(Clone, Debug)]
pub struct Bars<'a> {
    /// What is said above them.
    pub title: &'a str,
    /// What they show.
    pub x: Axis<'a>,
    /// From the top down.
    pub bars: &'a [Bar],
}

const WIDTH: u32 = 720;
const HEIGHT: u32 = 400;
/// Room for the names of series, to the right of them.
const NAMES: u32 = 150;

const INK: RGBColor = RGBColor(1, 1, 1);
const SOFT: RGBColor = RGBColor(2, 2, 2);
const GRID: RGBColor = RGBColor(3, 3, 3);
const HUES: [RGBColor; 6] = [
    RGBColor(4, 4, 1),
    RGBColor(4, 4, 2),
    RGBColor(4, 4, 3),
    RGBColor(4, 4, 4),
    RGBColor(4, 4, 5),
    RGBColor(4, 4, 6),
];

/// What the colours above are in the light, and in the dark.
const MEANINGS: [(RGBColor, &str, &str); 9] = [
    (INK, "#1f1b17", "#ece6df"),
    (SOFT, "#665e55", "#a99f94"),
    (GRID, "#e2dcd3", "#38322d"),
    (RGBColor(4, 4, 1), "#a3461f", "#e08a5f"),
    (RGBColor(4, 4, 2), "#2a6fb0", "#6db1ee"),
    (RGBColor(4, 4, 3), "#6d4aa0", "#c69cf0"),
    (RGBColor(4, 4, 4), "#1d6b3c", "#7fce9b"),
    (RGBColor(4, 4, 5), "#7a5200", "#f0c46a"),
    (RGBColor(4, 4, 6), "#9a2a62", "#f08fc0"),
];

impl Lines<'_> {
    /// The drawing.
    ///
    /// # Errors
    ///
    /// [`PlotError`].
    pub fn svg(&self) -> Result<String, PlotError> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (from_x, to_x) = range(points().map(|(x, _)| *x), self.x.is_log)?;
        let (from_y, to_y) = range(points().map(|(_, y)| *y), self.y.is_log)?;
        drawn(HEIGHT, self.title, |area| match (self.x.is_log, self.y.is_log) {
            (true, true) => self.draw(area, (from_x..to_x).log_scale(), (from_y..to_y).log_scale()),
            (true, false) => self.draw(area, (from_x..to_x).log_scale(), from_y..to_y),
            (false, true) => self.draw(area, from_x..to_x, (from_y..to_y).log_scale()),
            (false, false) => self.draw(area, from_x..to_x, from_y..to_y),
        })
    }

    fn draw<X, Y>(&self, area: &Area<'_>, x: X, y: Y) -> Result<(), Box<dyn core::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let (plot, _) = area.split_horizontally(WIDTH.saturating_sub(NAMES));
        let mut chart = ChartBuilder::on(&plot)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d(x, y)?;
        mesh(&mut chart, &self.x, &self.y)?;
        let mut ends = Vec::new();
        for (series, hue) in self.series.iter().zip(HUES) {
            let style = ShapeStyle::from(hue).stroke_width(2);
            chart.draw_series(LineSeries::new(series.points.iter().copied(), style))?;
            let dots = series.points.iter().map(|point| Circle::new(*point, 3, hue.filled()));
            chart.draw_series(dots)?;
            let end = series.points.last().map(|end| within(area, chart.backend_coord(end)));
            ends.extend(end.map(|end| (end, &series.name, hue)));
        }
        // Names that would lie on each other are moved apart, from the top down.
        ends.sort_by_key(|((_, y), _, _)| *y);
        let mut free = i32::MIN;
        for ((x, y), name, hue) in ends {
            let y = y.max(free);
            free = y.saturating_add(16);
            let style = text(13, &hue, HPos::Left, VPos::Center);
            area.draw(&Text::new(name.as_str(), (x.saturating_add(10), y), style))?;
        }
        Ok(())
    }
}

impl Bars<'_> {
    /// The drawing.
    ///
    /// # Errors
    ///
    /// [`PlotError`].
    pub fn svg(&self) -> Result<String, PlotError> {
        let values = self.bars.iter().flat_map(|bar| [bar.value, bar.range.0, bar.range.1]);
        let (from, to) = range(values, self.x.is_log)?;
        let rows = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        let height = rows.saturating_mul(34).saturating_add(110);
        let upto = f64::from(rows);
        drawn(height, self.title, |area| {
            if self.x.is_log {
                self.draw(area, (from..to).log_scale(), from, upto)
            } else {
                self.draw(area, 0.0..to, 0.0, upto)
            }
        })
    }

    fn draw<X>(&self, area: &Area<'_>, x: X, from: f64, upto: f64) -> Result<(), Box<dyn core::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(90)
            .x_label_area_size(44)
            .y_label_area_size(210)
            .build_cartesian_2d(x, upto..0.0)?;
        let names = Axis {
            label: "",
            is_log: false,
            shown: |_| String::new(),
        };
        mesh(&mut chart, &self.x, &names)?;
        let mut top = 0.0;
        for bar in self.bars {
            let middle = top + 0.5;
            chart.draw_series([Rectangle::new(
                [(from, top + 0.2), (bar.value, top + 0.8)],
                HUES[0].filled(),
            )])?;
            let range = [(bar.range.0, middle), (bar.range.1, middle)];
            chart.draw_series([PathElement::new(range, ShapeStyle::from(INK).stroke_width(2))])?;
            let (left, y) = within(area, chart.backend_coord(&(from, middle)));
            let (right, _) = within(area, chart.backend_coord(&(bar.value.max(bar.range.1), middle)));
            let name = text(13, &INK, HPos::Right, VPos::Center);
            area.draw(&Text::new(bar.name.as_str(), (left.saturating_sub(8), y), name))?;
            let value = text(13, &SOFT, HPos::Left, VPos::Center);
            area.draw(&Text::new(
                (self.x.shown)(bar.value),
                (right.saturating_add(8), y),
                value,
            ))?;
            top += 1.0;
        }
        Ok(())
    }
}

/// A place of the whole drawing, as `area` has it.
fn within(area: &Area<'_>, (x, y): (i32, i32)) -> (i32, i32) {
    let (columns, rows) = area.get_pixel_range();
    (x.saturating_sub(columns.start), y.saturating_sub(rows.start))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn text(size: u32, colour: &RGBColor, h: HPos, v: VPos) -> TextStyle<'_> {
    TextStyle::from(("sans-serif", size).into_font())
        .color(colour)
        .pos(Pos::new(h, v))
}

fn mesh<X, Y>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    x: &Axis<'_>,
    y: &Axis<'_>,
) -> Result<(), Box<dyn core::error::Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let (x_shown, y_shown) = (x.shown, y.shown);
    let marks = |is_log| if is_log { 8 } else { 6 };
    let mut mesh = chart.configure_mesh();
    if y.label.is_empty() {
        mesh.disable_y_mesh().disable_y_axis();
    }
    mesh.x_labels(marks(x.is_log))
        .y_labels(marks(y.is_log))
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(SOFT)
        .label_style(text(12, &SOFT, HPos::Center, VPos::Center))
        .axis_desc_style(text(13, &INK, HPos::Center, VPos::Center))
        .x_label_formatter(&|value| x_shown(*value))
        .y_label_formatter(&|value| y_shown(*value))
        .x_desc(x.label)
        .y_desc(y.label)
        .draw()?;
    Ok(())
}

/// From where to where an axis of `values` goes.
fn range(values: impl Iterator<Item = f64>, is_log: bool) -> Result<(f64, f64), PlotError> {
    let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        if !value.is_finite() || (is_log && value <= 0.0) {
            return Err(PlotError(format!("{value} has no place on its axis")));
        }
        (from, to) = (from.min(value), to.max(value));
    }
    if from > to {
        return Err(PlotError("there is no figure".into()));
    }
    // Whole powers, so that there is a mark at either end; or from zero, with some air above.
    Ok(if is_log {
        let (low, high) = (10_f64.powf(from.log10().floor()), 10_f64.powf(to.log10().ceil()));
        (low, if low < high { high } else { high * 10.0 })
    } else {
        (0.0, if to > 0.0 { to * 1.08 } else { 1.0 })
    })
}

fn drawn(
    height: u32,
    title: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn core::error::Error>>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    let failed = |error: Box<dyn core::error::Error>| PlotError(error.to_string());
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let titled = root.titled(title, text(17, &INK, HPos::Center, VPos::Top));
        let titled = titled.map_err(|error| failed(error.into()))?;
        draw(&titled).map_err(failed)?;
        root.present().map_err(|error| failed(error.into()))?;
    }
    Ok(styled(&svg, title))
}

/// The same with the colours' meanings, no wider than its place, and with a name for who does not see it.
fn styled(svg: &str, title: &str) -> String {
    let rules = |dark: bool| {
        let rules = MEANINGS.map(|(RGBColor(r, g, b), light, dim)| {
            let (number, meant) = (format!("#{r:02X}{g:02X}{b:02X}"), if dark { dim } else { light });
            format!("[fill=\"{number}\"]{{fill:{meant}}}[stroke=\"{number}\"]{{stroke:{meant}}}")
        });
        rules.concat()
    };
    let style = format!(
        "<style>svg{{max-width:100%;height:auto}}text{{font-family:system-ui,sans-serif}}{}@media(prefers-color-scheme:dark){{{}}}</style>",
        rules(false),
        rules(true)
    );
    let escaped = title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let named = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{escaped}\" "), 1);
    match named.split_once('>') {
        Some((head, rest)) => format!("{head}>\n{style}{rest}"),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(is_log: bool) -> Axis<'static> {
        Axis {
            label: "x",
            is_log,
            shown: |value| format!("{value}!"),
        }
    }

    fn series(points: &[(f64, f64)]) -> [Series; 1] {
        [Series {
            name: "a <name>".into(),
            points: points.into(),
        }]
    }

    fn lines(is_log: bool, series: &[Series]) -> Result<String, PlotError> {
        let (x, y) = (axis(is_log), axis(is_log));
        Lines {
            title: "T & t",
            x,
            y,
            series,
        }
        .svg()
    }

    #[test]
    fn a_plot_names_its_series_and_has_no_colour_without_a_meaning() {
        let svg = lines(true, &series(&[(1e4, 60.0), (1e6, 90.0)])).unwrap();
        for part in [
            "a &lt;name&gt;",
            "aria-label=\"T &amp; t\"",
            "10000!",
            "1000000!",
            "prefers-color-scheme",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        let (_, body) = svg.split_once("</style>").unwrap();
        let colours = body
            .split(['"'])
            .filter(|part| part.starts_with('#') && part.len() == 7);
        let mut known = MEANINGS
            .map(|(RGBColor(r, g, b), ..)| format!("#{r:02X}{g:02X}{b:02X}"))
            .to_vec();
        known.push("#000000".into());
        for colour in colours {
            assert!(known.iter().any(|one| one == colour), "{colour}");
        }
        assert!(!body.contains("#FFFFFF"), "it has no paper of its own");
    }

    #[test]
    fn what_has_no_place_is_an_error() {
        assert!(lines(false, &series(&[(0.0, 1.0)])).is_ok());
        for points in [&[(0.0, 1.0)][..], &[(1.0, -1.0)], &[(1.0, f64::NAN)], &[]] {
            assert!(lines(true, &series(points)).is_err(), "{points:?}");
        }
        let bar = Bar {
            name: "b".into(),
            value: 2.0,
            range: (1.0, 3.0),
        };
        let bars = |is_log, bars: &[Bar]| {
            Bars {
                title: "t",
                x: axis(is_log),
                bars,
            }
            .svg()
        };
        assert!(bars(true, std::slice::from_ref(&bar)).unwrap().contains("2!"));
        assert!(bars(false, &[bar]).is_ok() && bars(false, &[]).is_err());
    }
}
