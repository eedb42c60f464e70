//! What a reload changes, as the audit trail tells it: names of keys and clients, never what they are.

use serde_json::{Value, json};

use crate::{app::App, trail::Entry};

impl App {
    /// What changes when `next` takes the place of this.
    pub(crate) fn changes(&self, next: &Self) -> Entry {
        let keys = |app: &Self| -> Vec<_> {
            let named = app
                .keys
                .iter()
                .map(|key| (key.signing.kid().to_string(), (key.signs_from, key.retired_at)));
            named.collect()
        };
        let clients = |app: &Self| -> Vec<_> {
            let named = app
                .clients
                .iter()
                .map(|client| (client.id().to_owned(), client.clone()));
            named.collect()
        };
        Entry::new("configuration")
            .with("keys", differences(&keys(self), &keys(next)))
            .with("clients", differences(&clients(self), &clients(next)))
            .with("signs", next.signs())
            .outcome("loaded")
    }

    /// The names of keys and clients, as they are at a start.
    pub(crate) fn beginning(&self) -> Entry {
        let keys: Vec<_> = self.keys.iter().map(|key| key.signing.kid().to_string()).collect();
        let clients: Vec<_> = self.clients.iter().map(|client| client.id().to_owned()).collect();
        Entry::new("server_start")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("keys", keys)
            .with("clients", clients)
            .with("signs", self.signs())
    }

    fn signs(&self) -> Option<String> {
        self.signer().ok().map(|key| key.kid().to_string())
    }
}

/// The names that come, go and change; none where none does.
fn differences<T: PartialEq>(before: &[(String, T)], after: &[(String, T)]) -> Option<Value> {
    let old = |name: &str| before.iter().find(|(other, _)| other == name);
    let added = names(
        after
            .iter()
            .map(|(name, _)| name)
            .filter(|name| old(name).is_none())
            .collect(),
    );
    let is_gone = |name: &&String| after.iter().all(|(other, _)| other != *name);
    let removed = names(before.iter().map(|(name, _)| name).filter(is_gone).collect());
    let is_other = |(name, new): &&(String, T)| old(name).is_some_and(|(_, old)| old != new);
    let changed = names(after.iter().filter(is_other).map(|(name, _)| name).collect());
    let any = added.is_some() || removed.is_some() || changed.is_some();
    any.then(|| json!({"added": added, "removed": removed, "changed": changed}))
}

fn names(all: Vec<&String>) -> Option<Vec<&String>> {
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_go_and_change_are_told_and_nothing_else_is() {
        let all = |pairs: &[(&str, u8)]| -> Vec<_> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        let told = differences(
            &all(&[("a", 1), ("b", 2), ("c", 3)]),
            &all(&[("c", 3), ("b", 9), ("d", 4)]),
        );
        let expected = json!({"added": ["d"], "removed": ["a"], "changed": ["b"]});
        assert_eq!(told, Some(expected));
        assert_eq!(differences(&all(&[("a", 1)]), &all(&[("a", 1)])), None);
    }
}
