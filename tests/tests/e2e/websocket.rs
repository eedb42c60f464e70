//! `examples/websocket`: the very application, with real sockets.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use ostracon_tests::{Heard, Home, Login, Server, WebSocket, now};
use serde_json::json;

/// The code that it closes with what was ended.
const ENDED: Heard = Heard::Closed(4401);

/// The application, listening.
struct Application {
    child: Child,
    address: String,
}

impl Application {
    fn start(home: &Home, server: &Server) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/websocket");
        assert!(
            example.join("node_modules/ws").exists(),
            "it lacks its one dependency; scripts/test installs it"
        );
        let secret = home.path().join("secret");
        fs::write(&secret, home.secret()).unwrap();
        let mut child = Command::new("node")
            .arg(example.join("server.js"))
            .env("OSTRACON_PUBLIC", format!("http://{}", server.public.address()))
            .env("OSTRACON_ADMIN", format!("http://{}", server.admin.address()))
            .env("OSTRACON_CLIENT", "backend")
            .env("OSTRACON_SECRET_FILE", secret)
            .env("ORIGINS", "https://app.example")
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().strip_prefix("listening on ").unwrap();
        Self {
            child,
            address: format!("127.0.0.1:{port}"),
        }
    }

    fn open(&self, header: &str) -> Result<WebSocket, u16> {
        WebSocket::open(&self.address, header)
    }

    fn welcome(&self, login: &Login, sub: &str) -> WebSocket {
        let mut socket = self.open(&format!("Authorization: Bearer {}", login.access)).unwrap();
        assert_eq!(socket.hear(), Heard::Text(format!("hello {sub}")));
        socket
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ostracon on addresses that it finds free again after a kill: nothing else listens on this one.
fn start(home: &Home, public: &str, admin: &str) -> Server {
    home.start_with(&[
        ("OSTRACON_LISTEN__PUBLIC", public),
        ("OSTRACON_LISTEN__ADMIN", admin),
        ("OSTRACON_LIMITS__EVENT_HEARTBEAT", "1s"),
    ])
}

#[test]
fn sockets_end_with_their_session_and_no_others_do() {
    let home = Home::new();
    let server = start(&home, "127.0.0.77:0", "127.0.0.77:0");
    let (public, admin) = (server.public.address().to_owned(), server.admin.address().to_owned());
    let application = Application::start(&home, &server);
    let [a, b, c] = ["a", "b", "c"].map(|sub| server.log_in(sub));
    let mut socket_a = application.welcome(&a, "a");
    let mut socket_b = application.welcome(&b, "b");
    let mut socket_c = application.welcome(&c, "c");

    // One is logged out, the others stay. A refresh ends nothing.
    assert_eq!(server.refresh(&b.refresh).status, 200);
    server.public.bearer(&a.access).post("/logout");
    assert_eq!(socket_a.hear(), ENDED);
    assert!(socket_b.is_open() && socket_c.is_open());

    // A user is cut off: what was issued before ends, what comes later does not.
    let cutoff = json!({"target": {"kind": "subject", "sub": "b"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &cutoff).status, 201);
    let later = server.log_in("b");
    let mut socket_later = application.welcome(&later, "b");
    assert_eq!(socket_b.hear(), ENDED);
    assert!(socket_later.is_open() && socket_c.is_open());

    // Cut-offs from before they logged in are none of theirs; they are heard before what follows.
    for target in [
        json!({"kind": "client", "client_id": "backend"}),
        json!({"kind": "issuer"}),
    ] {
        let past = json!({"target": target, "before": now() - 1000});
        assert_eq!(server.admin.post_json("/v1/revocations", &past).status, 201);
    }

    // Killed and started again: what is revoked before the application has found it again reaches it.
    server.kill();
    let server = start(&home, &public, &admin);
    server.public.bearer(&c.access).post("/logout");
    assert_eq!(socket_c.hear(), ENDED);
    assert!(socket_later.is_open());

    // Who is out gets no socket, nor does a page of somebody else's with a cookie.
    assert_eq!(
        application
            .open(&format!("Authorization: Bearer {}", c.access))
            .unwrap_err(),
        401
    );
    assert_eq!(application.open("X: y").unwrap_err(), 401);
    let with_cookie = |origin: &str| application.open(&format!("Cookie: {}\r\nOrigin: {origin}", later.access_cookie));
    assert_eq!(with_cookie("https://evil.example").unwrap_err(), 401);
    assert!(with_cookie("https://app.example").unwrap().hear() == Heard::Text("hello b".to_owned()));
}
