//! Tokens that something else issues: an application with a key of its own, or an identity provider.

use std::{fs, os::unix::fs::PermissionsExt};

use ostracon_tests::{Home, Minter, Server, foreign_claims, forged, hs256_secret, now, wait_for};
use serde_json::{Value, json};

const APP: &str = "https://app.example";

/// Lets `home` trust `iss` with the key of `minter` and what `more` says.
pub(crate) fn trust(home: &Home, iss: &str, minter: &Minter, more: &str) {
    let file = format!("{}.key", iss.rsplit('/').next().unwrap());
    let (member, bytes) = match minter {
        Minter::Secret(secret) => ("secret_file", secret.clone()),
        _ => ("public_key_file", minter.public_pem().into_bytes()),
    };
    let path = home.path().join(&file);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let alg = minter.alg();
    home.configure(|text| {
        format!("{text}\n[[issuers]]\niss = \"{iss}\"\nalgorithms = [\"{alg}\"]\n{member} = \"{file}\"\n{more}\n")
    });
}

const USUAL: &str = "audiences = [\"shop\"]\nmax_lifetime = \"1d\"\nuntyped_access = [\"JWT\"]";

/// A token as the usual library makes it: neither `kid` nor `jti`, and a `typ` that says nothing.
fn plain(minter: &Minter, sub: &str) -> String {
    minter.mint(&json!({"typ": "JWT"}), &foreign_claims(APP, sub))
}

fn as_browser(server: &Server, token: &str) -> ostracon_tests::Ask {
    let cookie = format!("USER_SESSION={token}");
    server
        .public
        .with("Cookie", &cookie)
        .with("Sec-Fetch-Site", "same-origin")
}

/// The story that this is for: an application mints its tokens as it always has, keeps them in its cookie, and now logs
/// them out.
#[test]
fn an_application_that_mints_its_own_tokens_gets_logout_without_changing_them() {
    // A secret as it stands in a variable of the application, and in a file that an editor wrote.
    let text = "9f2c64b01ad3587ee0417bb6c8d92f3510aa7cd46be85f19c37204d8e6f1ab53";
    for minter in [Minter::hs256(text), Minter::rs256(), Minter::es256()] {
        let home = Home::new();
        trust(&home, APP, &minter, USUAL);
        if let Minter::Secret(secret) = &minter {
            fs::write(home.path().join("app.example.key"), [secret.as_slice(), b"\n"].concat()).unwrap();
        }
        home.configure(|text| text.replace("\"__Host-USER_SESSION\"", "\"USER_SESSION\""));
        let server = home.start();
        let (mine, other) = (plain(&minter, "alice"), plain(&minter, "bob"));
        let browser = as_browser(&server, &mine);
        let seen = browser.get("/auth/verify");
        assert_eq!((seen.status, seen.header("x-auth-subject")), (200, "alice"), "{seen:?}");
        // I7: what only looks like it changes nothing.
        let logout = as_browser(&server, &forged(&mine)).post("/logout");
        assert_eq!((logout.status, logout.revoked()), (200, Vec::new()));
        assert_eq!(browser.get("/auth/verify").status, 200);

        let logout = browser.post("/logout");
        assert_eq!((logout.status, logout.revoked()), (200, vec!["token".to_owned()]));
        let cleared = logout.headers.get_all("set-cookie").iter();
        assert!(
            cleared
                .filter_map(|v| v.to_str().ok())
                .any(|v| v.starts_with("USER_SESSION=;") && v.contains("Max-Age=0"))
        );
        let replayed = browser.get("/auth/verify");
        assert_eq!(replayed.problem(), (401, "token_revoked".into()), "the copied cookie");
        assert!(server.passes(&other), "and nobody else's");
        // The next login is another token, also within the same second if it says anything else.
        let mut again = foreign_claims(APP, "alice");
        again["login"] = 2.into();
        let again = minter.mint(&json!({"typ": "JWT"}), &again);
        assert!(server.passes(&again));
        // I4: it stays so.
        server.kill();
        let server = home.start();
        assert!(!server.passes(&mine) && server.passes(&other) && server.passes(&again));
        // Everywhere: all that the subject has, and nobody else.
        let logout = server.public.bearer(&again).post("/logout?scope=everywhere");
        assert_eq!(logout.revoked(), ["subject"]);
        assert!(!server.passes(&again) && !server.passes(&plain(&minter, "alice")) && server.passes(&other));
    }
}

