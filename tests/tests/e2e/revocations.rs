//! What trusted backends may ask: sessions and revocations.

use ostracon_tests::{Home, Login, Server};
use serde_json::{Value, json};

fn revoke(server: &Server, body: &Value) -> (u16, Value) {
    let answer = server.admin.post_json("/v1/revocations", body);
    (answer.status, answer.json())
}

/// A kind, and how it names what a login is hit by.
type Named<'a> = (&'a str, Box<dyn Fn(&Login) -> Value>);

#[test]
fn each_of_the_six_kinds_ends_what_it_names() {
    let home = Home::new();
    let server = home.start();
    let kid = home.key().0;
    let begin = || server.log_in_with(&json!({"sub": "user-42", "client_id": "web"}));
    let targets: [Named<'_>; 6] = [
        ("token", Box::new(|l| json!({"jti": l.jti}))),
        ("session", Box::new(|l| json!({"sid": l.sid}))),
        ("subject", Box::new(|_| json!({"sub": "user-42"}))),
        ("client", Box::new(|_| json!({"client_id": "web"}))),
        ("key", Box::new(move |_| json!({"kid": kid}))),
        ("issuer", Box::new(|_| json!({}))),
    ];
    for (kind, name) in targets {
        let login = begin();
        assert!(server.passes(&login.access), "{kind}");
        let mut target = name(&login);
        target["kind"] = kind.into();
        let body = json!({"target": target, "reason": "password_change", "note": "ticket 4711"});
        let (status, receipt) = revoke(&server, &body);
        assert_eq!(status, 201, "{receipt}");
        assert_eq!(
            receipt["target"]["iss"], "https://auth.example",
            "the server's own by default"
        );
        assert_eq!(
            (&receipt["reason"], &receipt["note"]),
            (&json!("password_change"), &json!("ticket 4711"))
        );
        assert_eq!(receipt["durable"], true);
        assert!(receipt["effective_at"].as_u64().unwrap() < receipt["retained_until"].as_u64().unwrap());
        assert_eq!(receipt["before"].is_u64(), !matches!(kind, "token" | "session"));
        assert_eq!(
            server.verify(&login.access).problem(),
            (401, "token_revoked".into()),
            "{kind}"
        );
        assert!(server.passes(&begin().access), "{kind}: a new login lives");
    }
}

#[test]
fn the_stricter_of_two_stands() {
    let home = Home::new();
    let server = home.start();
    let then = ostracon_tests::now() - 1000;
    let body = |before: u64| json!({"target": {"kind": "subject", "sub": "u"}, "before": before});
    let (status, first) = revoke(&server, &body(then));
    assert_eq!((status, &first["before"]), (201, &json!(then)));
    let (status, laxer) = revoke(&server, &body(then - 1));
    assert_eq!(
        (status, &laxer["before"], &laxer["id"]),
        (200, &first["before"], &first["id"])
    );
    let (status, stricter) = revoke(&server, &body(then + 1));
    assert_eq!(
        (status, &stricter["before"], &stricter["id"]),
        (201, &json!(then + 1), &first["id"])
    );
    let login = server.log_in("u");
    assert!(server.passes(&login.access), "issued later than all of them");
    // A cut-off in the future denies at once, and what is issued until then.
    let ahead = ostracon_tests::now() + 1000;
    assert_eq!(revoke(&server, &body(ahead)).0, 201);
    assert!(!server.passes(&login.access));
    let again = server.admin.post_json("/v1/sessions", &json!({"sub": "u"}));
    assert_eq!(
        again.problem(),
        (409, "revoked_ahead".into()),
        "no session is sold that is dead from the start"
    );
}

