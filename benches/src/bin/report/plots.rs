//! The plots: each from the figures of one bench.

use ostracon_figures::{
    plot::{Axis, Bar, Bars, Lines, PlotError, Series},
    rounds::Quartiles,
};
use serde_json::Value;

use crate::figures::{Figures, by_number, list, number, quartiles, round, row, short, text, time};

/// A plot, and what there is to say of it.
pub(crate) struct Plot {
    /// Of its file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) svg: Result<String, PlotError>,
    pub(crate) said: &'static str,
}

const ENTRIES: Axis<'static> = Axis {
    label: "revocations listed",
    is_log: true,
    shown: short,
};
const TIME: Axis<'static> = Axis {
    label: "time",
    is_log: true,
    shown: time,
};
const RATE: Axis<'static> = Axis {
    label: "a second",
    is_log: true,
    shown: short,
};

fn lines(title: &'static str, x: Axis<'_>, y: Axis<'_>, series: &[Series]) -> Result<String, PlotError> {
    let drawn: Vec<_> = series
        .iter()
        .filter(|series| !series.points.is_empty())
        .cloned()
        .map(|mut series| {
            // As fast as it could go may have been slower than what was asked for before.
            series.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            series
        })
        .collect();
    let lines = Lines {
        title,
        x,
        y,
        series: &drawn,
    };
    lines.svg()
}

pub(crate) fn all(figures: &Figures) -> Vec<Plot> {
    vec![
        checks(&figures.of("check")),
        ratios(&figures.of("check")),
        by_rate(&figures.of("growth")),
        by_writes(&figures.of("growth")),
        by_threads(&figures.of("check")),
        throughput(&figures.of("http")),
        distribution(&figures.of("http")),
        tokens(&figures.of("verify")),
        writers(&figures.of("revoke")),
        revoking(&figures.of("http")),
        waits(&figures.of("scale")),
        false_positives(&figures.of("prefilter")),
    ]
}

/// Rows of the tables by size, as lines.
fn by_size(check: &Value, rows: &[(&str, &str)]) -> Vec<Series> {
    let series = rows.iter().map(|(name, shown)| Series {
        name: (*shown).to_owned(),
        points: by_number(check, "entries")
            .filter_map(|(entries, title)| Some((entries, row(check, title, name)?.median)))
            .collect(),
    });
    series.collect()
}

fn checks(check: &Value) -> Plot {
    let title = "What a check costs by how much is listed";
    let rows = [
        ("absent, on", "not listed, on"),
        ("absent, off", "not listed, off"),
        ("present, on", "listed, on"),
        ("present, off", "listed, off"),
        ("absent, hash set", "not listed, hash set"),
        ("absent, Redis GET", "not listed, Redis GET"),
    ];
    Plot {
        name: "checks",
        title,
        svg: lines(title, ENTRIES, TIME, &by_size(check, &rows)),
        said: "A target that is not listed, which is what nearly all are, costs the hash of its name and one or two cache lines of \
               a filter. The filter grows with what is listed, so that the line rises only where it leaves one cache of the \
               processor for the next. Without the filter the same question goes down a tree of sled, whose depth grows with \
               the logarithm, and beyond its cache to the page cache and to the disk. What is listed has to be read either \
               way; the filter then only adds its own cost. An exact set in memory is the floor: it takes ten times the \
               memory of the filter, and is gone with the process. A Redis takes the way over the loopback and back, whatever it holds. \
               The curve ends where the filter no longer fits the last cache of the processor: each probe is then a read of memory, \
               some 100 ns, and no more than that.",
    }
}

