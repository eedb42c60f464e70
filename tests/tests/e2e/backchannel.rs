//! OpenID Connect Back-Channel Logout 1.0: an identity provider logs its users out.

use std::process::Command;

use ostracon_tests::{
    Answer, Home, Minter, Mood, Provider, Server, foreign_claims, forged, hs256_secret, now, wait_for,
};
use serde_json::{Value, json};

use crate::issuers::trust;

const IDP: &str = "https://idp.example";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const USUAL: &str = "audiences = [\"shop\"]\nmax_lifetime = \"1h\"\nlogout_audiences = [\"shop-web\"]";

fn claims(jti: &str, more: &Value) -> Value {
    let mut claims =
        json!({"iss": IDP, "aud": "shop-web", "iat": now(), "exp": now() + 120, "jti": jti, "events": {EVENT: {}}});
    for (name, value) in more.as_object().unwrap() {
        claims[name.as_str()] = value.clone();
    }
    claims
}

fn access(minter: &Minter, sub: &str, sid: &str) -> String {
    let mut claims = foreign_claims(IDP, sub);
    claims["sid"] = sid.into();
    claims["jti"] = format!("{sub} {sid}").into();
    minter.mint(&json!({"typ": "at+jwt"}), &claims)
}

fn send(server: &Server, token: &str) -> Answer {
    let form = format!("logout_token={token}&state=unknown-parameters-are-ignored");
    let answer = server.public.post_form("/auth/backchannel-logout", &form);
    assert_eq!(answer.header("cache-control"), "no-store", "P111");
    answer
}

fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

/// P108 to P112.
#[test]
fn p108_p111_what_is_named_ends() {
    let home = Home::new();
    let idp = Minter::es256();
    trust(&home, IDP, &idp, USUAL);
    let server = home.start();
    let logout = |jti: &str, more: Value| send(&server, &idp.mint(&json!({"typ": "logout+jwt"}), &claims(jti, &more)));
    let all = [("alice", "s1"), ("alice", "s2"), ("bob", "s3")].map(|(sub, sid)| access(&idp, sub, sid));
    let passing = || [0, 1, 2].map(|n| server.passes(&all[n]));
    assert_eq!(passing(), [true; 3]);
    // A session, with and without its subject.
    let ended = logout("1", json!({"sid": "s1", "sub": "alice"}));
    assert_eq!((ended.status, ended.body.as_str()), (200, ""));
    assert_eq!(passing(), [false, true, true]);
    assert_eq!(server.verify(&all[0]).problem().1, "token_revoked");
    assert_eq!(logout("2", json!({"sid": "s3"})).status, 200);
    assert_eq!(passing(), [false, true, false]);
    assert_eq!(logout("3", json!({"sid": "s3"})).status, 200, "already out");
    // A subject: all sessions.
    assert_eq!(logout("4", json!({"sub": "alice"})).status, 200);
    assert_eq!(passing(), [false; 3]);
    // A64, A80: a name is one within its issuer; of another, it ends nothing.
    let own = server.log_in("alice");
    assert_eq!(logout("own", json!({"sid": own.sid, "sub": "alice"})).status, 200);
    assert_eq!(logout(&own.jti, json!({"sub": "alice"})).status, 200);
    assert!(server.passes(&own.access) && server.refresh(&own.refresh).status == 200);
    // Whom nobody here knows is as much out.
    assert_eq!(logout("5", json!({"sub": "nobody"})).status, 200);
    // I4: and it stays so.
    server.kill();
    let server = home.start();
    assert!(all.iter().all(|token| !server.passes(token)));
}

