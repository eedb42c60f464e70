//! The OAuth endpoints under a client library that is not ours: oauth4webapi, in Node.

use std::{path::Path, process::Command};

use ostracon_tests::{Home, Login, Server};
use serde_json::{Value, json};

/// What `tests/interop/oauth.mjs` found, with the tokens of `login` and the refresh token `foreign` of another client.
fn ask(home: &Home, server: &Server, issuer: &str, login: &Login, foreign: &Login) -> Value {
    let ended = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/oauth.mjs"))
        .env("ISSUER", issuer)
        .env("SERVER", format!("http://{}", server.public.address()))
        .env("CLIENT", "backend")
        .env("CLIENT_SECRET", home.secret())
        .env("ACCESS", &login.access)
        .env("REFRESH", &login.refresh)
        .env("FOREIGN", &foreign.refresh)
        .output()
        .unwrap_or_else(|e| panic!("node: {e}; scripts/test installs it"));
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{errors}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

#[test]
fn p046_p091_a_client_library_finds_its_way() {
    let home = Home::new();
    // An issuer without a path, and one with: its metadata and its endpoints lie elsewhere.
    for issuer in ["https://auth.example", "https://auth.example/tenant"] {
        let server = home.start_with(&[("OSTRACON_TOKENS__ISSUER", issuer)]);
        let login = server.log_in_with(&json!({"sub": "u", "scope": "read write"}));
        let foreign = server.log_in_with(&json!({"sub": "u", "client_id": "web"}));
        let told = ask(&home, &server, issuer, &login, &foreign);

        assert!(
            told["discovery"].as_array().unwrap().contains(&json!("jwks_uri")),
            "{told}"
        );
        assert_eq!(
            (&told["resource"], &told["resourceRefused"]),
            (&json!("u"), &json!("OperationProcessingError"))
        );
        let active = &told["active"];
        assert_eq!(
            (
                &active["active"],
                &active["sub"],
                &active["scope"],
                &active["client_id"],
                &active["iss"]
            ),
            (
                &json!(true),
                &json!("u"),
                &json!("read write"),
                &json!("backend"),
                &json!(issuer)
            )
        );
        assert_eq!(
            (&told["activeByWrongHint"], &told["activeRefresh"]),
            (&json!(true), &json!(true))
        );
        let refreshed = &told["refreshed"];
        assert_eq!(
            (&refreshed["token_type"], &refreshed["scope"], &refreshed["resource"]),
            (&json!("bearer"), &json!("read"), &json!("u"))
        );
        assert!(
            matches!(refreshed["expires_in"].as_u64(), Some(500..=600)),
            "{refreshed}"
        );
        for (step, status, error) in [
            ("wider", 400, "invalid_scope"),
            ("junk", 400, "invalid_grant"),
            ("foreign", 400, "invalid_grant"),
            ("revokedForeign", 400, "invalid_grant"),
        ] {
            assert_eq!(
                (&told[step]["status"], &told[step]["error"]),
                (&json!(status), &json!(error)),
                "{step}: {told}"
            );
        }
        let wrong = &told["wrongSecret"];
        assert_eq!(
            (&wrong["status"], &wrong["challenge"][0]["scheme"]),
            (&json!(401), &json!("basic")),
            "P58"
        );
        let inactive = json!({"active": false});
        assert_eq!(told["afterAccess"], json!({"access": inactive, "refresh": true}));
        assert_eq!(told["afterRefresh"]["refresh"], inactive);
        assert_eq!(told["afterRefresh"]["grant"]["error"], json!("invalid_grant"));
        let challenge = &told["challenged"]["challenge"][0];
        assert_eq!(
            (&challenge["scheme"], &challenge["error"], &challenge["realm"]),
            (&json!("bearer"), &json!("invalid_token"), &json!("ostracon"))
        );
        assert_eq!(server.refresh(&foreign.refresh).status, 200, "P64: refused, and alive");
    }
}