fn by_rate(growth: &Value) -> Plot {
    let title = "What a check of an unlisted token costs by the rate of false positives";
    let of = |name: &str, member: fn(&Value) -> Option<f64>| Series {
        name: name.to_owned(),
        points: list(growth, "rates")
            .iter()
            .filter_map(|rate| Some((number(rate, "asked_for")?, member(rate)?)))
            .collect(),
    };
    let x = Axis {
        label: "share of unlisted tokens that may be let pass",
        is_log: true,
        shown: |share| format!("{} %", round(share * 100.0)),
    };
    let series = [of("a check", |rate| number(rate.get("check_ns")?, "median"))];
    Plot {
        name: "by-rate",
        title,
        svg: lines(title, x, TIME, &series),
        said: "A check costs the filter, and in proportion to the rate a look-up in the engine that finds nothing. Above one in a hundred the \
               look-ups are most of it; below one in a thousand, which is what is built unless told otherwise, there is nothing left to be \
               spared, and each further power of ten only costs five bits an entry and a few more probes of a cache line.",
    }
}

fn by_writes(growth: &Value) -> Plot {
    let title = "What a check costs while others revoke";
    let of = |name: &str, member: &str, place: usize| Series {
        name: name.to_owned(),
        points: list(growth, "writes")
            .iter()
            .filter_map(|beside| {
                let nanos = list(beside, member).get(place)?.as_f64()?;
                // Nothing has no place on an axis of powers.
                Some((number(beside, "a_second")?.max(1.0), nanos))
            })
            .collect(),
    };
    let x = Axis {
        label: "durable revocations a second (at 1 none)",
        is_log: true,
        shown: short,
    };
    let series = [
        of("not listed, half", "unlisted_ns", 0),
        of("not listed, 99 %", "unlisted_ns", 1),
        of("listed, half", "listed_ns", 0),
        of("listed, 99 %", "listed_ns", 1),
    ];
    Plot {
        name: "by-writes",
        title,
        svg: lines(title, x, TIME, &series),
        said: "A check waits for no writer: what it needs is read from the filter, from what waits for the engine, and from the engine, each \
               without a lock that is held over a sync. What remains is what two processors have to give: the writer, the thread that \
               tells the engine and the engine's own take their time and the caches, the more of it the more is written. It ends where \
               they fill the processors: the last is eight writers, as fast as they can.",
    }
}

fn by_threads(check: &Value) -> Plot {
    let title = "Checks a second by one thread and by two";
    let rest = "entries, for each of the threads";
    let largest = by_number(check, rest).max_by(|(one, _), (another, _)| one.total_cmp(another));
    let tables = list(check, "tables").iter();
    let table = largest.and_then(|(_, title)| tables.into_iter().find(|table| text(table, "title") == title));
    let rows = table.map_or(&[][..], |table| list(table, "rows"));
    let bars: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let (what, threads) = text(row, "name").rsplit_once(", ")?;
            let count: f64 = threads.split(' ').next()?.parse().ok()?;
            let took = quartiles(row)?;
            let rate = |nanos: f64| count * 1e9 / nanos;
            let what = what.replace("absent", "not listed").replace("present", "listed");
            Some(Bar {
                name: format!("{what}: {threads}"),
                value: rate(took.median),
                range: (rate(took.high), rate(took.low)),
            })
        })
        .collect();
    let x = Axis {
        label: "checks a second, of all threads",
        is_log: true,
        shown: short,
    };
    Plot {
        name: "by-threads",
        title,
        svg: Bars { title, x, bars: &bars }.svg(),
        said: "In the largest store of the run. Threads share the filter, which they only read, and count what they saw in cells of \
               their own, so that two do nearly twice as much as one, as far as two virtual processors are two. A listed token is looked up \
               in the engine, whose pages count who reads them.",
    }
}

fn ratios(check: &Value) -> Plot {
    let title = "How many times as long a check takes without the prefilter";
    let rows = list(check, "tables")
        .iter()
        .filter(|table| text(table, "title") == "ratio");
    let bars: Vec<_> = rows
        .flat_map(|table| list(table, "rows"))
        .filter_map(|row| {
            let (entries, what) = text(row, "name").split_once(": ")?;
            let ratio = quartiles(row)?;
            let told = match what {
                "absent, off / absent, on" => "not listed",
                "six absent, off / six absent, on" => "six targets, none listed",
                _ => return None,
            };
            Some(Bar {
                name: format!("{} listed: {told}", short(entries.parse().ok()?)),
                value: ratio.median,
                range: (ratio.low, ratio.high),
            })
        })
        .collect();
    let x = Axis {
        label: "times",
        is_log: true,
        shown: round,
    };
    Plot {
        name: "off-on",
        title,
        svg: Bars { title, x, bars: &bars }.svg(),
        said: "Compared turn by turn, so that what disturbs one disturbs the other; the thin line is the middle half of the turns.",
    }
}

