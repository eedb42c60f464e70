//! Keys that an identity provider publishes: fetched, kept, and asked for no more often than is good for anybody.

use std::fs;

use ostracon_tests::{Home, Minter, Mood, Provider, SecureServer, Server, certificate, foreign_claims, now, wait_for};
use serde_json::{Value, json};

const IDP: &str = "https://idp.example";

fn trust(home: &Home, url: &str) {
    home.configure(|text| {
        format!(
            "{text}\n[[issuers]]\niss = \"{IDP}\"\naudiences = [\"shop\"]\nalgorithms = [\"ES256\"]\n\
             max_lifetime = \"1h\"\njwks_url = \"{url}\"\n"
        )
    });
}

fn token(minter: &Minter, kid: &str) -> String {
    minter.mint(&json!({"typ": "at+jwt", "kid": kid}), &foreign_claims(IDP, "u"))
}

fn junk(n: usize) -> String {
    token(&Minter::es256(), &format!("junk-{n}"))
}

fn unavailable(server: &Server) -> Value {
    server.admin.get("/readyz").json()["keys_unavailable"].clone()
}

/// A server that trusts a provider of `minter`, whose key is named `k`, after the first fetch.
fn scene(minter: &Minter) -> (Home, Provider, Server) {
    let home = Home::new();
    let provider = Provider::start(Mood::Keys(vec![minter.jwk("k")]));
    trust(&home, &provider.jwks_url());
    let server = home.start();
    assert!(
        server.passes(&token(minter, "k")),
        "whoever comes during the first fetch waits for it"
    );
    assert_eq!(provider.asked(), 1);
    (home, provider, server)
}

#[test]
fn a_key_that_is_new_is_taken_at_once_and_junk_costs_one_fetch() {
    let (old, new) = (Minter::es256(), Minter::es256());
    let (_home, provider, server) = scene(&old);
    provider.becomes(Mood::Keys(vec![old.jwk("k"), new.jwk("next")]));
    // Together, they have it fetched once.
    let rotated = token(&new, "next");
    let passed = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| server.passes(&rotated))).collect();
        all.into_iter().all(|one| one.join().unwrap())
    });
    assert!(passed && server.passes(&token(&old, "k")));
    assert_eq!(provider.asked(), 2);
    // Within a minute nothing more is asked, whatever comes.
    let before = server.admin.get("/v1/revocations").body;
    // Whether there is such a key by now is not known then, and no answer is no "no": a logout with a good token of a
    // key that was published since must not be told to have been one.
    for n in 0..100 {
        assert_eq!(server.verify(&junk(n)).problem(), (503, "keys_unavailable".into()));
        assert_eq!(server.public.bearer(&junk(n)).post("/logout").status, 503);
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(
        server.admin.get("/v1/revocations").body,
        before,
        "A68: junk leaves nothing behind"
    );
    // Signed by one that is no more than named like it.
    assert_eq!(server.verify(&token(&new, "k")).problem().1, "signature_invalid");
    assert_eq!(provider.asked(), 2);
}

/// What a provider publishes is its word: the key that it takes away is out, with all that it signed.
#[test]
fn a_key_that_is_withdrawn_is_out() {
    let (old, new) = (Minter::es256(), Minter::es256());
    let (_home, provider, server) = scene(&old);
    let seen = token(&old, "k");
    assert!(
        server.passes(&seen) && server.passes(&seen),
        "its signature is not checked twice"
    );
    provider.becomes(Mood::Keys(vec![new.jwk("next")]));
    assert!(server.passes(&token(&new, "next")));
    // Had it been fetched longer ago, it would be asked for once more, and then the answer be 401.
    for of_old in [&seen, &token(&old, "k")] {
        assert_eq!(server.verify(of_old).problem(), (503, "keys_unavailable".into()));
    }
    let out = server.public.bearer(&token(&old, "k")).post("/logout?scope=everywhere");
    assert_eq!(out.status, 503);
    assert!(server.passes(&token(&new, "next")));
}

