//! What a body asks for is what `serde_json` reads in it, no member stands twice, and a line of a batch is no other than a
//! body by itself; a refusal repeats nothing that was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::{Kind, Policy, UnixTime};
use ostracon_fuzz::{SECRET, json};
use ostracon_server::fuzzing::{self, transfer};
use ostracon_store::audit::MAX_TEXT_BYTES;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let strict = json(bytes);
    let by_itself = fuzzing::revocation(bytes, false);
    let on_a_line = fuzzing::revocation(bytes, true);
    assert_eq!(by_itself.as_ref().ok(), on_a_line.as_ref().ok());
    if let Err((_, told)) = &on_a_line {
        assert!(!told.contains(SECRET), "{told}");
    }
    if let Ok(Some(revocation)) = by_itself {
        let json = strict.as_ref().expect("members that stand once");
        let target = &json["target"];
        // An issuer has no name beside itself.
        let named = |target: &Value, name: &str| target.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let name = match revocation.target().as_ref().kind() {
            Kind::Token => "jti",
            Kind::Session => "sid",
            Kind::Subject => "sub",
            Kind::Client => "client_id",
            Kind::Key => "kid",
            Kind::Issuer => "name",
        };
        assert_eq!(
            target["kind"].as_str(),
            Some(revocation.target().as_ref().kind().as_str())
        );
        assert_eq!(named(target, name), revocation.target().as_ref().name());
        assert_eq!(
            target.get("iss").map_or(Some(transfer::ISSUER), Value::as_str),
            Some(transfer::ISSUER)
        );
        assert_eq!(
            json.get("note").and_then(Value::as_str),
            revocation.note().map(|note| note.as_str())
        );
        if let Some(before) = json.get("before").and_then(Value::as_u64) {
            assert_eq!(revocation.cutoff(), Some(UnixTime::from_secs(before)));
        }
        // I1: it is kept until what it denies is refused anyway, and it is kept for something, and not for ever.
        let policy = Policy::default();
        if let Some(exp) = json.get("exp").and_then(Value::as_u64) {
            let forgettable = policy.forgettable(UnixTime::from_secs(exp));
            assert!(revocation.retained_until() >= forgettable && forgettable > transfer::NOW);
        }
        let latest = transfer::NOW.saturating_add(2 * policy.longest_lifetime() + 401 * 24 * HOUR);
        assert!(transfer::NOW < revocation.retained_until() && revocation.retained_until() < latest);
        // It fits into the audit log, on one line, and says the same there.
        let record = fuzzing::audit_record(&revocation, "web");
        assert!(record.len() <= MAX_TEXT_BYTES && !record.contains('\n'));
        let record: Value = serde_json::from_str(&record).expect("JSON");
        assert_eq!(named(&record["target"], name), revocation.target().as_ref().name());
        assert_eq!(record.get("note"), json.get("note").filter(|note| !note.is_null()));
    }

    match fuzzing::login(bytes, "web") {
        Ok(login) => {
            let json = strict.expect("members that stand once");
            assert_eq!(json["sub"].as_str(), Some(&*login.sub));
            assert_eq!(json.get("device").and_then(Value::as_str), login.device.as_deref());
            assert_eq!(json.get("scope").and_then(Value::as_str).unwrap_or(""), login.scope);
            let client = json.get("client_id").and_then(Value::as_str).unwrap_or("web");
            assert_eq!(login.client_id.as_deref(), Some(client));
            let aud: Vec<_> = match json.get("aud") {
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                one => one.and_then(Value::as_str).into_iter().collect(),
            };
            assert_eq!(login.aud, aud);
            let claims = json.get("claims").cloned().unwrap_or(Value::Object(Default::default()));
            assert_eq!(Value::Object(login.claims), claims);
        }
        Err((_, told)) => {
            // A member that nobody knows is named to who sent it; nothing else is.
            let named = told.contains("unknown field")
                || strict.is_some_and(|json| names(&json).any(|name| name.contains(SECRET)));
            assert!(named || !told.contains(SECRET), "{told}");
        }
    }
});

const HOUR: core::time::Duration = core::time::Duration::from_hours(1);

fn names(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::Object(object) => Box::new(
            object
                .iter()
                .flat_map(|(name, value)| core::iter::once(&**name).chain(names(value))),
        ),
        Value::Array(items) => Box::new(items.iter().flat_map(names)),
        _ => Box::new(core::iter::empty()),
    }
}
