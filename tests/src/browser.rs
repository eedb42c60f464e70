//! Headless Chromium, driven over `WebDriver` by Debian's chromedriver.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::http::Method;

use crate::{http::Ask, program::wait_for};

/// A browser with an empty profile and one tab; ended when it is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    session: Ask,
    profile: TempDir,
    _stdout: BufReader<ChildStdout>,
}

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "as RFC 6265bis has them")]
pub struct KeptCookie {
    pub name: String,
    pub value: String,
    /// What it holds true of it, in the words of `Set-Cookie`; `HostOnly` if it was set without a domain, `Expires` if it
    /// outlives the browser.
    pub attributes: String,
}

impl KeptCookie {
    fn read(cookie: &Value) -> Self {
        let text = |name: &str| cookie[name].as_str().unwrap_or("").to_owned();
        let attributes = [
            (true, format!("Path={}", text("path"))),
            (cookie["secure"] == true, "Secure".to_owned()),
            (cookie["httpOnly"] == true, "HttpOnly".to_owned()),
            (true, format!("SameSite={}", text("sameSite"))),
            (cookie["session"] == false, "Expires".to_owned()),
            (!text("domain").starts_with('.'), "HostOnly".to_owned()),
        ];
        let attributes: Vec<_> = attributes
            .into_iter()
            .filter(|(held, _)| *held)
            .map(|(_, word)| word)
            .collect();
        Self {
            name: text("name"),
            value: text("value"),
            attributes: attributes.join("; "),
        }
    }

    /// As it stands in a request.
    pub fn pair(&self) -> String {
        format!("{}={}", self.name, self.value)
    }
}

/// A driver, and the port that it says it has taken.
fn start(profile: &Path) -> Option<(Child, BufReader<ChildStdout>, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("HOME", profile)
        .env("TMPDIR", profile)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("chromedriver: {e}; scripts/test installs it"));
    let mut stdout = BufReader::new(driver.stdout.take().unwrap());
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        if let Some((_, port)) = line.split_once("successfully on port ") {
            let port = port.trim_end().trim_end_matches('.').to_owned();
            return Some((driver, stdout, port));
        }
        line.clear();
    }
    let _ = driver.wait();
    None
}

impl Browser {
    /// Starts one.
    pub fn new() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It takes one port of both families, and ends where the second family's is taken: then it is started again.
        let started = (0..5).find_map(|_| start(profile.path()));
        let (driver, stdout, port) = started.expect("chromedriver tells its port");
        let mut browser = Self {
            driver,
            session: Ask::new(&format!("http://127.0.0.1:{port}")),
            profile,
            _stdout: stdout,
        };
        browser.open();
        browser
    }

    fn open(&mut self) {
        let data = format!("--user-data-dir={}", self.profile.path().join("data").display());
        let flags = [
            "--headless",
            // Chromium's sandbox does not run as root, and the pages are the test's own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // A server by a name and not by its address, and by http where that is what is asked for.
            "--host-resolver-rules=MAP admin.test 127.0.0.1",
            "--disable-features=HttpsUpgrades",
            // Over a pipe: no port is open, and the browser ends with its driver.
            "--remote-debugging-pipe",
            &data,
        ];
        let capabilities = json!({
            "timeouts": {"script": 20_000, "pageLoad": 20_000},
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": flags}
        });
        let answer = self
            .session
            .post_json("/session", &json!({"capabilities": {"alwaysMatch": capabilities}}));
        let id = answer.json()["value"]["sessionId"].as_str().map(str::to_owned);
        let id = id.unwrap_or_else(|| panic!("Chromium did not start: {answer:?}"));
        self.session = self.session.below(&format!("/session/{id}"));
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.session.post_json(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        answer.json()["value"].take()
    }

    /// Goes to a page, and waits until it is loaded.
    pub fn visit(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// Clicks on the button that the selector finds, and waits until it is gone with its page.
    pub fn submit(&self, selector: &str) {
        let button = self.find(selector);
        self.leave(|| drop(self.command(&format!("{button}/click"), &json!({}))));
    }

    /// Does what leads to another page, and waits until this one is gone.
    pub fn leave(&self, act: impl FnOnce()) {
        let page = self.find("html");
        act();
        wait_for("the next page", || {
            self.session.get(&format!("{page}/name")).status != 200
        });
    }

    /// Types into what the selector finds.
    pub fn write(&self, selector: &str, text: &str) {
        let field = self.find(selector);
        self.command(&format!("{field}/value"), &json!({"text": text}));
    }

    fn find(&self, selector: &str) -> String {
        let found = self.command("/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().unwrap().values().next().unwrap();
        format!("/element/{}", element.as_str().unwrap())
    }

    /// What a script that is the body of an async function returns in the page.
    pub fn run(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0];\n(async () => {{ {script} }})().then(done, e => done('failed: ' + e));"
        );
        self.command("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Presses a key, or writes, where the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                [
                    json!({"type": "keyDown", "value": key}),
                    json!({"type": "keyUp", "value": key}),
                ]
            })
            .collect();
        self.command(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}),
        );
    }

    /// Makes the window as wide as a phone, or as it says.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.command(
            "/goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size}),
        );
    }

    /// What the browser has complained of so far: scripts that failed, what a policy kept from being loaded.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("/se/log", &json!({"type": "browser"}));
        let lines = log.as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap_or("").to_owned())
            .collect()
    }

    /// Status and text of the page that is shown.
    pub fn page(&self) -> (u64, String) {
        let script =
            "return [performance.getEntriesByType('navigation')[0].responseStatus, document.body?.innerText ?? '']";
        // At once, so that it does not wait for a page that is being left.
        let page = self.command("/execute/sync", &json!({"script": script, "args": []}));
        (page[0].as_u64().unwrap(), page[1].as_str().unwrap().to_owned())
    }

    /// All cookies that it keeps, of whatever site and path, by name.
    pub fn cookies(&self) -> Vec<KeptCookie> {
        let answer = self.command("/goog/cdp/execute", &json!({"cmd": "Storage.getCookies", "params": {}}));
        let cookies = answer["cookies"].as_array().unwrap().iter();
        let mut cookies: Vec<_> = cookies.map(KeptCookie::read).collect();
        cookies.sort_by(|a, b| a.name.cmp(&b.name));
        cookies
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to end, Chromium leaves its profile alone before the profile is removed.
        let _ = self.session.try_send(&Method::DELETE, "", "", Vec::new());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
