//! Attacks on algorithms and keys: A1 to A20, but for what a start refuses.

use ostracon_tests::{Minter, compact, decoded, keyed, segment};
use serde_json::{Value, json};

use super::{ES, HS, RS, Scene};

#[test]
fn a01_a09_algorithms() {
    let scene = Scene::new();
    let Scene {
        forge,
        rs,
        es,
        hs,
        victim,
        ..
    } = &scene;
    let (header, payload) = (forge.header(""), scene.claims(|_| ()));
    let signature = decoded(victim.access.rsplit('.').next().unwrap());
    let mut tokens: Vec<(&str, String)> = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = header.replace("EdDSA", alg);
        tokens.push(("A1 A2 A9", compact(&header, &payload, "")));
        tokens.push(("A3", compact(&header, &payload, &signature)));
    }
    let (rs_pem, es_pem) = (rs.public_pem(), es.public_pem());
    let body: String = rs_pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    let jwk = rs.jwk("rs").to_string();
    for (iss, kid, secret) in [
        (RS, "rs", rs_pem.as_bytes()),
        (RS, "rs", rs_pem.trim_end().as_bytes()),
        (RS, "rs", rs_pem.replace('\n', "\r\n").as_bytes()),
        (RS, "rs", &der),
        (RS, "rs", jwk.as_bytes()),
        (ES, "es", es_pem.as_bytes()),
        (HS, "hs", b""),
    ] {
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#);
        tokens.push(("A4 A5 A8", keyed(secret, header, scene.foreign(iss).to_string())));
    }
    let own_public = decoded(&forge.public());
    tokens.push(("A5", keyed(&own_public, header.replace("EdDSA", "HS256"), &payload)));
    for (minter, kid, iss, alg) in [
        (es, "es", ES, "RS256"),
        (rs, "rs", RS, "ES256"),
        (rs, "rs", RS, "PS256"),
        (rs, "rs", RS, "RS384"),
        (rs, "rs", RS, "RS512"),
        (es, "es", ES, "ES384"),
        (hs, "hs", HS, "HS512"),
        (hs, "hs", HS, "RS256"),
    ] {
        tokens.push((
            "A6 A7",
            minter.mint(&json!({"typ": "JWT", "kid": kid, "alg": alg}), &scene.foreign(iss)),
        ));
    }
    scene.refuses(&tokens);
}

#[test]
fn a10_a18_keys_that_a_token_brings_or_names() {
    let scene = Scene::new();
    let Scene {
        forge,
        rs,
        es,
        hs,
        trap,
        ..
    } = &scene;
    let payload = scene.claims(|_| ());
    let mut tokens: Vec<(&str, String)> = Vec::new();
    // A key of the attacker's own, which it says where to find.
    let own = Minter::es256();
    let (url, typ) = (format!("http://{}/keys", trap.address), "at+jwt");
    let claims: Value = serde_json::from_str(&payload).unwrap();
    for more in [
        json!({"jwk": own.jwk("x")}),
        json!({"jwk": {"kty": "oct", "k": segment([7; 32])}}),
        json!({"jku": url}),
        json!({"jku": "file:///etc/hostname"}),
        json!({"x5u": url, "x5t": "AAAA"}),
        json!({"x5c": ["AAAA"]}),
    ] {
        let mut header = json!({"typ": typ, "kid": forge.kid()});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        tokens.push(("A10 to A13", own.mint(&header, &claims)));
        header["kid"] = "new".into();
        tokens.push(("A10 to A13", own.mint(&header, &claims)));
    }
    let long = "k".repeat(4_000);
    for kid in [
        "../../dev/null",
        "' UNION SELECT 'k'--",
        "x|sleep 10",
        "a\\nb",
        "\\u0000",
        &long,
        "",
        &url,
    ] {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#);
        tokens.push(("A14 to A16", keyed("", &header, &payload)));
        tokens.push(("A14 to A16", forge.sign(header.replace("HS256", "EdDSA"), &payload)));
    }
    for kid in ["7", "null", "[]", r#"["a"]"#] {
        tokens.push((
            "A17",
            forge.sign(format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":{kid}}}"#), &payload),
        ));
    }
    tokens.push((
        "A17",
        forge.sign(forge.header(&format!(",\"kid\":\"{}\"", forge.kid())), &payload),
    ));
    for (minter, kid) in [(rs, "rs"), (es, "es"), (hs, "hs")] {
        tokens.push(("A18", minter.mint(&json!({"typ": "at+jwt", "kid": kid}), &claims)));
        tokens.push((
            "A18",
            minter.mint(&json!({"typ": "at+jwt", "kid": forge.kid()}), &claims),
        ));
    }
    scene.refuses(&tokens);
}