#[test]
fn the_last_good_set_stays_while_there_is_no_better_one() {
    let minter = Minter::es256();
    let bad = [
        (Mood::Fails, "answered 500"),
        (Mood::Redirects, "redirects are not followed"),
        (Mood::Says("<html>".to_owned()), "not a JSON Web Key"),
        (
            Mood::Says(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(10 << 20))),
            "more than 262144 bytes",
        ),
        (
            Mood::Says(json!({"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}, minter.jwk("k")]}).to_string()),
            "private or symmetric",
        ),
        (Mood::Hangs, "did not answer within 5 seconds"),
    ];
    std::thread::scope(|scope| {
        for (mood, said) in bad {
            let minter = &minter;
            scope.spawn(move || {
                let (home, provider, server) = scene(minter);
                provider.becomes(mood);
                // What it cannot know is no answer; what it knows is answered as before.
                let answer = server.verify(&junk(0));
                assert_eq!(answer.problem(), (503, "keys_unavailable".into()), "{said}");
                assert_eq!(answer.header("retry-after"), "5");
                assert!(server.log().contains(said), "{said}: {}", server.log());
                assert!(server.passes(&token(minter, "k")) && server.passes(&server.log_in("u").access));
                assert_eq!(unavailable(&server), json!([IDP]), "told, and ready all the same");
                // A logout that cannot be decided is not told to have been one.
                assert_eq!(server.public.bearer(&junk(1)).post("/logout").status, 503);
                let introspected = server
                    .oauth
                    .post_form("/oauth/introspect", &format!("token={}", junk(1)));
                assert_eq!(introspected.status, 503);
                // It is tried again without anybody asking.
                provider.becomes(Mood::Keys(vec![minter.jwk("k")]));
                wait_for("the provider to be well", || unavailable(&server) == Value::Null);
                // It was asked for within this minute, so that there is none is not told yet.
                assert_eq!(server.verify(&junk(0)).problem(), (503, "keys_unavailable".into()));
                drop(home);
            });
        }
    });
}

#[test]
fn a_provider_that_is_away_keeps_no_server_from_starting() {
    let home = Home::new();
    let minter = Minter::es256();
    let provider = Provider::start(Mood::Fails);
    trust(&home, &provider.jwks_url());
    let server = home.start();
    let waiting = token(&minter, "k");
    assert_eq!(server.verify(&waiting).problem(), (503, "keys_unavailable".into()));
    let login = server.log_in("u");
    assert!(server.passes(&login.access), "own tokens do not wait");
    // What is revoked meanwhile counts from then on.
    let target = json!({"target": {"kind": "subject", "iss": IDP, "sub": "u"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &target).status, 201);
    provider.becomes(Mood::Keys(vec![minter.jwk("k")]));
    wait_for("the first set", || server.verify(&waiting).status != 503);
    assert_eq!(server.verify(&waiting).problem(), (401, "token_revoked".into()));
}

/// A reload keeps the sets of issuers that are as they were, and its requests do not wait.
#[test]
fn a_reload_keeps_what_was_fetched() {
    let minter = Minter::es256();
    let (home, provider, server) = scene(&minter);
    let theirs = token(&minter, "k");
    provider.becomes(Mood::Fails);
    let before = fs::read_to_string(home.config()).unwrap();
    let mut long = foreign_claims(IDP, "u");
    long["exp"] = (now() + 5400).into();
    let long = minter.mint(&json!({"typ": "at+jwt", "kid": "k"}), &long);
    assert_eq!(server.verify(&long).problem().1, "claims_invalid");
    home.configure(|text| text.replace("max_lifetime = \"1h\"", "max_lifetime = \"2h\""));
    server.hang_up();
    wait_for("the longer lifetime", || server.passes(&long));
    assert!(server.passes(&theirs), "what it is trusted for may change");
    assert_eq!(provider.asked(), 1, "and nothing is fetched for that");
    home.configure(|text| text.split("\n[[issuers]]").next().unwrap().to_owned());
    server.hang_up();
    wait_for("the issuer to be gone", || !server.passes(&theirs));
    assert_eq!(server.verify(&theirs).problem().1, "issuer_unknown");
    provider.becomes(Mood::Keys(vec![minter.jwk("k")]));
    fs::write(home.config(), before).unwrap();
    server.hang_up();
    wait_for("the issuer to be back", || server.passes(&theirs));
    assert_eq!(provider.asked(), 2, "trusted again, it is fetched again");
}

#[test]
fn p090_what_is_not_understood_is_passed_over() {
    let (home, minter) = (Home::new(), Minter::es256());
    let rsa = Minter::rs256();
    let mut enc = Minter::es256().jwk("enc");
    enc["use"] = "enc".into();
    let keys = vec![json!({"kty": "PQC"}), enc, rsa.jwk("rsa"), minter.jwk("k")];
    let provider = Provider::start(Mood::Keys(keys));
    trust(&home, &provider.jwks_url());
    let server = home.start();
    assert!(server.passes(&token(&minter, "k")));
    assert_eq!(
        server.verify(&token(&rsa, "rsa")).problem().1,
        "key_unknown",
        "not an algorithm of the configuration"
    );
    assert_eq!(
        server.log().matches("a key of the set is not used").count(),
        3,
        "{}",
        server.log()
    );
}

/// A10 to A17: what a token brings along or points to is not looked at, and its `kid` is a name and nothing else.
#[test]
fn a10_a12_a14_a_token_chooses_its_key_by_a_name_that_is_known() {
    let (home, minter, attacker) = (Home::new(), Minter::es256(), Minter::es256());
    let provider = Provider::start(Mood::Keys(vec![minter.jwk("k"), Minter::es256().jwk("other")]));
    let elsewhere = Provider::start(Mood::Keys(vec![attacker.jwk("evil")]));
    trust(&home, &provider.jwks_url());
    let server = home.start();
    assert!(server.passes(&token(&minter, "k")));
    let url = elsewhere.jwks_url();
    for header in [
        json!({"kid": "evil", "jku": url}),
        json!({"kid": "evil", "x5u": url}),
        json!({"kid": "evil", "jwk": attacker.jwk("evil")}),
        json!({"kid": "evil", "x5c": ["AAAA"]}),
        json!({"jwk": attacker.jwk("k")}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' UNION SELECT 'k'--"}),
        json!({"kid": url}),
        json!({"kid": "x".repeat(255)}),
    ] {
        let mut whole = header.clone();
        whole["typ"] = "at+jwt".into();
        let forged = attacker.mint(&whole, &foreign_claims(IDP, "u"));
        let (status, code) = server.verify(&forged).problem();
        assert!(
            matches!((status, &*code), (401, "key_unknown") | (503, "keys_unavailable")),
            "{header}: {status} {code}"
        );
    }
    assert_eq!(elsewhere.asked(), 0);
    assert_eq!(provider.asked(), 2, "the first, and one for all that was not known");
}

#[test]
fn over_tls_whom_the_machine_trusts_is_believed_and_nobody_else() {
    let (home, minter) = (Home::new(), Minter::es256());
    let theirs = certificate();
    let provider = SecureServer::start(&theirs, json!({"keys": [minter.jwk("k")]}).to_string());
    trust(&home, &format!("https://{}/keys", provider.address()));
    let authorities = home.path().join("authorities.crt");
    let start_trusting = |certificate: &str| {
        fs::write(&authorities, certificate).unwrap();
        home.start_with(&[("SSL_CERT_FILE", authorities.to_str().unwrap())])
    };
    let server = start_trusting(&theirs.0);
    assert!(server.passes(&token(&minter, "k")));
    drop(server);
    let server = start_trusting(&certificate().0);
    assert_eq!(
        server.verify(&token(&minter, "k")).problem(),
        (503, "keys_unavailable".into())
    );
    assert!(server.log().contains("invalid peer certificate"), "{}", server.log());
}

/// Its tokens say what they are and name their keys, so another server of this kind needs nothing more.
#[test]
fn another_ostracon_is_an_issuer_like_any_other() {
    let (theirs, home) = (Home::new(), Home::new());
    theirs.configure(|text| text.replace("https://auth.example", IDP));
    let issuing = theirs.start();
    let url = format!("http://{}/.well-known/jwks.json", issuing.public.address());
    trust(&home, &url);
    home.configure(|text| text.replace("[\"ES256\"]", "[\"EdDSA\"]"));
    let server = home.start();
    let login = issuing.log_in_with(&json!({"sub": "u", "aud": "shop"}));
    assert!(server.passes(&login.access));
    assert_eq!(server.refresh(&login.refresh).status, 401, "refreshed where it is from");
    assert_eq!(
        server.public.bearer(&login.access).post("/logout").revoked(),
        ["session"]
    );
    assert!(!server.passes(&login.access));
    assert_eq!(server.verify(&login.access).problem().1, "token_revoked");
}

/// A set in a file is the operator's, and everything in it must be good.
#[test]
fn a_set_may_be_in_a_file() {
    let (home, minter) = (Home::new(), Minter::es256());
    fs::write(
        home.path().join("idp.json"),
        json!({"keys": [minter.jwk("k")]}).to_string(),
    )
    .unwrap();
    trust(&home, "");
    home.configure(|text| text.replace("jwks_url = \"\"", "jwks_file = \"idp.json\""));
    let server = home.start();
    assert!(server.passes(&token(&minter, "k")));
    assert_eq!(server.verify(&junk(0)).problem(), (401, "key_unknown".into()));
    drop(server);
    let private = json!({"kty": "EC", "crv": "P-256", "kid": "k", "d": "AQAB"});
    for (keys, said) in [
        (json!([]), "there is no key in it"),
        (json!([minter.jwk("k"), private]), "private or symmetric"),
        (json!([minter.jwk("k"), minter.jwk("k")]), "two keys have this kid"),
        (
            json!([minter.jwk("k"), Minter::rs256().jwk("r")]),
            "keys[1]: the JSON Web Key is for another algorithm",
        ),
    ] {
        fs::write(home.path().join("idp.json"), json!({"keys": keys}).to_string()).unwrap();
        let (told, status) = home.refused();
        assert!(
            status == 2 && told.contains("issuers[0].jwks_file") && told.contains(said),
            "{told}"
        );
    }
}
