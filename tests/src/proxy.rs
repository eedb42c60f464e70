//! Real reverse proxies with the configurations of `examples/`, in front of a server and an application.

use std::{
    env,
    fs::{self, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{http::Ask, program::wait_for};

/// A proxy that answers; killed when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// Where its clients ask.
    pub public: Ask,
    dir: TempDir,
}

impl Proxy {
    /// nginx, with `auth_request`.
    pub fn nginx(ostracon: &str, application: &str) -> Self {
        Self::start("nginx", |port, dir| {
            let example = fs::read_to_string(example("nginx/ostracon.conf")).unwrap();
            let site = [
                ("server 127.0.0.1:8080;", format!("server {ostracon};")),
                ("server 127.0.0.1:3000;", format!("server {application};")),
                ("listen 127.0.0.1:8000;", format!("listen 127.0.0.1:{port};")),
            ]
            .iter()
            .fold(example, |text, (from, to)| {
                assert_eq!(text.matches(from).count(), 1, "{from}");
                text.replace(from, to)
            });
            fs::write(dir.join("ostracon.conf"), site).unwrap();
            // What surrounds a site on any machine, and nothing of this one: one process, all files in `dir`.
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {name};\n"))
                .concat();
            let main = format!(
                "daemon off;\nmaster_process off;\npid ready;\nevents {{}}\n\
                 http {{\naccess_log off;\n{temporary}include ostracon.conf;\n}}\n"
            );
            fs::write(dir.join("nginx.conf"), main).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(dir);
            // Debian has it where only root looks.
            command.env("PATH", format!("{}:/usr/sbin", env::var("PATH").unwrap_or_default()));
            (command, "ready", "")
        })
    }

    /// Caddy, with `forward_auth`.
    pub fn caddy(ostracon: &str, application: &str) -> Self {
        Self::start("caddy", |port, dir| {
            let mut command = Command::new("caddy");
            command.args(["run", "--config"]).arg(example("caddy/Caddyfile"));
            command
                .env("SITE", format!("http://127.0.0.1:{port}"))
                .env("OSTRACON", ostracon)
                .env("APPLICATION", application)
                .env("HOME", dir)
                .env("XDG_DATA_HOME", dir)
                .env("XDG_CONFIG_HOME", dir);
            (command, "log", "serving initial configuration")
        })
    }

    /// Starts what `command` makes for a port and a directory, and waits until the file that it names says so.
    fn start(name: &str, command: impl Fn(u16, &Path) -> (Command, &'static str, &'static str)) -> Self {
        // Somebody else may take the port before the proxy does; then with another.
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
            let port = free.unwrap().port();
            let (mut command, file, text) = command(port, dir.path());
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(dir.path().join("log"));
            let child = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log.unwrap())
                .spawn()
                .unwrap_or_else(|e| panic!("{name}: {e}; scripts/test installs it"));
            let mut proxy = Self {
                child,
                public: Ask::new(&format!("http://127.0.0.1:{port}")),
                dir,
            };
            let (mut ready, mut ended) = (false, false);
            wait_for(&format!("{name} to be ready"), || {
                ended = proxy.child.try_wait().unwrap().is_some();
                ready = fs::read_to_string(proxy.dir.path().join(file)).is_ok_and(|said| said.contains(text));
                ready || ended
            });
            if ready && !ended {
                return proxy;
            }
            assert!(proxy.log().contains("in use"), "{name} did not start: {}", proxy.log());
        }
        panic!("no port stays free for {name}")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of the examples.
fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}
