//! A server to which everything happens, and who writes down what it says.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use ostracon_tests::{Answer, Ask, Home, Server, binary};
use serde_json::Value;
use ureq::http::Method;

use super::spelled::{Secrets, Told};

/// The answers that hand out tokens, which is what they are for.
const ISSUING: [(&str, u16); 5] = [
    ("POST /v1/sessions", 201),
    ("POST /auth/refresh", 200),
    ("POST /auth/logout", 200),
    ("POST /oauth/token", 200),
    ("POST /admin/login", 303),
];

pub(super) struct Run {
    pub(super) home: Home,
    pub(super) server: Server,
    pub(super) told: RefCell<Told>,
    pub(super) secrets: RefCell<Secrets>,
    /// Methods and paths that were answered, and commands that were given.
    pub(super) asked: RefCell<BTreeSet<String>>,
    pub(super) given: RefCell<BTreeSet<String>>,
}

impl Run {
    pub(super) fn start(home: Home) -> Self {
        let server = home.start();
        Self {
            home,
            server,
            told: RefCell::default(),
            secrets: RefCell::default(),
            asked: RefCell::default(),
            given: RefCell::default(),
        }
    }

    /// Sends it, and writes down the answer. What tokens it hands out are secrets from then on.
    pub(super) fn send(&self, ask: &Ask, method: &Method, path: &str, media: &str, body: &str) -> Answer {
        // A connection that was closed behind a refused head may be taken for one that is open, once.
        let sent = || ask.try_send(method, path, media, body.into());
        let answer = sent().or_else(sent).unwrap();
        let path = path.split('?').next().unwrap();
        let name = format!("{method} {path}");
        let mut shown = answer.body.clone();
        for (name, value) in &answer.headers {
            shown.extend(["\n", name.as_str(), ": ", &String::from_utf8_lossy(value.as_bytes())]);
        }
        if ISSUING.contains(&(name.as_str(), answer.status)) {
            for token in issued(&answer) {
                self.secrets
                    .borrow_mut()
                    .add_token(&format!("a token of {name}"), &token);
                shown = shown.replace(&token, "");
            }
        }
        self.told.borrow_mut().add(&format!("{name}, {}", answer.status), shown);
        if ![404, 405].contains(&answer.status) || path.contains("/revocations/") || path.contains("/sessions/") {
            self.asked.borrow_mut().insert(name);
        }
        answer
    }

    pub(super) fn get(&self, ask: &Ask, path: &str) -> Answer {
        self.send(ask, &Method::GET, path, "", "")
    }

    pub(super) fn post(&self, ask: &Ask, path: &str) -> Answer {
        self.send(ask, &Method::POST, path, "", "")
    }

    pub(super) fn form(&self, ask: &Ask, path: &str, form: &str) -> Answer {
        self.send(ask, &Method::POST, path, "application/x-www-form-urlencoded", form)
    }

    pub(super) fn json(&self, ask: &Ask, path: &str, body: &Value) -> Answer {
        self.send(ask, &Method::POST, path, "application/json", &body.to_string())
    }

    /// Gives a command, and writes down what it prints. Its exit status, and its standard output.
    pub(super) fn command(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let (status, out, err) = self.given(arguments, input, self.home.secret());
        let name = arguments.join(" ");
        self.told.borrow_mut().add(&format!("ostracon {name}"), out.as_str());
        self.told.borrow_mut().add(&format!("ostracon {name}"), err);
        (status, out)
    }

    /// The same for one that is there to show a secret: what it prints is that, and what it complains of is written down.
    pub(super) fn showing(&self, arguments: &[&str]) -> String {
        let (status, out, err) = self.given(arguments, "", "");
        assert_eq!(status, 0, "{arguments:?}: {err}");
        self.told.borrow_mut().add(&arguments.join(" "), err);
        let line = out.lines().find_map(|line| line.strip_prefix("secret"));
        let secret = line.unwrap().split_whitespace().next().unwrap().to_owned();
        self.secrets
            .borrow_mut()
            .add(&format!("what {arguments:?} made"), secret.as_bytes());
        secret
    }

    fn given(&self, arguments: &[&str], input: &str, secret: &str) -> (i32, String, String) {
        let words = arguments
            .iter()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        let words: Vec<_> = words.copied().collect();
        for end in 1..=words.len().min(2) {
            self.given.borrow_mut().insert(words[..end].join(" "));
        }
        let mut child = Command::new(binary())
            .args(arguments)
            .env("OSTRACON_SERVER", format!("http://{}", self.server.admin.address()))
            .env("OSTRACON_CLIENT", "backend")
            .env("OSTRACON_CLIENT_SECRET", secret)
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    }

    /// What the system tells everybody, or the same user, of the process.
    pub(super) fn look_at_process(&self) {
        for name in ["cmdline", "environ", "comm", "maps"] {
            let path = format!("/proc/{}/{name}", self.server.id());
            self.told.borrow_mut().add(&path, fs::read(&path).unwrap());
        }
    }

    /// Keys that are by now in the directory.
    pub(super) fn add_keys(&self) {
        let files = fs::read_dir(self.home.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for pem in files.filter(|path| path.extension().is_some_and(|e| e == "pem")) {
            let text = fs::read_to_string(&pem).unwrap();
            self.secrets.borrow_mut().add_key(&pem.display().to_string(), &text);
        }
    }
}

/// The tokens that `answer` hands out: in its members, and in its cookies.
fn issued(answer: &Answer) -> Vec<String> {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let of_cookie = |cookie: &str| Some(cookie.split(';').next()?.split_once('=')?.1.to_owned());
    let mut all: Vec<_> = cookies
        .filter_map(|cookie| of_cookie(cookie.to_str().unwrap()))
        .collect();
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let members = ["access_token", "refresh_token"]
        .iter()
        .filter_map(|name| body.get(name)?.as_str());
    all.extend(members.map(str::to_owned));
    all.retain(|token| !token.is_empty());
    all
}

/// The words that follow `before` in the file at `path`, up to a quote.
pub(super) fn words(path: &str, before: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join(path)).unwrap();
    let found = text.split(before).skip(1);
    found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}
