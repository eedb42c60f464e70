//! Random histories of all that can be asked over HTTP, kills and restarts included, beside a model of who must be denied.
//!
//! The model knows no clock: what came before a cut-off is denied, what came after it is not, whatever the seconds say.

use std::collections::{BTreeMap, BTreeSet};

use ostracon_tests::{Answer, Ask, Dice, Home, Login, Server};
use serde_json::{Value, json};
use ureq::http::Method;

/// No retry is answered twice, or whether a second use is theft would hang on the time.
const ENVIRONMENT: [(&str, &str); 1] = [("OSTRACON_TOKENS__REFRESH_GRACE", "0s")];
const SUBJECTS: [&str; 3] = ["ann", "bob", "cyd"];
const CLIENTS: [&str; 2] = ["web", "app"];

/// What a revocation is of, as the model names it: a kind and a name.
type Key = (&'static str, String);

#[derive(Clone, Debug)]
struct Token {
    text: String,
    jti: String,
    sid: String,
    sub: String,
    client: String,
    is_refresh: bool,
    is_rotated: bool,
    /// What denies it.
    denied_by: BTreeSet<Key>,
}

impl Token {
    fn is_denied(&self) -> bool {
        self.is_rotated || !self.denied_by.is_empty()
    }

    /// Whether `key` names it.
    fn is_of(&self, (kind, name): &Key) -> bool {
        match *kind {
            "token" => self.jti == *name,
            "session" => self.sid == *name,
            "subject" => self.sub == *name,
            "client" => self.client == *name,
            // There is one of each.
            _ => true,
        }
    }
}

struct Model {
    home: Home,
    server: Option<Server>,
    dice: Dice,
    tokens: Vec<Token>,
    /// The names of the revocations that could be lifted.
    ids: BTreeMap<Key, String>,
    kid: String,
    /// What was done, for whoever has to understand a failure.
    story: Vec<String>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let home = Home::administered();
        let (kid, server) = (home.key().0, home.start_with(&ENVIRONMENT));
        Self {
            home,
            server: Some(server),
            dice: Dice::new(seed),
            tokens: Vec::new(),
            ids: BTreeMap::new(),
            kid,
            story: Vec::new(),
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Denies all that `key` names by now.
    fn deny(&mut self, key: &Key) {
        for token in self.tokens.iter_mut().filter(|token| token.is_of(key)) {
            token.denied_by.insert(key.clone());
        }
    }

    fn learn(&mut self, answer: &Answer, sub: &str, client: &str) {
        let login = Login::read(answer);
        let jti = crate::refresh::claims(&login.refresh)["jti"]
            .as_str()
            .unwrap()
            .to_owned();
        for (text, jti, is_refresh) in [(login.access, login.jti, false), (login.refresh, jti, true)] {
            self.tokens.push(Token {
                text,
                jti,
                sid: login.sid.clone(),
                sub: sub.to_owned(),
                client: client.to_owned(),
                is_refresh,
                is_rotated: false,
                denied_by: BTreeSet::new(),
            });
        }
    }

    /// A token of one type that there ever was; the index, and a copy.
    fn any(&mut self, is_refresh: bool) -> Option<(usize, Token)> {
        let all: Vec<_> = (0..self.tokens.len())
            .filter(|n| self.tokens[*n].is_refresh == is_refresh)
            .collect();
        // Mostly of those that are alive, or soon hardly anything would happen.
        let alive: Vec<_> = all.iter().copied().filter(|n| !self.tokens[*n].is_denied()).collect();
        let among = if alive.is_empty() || self.dice.below(3) == 0 {
            all
        } else {
            alive
        };
        (!among.is_empty())
            .then(|| *self.dice.pick(&among))
            .map(|n| (n, self.tokens[n].clone()))
    }

    fn step(&mut self) {
        let before = self.tokens.len();
        match self.dice.below(40) {
            0..=8 => self.log_in(),
            9..=15 => self.refresh(),
            16..=20 => self.log_out(),
            21 => self.log_out_others(),
            22..=27 => self.revoke(),
            28 | 29 => self.end_session(),
            30..=33 => self.lift(),
            34 | 35 => self.batch(),
            36 => self.maintain(),
            37 | 38 => self.restart(),
            _ => self.everything(),
        }
        // What is new, and some of the rest.
        for n in before..self.tokens.len() {
            self.look_at(n);
        }
        for _ in 0..4.min(self.tokens.len()) {
            let n = self.dice.below(self.tokens.len());
            self.look_at(n);
        }
    }

    fn log_in(&mut self) {
        let (sub, client) = (*self.dice.pick(&SUBJECTS), *self.dice.pick(&CLIENTS));
        let mut body = json!({"sub": sub, "client_id": client});
        let alone = self.dice.below(6) == 0;
        if alone {
            body["end_others"] = json!("password_change");
        }
        let answer = self.server().admin.post_json("/v1/sessions", &body);
        self.story.push(format!("log in {sub} at {client}, alone: {alone}"));
        assert_eq!(answer.status, 201, "{answer:?}");
        if alone {
            self.deny(&("subject", sub.to_owned()));
        }
        self.learn(&answer, sub, client);
    }

    fn refresh(&mut self) {
        let Some((n, token)) = self.any(true) else { return };
        let answer = self.server().refresh(&token.text);
        self.story.push(format!("refresh {n}"));
        if !token.denied_by.is_empty() {
            assert_eq!(answer.problem(), (401, "session_revoked".into()), "{token:?}");
        } else if token.is_rotated {
            assert_eq!(answer.problem(), (401, "refresh_reused".into()), "{token:?}");
            self.deny(&("session", token.sid));
        } else {
            assert_eq!(answer.status, 200, "{answer:?}");
            self.tokens[n].is_rotated = true;
            self.learn(&answer, &token.sub, &token.client);
        }
    }

    fn log_out(&mut self) {
        let (scope, by_refresh) = (
            *self.dice.pick(&["token", "session", "everywhere"]),
            self.dice.below(3) == 0,
        );
        // By itself, a refresh token would end what it may have been exchanged for, too.
        let by_refresh = by_refresh && scope != "token";
        let Some((n, token)) = self.any(by_refresh) else { return };
        let public = &self.server().public;
        let answer = if by_refresh {
            public.post_form("/auth/logout", &format!("scope={scope}&refresh_token={}", token.text))
        } else {
            public.bearer(&token.text).post(&format!("/logout?scope={scope}"))
        };
        self.story.push(format!("log out {n}, {scope}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        if !token.denied_by.is_empty() {
            assert!(answer.revoked().is_empty(), "{answer:?}");
            return;
        }
        let key = match scope {
            "token" => ("token", token.jti),
            "session" => ("session", token.sid),
            _ => ("subject", token.sub),
        };
        assert_eq!(answer.revoked(), [key.0]);
        self.deny(&key);
        self.ids
            .insert(key, answer.json()["revoked"][0]["id"].as_str().unwrap().to_owned());
    }

    fn log_out_others(&mut self) {
        let Some((n, token)) = self.any(true) else { return };
        let form = format!("scope=others&refresh_token={}", token.text);
        let answer = self.server().public.post_form("/auth/logout", &form);
        self.story.push(format!("log out others than {n}"));
        if token.is_denied() {
            assert_eq!(answer.status, 401, "{answer:?}");
        } else {
            assert_eq!(answer.status, 200, "{answer:?}");
            // Its own earlier tokens end with the others.
            self.deny(&("subject", token.sub.clone()));
            self.learn(&answer, &token.sub, &token.client);
        }
    }

    /// Something to revoke, and how it is said.
    fn target(&mut self) -> Option<(Key, Value)> {
        let (_, token) = self.any(false)?;
        Some(match self.dice.below(14) {
            0 => (("key", self.kid.clone()), json!({"kind": "key", "kid": self.kid})),
            1 => (("issuer", String::new()), json!({"kind": "issuer"})),
            2 => (
                ("client", token.client.clone()),
                json!({"kind": "client", "client_id": token.client}),
            ),
            3..=5 => (
                ("subject", token.sub.clone()),
                json!({"kind": "subject", "sub": token.sub}),
            ),
            6..=9 => (
                ("session", token.sid.clone()),
                json!({"kind": "session", "sid": token.sid}),
            ),
            _ => (("token", token.jti.clone()), json!({"kind": "token", "jti": token.jti})),
        })
    }

    fn revoke(&mut self) {
        let Some((key, target)) = self.target() else { return };
        let answer = self
            .server()
            .admin
            .post_json("/v1/revocations", &json!({"target": target}));
        self.story.push(format!("revoke {key:?}"));
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        self.deny(&key);
        self.ids.insert(key, answer.json()["id"].as_str().unwrap().to_owned());
    }

    fn end_session(&mut self) {
        let Some((_, token)) = self.any(false) else { return };
        let answer = self
            .server()
            .admin
            .send(&Method::DELETE, &format!("/v1/sessions/{}", token.sid), "", Vec::new());
        self.story.push(format!("end session {}", token.sid));
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let key = ("session", token.sid);
        self.deny(&key);
        self.ids.insert(key, answer.json()["id"].as_str().unwrap().to_owned());
    }

    fn lift(&mut self) {
        let keys: Vec<_> = self.ids.keys().cloned().collect();
        if keys.is_empty() {
            return;
        }
        let key = self.dice.pick(&keys).clone();
        let id = self.ids.remove(&key).unwrap();
        let answer = self
            .server()
            .admin
            .send(&Method::DELETE, &format!("/v1/revocations/{id}"), "", Vec::new());
        self.story.push(format!("lift {key:?}"));
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        for token in &mut self.tokens {
            token.denied_by.remove(&key);
        }
    }

    fn batch(&mut self) {
        let lines: Vec<_> = (0..4).filter_map(|_| self.target()).collect();
        // A line that is none stops nothing.
        let mut text = String::from("{\n");
        for (_, target) in &lines {
            text += &json!({"target": target}).to_string();
            text.push('\n');
        }
        let answer = self.server().admin.send(
            &Method::POST,
            "/v1/revocations/batch",
            "application/x-ndjson",
            text.into(),
        );
        self.story.push(format!(
            "batch {:?}",
            lines.iter().map(|line| &line.0).collect::<Vec<_>>()
        ));
        assert_eq!(answer.status, 200, "{answer:?}");
        for (key, _) in lines {
            self.deny(&key);
        }
    }

    fn maintain(&mut self) {
        self.story.push("rebuild the prefilter".into());
        let answer = self.server().admin.post("/v1/maintenance/rebuild-prefilter");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn restart(&mut self) {
        let (server, kill) = (self.server.take().unwrap(), self.dice.below(2) == 0);
        self.story.push(format!("restart, kill: {kill}"));
        if kill {
            server.kill();
        } else {
            server.terminate();
            let (status, log) = server.ended();
            assert!(status.success(), "{log}");
        }
        self.server = Some(self.home.start_with(&ENVIRONMENT));
    }

    /// Each token there ever was.
    fn everything(&self) {
        for n in 0..self.tokens.len() {
            self.look_at(n);
        }
    }

    /// One token, on each route that tells of it.
    fn look_at(&self, n: usize) {
        let (token, server) = (&self.tokens[n], self.server());
        let alive = !token.is_denied();
        let bearer: Ask = server.public.bearer(&token.text);
        let told =
            |route: &str, said: bool| assert_eq!(said, alive, "{route} of token {n}: {token:#?}\n{:#?}", self.story);
        let form = format!("token={}", token.text);
        told(
            "introspect",
            server.oauth.post_form("/oauth/introspect", &form).json()["active"] == true,
        );
        if token.is_refresh {
            assert_eq!(
                server.verify(&token.text).status,
                401,
                "a refresh token is no access token"
            );
            return;
        }
        told("verify", server.passes(&token.text));
        told("session", bearer.get("/auth/session").status == 200);
        let explained = server
            .admin
            .post_json("/v1/explain", &json!({"token": token.text}))
            .json();
        told(
            "explain",
            explained["allowed"].as_bool().unwrap_or_else(|| panic!("{explained}")),
        );
    }
}

/// `OSTRACON_HISTORY_SEED` repeats a run, and `OSTRACON_HISTORY_CASES` makes it longer.
#[test]
fn who_is_denied_is_who_the_model_says() {
    let seed = Dice::seed();
    let cases: u64 = std::env::var("OSTRACON_HISTORY_CASES").map_or(4, |cases| cases.parse().unwrap());
    for case in 0..cases {
        // Each case by its own seed: the first of a run with that seed.
        let seed = seed.wrapping_add(case);
        eprintln!("case {case}: OSTRACON_HISTORY_SEED={seed}");
        let mut model = Model::new(seed);
        for _ in 0..60 {
            model.step();
        }
        model.everything();
    }
}
