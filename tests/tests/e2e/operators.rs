//! What operators see and undo.

use ostracon_tests::{Home, Server, forged};
use serde_json::{Value, json};
use ureq::http::Method;

fn with_admin() -> Home {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    home
}

fn subject(sub: &str) -> Value {
    json!({"target": {"kind": "subject", "sub": sub}, "reason": "account_suspended", "note": "ticket 4711"})
}

#[test]
fn a_revocation_is_shown_and_lifted_and_stays_lifted() {
    let home = with_admin();
    let server = home.start();
    let login = server.log_in("u");
    let receipt = server.admin.post_json("/v1/revocations", &subject("u")).json();
    let path = format!("/v1/revocations/{}", receipt["id"].as_str().unwrap());
    assert_eq!(server.admin.get(&path).json(), receipt, "as it was answered");
    assert!(!server.passes(&login.access));
    let lifted = server.admin.send(&Method::DELETE, &path, "", Vec::new());
    assert_eq!((lifted.status, lifted.json()), (200, receipt));
    assert!(server.passes(&login.access));
    assert_eq!(server.admin.get(&path).problem(), (404, "not_found".into()));
    assert_eq!(
        server.admin.send(&Method::DELETE, &path, "", Vec::new()).problem().0,
        404
    );
    for bad in ["x", "0", "%FF"] {
        assert!(matches!(
            server.admin.get(&format!("/v1/revocations/{bad}")).status,
            400 | 404
        ));
    }
    server.kill();
    assert!(home.start().passes(&login.access), "also after a kill");
}

#[test]
fn only_an_admin_lifts() {
    let home = Home::new();
    let server = home.start();
    let receipt = server.admin.post_json("/v1/revocations", &subject("u")).json();
    let path = format!("/v1/revocations/{}", receipt["id"].as_str().unwrap());
    assert_eq!(
        server.admin.send(&Method::DELETE, &path, "", Vec::new()).problem(),
        (403, "role_missing".into())
    );
    assert_eq!(server.admin.get(&path).status, 200, "it stands");
}

#[test]
fn what_stands_is_listed_page_by_page() {
    let home = Home::new();
    let server = home.start();
    for n in 0..25 {
        server
            .admin
            .post_json("/v1/revocations", &subject(&format!("user-{n}")));
    }
    let login = server.log_in("someone");
    server.public.bearer(&login.access).post("/logout");
    let pages = |server: &Server, filter: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = server.admin.get(&format!("/v1/revocations?limit=10{filter}{cursor}"));
            assert_eq!(answer.status, 200, "{answer:?}");
            let json = answer.json();
            let page = json["revocations"].as_array().unwrap().clone();
            assert!(page.len() <= 10);
            all.extend(page);
            match json["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    assert_eq!(pages(&server, "").len(), 26);
    assert_eq!(pages(&server, "&kind=subject").len(), 25);
    assert_eq!(pages(&server, "&kind=session")[0]["target"]["sid"], login.sid.as_str());
    let one = pages(&server, "&sub=user-7");
    assert_eq!((one.len(), &one[0]["note"]), (1, &json!("ticket 4711")));
    for bad in ["kind=x", "limit=0", "limit=1001", "cursor=x", "kind=token&kind=token"] {
        assert_eq!(
            server.admin.get(&format!("/v1/revocations?{bad}")).problem(),
            (400, "request_invalid".into())
        );
    }
}

#[test]
fn explain_says_which_step_refused_and_why() {
    let home = Home::new();
    let server = home.start();
    let explain = |token: &str| {
        let answer = server.admin.post_json("/v1/explain", &json!({"token": token}));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains(token), "I8");
        answer.json()
    };
    let refused = |explained: &Value| {
        let steps = explained["steps"].as_array().unwrap().iter();
        let failed = steps
            .filter(|step| step["passed"] == false)
            .map(|step| step["step"].as_str().unwrap().to_owned());
        failed.collect::<Vec<_>>()
    };
    let login = server.log_in("u");
    let good = explain(&login.access);
    assert_eq!(
        (&good["allowed"], &good["token"]["jti"]),
        (&json!(true), &json!(login.jti))
    );
    assert!(
        refused(&good).is_empty() && good["steps"].as_array().unwrap().len() > 10,
        "{good}"
    );
    let forged = explain(&forged(&login.access));
    assert_eq!(
        (forged["code"].as_str(), refused(&forged)),
        (Some("signature_invalid"), vec!["signature".to_owned()])
    );
    assert!(
        forged.get("token").is_none(),
        "I7: nothing is said of what is not proven"
    );
    server.public.bearer(&login.access).post("/logout");
    let revoked = explain(&login.access);
    assert_eq!(
        (revoked["code"].as_str(), refused(&revoked)),
        (Some("token_revoked"), vec!["denylist".to_owned()])
    );
    assert_eq!(
        (
            &revoked["revocation"]["reason"],
            &revoked["revocation"]["target"]["sid"]
        ),
        (&json!("logout"), &json!(login.sid))
    );
    assert_eq!(explain(&login.refresh)["token"]["typ"], "rt+jwt");
    assert_eq!(explain("junk")["code"], "token_malformed");
}
