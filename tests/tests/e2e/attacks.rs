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

use ostracon_tests::{Answer, Forge, Home, Login, Minter, Server, decoded, now, wait_for};
use serde_json::{Value, json};

use super::issuers::trust;

#[path = "attacks/claims.rs"]
mod claims;
#[path = "attacks/json.rs"]
mod json;
#[path = "attacks/keys.rs"]
mod keys;
#[path = "attacks/requests.rs"]
mod requests;
#[path = "attacks/revoking.rs"]
mod revoking;
#[path = "attacks/signatures.rs"]
mod signatures;

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