fn throughput(http: &Value) -> Plot {
    let title = "GET /auth/verify: requests a second, 32 clients";
    let bars = rates(http, "servers");
    let x = Axis {
        label: "requests a second",
        is_log: false,
        shown: short,
    };
    Plot {
        name: "throughput",
        title,
        svg: Bars { title, x, bars: &bars }.svg(),
        said: "The same HS256 tokens to each, one in 64 of them revoked, every answer checked. The source of the requests has \
               one of two processors; where it is what is full, the server could do more. hapi and Express verify the signature and \
               ask Redis on every request, as their users write it; so does Ostracon, but for Redis, where it remembers no token. A bare Redis GET verifies nothing and is not HTTP.",
    }
}

/// Requests a second of each server of that comparison.
fn rates(http: &Value, of: &str) -> Vec<Bar> {
    let bars = list(http, of).iter().filter_map(|server| {
        let turns = list(server, "requests_a_second").iter().filter_map(Value::as_f64);
        let turns: Vec<_> = turns.collect();
        let Quartiles { low, median, high } = (!turns.is_empty()).then(|| Quartiles::of(turns))?;
        Some(Bar {
            name: text(server, "name").to_owned(),
            value: median,
            range: (low, high),
        })
    });
    bars.collect()
}

/// A share of the answers, as how many nines it has.
fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

fn share(nines: f64) -> String {
    let part = (1.0 - 10_f64.powf(-nines)) * 100.0;
    format!("{} %", round(part))
}

const SHARE: Axis<'static> = Axis {
    label: "share of the answers that came within",
    is_log: false,
    shown: share,
};

fn distribution(http: &Value) -> Plot {
    let title = "GET /auth/verify: within what time, under full load";
    let series: Vec<_> = list(http, "servers")
        .iter()
        .take(6)
        .map(|server| {
            let points = list(server, "latency_ns").iter().filter_map(|point| {
                let [part, nanos] = point.as_array()?.as_slice() else {
                    return None;
                };
                Some((nines(part.as_f64()?), nanos.as_f64()?))
            });
            let points = points.filter(|(nines, nanos)| nines.is_finite() && *nanos > 0.0);
            Series {
                name: text(server, "name").to_owned(),
                points: points.collect(),
            }
        })
        .collect();
    Plot {
        name: "latency",
        title,
        svg: lines(title, SHARE, TIME, &series),
        said: "32 clients that ask again at once, so that each server is full: what is told is how evenly it serves, and not how long an \
               answer takes while there is room.",
    }
}

fn tokens(verify: &Value) -> Plot {
    let title = "A token's signature: the first time, and seen before";
    let bars: Vec<_> = list(verify, "tables")
        .iter()
        .filter(|table| text(table, "unit") == "ns")
        .flat_map(|table| list(table, "rows").iter().map(|row| (text(table, "title"), row)))
        .filter_map(|(alg, row)| {
            let took = quartiles(row)?;
            Some(Bar {
                name: format!("{alg}: {}", text(row, "name")),
                value: took.median,
                range: (took.low, took.high),
            })
        })
        .collect();
    Plot {
        name: "signatures",
        title,
        svg: Bars {
            title,
            x: TIME,
            bars: &bars,
        }
        .svg(),
        said: "That a signature is good does not change while its key stays, so it is checked once; whether the token has ended or is \
               revoked is asked each time.",
    }
}