/// P110, A80: presented again, a token has no effect on what began since, and its sender is told that it is done.
#[test]
fn p110_a_logout_token_counts_once() {
    let home = Home::new();
    let idp = Minter::es256();
    trust(&home, IDP, &idp, USUAL);
    let server = home.start();
    // It is a minute old, as is the session; the next login is not.
    let minute_ago = json!({"sub": "alice", "iat": now() - 60, "exp": now() + 60});
    let logout = idp.mint(&json!({"typ": "logout+jwt"}), &claims("j", &minute_ago));
    let old = access(&idp, "alice", "old");
    assert_eq!(send(&server, &logout).status, 200);
    assert!(!server.passes(&old));
    let listed = || server.admin.get("/v1/revocations").json();
    let before = listed();
    // A cut-off covers its whole second.
    let cutoff = now();
    wait_for("the next second", || now() > cutoff);
    let new = access(&idp, "alice", "new");
    assert!(server.passes(&new));
    assert_eq!(send(&server, &logout).status, 200);
    assert!(server.passes(&new) && !server.passes(&old));
    assert_eq!(listed(), before);
    drop(server);
    let server = home.start();
    assert_eq!(send(&server, &logout).status, 200);
    assert!(server.passes(&new), "also after a restart");
}

#[test]
fn p109_p111_what_is_not_a_logout_token_has_no_effect() {
    let home = Home::new();
    let (idp, stranger) = (Minter::es256(), Minter::es256());
    let app = "https://app.example";
    trust(&home, IDP, &idp, USUAL);
    trust(
        &home,
        app,
        &stranger,
        "audiences = [\"shop\"]\nmax_lifetime = \"1h\"\nuntyped_access = [\"JWT\"]",
    );
    let server = home.start();
    let good = json!({"sub": "u", "sid": "s"});
    let typ = json!({"typ": "logout+jwt"});
    let alive = access(&idp, "u", "s");
    let changed = |more: Value| idp.mint(&typ, &claims("j", &more));
    let without = |name: &str| {
        let mut claims = claims("j", &good);
        claims.as_object_mut().unwrap().remove(name);
        idp.mint(&typ, &claims)
    };
    let with_sub = |more: Value| {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        changed(all)
    };
    let bad = [
        "junk".to_owned(),
        forged(&changed(good.clone())),
        stranger.mint(&typ, &claims("j", &good)),
        // An issuer that no logouts are taken of, and our own.
        stranger.mint(&typ, &claims("j", &json!({"iss": app, "sub": "u"}))),
        idp.mint(&typ, &claims("j", &json!({"iss": "https://auth.example", "sub": "u"}))),
        // P110: untyped only by option. P36: an access token.
        idp.mint(&json!({"typ": "JWT"}), &claims("j", &good)),
        idp.mint(&json!({}), &claims("j", &good)),
        idp.mint(&json!({"typ": "at+jwt"}), &claims("j", &good)),
        alive.clone(),
        without("iss"),
        without("aud"),
        without("iat"),
        without("exp"),
        without("jti"),
        without("events"),
        changed(json!({})),
        with_sub(json!({"nonce": "n"})),
        with_sub(json!({"events": {}})),
        with_sub(json!({"events": {EVENT: []}})),
        with_sub(json!({"events": EVENT})),
        with_sub(json!({"aud": "shop"})),
        with_sub(json!({"exp": now() - 60, "iat": now() - 120})),
        with_sub(json!({"iat": now() + 600, "exp": now() + 700})),
        with_sub(json!({"exp": now() + 3700})),
    ];
    for (n, token) in bad.iter().enumerate() {
        assert_eq!(error(&send(&server, token)), (400, "invalid_request".into()), "{n}");
    }
    let raw = |content_type: &str, body: &str| {
        let post = &"POST".parse().unwrap();
        server
            .public
            .send(post, "/auth/backchannel-logout", content_type, body.into())
    };
    let token = changed(good.clone());
    let form = "application/x-www-form-urlencoded";
    for (content_type, body) in [
        (form, String::new()),
        (form, "logout_token=".to_owned()),
        (form, format!("logout_token={token}&logout_token={token}")),
        (form, format!("logout_token={}", "x".repeat(100_000))),
        ("application/json", json!({"logout_token": token}).to_string()),
        ("text/plain", format!("logout_token={token}")),
    ] {
        assert_eq!(
            error(&raw(content_type, &body)),
            (400, "invalid_request".into()),
            "{content_type}"
        );
    }
    assert_eq!(
        server
            .public
            .get(&format!("/auth/backchannel-logout?logout_token={token}"))
            .status,
        405
    );
    assert!(server.passes(&alive), "all of that had no effect");
    assert_eq!(server.admin.get("/v1/revocations").json()["revocations"], json!([]));
    // Nor has the word of a key that is cut off.
    let key = json!({"target": {"kind": "key", "iss": IDP, "kid": "unnamed"}, "before": now() + 60});
    assert_eq!(server.admin.post_json("/v1/revocations", &key).status, 201);
    let answer = send(&server, &token);
    assert_eq!(error(&answer), (400, "invalid_request".into()));
    assert!(answer.body.contains("revoked"), "{answer:?}");
}

