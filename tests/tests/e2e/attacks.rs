//! The attack cases, by their numbers, sent to the running server wherever it takes a token.
//!
//! Each is refused, ends nothing, lists nothing, and has the server ask nobody. Whatever is said of a claim is said in a token that the
//! right key has signed, so that nothing but that claim is what refuses it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ostracon_tests::{
    Answer, Forge, Home, Login, Minter, Server, compact, decoded, forged, keyed, now, segment, wait_for,
};
use serde_json::{Value, json};

use super::issuers::trust;

const RS: &str = "https://rs.example";
const ES: &str = "https://es.example";
const HS: &str = "https://hs.example";

/// A port that counts who comes.
struct Trap {
    address: String,
    came: Arc<AtomicUsize>,
}

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let came = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&came);
        thread::spawn(move || {
            for _ in listener.incoming().take(100) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, came }
    }
}

struct Scene {
    server: Server,
    forge: Forge,
    rs: Minter,
    es: Minter,
    hs: Minter,
    trap: Trap,
    victim: Login,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let (rs, es, hs) = (
            Minter::rs256(),
            Minter::es256(),
            Minter::hs256(ostracon_tests::hs256_secret()),
        );
        let usual = |kid: &str| {
            format!("audiences = [\"shop\"]\nmax_lifetime = \"1d\"\nuntyped_access = [\"JWT\"]\nkid = \"{kid}\"")
        };
        for (iss, minter) in [(RS, &rs), (ES, &es), (HS, &hs)] {
            trust(&home, iss, minter, &usual(&iss[8..10]));
        }
        let server = home.start();
        let victim = server.log_in("victim");
        Self {
            forge: Forge::new(home.key()),
            trap: Trap::set(),
            victim,
            server,
            rs,
            es,
            hs,
            home,
        }
    }

    /// The claims of the victim's token, with `change` made.
    fn claims(&self, change: impl FnOnce(&mut Value)) -> String {
        let payload = self.victim.access.split('.').nth(1).unwrap();
        let mut claims: Value = serde_json::from_slice(&decoded(payload)).unwrap();
        change(&mut claims);
        claims.to_string()
    }

    /// The same, properly signed.
    fn signed(&self, change: impl FnOnce(&mut Value)) -> String {
        self.forge.sign(self.forge.header(""), self.claims(change))
    }

    /// The same, with `text` for the member `name`, which need not be JSON that a library would write.
    fn with_raw(&self, name: &str, text: &str) -> String {
        let marked = self.claims(|claims| claims[name] = "MARK".into());
        self.forge.sign(self.forge.header(""), marked.replace("\"MARK\"", text))
    }

    fn foreign(&self, iss: &str) -> Value {
        json!({"iss": iss, "sub": "victim", "aud": "shop", "iat": now(), "exp": now() + 300, "jti": self.victim.jti})
    }

    /// How much is listed, once that is counted.
    fn entries(&self) -> u64 {
        let mut total = None;
        wait_for("the entries to be counted", || {
            total = self.server.admin.get("/v1/stats").json()["entries"]["total"].as_u64();
            total.is_some()
        });
        total.unwrap()
    }

    /// Sends each of `tokens` to all that take one.
    fn refuses(&self, tokens: &[(&str, String)]) {
        let before = self.entries();
        let wrong: Vec<_> = tokens
            .iter()
            .flat_map(|(name, token)| self.not_refused(name, token))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(self.entries(), before, "nothing is listed");
        assert!(self.server.passes(&self.victim.access), "the victim is still in");
        assert_eq!(self.server.refresh(&self.victim.refresh).status, 200, "and can stay");
        assert_eq!(self.trap.came.load(Ordering::SeqCst), 0, "nobody was asked");
        assert!(!self.server.log().contains("panicked"));
    }

    /// Where `token` is not refused, or has an effect.
    fn not_refused(&self, name: &str, token: &str) -> Vec<String> {
        let Server {
            public, oauth, admin, ..
        } = &self.server;
        let mut wrong = Vec::new();
        let mut expect = |what: &str, answer: &Answer, statuses: &[u16], is_refused: bool| {
            let repeats = token.len() > 20 && answer.body.contains(token);
            if !statuses.contains(&answer.status) || !is_refused || repeats {
                wrong.push(format!("{name}: {what}: {answer:?}"));
            }
        };
        let ends_nothing = |out: &Answer| out.status != 200 || out.revoked().is_empty();
        if token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            let bearer = public.bearer(token);
            expect("verify", &bearer.get("/auth/verify"), &[400, 401], true);
            expect("session", &bearer.get("/auth/session"), &[400, 401], true);
            let out = bearer.post("/auth/logout");
            expect("logout", &out, &[200, 400, 401], ends_nothing(&out));
        }
        let form = serde_form("token", token);
        let told = oauth.post_form("/oauth/introspect", &form);
        expect("introspect", &told, &[200], told.json() == json!({"active": false}));
        expect("revoke", &oauth.post_form("/oauth/revoke", &form), &[200], true);
        let refresh = json!({ "refresh_token": token });
        expect("refresh", &public.post_json("/auth/refresh", &refresh), &[401], true);
        let out = public.post_json("/auth/logout", &refresh);
        expect("logout by form", &out, &[200], ends_nothing(&out));
        let grant = format!("grant_type=refresh_token&{}", serde_form("refresh_token", token));
        expect("grant", &oauth.post_form("/oauth/token", &grant), &[400], true);
        let asked = json!({ "token": token });
        expect("revocation", &admin.post_json("/v1/revocations", &asked), &[422], true);
        let explained = admin.post_json("/v1/explain", &asked);
        expect("explain", &explained, &[200], explained.json()["allowed"] == false);
        let logout_token = serde_form("logout_token", token);
        expect(
            "back-channel logout",
            &public.post_form("/auth/backchannel-logout", &logout_token),
            &[400],
            true,
        );
        wrong
    }
}