#[test]
fn a_token_is_revoked_by_itself_once_verified() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let (status, receipt) = revoke(&server, &json!({"token": login.access, "reason": "compromised"}));
    assert_eq!(
        (status, &receipt["target"]),
        (
            201,
            &json!({"kind": "token", "iss": "https://auth.example", "jti": login.jti})
        )
    );
    assert!(!server.passes(&login.access));
    let (status, again) = revoke(&server, &json!({"token": login.access}));
    assert_eq!((status, &again["id"]), (200, &receipt["id"]));
    assert_eq!(
        revoke(&server, &json!({"token": login.refresh})).0,
        201,
        "a refresh token, too"
    );
    for bad in ["junk".to_owned(), ostracon_tests::forged(&login.access)] {
        let answer = server.admin.post_json("/v1/revocations", &json!({"token": bad}));
        assert_eq!(answer.problem().0, 422);
        assert!(
            answer.headers.get("www-authenticate").is_none(),
            "it is not the caller's"
        );
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_member() {
    let home = Home::new();
    let server = home.start();
    for (body, member) in [
        (json!({}), "target"),
        (json!({"target": {"kind": "token"}}), "jti"),
        (
            json!({"target": {"kind": "subject", "sub": "u", "iss": "https://auth.example/"}}),
            "iss",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "before": 0}),
            "before",
        ),
        (json!({"target": {"kind": "nothing"}}), "target"),
        (json!({"target": {"kind": "token", "jti": ""}}), "empty"),
        (json!({"target": {"kind": "token", "jti": "j", "sub": "u"}}), "target"),
        (json!({"target": {"kind": "token", "jti": "j"}, "before": 1}), "before"),
        (
            json!({"target": {"kind": "token", "jti": "j"}, "exp": 1_790_000_000_000_u64}),
            "exp",
        ),
        (
            json!({"target": {"kind": "token", "jti": "j"}, "exp": 1_700_000_000}),
            "has ended",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "exp": 1_790_000_000}),
            "exp",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "before": 1_790_000_000_000_u64}),
            "before",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "before": -1}),
            "before",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "reason": "mood"}),
            "reason",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "note": "a\nb"}),
            "note",
        ),
        (
            json!({"target": {"kind": "subject", "sub": "u"}, "token": "x"}),
            "target",
        ),
        (json!({"target": "eyJhbGciOiJub25lIn0.e30."}), "target"),
    ] {
        let answer = server.admin.post_json("/v1/revocations", &body);
        assert_eq!(answer.problem(), (422, "member_invalid".into()), "{body}");
        assert!(
            answer.body.contains(member) && !answer.body.contains("eyJ"),
            "{}",
            answer.body
        );
    }
}

#[test]
fn a_login_that_cannot_be_is_refused_with_its_member() {
    let home = Home::new();
    let server = home.start();
    for (body, member) in [
        (json!({}), "sub"),
        (json!({"sub": ""}), "sub"),
        (json!({"sub": "x".repeat(256)}), "sub"),
        (json!({"sub": "a\nb"}), "sub"),
        (json!({"sub": 7}), "sub"),
        (json!({"sub": "u", "scope": "a  b"}), "scope"),
        (json!({"sub": "u", "aud": ""}), "aud"),
        (json!({"sub": "u", "aud": []}), "aud"),
        (json!({"sub": "u", "claims": {"exp": 1}}), "claims.exp"),
        (json!({"sub": "u", "claims": {"sid": "x"}}), "claims.sid"),
        (json!({"sub": "u", "claims": {"big": "x".repeat(4000)}}), "claims"),
        (json!({"sub": "u", "claims": [1]}), "claims"),
        (json!({"sub": "u", "clams": {}}), "clams"),
    ] {
        let answer = server.admin.post_json("/v1/sessions", &body);
        assert_eq!(answer.problem(), (422, "member_invalid".into()), "{body}");
        assert!(answer.body.contains(member), "{member}: {}", answer.body);
    }
    for body in [
        r#"{"target":{"kind":"subject","sub":"a","sub":"b"}}"#,
        r#"{"target":{"kind":"subject","sub":"a"},"target":{"kind":"subject","sub":"a"}}"#,
    ] {
        let answer = server.admin.send(
            &ureq::http::Method::POST,
            "/v1/revocations",
            "application/json",
            body.into(),
        );
        assert_eq!(answer.problem(), (422, "member_invalid".into()), "P004: {body}");
    }
    let text = |content_type, body: &str| {
        let method = ureq::http::Method::POST;
        server
            .admin
            .send(&method, "/v1/revocations", content_type, body.into())
            .problem()
            .0
    };
    assert_eq!(text("application/json", "{"), 400);
    assert_eq!(text("application/json", "{}{}"), 400);
    assert_eq!(text("text/plain", "{}"), 415);
    assert_eq!(
        text("application/json", &format!("{{\"note\":\"{}\"}}", "x".repeat(70_000))),
        413
    );
}