/// As applications do that have never thought of others: no `iss`, no `aud`, and a number for a user.
#[test]
fn tokens_that_say_next_to_nothing_are_logged_out_too() {
    let home = Home::new();
    let minter = Minter::hs256(hs256_secret());
    let bare = "iss_absent = true\nany_audience = true\nmax_lifetime = \"1d\"\nuntyped_access = [\"JWT\"]\nclaims = { sub = \"id\" }";
    trust(&home, APP, &minter, bare);
    let server = home.start();
    let token = |id: u64| {
        minter.mint(
            &json!({"typ": "JWT"}),
            &json!({"id": id, "iat": now(), "exp": now() + 600}),
        )
    };
    let (mine, other) = (token(42), token(43));
    assert_eq!(server.verify(&mine).header("x-auth-subject"), "42");
    assert_eq!(server.public.bearer(&mine).post("/logout").revoked(), ["token"]);
    assert!(!server.passes(&mine) && server.passes(&other));
    let target = json!({"target": {"kind": "subject", "iss": APP, "sub": "43"}, "reason": "password_change"});
    assert_eq!(server.admin.post_json("/v1/revocations", &target).status, 201);
    assert!(!server.passes(&other));
    let stranger = Minter::hs256(hs256_secret());
    let forged = stranger.mint(
        &json!({"typ": "JWT"}),
        &json!({"id": 44, "iat": now(), "exp": now() + 600}),
    );
    assert_eq!(server.verify(&forged).problem().1, "signature_invalid");
}

/// An ECDSA signature has a second valid spelling; a token without `jti` does not come back by it (A27, A30).
#[test]
fn a27_a_token_without_jti_goes_by_what_is_signed() {
    let home = Home::new();
    let minter = Minter::es256();
    trust(&home, APP, &minter, USUAL);
    let server = home.start();
    let claims = foreign_claims(APP, "alice");
    let (one, same) = (0..2)
        .map(|_| minter.mint(&json!({"typ": "JWT"}), &claims))
        .collect::<Vec<_>>()
        .try_into()
        .map(|[one, same]: [String; 2]| (one, same))
        .unwrap();
    assert!(one != same && server.passes(&one) && server.passes(&same));
    server.public.bearer(&one).post("/logout");
    assert!(
        !server.passes(&one) && !server.passes(&same),
        "signed anew, it is the same token"
    );
}

fn full(more: &Value) -> Value {
    let mut claims = foreign_claims(APP, "alice");
    for (name, value) in more.as_object().unwrap() {
        claims[name.as_str()] = value.clone();
    }
    claims
}