/// Providers whose access tokens name no session end all of a subject; older ones have a `typ` that says nothing.
#[test]
fn p110_what_a_provider_leaves_out_is_for_the_configuration_to_allow() {
    let home = Home::new();
    let idp = Minter::rs256();
    let more =
        "logout_ends = \"subject\"\nuntyped_logout = [\"JWT\", \"absent\"]\nuntyped_access = [\"JWT\", \"absent\"]";
    trust(&home, IDP, &idp, &format!("{USUAL}\n{more}"));
    let server = home.start();
    for (header, sub) in [(json!({"typ": "JWT"}), "alice"), (json!({}), "bob")] {
        let token = idp.mint(&header, &foreign_claims(IDP, sub));
        assert!(server.passes(&token));
        let logout = idp.mint(
            &header,
            &claims(sub, &json!({"sub": sub, "sid": "a session that no token names"})),
        );
        assert_eq!(server.verify(&logout).problem().1, "token_unsupported");
        assert_eq!(
            error(&send(&server, &token)).0,
            400,
            "P36: an access token is no logout token"
        );
        assert_eq!(send(&server, &logout).status, 200);
        assert!(!server.passes(&token));
    }
}

/// I5: what is not written down is not told to have ended, and can be sent again.
#[test]
fn i5_a_store_that_cannot_write_is_told() {
    let home = Home::new();
    let idp = Minter::hs256(hs256_secret());
    trust(&home, IDP, &idp, USUAL);
    // Files of at most 600 KiB, and an error instead of the signal that would end the process.
    let server = home.start_under(Command::new("bash").args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$@\"", "-"]));
    let alive = access(&idp, "u", "alive");
    let typ = json!({"typ": "logout+jwt"});
    let failed = (0..20_000).find_map(|n| {
        let long = format!("{n}-{}", "x".repeat(200));
        let answer = send(&server, &idp.mint(&typ, &claims(&long, &json!({"sid": long}))));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(error(&failed.unwrap()), (503, "temporarily_unavailable".into()));
    let logout = idp.mint(&typ, &claims("j", &json!({"sid": "alive"})));
    assert_eq!(error(&send(&server, &logout)), (503, "temporarily_unavailable".into()));
    assert!(server.passes(&alive));
    server.kill();
    let server = home.start();
    assert_eq!(send(&server, &logout).status, 200, "it was not noted as carried out");
    assert!(!server.passes(&alive));
}

#[test]
fn p111_keys_that_cannot_be_had_are_no_answer() {
    let home = Home::new();
    let idp = Minter::es256();
    let provider = Provider::start(Mood::Fails);
    home.configure(|text| {
        let url = provider.jwks_url();
        format!("{text}\n[[issuers]]\niss = \"{IDP}\"\nalgorithms = [\"ES256\"]\njwks_url = \"{url}\"\n{USUAL}\n")
    });
    let server = home.start();
    let logout = idp.mint(
        &json!({"typ": "logout+jwt", "kid": "k"}),
        &claims("j", &json!({"sub": "u"})),
    );
    assert_eq!(error(&send(&server, &logout)), (503, "temporarily_unavailable".into()));
    provider.becomes(Mood::Keys(vec![idp.jwk("k")]));
    wait_for("the keys", || send(&server, &logout).status == 200);
    assert_eq!(
        server.admin.get("/v1/revocations").json()["revocations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
