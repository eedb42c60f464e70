//! Servers that take turns, and what is told of them.

use std::{sync::Arc, time::Duration};

use ostracon_benches::{
    load::{self, Load, Protocol, Request},
    peers::Process,
    report,
    rounds::{Quartiles, nanos},
};
use serde_json::json;

use crate::CONNECTIONS;

/// One of those that are compared.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) requests: Arc<[Request]>,
    /// What answers, and what that asks in turn.
    pub(crate) processes: Vec<Arc<Process>>,
    pub(crate) turns: Vec<Turn>,
}

pub(crate) struct Turn {
    pub(crate) load: Load,
    pub(crate) server: Duration,
}

impl Server {
    pub(crate) fn new(
        name: &'static str,
        protocol: Protocol,
        requests: &Arc<[Request]>,
        processes: Vec<Arc<Process>>,
    ) -> Self {
        Self {
            name,
            protocol,
            requests: Arc::clone(requests),
            processes,
            turns: Vec::new(),
        }
    }

    pub(crate) fn turn(&self, duration: Duration) -> Turn {
        let time = || self.processes.iter().map(|process| process.time()).sum::<Duration>();
        let before = time();
        let address = self.processes.first().expect("a process").address;
        let load = load::ask(address, self.protocol, &self.requests, CONNECTIONS, duration);
        Turn {
            load,
            server: time().saturating_sub(before),
        }
    }

    pub(crate) fn measure(&mut self, duration: Duration) {
        let turn = self.turn(duration);
        self.turns.push(turn);
    }

    fn figures(&self, figure: impl Fn(&Turn) -> f64) -> Vec<f64> {
        self.turns.iter().map(figure).collect()
    }

    fn latencies(&self) -> Vec<f64> {
        let all = self.turns.iter().flat_map(|turn| &turn.load.latencies);
        let mut all: Vec<_> = all
            .map(|nanos| Duration::from_nanos(*nanos).as_secs_f64() * 1e9)
            .collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

impl Turn {
    pub(crate) fn count(&self) -> f64 {
        f64::from(u32::try_from(self.load.latencies.len()).expect("a count"))
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count() / self.load.took.as_secs_f64()
    }

    /// Microseconds of the servers' processor time for each answer.
    pub(crate) fn cost(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.count()
    }

    /// The part of one processor that the source of the requests took.
    fn own(&self) -> f64 {
        self.load.own.as_secs_f64() / self.load.took.as_secs_f64()
    }
}

/// Warms each of `servers` up, in which it must already answer as it will have to, and gives each its turn, round after round.
pub(crate) fn take(servers: &mut [Server], rounds: usize, turn: Duration) {
    for server in &*servers {
        server.turn(turn.div_f64(2.0));
    }
    for _ in 0..rounds {
        for server in &mut *servers {
            server.measure(turn);
        }
    }
}

/// Prints what each of `servers` did, under `heading`, and how the first compares with the others; keeps both under `kept`
/// and `kept` with `_ratios`.
pub(crate) fn tell(servers: &[Server], heading: &str, kept: &str) {
    println!(
        "\n| {heading} | requests a second | half / 99 % within | processor time a request | the source took of one processor |\n\
         |---|---:|---:|---:|---:|"
    );
    for server in servers {
        let [rate, cost, own] = [Turn::rate, Turn::cost, Turn::own].map(|figure| Quartiles::of(server.figures(figure)));
        let latencies = server.latencies();
        let within = |part: f64| percentile(&latencies, part);
        println!(
            "| {} | {:.0} ({:.0} to {:.0}) | {} / {} | {:.2} µs | {:.0} % |",
            server.name,
            rate.median,
            rate.low,
            rate.high,
            nanos(within(0.5)),
            nanos(within(0.99)),
            cost.median,
            own.median * 100.0,
        );
        let part = |n: u32| f64::from(n) / 200.0;
        let ends = [0.995, 0.999, 0.9995, 0.9999];
        let parts = (0..200).map(part).chain(ends);
        report::record(
            kept,
            json!({
                "name": server.name,
                "requests_a_second": server.figures(Turn::rate),
                "server_us_a_request": server.figures(Turn::cost),
                "source_of_one_processor": server.figures(Turn::own),
                "p50_ns": within(0.5),
                "p99_ns": within(0.99),
                "latency_ns": parts.map(|part| [part, within(part)]).collect::<Vec<_>>(),
            }),
        );
    }
    let Some((ours, others)) = servers.split_first() else {
        return;
    };
    println!(
        "\n| {} | requests a second | processor time a request |\n|---|---:|---:|",
        ours.name
    );
    for theirs in others {
        let ratio = |figure: fn(&Turn) -> f64| {
            let pairs = ours.turns.iter().zip(&theirs.turns);
            Quartiles::of(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
        };
        let (rate, cost) = (ratio(Turn::rate), ratio(Turn::cost));
        println!(
            "| against {} | {:.2} × ({:.2} to {:.2}) | 1 / {:.2} |",
            theirs.name,
            rate.median,
            rate.low,
            rate.high,
            1.0 / cost.median
        );
        let of = |ratio: Quartiles| json!({ "low": ratio.low, "median": ratio.median, "high": ratio.high });
        report::record(
            &format!("{kept}_ratios"),
            json!({ "against": theirs.name, "rate": of(rate), "processor_time": of(cost) }),
        );
    }
}

/// The latency that so great a `part` of the answers stayed within.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let steps = 10_000_u32;
    let place = (1..=steps)
        .take_while(|step| f64::from(*step) <= part * f64::from(steps))
        .count();
    let last = sorted.len().saturating_sub(1);
    let place = last
        .saturating_mul(place)
        .div_euclid(usize::try_from(steps).unwrap_or(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
