//! Requests, and what is answered.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};

/// One side of a server, and what is sent along with each request to it.
#[derive(Clone, Debug)]
pub struct Ask {
    base: String,
    agent: ureq::Agent,
    headers: Vec<(String, String)>,
}

impl Ask {
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            // What is answered is looked at, not where it leads.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        Self {
            base: base.to_owned(),
            agent: config.into(),
            headers: Vec::new(),
        }
    }

    /// The same server, with `path` before each path.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self {
            base: format!("{}{path}", self.base),
            ..self.clone()
        }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.base.split_once("://").map_or(&self.base, |(_, address)| address)
    }

    /// The same, with another header; one of that name that is there stays.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut this = self.clone();
        this.headers.push((name.to_owned(), value.to_owned()));
        this
    }

    /// The same, with `token` as a bearer and as nobody else.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.authorized(&format!("Bearer {token}"))
    }

    /// The token that it sends as a bearer; empty if it sends none.
    pub fn token(&self) -> &str {
        let mut sent = self
            .headers
            .iter()
            .filter_map(|(_, value)| value.strip_prefix("Bearer "));
        sent.next().unwrap_or_default()
    }

    /// What it sends as `Authorization`; empty if it sends none.
    pub fn authorization(&self) -> &str {
        let mut sent = self.headers.iter().filter(|(name, _)| name == "Authorization");
        sent.next().map_or("", |(_, value)| value)
    }

    /// The same, as the client `id`.
    #[must_use]
    pub fn as_client(&self, id: &str, secret: &str) -> Self {
        self.authorized(&format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }

    /// The same, without a credential.
    #[must_use]
    pub fn as_nobody(&self) -> Self {
        let mut this = self.clone();
        this.headers.retain(|(name, _)| name != "Authorization");
        this
    }

    fn authorized(&self, value: &str) -> Self {
        self.as_nobody().with("Authorization", value)
    }

    /// Nothing but a method and a path.
    pub fn get(&self, path: &str) -> Answer {
        self.send(&Method::GET, path, "", Vec::new())
    }

    /// A POST without a body.
    pub fn post(&self, path: &str) -> Answer {
        self.send(&Method::POST, path, "", Vec::new())
    }

    /// A POST of a form.
    pub fn post_form(&self, path: &str, form: &str) -> Answer {
        self.send(&Method::POST, path, "application/x-www-form-urlencoded", form.into())
    }

    /// A POST of JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.send(&Method::POST, path, "application/json", body.to_string().into())
    }

    /// Anything.
    pub fn send(&self, method: &Method, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        self.try_send(method, path, content_type, body).expect("an answer")
    }

    /// Anything, to a server that may be killed before it has answered.
    pub fn try_send(&self, method: &Method, path: &str, content_type: &str, body: Vec<u8>) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !content_type.is_empty() {
            request = request.header("Content-Type", content_type);
        }
        let response = if matches!(*method, Method::GET | Method::HEAD) {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        let (parts, mut body) = response
            .inspect_err(|error| eprintln!("{method} {path}: {error}"))
            .ok()?
            .into_parts();
        Some(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.read_to_string().ok()?,
        })
    }
}

impl Ask {
    /// A GET whose answer is read while it is still being written; the head, and what follows.
    pub fn open(&self, path: &str) -> (Answer, Box<dyn Read>) {
        let mut request = Request::builder().uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (parts, body) = self
            .agent
            .run(request.body(()).unwrap())
            .expect("an answer")
            .into_parts();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        let mut body = body.into_reader();
        let mut whole = String::new();
        if status != 200 {
            body.read_to_string(&mut whole).unwrap();
        }
        let head = Answer {
            status,
            headers,
            body: whole,
        };
        (head, Box::new(body))
    }
}

/// What is answered.
#[derive(Debug)]
#[expect(missing_docs, reason = "as HTTP has them")]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Status and `code`.
    pub fn problem(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "P114: {self:?}"
        );
        assert_eq!(json.get("status"), Some(&self.status.into()), "P114: {self:?}");
        (self.status, json.get("code").unwrap().as_str().unwrap().to_owned())
    }

    /// A header that stands once.
    pub fn header(&self, name: &str) -> &str {
        let mut all = self.headers.get_all(name).iter();
        let value = all.next().unwrap_or_else(|| panic!("no {name}: {self:?}"));
        assert_eq!(all.next(), None, "{name} stands twice");
        value.to_str().unwrap()
    }

    /// The kinds of what a logout says it revoked.
    pub fn revoked(&self) -> Vec<String> {
        let json = self.json();
        let all = json.get("revoked").unwrap().as_array().unwrap();
        all.iter()
            .map(|r| r.get("kind").unwrap().as_str().unwrap().to_owned())
            .collect()
    }
}

/// Sends `request` as it is to `address`, and reads until the other side closes.
pub fn raw(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
