//! Attacks on JSON and headers: A41 to A52.

use ostracon_tests::{compact, now, segment};

use super::Scene;

#[test]
fn a41_a52_json_and_headers() {
    let scene = Scene::new();
    let Scene { forge, .. } = &scene;
    let payload = scene.claims(|_| ());
    let with = |more: &str| format!("{}{more}}}", payload.strip_suffix('}').unwrap());
    let header = forge.header("");
    let mut tokens: Vec<(&str, String)> = Vec::new();
    for more in [
        r#","alg":"EdDSA""#,
        r#","alg":"none""#,
        r#","\u0061lg":"none""#,
        r#","typ":"at+jwt""#,
        r#","crit":["bork"]"#,
        r#","crit":[]"#,
        r#","crit":"exp""#,
        r#","crit":["exp"],"exp":1"#,
        r#","b64":false"#,
        r#","b64":false,"crit":["b64"]"#,
        r#","zip":"DEF""#,
        r#","enc":"A128GCM""#,
        r#","cty":"JWT""#,
    ] {
        tokens.push(("A41 A46 to A48 A50 A52", forge.sign(forge.header(more), &payload)));
    }
    let now = now();
    for more in [
        format!(r#","exp":{}"#, now + 600),
        r#","exp":1"#.to_owned(),
        r#","jti":"another""#.to_owned(),
        r#","jti":"another","\u006ati":"third""#.to_owned(),
        r#","sub":"admin""#.to_owned(),
        r#","extra":{"a":1,"a":2}"#.to_owned(),
    ] {
        tokens.push(("A41", forge.sign(&header, with(&more))));
    }
    let array = format!(r#"[{},{now},"victim","https://auth.example","app"]"#, now + 300);
    for payload in ["[]", "\"x\"", "null", "7", "", " ", "{}", &array] {
        tokens.push(("A42", forge.sign(&header, payload)));
    }
    for payload in [
        format!("{payload}}}ABCD"),
        format!("{payload}{payload}"),
        format!("{payload},"),
    ] {
        tokens.push(("A43", forge.sign(&header, payload)));
    }
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    tokens.push(("A44", forge.sign(&header, with(&format!(r#","x":{deep}"#)))));
    tokens.push(("A44", forge.sign(forge.header(&format!(r#","x":{deep}"#)), &payload)));
    let members = (0..1_000).fold(String::new(), |all, n| all + &format!(r#","m{n}":{n}"#));
    tokens.push(("A45", forge.sign(&header, with(&members))));
    tokens.push((
        "A45",
        forge.sign(&header, with(&format!(r#","x":"{}""#, "x".repeat(9_000)))),
    ));
    tokens.push((
        "A45",
        forge.sign(&header, with(&format!(r#","exp2":{}"#, "9".repeat(9_000)))),
    ));
    let jwe = |alg: &str| {
        let header = segment(format!(r#"{{"alg":"{alg}","enc":"A128GCM","kid":"{}"}}"#, forge.kid()));
        format!(
            "{header}..{}.{}.{}",
            segment([1; 12]),
            segment(&payload),
            segment([2; 16])
        )
    };
    tokens.push(("A49", jwe("dir")));
    tokens.push(("A49", jwe("RSA-OAEP")));
    let plain = compact(r#"{"alg":"none"}"#, &payload, "");
    tokens.push(("A49 A50", forge.sign(forge.header(r#","cty":"JWT""#), &plain)));
    tokens.push(("A49 A50", forge.sign(&header, &plain)));
    for typ in ["JWT", "jwt", "secevent+jwt", "", "at+jwt ", "application/json"] {
        tokens.push(("A51", forge.sign(header.replace("at+jwt", typ), &payload)));
    }
    for header in ["[]", "null", "\"x\"", "{}", "", r#"{"alg":7}"#, r#"{"alg":["EdDSA"]}"#] {
        tokens.push(("A42", forge.sign(header, &payload)));
    }
    scene.refuses(&tokens);
}