fn serde_form(name: &str, value: &str) -> String {
    let encoded = value.bytes().map(|byte| format!("%{byte:02X}"));
    format!("{name}={}", encoded.collect::<String>())
}

#[test]
fn a01_a20_algorithms_and_keys() {
    let scene = Scene::new();
    let Scene {
        forge,
        rs,
        es,
        hs,
        trap,
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

#[test]
fn a21_a40_signatures_and_encodings() {
    let scene = Scene::new();
    let good = &scene.victim.access;
    let (input, text) = good.rsplit_once('.').unwrap();
    let (head, payload) = input.split_once('.').unwrap();
    let signature = decoded(text);
    let es = scene.es.mint(&json!({"typ": "JWT", "kid": "es"}), &scene.foreign(ES));
    let (es_input, es_text) = es.rsplit_once('.').unwrap();
    let (hs_head, hs_claims) = (
        r#"{"alg":"HS256","typ":"JWT","kid":"hs"}"#,
        scene.foreign(HS).to_string(),
    );
    let mac = keyed("x", hs_head, &hs_claims);
    let (hs_input, _) = mac.rsplit_once('.').unwrap();
    let mut tokens: Vec<(&str, String)> = vec![
        ("A21", format!("{hs_input}.")),
        ("A21", format!("{input}.")),
        ("A25", forged(good)),
        ("A25", format!("{input}.{}", segment(&signature[..63]))),
        ("A25", format!("{input}.{}", segment(&signature[..32]))),
        ("A28", Forge::twin(good)),
        ("A30", format!("{good}=")),
        ("A30", format!("{good}==")),
        ("A31", format!("{good}!!!!")),
        ("A31", format!("{good}%2E")),
        ("A34", format!("{input}. {text}")),
        ("A34", format!("{head}\t.{payload}.{text}")),
        ("A34", format!("{input}.{text}\n")),
        ("A34", format!("{input}.\n{text}")),
        ("A35", format!("\"{good}\"")),
        ("A36", head.to_owned()),
        ("A36", input.to_owned()),
        ("A36", format!("{good}.{text}")),
        ("A36", format!("{good}.{text}.{text}")),
        ("A36", format!(".{good}")),
        ("A36", format!("{good}.")),
        ("A36", "..".to_owned()),
        ("A37", ".".repeat(20_000)),
        ("A38", format!("{}.{payload}.{text}", "A".repeat(20_000))),
        ("A38", format!("{input}.{}", "A".repeat(20_000))),
        (
            "A39",
            format!(r#"{{"protected":"{head}","payload":"{payload}","signature":"{text}"}}"#),
        ),
        ("A40", compact(b"\xff\xfe{\x00}\x00", payload, &signature)),
    ];
    let one = |r: u8, s: u8| {
        let mut bytes = vec![0; 64];
        (bytes[31], bytes[63]) = (r, s);
        segment(bytes)
    };
    // The order of P-256, big-endian (SEC 2 §2.4.2).
    let order = decoded("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let es_signature = decoded(es_text);
    let der = [
        b"\x30\x44\x02\x20",
        &es_signature[..32],
        b"\x02\x20",
        &es_signature[32..],
    ]
    .concat();
    for signature in [
        one(0, 0),
        one(1, 0),
        one(0, 1),
        segment([&order[..], &es_signature[32..]].concat()),
        segment([&es_signature[..32], &order].concat()),
        segment(der),
        segment(&es_signature[..63]),
        segment([&es_signature[..], &[0]].concat()),
    ] {
        tokens.push(("A22 to A24", format!("{es_input}.{signature}")));
    }
    // A32, A33: the same octets in another spelling.
    let other = good.replace('-', "+").replace('_', "/");
    if other != *good {
        tokens.push(("A32", other));
    }
    let last = text.chars().next_back().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    assert_eq!(place % 16, 0, "of its last character four bits are unused");
    for unused in 1..16 {
        let other = &alphabet[place + unused..=place + unused];
        tokens.push(("A33", format!("{}{other}", &good[..good.len() - 1])));
    }
    for bytes in [
        &b"\xef\xbb\xbf{\"alg\":\"EdDSA\"}"[..],
        b"{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}",
        b"{\"alg\":\"EdDSA\",\"kid\":\"\\ud800\"}",
    ] {
        tokens.push(("A40", scene.forge.sign(bytes, scene.claims(|_| ()))));
    }
    let utf16: Vec<_> = scene.claims(|_| ()).encode_utf16().flat_map(u16::to_be_bytes).collect();
    let boms = [b"\xef\xbb\xbf", scene.claims(|_| ()).as_bytes()].concat();
    for payload in [
        utf16,
        boms,
        scene.claims(|_| ()).replace("victim", "vic\\ud800").into_bytes(),
    ] {
        tokens.push(("A40", scene.forge.sign(scene.forge.header(""), payload)));
    }
    scene.refuses(&tokens);
}

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
    let members: String = (0..1_000).map(|n| format!(r#","m{n}":{n}"#)).collect();
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

#[test]
fn a53_a62_claims_and_times() {
    let scene = Scene::new();
    let mut tokens: Vec<(&str, String)> = Vec::new();
    for exp in [
        "\"2999999999\"",
        "true",
        "null",
        "[2999999999]",
        "{}",
        "-1",
        "0",
        "1e400",
        "-1e400",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e18",
        "NaN",
    ] {
        tokens.push(("A53 A54 A67", scene.with_raw("exp", exp)));
    }
    // The leeway is 30 seconds, and its end is outside.
    let now = now();
    tokens.push(("A55", scene.signed(|claims| claims["exp"] = (now - 30).into())));
    tokens.push(("A56", scene.with_raw("exp", &format!("{}.999", now - 31))));
    for nbf in ["\"1\"", "null", "[]", "1e400", "-1e400"] {
        tokens.push(("A57", scene.with_raw("nbf", nbf)));
    }
    for iat in ["\"1\"", "null", "[]", "true", "1e400"] {
        tokens.push(("A58 A59", scene.with_raw("iat", iat)));
    }
    let without = |name: &str| {
        scene.signed(|claims| {
            claims.as_object_mut().unwrap().remove(name).unwrap();
        })
    };
    for name in ["exp", "iat", "iss", "sub"] {
        tokens.push(("A53 A59 to A62", without(name)));
    }
    for iss in [
        json!(["https://auth.example"]),
        json!("https://auth.example/"),
        json!("https://auth.exampl"),
        json!("https://auth.example.evil"),
        json!("HTTPS://auth.example"),
        json!(""),
        json!(7),
        json!(null),
    ] {
        tokens.push(("A60", scene.signed(|claims| claims["iss"] = iss.clone())));
    }
    for aud in [json!(null), json!({}), json!(["app", 5]), json!(7), json!([["app"]])] {
        tokens.push(("A61", scene.signed(|claims| claims["aud"] = aud.clone())));
    }
    for name in ["sub", "jti", "sid", "client_id"] {
        for value in [
            json!(""),
            json!(7),
            json!("a\u{0}b"),
            json!("x".repeat(9_000)),
            json!(null),
            json!([]),
        ] {
            // A session is not named by each token.
            tokens.push(("A62", scene.signed(|claims| claims[name] = value.clone())));
        }
    }
    scene.refuses(&tokens);

    // What is to begin is not let in, and may be ended by whoever has it: a clock that has stepped back keeps nobody in.
    for name in ["nbf", "iat"] {
        let token = scene.signed(|claims| claims[name] = (now + 600).into());
        assert_eq!(scene.server.verify(&token).problem().0, 401, "A57 A58");
        let active = scene
            .server
            .oauth
            .post_form("/oauth/introspect", &serde_form("token", &token));
        assert_eq!(active.json(), json!({"active": false}));
    }
    // Whom it is for is asked where it is let in; ended it may be by whoever has it.
    for aud in [
        json!("APP"),
        json!("another"),
        json!(["another", "APP"]),
        json!([]),
        json!(null),
    ] {
        let token = scene.signed(|claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.insert("aud".into(), aud.clone());
            claims.retain(|_, value| !value.is_null());
        });
        assert_eq!(scene.server.verify(&token).problem(), (401, "audience_mismatch".into()));
    }
    // A79: a refresh token is no access token, nor the other way round.
    assert_eq!(scene.server.verify(&scene.victim.refresh).problem().0, 401);
    assert_eq!(scene.server.refresh(&scene.victim.access).problem().0, 401);
    drop(scene.home);
}

/// A38, A37: what a token of 100 MB, or one of a million dots, costs: a closed connection, and no memory.
#[test]
fn a37_a38_the_size_of_a_token_costs_no_more_than_the_cap() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    assert!(server.passes(&login.access));
    let before = server.peak_kib();
    let flood = |head: &str, byte: u8| {
        let mut stream = TcpStream::connect(server.public.address()).unwrap();
        let chunk = vec![byte; 1 << 16];
        // It answers and closes in the middle of it; that sending then fails is no matter.
        let _ = stream.write_all(head.as_bytes());
        let sent = (0..1_600).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        let mut status = [0; 12];
        let read = stream
            .read_exact(&mut status)
            .map(|()| String::from_utf8(status.into()).unwrap());
        (sent, read.unwrap_or_default())
    };
    let length = 100 << 20;
    let form = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n\
             refresh_token="
        )
    };
    let header = "GET /auth/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ";
    let cookie = "GET /auth/verify HTTP/1.1\r\nHost: x\r\nCookie: __Host-USER_SESSION=";
    for (byte, head) in [b'A', b'.'].into_iter().flat_map(|byte| {
        let forms = [
            "/auth/logout",
            "/auth/refresh",
            "/auth/backchannel-logout",
            "/oauth/token",
        ]
        .map(form);
        let heads = forms.into_iter().chain([header.to_owned(), cookie.to_owned()]);
        heads.map(move |head| (byte, head))
    }) {
        let (sent, answer) = flood(&head, byte);
        assert!(sent < 1_600, "it did not read all of it: {head}");
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        // OpenID Connect Back-Channel Logout 1.0 §2.8 has one status for all that is wrong.
        let expected = match () {
            () if head.contains("backchannel") => "400",
            // Nobody has said which client it is.
            () if head.contains("/oauth/") => "401",
            () => "413",
        };
        assert!([expected, "431", "closed"].contains(&status), "{head}: {answer}");
    }
    // One that comes whole, of more than is read of a head.
    let whole = format!("{header}{}\r\n\r\n", "A".repeat(200_000));
    let mut stream = TcpStream::connect(server.public.address()).unwrap();
    let _ = stream.write_all(whole.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");

    let grown = server.peak_kib() - before;
    assert!(grown < 8 << 10, "{grown} KiB for tokens of 100 MB");
    assert!(server.passes(&login.access) && !server.log().contains("panicked"));
}