#[test]
fn clients_are_told_apart_and_kept_to_their_roles() {
    let home = Home::new();
    home.configure(|text| {
        text.replace(
            r#"roles = ["issue", "revoke", "introspect", "read"]"#,
            r#"roles = ["issue"]"#,
        )
    });
    let server = home.start();
    let body = json!({"target": {"kind": "subject", "sub": "u"}});
    assert_eq!(
        server.admin.post_json("/v1/revocations", &body).problem(),
        (403, "role_missing".into())
    );
    let stranger = server
        .admin
        .as_client("backend", "guess")
        .post_json("/v1/sessions", &json!({"sub": "u"}));
    assert_eq!(stranger.problem(), (401, "client_unauthorized".into()));
    assert!(stranger.header("www-authenticate").starts_with("Basic realm="));
    // A93: a user's token opens nothing here.
    let token = server.log_in("u").access;
    assert_eq!(
        server
            .admin
            .bearer(&token)
            .post_json("/v1/sessions", &json!({"sub": "u"}))
            .problem()
            .0,
        401
    );
    assert!(server.passes(&token), "nothing was revoked by any of it");
}

#[test]
fn p123_live_sessions_are_listed_and_ended_one_by_one() {
    let home = Home::new();
    let server = home.start();
    let listed = |server: &Server, sub: &str| -> Vec<String> {
        let answer = server.admin.get(&format!("/v1/sessions?sub={sub}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let sids = json["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["sid"].as_str().unwrap().to_owned());
        sids.collect()
    };
    let phone = server.log_in_with(&json!({"sub": "user 42", "client_id": "web", "device": "Firefox on a phone"}));
    let desk = server.log_in_with(&json!({"sub": "user 42"}));
    server.log_in("user-7");
    ostracon_tests::wait_for("both to be listed", || listed(&server, "user+42").len() == 2);
    let all = server.admin.get("/v1/sessions?sub=user+42").json();
    let first = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["sid"] == phone.sid.as_str())
        .unwrap();
    assert_eq!(
        (&first["device"], &first["client_id"], &first["sub"]),
        (&json!("Firefox on a phone"), &json!("web"), &json!("user 42"))
    );
    assert_eq!(first["created_at"], first["refreshed_at"]);
    assert!(first["expires_at"].as_u64() > first["created_at"].as_u64());

    let end = |sid: &str| {
        server.admin.send(
            &ureq::http::Method::DELETE,
            &format!("/v1/sessions/{sid}"),
            "",
            Vec::new(),
        )
    };
    let ended = end(&phone.sid);
    assert_eq!((ended.status, &ended.json()["target"]["sid"]), (201, &json!(phone.sid)));
    wait_for_the_next_second();
    assert_eq!(end(&phone.sid).status, 200, "it was so already");
    let one = server.admin.get("/v1/sessions?sub=user+42&limit=1").json();
    assert_eq!(
        one["sessions"][0]["sid"],
        desk.sid.as_str(),
        "what has ended takes nobody's place"
    );
    assert_eq!(listed(&server, "user+42"), [desk.sid.as_str()]);
    assert!(!server.passes(&phone.access) && server.passes(&desk.access));
    assert_eq!(server.admin.get("/v1/sessions").problem().0, 400);
    assert_eq!(server.admin.get("/v1/sessions?sub=u&limit=0").problem().0, 400);
    assert_eq!(
        server.admin.get("/v1/sessions?sub=u&lmit=1").problem().0,
        400,
        "a slip is told"
    );
    server.terminate();
    assert!(server.ended().0.success());
    let server = home.start();
    assert_eq!(listed(&server, "user+42"), [desk.sid.as_str()], "after a restart, too");
    server.public.bearer(&desk.access).post("/logout?scope=everywhere");
    assert!(listed(&server, "user+42").is_empty());
}

fn wait_for_the_next_second() {
    let now = ostracon_tests::now();
    ostracon_tests::wait_for("the next second", || ostracon_tests::now() > now);
}
