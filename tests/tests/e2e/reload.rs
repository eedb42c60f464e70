//! Changes of the configuration while the server runs (SIGHUP).

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ostracon_tests::{Home, Server, decoded, es256_pem, now, wait_for};
use serde_json::{Value, json};

/// The key that a new login is signed with.
fn signs(server: &Server) -> String {
    let token = server.log_in("u").access;
    let header: Value = serde_json::from_slice(&decoded(token.split('.').next().unwrap())).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn shown(server: &Server) -> usize {
    server.public.get("/.well-known/jwks.json").json()["keys"]
        .as_array()
        .unwrap()
        .len()
}

/// The next key is shown before it signs; the old one vouches for what it signed, and for nothing that comes later.
#[test]
fn keys_are_rotated_without_a_restart() {
    let home = Home::new();
    let server = home.start();
    let old = home.key().0;
    let before = server.log_in("u");
    let pem = home.path().join("next.key");
    fs::write(&pem, es256_pem()).unwrap();
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o600)).unwrap();
    let next = "[[keys]]\nkid = \"next\"\nalg = \"ES256\"\nprivate_key_file = \"next.key\"\n\n";

    home.configure(|text| text.replacen("[[clients]]", &format!("{next}[[clients]]"), 1));
    server.hang_up();
    wait_for("the next key to be shown", || shown(&server) == 2);
    assert_eq!(signs(&server), old);

    home.configure(|text| {
        text.replacen(next, "", 1)
            .replacen("[[keys]]", &format!("{next}[[keys]]"), 1)
    });
    server.hang_up();
    wait_for("the next key to sign", || signs(&server) == "next");
    assert!(server.passes(&before.access), "what the old key signed is good");

    let retired = humantime_of(now() + 2);
    home.configure(|text| {
        text.replacen(
            "alg = \"EdDSA\"",
            &format!("alg = \"EdDSA\"\nretired_at = \"{retired}\""),
            1,
        )
    });
    server.hang_up();
    let later = json!({"iss": "https://auth.example", "sub": "u", "jti": "j", "aud": "app", "client_id": "c",
        "iat": now() + 10, "exp": now() + 60});
    let stolen = ostracon_tests::signed(&home.key(), ostracon_core::TokenType::Access, &later);
    wait_for("the old key to be retired", || !server.passes(&stolen));
    assert_eq!(
        server.verify(&stolen).problem().1,
        "key_unknown",
        "issued after the key was retired"
    );
    assert!(
        server.passes(&before.access) && shown(&server) == 2,
        "until its last token has ended"
    );
    assert_eq!(server.refresh(&before.refresh).status, 200);
}

fn humantime_of(secs: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[test]
fn clients_change_and_a_bad_configuration_changes_nothing() {
    let home = Home::new();
    let server = home.start();
    let token = server.log_in("u").access;
    let good = fs::read_to_string(home.config()).unwrap();
    let retired = good.replace(
        "alg = \"EdDSA\"",
        "alg = \"EdDSA\"\nretired_at = \"2020-01-01T00:00:00Z\"",
    );
    let bad = [
        (retired, "every one of them is retired or does not sign yet"),
        (
            good.replace("format = \"text\"", "format = \"json\""),
            "log.format changes at a restart only",
        ),
        ("[tokens".to_owned(), "not valid TOML"),
        (good.replace("leeway = \"30s\"", "leeway = \"1h\""), "tokens.leeway"),
        (
            good.replacen("127.0.0.1:0", "127.0.0.1:1", 1),
            "listen.public changes at a restart only",
        ),
        (
            good.replace("https://auth.example", "https://other.example"),
            "tokens.issuer changes at a restart only",
        ),
    ];
    for (bad, said) in bad {
        fs::write(home.config(), bad).unwrap();
        server.hang_up();
        wait_for("the complaint", || server.log().contains(said));
        assert!(server.passes(&token));
    }
    fs::write(home.config(), good.replace("id = \"backend\"", "id = \"other\"")).unwrap();
    server.hang_up();
    let body = json!({"sub": "u"});
    wait_for("the client to be unknown", || {
        server.admin.post_json("/v1/sessions", &body).status == 401
    });
    assert!(server.passes(&token), "and nobody else noticed");
}

/// A file that has gone readable for all is refused as a bad one is, and what was in it goes on; made private, it is good
/// again, without anybody saying so.
#[test]
fn a_file_that_others_can_read_by_now_changes_nothing() {
    let home = Home::new();
    let server = home.start();
    let pem = home.path().join(format!("{}.pem", home.key().0));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let body = json!({"sub": "u"});
    let ask = |id: &str| {
        server
            .admin
            .as_client(id, home.secret())
            .post_json("/v1/sessions", &body)
            .status
    };
    for (path, (from, to)) in [(&home.config(), ("backend", "second")), (&pem, ("second", "third"))] {
        let token = server
            .admin
            .as_client(from, home.secret())
            .post_json("/v1/sessions", &body)
            .json();
        let token = token["access_token"].as_str().unwrap();
        set(path, 0o644);
        let chmod = format!("(mode 0644); run `chmod o-rwx {}`", path.display());
        wait_for("the complaint", || server.log().contains(&chmod));
        home.configure(|text| text.replace(&format!("id = \"{from}\""), &format!("id = \"{to}\"")));
        let complaints = server.log().matches(&chmod).count();
        server.hang_up();
        wait_for("another complaint", || {
            server.log().matches(&chmod).count() > complaints
        });
        assert_eq!((ask(from), ask(to)), (201, 401), "nothing has changed");
        assert!(server.passes(token) && server.admin.get("/readyz").status == 200);
        set(path, 0o640);
        wait_for("what is private to be read", || (ask(from), ask(to)) == (401, 201));
        assert!(server.passes(token));
    }
}