#[test]
fn every_endpoint_takes_them() {
    let home = Home::new();
    let minter = Minter::es256();
    let more = format!("{USUAL}\nkid = \"app-1\"\nclaims = {{ client_id = \"azp\", scope = \"scp\" }}");
    trust(&home, APP, &minter, &more);
    home.configure(|text| text.replace("\"read\"]", "\"read\", \"admin\"]"));
    let server = home.start();
    let signed = |sid: &str, jti: &str| {
        let claims = json!({"sid": sid, "jti": jti, "azp": "backend", "scp": ["read", "write"]});
        minter.mint(&json!({"typ": "JWT", "kid": "app-1"}), &full(&claims))
    };
    let seen = server
        .public
        .bearer(&signed("s", "j"))
        .get("/auth/verify?aud=shop&scope=write");
    let headers = ["x-auth-session", "x-auth-client", "x-auth-scope", "x-auth-token-id"].map(|name| seen.header(name));
    assert_eq!(headers, ["s", "backend", "read write", "j"]);
    let refused = server.public.bearer(&signed("s", "j")).get("/auth/verify?aud=app");
    assert_eq!(refused.problem(), (401, "audience_mismatch".into()));
    let refused = server.public.bearer(&signed("s", "j")).get("/auth/verify?scope=admin");
    assert_eq!(refused.problem(), (403, "scope_insufficient".into()));
    assert_eq!(
        server.public.bearer(&signed("s", "j")).get("/auth/session").json()["sid"],
        "s"
    );

    // Logout in its three scopes.
    let (first, second, third) = (signed("s1", "a"), signed("s1", "b"), signed("s2", "c"));
    assert_eq!(
        server.public.bearer(&first).post("/logout?scope=token").revoked(),
        ["token"]
    );
    assert!(!server.passes(&first) && server.passes(&second));
    assert_eq!(server.public.bearer(&second).post("/logout").revoked(), ["session"]);
    assert!(!server.passes(&second) && !server.passes(&signed("s1", "d")) && server.passes(&third));

    // By OAuth.
    let introspected = server
        .oauth
        .post_form("/oauth/introspect", &format!("token={third}"))
        .json();
    let of = |name: &str| introspected[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (of("iss"), of("scope"), of("client_id")),
        (APP.into(), "read write".into(), "backend".into())
    );
    assert_eq!(
        server
            .oauth
            .post_form("/oauth/revoke", &format!("token={third}"))
            .status,
        200
    );
    let inactive = server.oauth.post_form("/oauth/introspect", &format!("token={third}"));
    assert_eq!(inactive.json(), json!({"active": false}));
    assert!(server.passes(&signed("s2", "e")), "only that token");

    // By a backend: what is named with its issuer, and a token itself.
    let fourth = signed("s3", "f");
    let by_token = server.admin.post_json("/v1/revocations", &json!({"token": fourth}));
    assert_eq!(
        (by_token.status, by_token.json()["target"]["iss"].as_str()),
        (201, Some(APP))
    );
    for (target, ended) in [
        (json!({"kind": "token", "iss": APP, "jti": "g"}), signed("s4", "g")),
        (json!({"kind": "session", "iss": APP, "sid": "s4"}), signed("s4", "h")),
        (
            json!({"kind": "client", "iss": APP, "client_id": "backend"}),
            signed("s5", "i"),
        ),
        (json!({"kind": "key", "iss": APP, "kid": "app-1"}), signed("s6", "k")),
        (json!({"kind": "issuer", "iss": APP}), signed("s7", "l")),
    ] {
        // What stands in the way of the next is lifted again.
        assert!(server.passes(&ended), "{target}");
        let answer = server.admin.post_json("/v1/revocations", &json!({"target": target}));
        assert_eq!(answer.status, 201, "{answer:?}");
        let explained = server.admin.post_json("/v1/explain", &json!({"token": ended})).json();
        assert_eq!(
            (&explained["allowed"], &explained["code"]),
            (&false.into(), &"token_revoked".into())
        );
        assert_eq!(explained["revocation"]["target"], target);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let lifted = server.admin.send(
            &"DELETE".parse().unwrap(),
            &format!("/v1/revocations/{id}"),
            "",
            Vec::new(),
        );
        assert_eq!(lifted.status, 200, "{lifted:?}");
    }
    // Own tokens have nothing to do with it: the same names are others under another issuer.
    let own = server.log_in("alice");
    let everywhere = json!({"target": {"kind": "subject", "iss": APP, "sub": "alice"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &everywhere).status, 201);
    assert!(!server.passes(&signed("s8", "m")) && server.passes(&own.access));
    let unknown = json!({"target": {"kind": "issuer", "iss": "https://other.example"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &unknown).status, 422);
}

/// I7, RFC 8725: whose key it is, what it is for, and whom it is from, are three questions.
#[test]
fn p028_p032_p036_no_token_passes_for_another() {
    let home = Home::new();
    let (app, idp) = (Minter::rs256(), Minter::es256());
    let other = "https://idp.example";
    trust(&home, APP, &app, USUAL);
    trust(
        &home,
        other,
        &idp,
        "audiences = [\"shop\"]\nmax_lifetime = \"1h\"\nkid = \"k\"",
    );
    let server = home.start();
    let jwt = json!({"typ": "JWT"});
    let good = foreign_claims(APP, "u");
    assert!(server.passes(&app.mint(&jwt, &good)));
    let at = json!({"typ": "at+jwt", "kid": "k"});
    assert!(server.passes(&idp.mint(&at, &foreign_claims(other, "u"))));
    let own = server.log_in("u");
    let claims = |more: Value| full(&more);
    let refusals = [
        // P32: a key vouches for its own issuer.
        (idp.mint(&jwt, &good), "key_unknown"),
        (idp.mint(&at, &good), "key_unknown"),
        (app.mint(&at, &foreign_claims(other, "u")), "token_unsupported"),
        (
            app.mint(&jwt, &foreign_claims("https://auth.example", "u")),
            "token_unsupported",
        ),
        (
            app.mint(&jwt, &foreign_claims("https://nobody.example", "u")),
            "issuer_unknown",
        ),
        // P28: the public key is no secret, and the algorithm is the key's.
        (Minter::hs256(app.public_pem()).mint(&jwt, &good), "key_unknown"),
        (app.mint(&json!({"typ": "JWT", "alg": "none"}), &good), "key_unknown"),
        (app.mint(&json!({"typ": "JWT", "alg": "RS512"}), &good), "key_unknown"),
        (app.mint(&json!({"typ": "JWT", "kid": "x"}), &good), "key_unknown"),
        // P36: what is for something else.
        (app.mint(&json!({}), &good), "token_unsupported"),
        (app.mint(&json!({"typ": "logout+jwt"}), &good), "token_unsupported"),
        (app.mint(&json!({"typ": "rt+jwt"}), &good), "token_unsupported"),
        (app.mint(&jwt, &claims(json!({"nonce": "n"}))), "token_unsupported"),
        (app.mint(&jwt, &claims(json!({"at_hash": "h"}))), "token_unsupported"),
        (app.mint(&jwt, &claims(json!({"events": {}}))), "token_unsupported"),
        (app.mint(&jwt, &claims(json!({"token_use": "id"}))), "token_unsupported"),
        (
            idp.mint(&json!({"typ": "JWT", "kid": "k"}), &foreign_claims(other, "u")),
            "token_unsupported",
        ),
        // Whom it is for, how long it lives, and what must stand.
        (app.mint(&jwt, &claims(json!({"aud": "till"}))), "audience_mismatch"),
        (app.mint(&jwt, &claims(json!({"aud": []}))), "audience_mismatch"),
        (
            app.mint(&jwt, &claims(json!({"exp": now() + 86_500}))),
            "claims_invalid",
        ),
        (
            app.mint(&jwt, &claims(json!({"iat": now() - 200, "exp": now() - 100}))),
            "token_expired",
        ),
        (app.mint(&jwt, &claims(json!({"sub": 5}))), "claims_invalid"),
        (
            idp.mint(&at, &{
                let mut claims = foreign_claims(other, "u");
                claims["exp"] = (now() + 3700).into();
                claims
            }),
            "claims_invalid",
        ),
    ];
    for (n, (token, code)) in refusals.into_iter().enumerate() {
        assert_eq!(server.verify(&token).problem(), (401, code.into()), "{n}");
        // ... and none of them has any effect.
        assert!(
            server
                .public
                .bearer(&token)
                .post("/logout?scope=everywhere")
                .revoked()
                .is_empty(),
            "{n}"
        );
    }
    assert!(server.passes(&own.access) && server.passes(&app.mint(&jwt, &good)));
    let early = app.mint(&jwt, &claims(json!({"iat": now() + 100, "exp": now() + 200})));
    assert_eq!(server.verify(&early).problem(), (401, "token_not_yet_valid".into()));
}

/// What another issuer signs as a refresh token, whatever it says, is not exchanged for a token of ours.
#[test]
fn only_own_tokens_are_refreshed() {
    let home = Home::new();
    let app = Minter::es256();
    trust(&home, APP, &app, USUAL);
    let server = home.start();
    let far = now() + 3600;
    for iss in [APP, "https://auth.example"] {
        let mut claims = full(&json!({"iss": iss, "jti": "j", "sid": "s", "client_id": "backend"}));
        claims["auth_time"] = now().into();
        claims["session_exp"] = far.into();
        for header in [
            json!({"typ": "rt+jwt"}),
            json!({"typ": "JWT"}),
            json!({"typ": "at+jwt"}),
        ] {
            let token = app.mint(&header, &claims);
            let answer = server.refresh(&token);
            assert_eq!(answer.status, 401, "{header} {iss}: {answer:?}");
            let answer = server.oauth.post_form(
                "/oauth/token",
                &format!("grant_type=refresh_token&refresh_token={token}"),
            );
            assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_grant".into()));
        }
    }
}

/// I1: a cut-off is kept for as long as the tokens of any issuer live, also when own sessions are short.
#[test]
fn i1_retention_covers_the_longest_life_of_any_issuer() {
    let home = Home::new();
    home.configure(|text| {
        let text = text.replace("session_ttl = \"30d\"", "session_ttl = \"1h\"");
        text.replace("refresh_ttl = \"14d\"", "refresh_ttl = \"1h\"")
    });
    let app = Minter::es256();
    trust(
        &home,
        APP,
        &app,
        "audiences = [\"shop\"]\nmax_lifetime = \"60d\"\nuntyped_access = [\"JWT\"]",
    );
    let server = home.start();
    let days = |days: u64| days * 86_400;
    let long = app.mint(&json!({"typ": "JWT"}), &full(&json!({"exp": now() + days(60) - 10})));
    assert!(server.passes(&long));
    let target = json!({"kind": "subject", "iss": APP, "sub": "alice"});
    let receipt = server
        .admin
        .post_json("/v1/revocations", &json!({"target": target}))
        .json();
    let kept = receipt["retained_until"].as_u64().unwrap() - receipt["before"].as_u64().unwrap();
    assert!(kept > days(60), "{receipt}");
    assert!(!server.passes(&long));
    // Raised while it runs: it is kept longer from here on, and what was issued before is not accepted for longer.
    let before = app.mint(
        &json!({"typ": "JWT"}),
        &full(&json!({"sub": "bob", "exp": now() + days(80)})),
    );
    assert_eq!(server.verify(&before).problem().1, "claims_invalid");
    home.configure(|text| text.replace("60d", "90d"));
    server.hang_up();
    let target = json!({"target": {"kind": "subject", "iss": APP, "sub": "carol"}});
    wait_for("the longer retention", || {
        let receipt = server.admin.post_json("/v1/revocations", &target).json();
        receipt["retained_until"].as_u64() > Some(now() + days(89))
    });
    assert_eq!(
        server.verify(&before).problem().1,
        "claims_invalid",
        "a cut-off of its time may be forgotten"
    );
    let short = app.mint(
        &json!({"typ": "JWT"}),
        &full(&json!({"sub": "bob", "exp": now() + days(59)})),
    );
    assert!(server.passes(&short));
}
