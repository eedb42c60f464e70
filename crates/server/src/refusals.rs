//! Refused calls on their way into the audit trail. Anybody can make them, as many as they like, so what is recorded is
//! bounded: the first of each sort in a minute at once, and at its end how many more there were.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ostracon_core::UnixTime;

use crate::{sender::Sender, trail::Entry};

/// How long calls are counted together.
const TOGETHER: Duration = Duration::from_mins(1);

/// Sorts of calls that are told apart in that time; of more only their number is kept.
const MOST: usize = 16;

/// A call that was refused.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Refusal {
    /// Why, as the answer says.
    pub(crate) code: &'static str,
    /// The route as it is configured, never what was asked for.
    pub(crate) route: Box<str>,
    /// The client that was named, if there is one of that name.
    pub(crate) client: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: UnixTime,
    /// Calls of each sort behind the first.
    more: HashMap<(Refusal, Option<IpAddr>), u64>,
    others: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Window {
            began: UnixTime::EPOCH,
            more: HashMap::new(),
            others: 0,
        }))
    }
}

impl Refusals {
    /// Counts a refused call at `now`: what is to be recorded of it, and of those before.
    pub(crate) fn note(&self, refusal: Refusal, sender: &Sender, now: UnixTime) -> Vec<Entry> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        if now < window.began || now.since(window.began) >= TOGETHER {
            entries = window.end();
            window.began = now;
        }
        let entry = entry(&refusal, sender.address).from(sender);
        let room = window.more.len() < MOST;
        match window.more.entry((refusal, sender.address)) {
            std::collections::hash_map::Entry::Occupied(mut more) => {
                *more.get_mut() = more.get().saturating_add(1);
            }
            std::collections::hash_map::Entry::Vacant(first) if room => {
                first.insert(0);
                entries.push(entry);
            }
            std::collections::hash_map::Entry::Vacant(_) => window.others = window.others.saturating_add(1),
        }
        entries
    }

    /// What was counted and is not recorded yet.
    pub(crate) fn flush(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end()
    }
}

impl Window {
    fn end(&mut self) -> Vec<Entry> {
        let began = self.began.as_secs();
        let told = |entry: Entry, more: u64| entry.with("more", more).with("since", began);
        let mut entries: Vec<_> = self
            .more
            .drain()
            .filter(|(_, more)| *more > 0)
            .map(|((refusal, address), more)| told(entry(&refusal, address), more))
            .collect();
        if self.others > 0 {
            entries.push(told(
                Entry::new("refused").outcome("various"),
                std::mem::take(&mut self.others),
            ));
        }
        entries
    }
}

fn entry(refusal: &Refusal, address: Option<IpAddr>) -> Entry {
    let kind = match refusal.code {
        "client_unauthorized" | "too_many_failures" => "login_failed",
        _ => "refused",
    };
    Entry::new(kind)
        .outcome(refusal.code)
        .with("route", &*refusal.route)
        .with("client", refusal.client.as_deref())
        .with("address", address.map(|address| address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(route: &str) -> Refusal {
        Refusal {
            code: "client_unauthorized",
            route: route.into(),
            client: None,
        }
    }

    /// Whatever is sent in a minute, it leaves a bounded number of records, and none of it is left out of the count.
    #[test]
    fn a_flood_leaves_a_few_records_that_count_all_of_it() {
        let refusals = Refusals::default();
        let sender = |n: u32| Sender {
            address: Some(IpAddr::from(n.to_be_bytes())),
            ..Sender::default()
        };
        let at = UnixTime::from_secs;
        let mut records = Vec::new();
        for n in 0..100_000 {
            records.extend(refusals.note(refusal("/v1/sessions"), &sender(n % 1000), at(1059)));
        }
        assert_eq!(records.len(), MOST);
        records.extend(refusals.note(refusal("/v1/sessions"), &sender(0), at(1119)));
        assert_eq!(
            records.len(),
            MOST * 2 + 2,
            "how many more, all the others, and the first of the next minute"
        );
        let counted: u64 = records
            .iter()
            .map(|entry| {
                let json = entry.clone().members();
                json.get("more").and_then(serde_json::Value::as_u64).unwrap_or(1)
            })
            .sum();
        assert_eq!(counted, 100_001);
        assert!(refusals.flush().is_empty(), "none behind the first");
        assert_eq!(refusals.note(refusal("/x"), &sender(0), at(1120)).len(), 1);
    }
}