fn writers(revoke: &Value) -> Plot {
    let title = "Durable revocations by how many write at once";
    let rest = "at a time; the time is that of all of them";
    let of = |name: &str, starts: &[&str]| Series {
        name: name.to_owned(),
        points: by_number(revoke, rest)
            .filter_map(|(writers, title)| {
                let table = list(revoke, "tables")
                    .iter()
                    .find(|table| text(table, "title") == title)?;
                let mut rows = list(table, "rows").iter();
                let found = rows.find(|row| starts.iter().any(|start| text(row, "name").contains(start)))?;
                Some((writers, writers * 1e9 / number(found, "median")?))
            })
            .collect(),
    };
    let series = [
        of("Ostracon, threads", &["1 writer", "8 writers", "64 writers"]),
        of("Ostracon, tasks", &["8 tasks", "64 tasks"]),
        of("bare file", &["bare file"]),
        of(
            "Redis, always, threads",
            &["always, 1 client", "8 clients", "64 clients"],
        ),
        of("Redis, always, tasks", &["always, 8 tasks", "always, 64 tasks"]),
    ];
    let x = Axis {
        label: "writers",
        is_log: true,
        shown: short,
    };
    Plot {
        name: "writers",
        title,
        svg: lines(title, x, RATE, &series),
        said: "One writer is as fast as the disk syncs. More share a sync, so that the rate grows nearly with their number until the \
               processors are full of changing from one thread to the other; tasks, of which one thread has all, change for less. The \
               bare file has one thread, which writes all of them as \
               one: what the disk could do.",
    }
}

fn revoking(http: &Value) -> Plot {
    let title = "Durable revocations a second over the wire, 32 clients";
    let bars = rates(http, "revoking");
    let x = Axis {
        label: "a second",
        is_log: false,
        shown: short,
    };
    Plot {
        name: "revoking",
        title,
        svg: Bars { title, x, bars: &bars }.svg(),
        said: "POST /v1/revocations, with a client's credentials and a body of JSON, beside the usual answers, which have a Redis keep \
               them that syncs its log before it answers, and beside a bare SETEX of that Redis, on the same disk. All write what waits \
               as one; the rest is what a request takes.",
    }
}

fn waits(scale: &Value) -> Plot {
    let title = "A check of a listed token while the store is written to";
    let mut series = Vec::new();
    for latency in list(scale, "latencies") {
        if text(latency, "what") != "check, listed" {
            continue;
        }
        let points = list(latency, "ns_of_thousand").iter().filter_map(|point| {
            let [part, nanos] = point.as_array()?.as_slice() else {
                return None;
            };
            let (part, nanos) = (part.as_f64()? / 1e3, nanos.as_f64()?);
            (part < 1.0 && nanos > 0.0).then(|| (nines(part), nanos))
        });
        series.push(Series {
            name: match text(latency, "beside") {
                "Nothing" => "a writer alone",
                "Sweep" => "and a sweep",
                "Rebuild" => "and a rebuild",
                _ => "and reopening",
            }
            .to_owned(),
            points: points.collect(),
        });
    }
    Plot {
        name: "waits",
        title,
        svg: lines(title, SHARE, TIME, &series),
        said: "One thread revokes without a rest and one asks, while the store sweeps, rebuilds its filter, or opens parts of its engine \
               anew. None of it holds a lock that a check waits for.",
    }
}

fn false_positives(prefilter: &Value) -> Plot {
    let title = "Unlisted tokens that the prefilter lets through";
    let of = |name: &str, member: &str| Series {
        name: name.to_owned(),
        points: list(prefilter, "sizes")
            .iter()
            .filter_map(|size| {
                let rate = number(size.get("false_positive_rate")?, member)?;
                Some((number(size, "entries")?, rate * 100.0)).filter(|(_, rate)| *rate > 0.0)
            })
            .collect(),
    };
    let y = Axis {
        label: "share in per cent",
        is_log: true,
        shown: |percent| format!("{} %", round(percent)),
    };
    Plot {
        name: "false-positives",
        title,
        svg: lines(
            title,
            ENTRIES,
            y,
            &[of("measured", "measured"), of("asked for", "asked_for")],
        ),
        said: "A filter is sized for what is listed, in steps, so that it is better than asked for until it is full, and never worse. In a \
               small store each of its shards has room to spare.",
    }
}
