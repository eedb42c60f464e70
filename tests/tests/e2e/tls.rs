//! TLS on a listener, with clients of others.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
};

use ostracon_tests::{Home, Server, certificate, wait_for};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// A home whose public side has a certificate, and that certificate.
fn secured() -> (Home, String) {
    let home = Home::new();
    let certificate = exchange(&home);
    home.configure(|text| text + "\n[tls.public]\ncertificate_file = \"tls.crt\"\nprivate_key_file = \"tls.key\"\n");
    (home, certificate)
}

/// Puts a new certificate where the old one was.
fn exchange(home: &Home) -> String {
    let (certificate, key) = certificate();
    for (name, text) in [("tls.key", &key), ("tls.crt", &certificate)] {
        let next = home.path().join("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&next, home.path().join(name)).unwrap();
    }
    certificate
}

/// What curl says to `path`, trusting what stands in `trusted`.
fn curl(home: &Home, server: &Server, trusted: &str, arguments: &[&str]) -> Output {
    let file: PathBuf = home.path().join("trusted.crt");
    fs::write(&file, trusted).unwrap();
    Command::new("curl")
        .args(["-sS", "--max-time", "30", "--cacert"])
        .arg(&file)
        .args(arguments)
        .arg(format!("https://{}/readyz", server.public.address()))
        .output()
        .unwrap()
}

/// A connection that trusts `certificate` alone.
fn connect(server: &Server, certificate: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(server.public.address()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Asks over `stream`, which stays open.
fn ask(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn p128_a_listener_speaks_tls_1_2_and_1_3_and_nothing_else() {
    let (home, certificate) = secured();
    let server = home.start();
    for (arguments, version) in [
        (&["--tls-max", "1.2"][..], "TLSv1.2"),
        (&["--tlsv1.3"][..], "TLSv1.3"),
        (&["--http2"][..], ""),
    ] {
        let done = curl(&home, &server, &certificate, &[arguments, &["-v"]].concat());
        let (body, told) = (
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr),
        );
        assert!(done.status.success() && body.contains("ready"), "{done:?}");
        assert!(told.contains(version) && told.contains("HTTP/1.1 200"), "{told}");
        // P128: for a year (ASVS 3.4.1), and only where it has come by TLS (RFC 6797 §7.2).
        assert!(told.contains("strict-transport-security: max-age=31536000"), "{told}");
    }
    let stranger = ostracon_tests::certificate().0;
    assert_eq!(
        curl(&home, &server, &stranger, &[]).status.code(),
        Some(60),
        "another certificate is not believed"
    );

    // Who speaks plainly is told so in the manner of TLS, and the connection ends in order.
    let mut plain = TcpStream::connect(server.public.address()).unwrap();
    plain.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert (RFC 8446 §6): {answer:?}");
    let admin = server.admin.get("/readyz");
    assert_eq!(admin.status, 200, "the other side is as it was");
    assert!(admin.headers.get("strict-transport-security").is_none());
}

#[test]
fn a_certificate_is_exchanged_and_no_connection_is_lost() {
    let (home, old) = secured();
    let server = home.start();
    let mut held = connect(&server, &old);
    assert!(ask(&mut held).unwrap().starts_with("HTTP/1.1 200"));
    let new = exchange(&home);
    wait_for("the new certificate", || ask(&mut connect(&server, &new)).is_ok());
    assert!(
        ask(&mut connect(&server, &old)).is_err(),
        "new connections see the new one alone"
    );
    assert!(
        ask(&mut held).unwrap().starts_with("HTTP/1.1 200"),
        "and the old connection goes on"
    );

    // A key of another certificate: both stay as they were.
    fs::write(home.path().join("tls.crt"), &old).unwrap();
    wait_for("the complaint", || server.log().contains("tls.public.private_key_file"));
    assert!(
        server.log().contains("it is not the key of the first certificate in"),
        "{}",
        server.log()
    );
    assert!(ask(&mut connect(&server, &new)).is_ok());
}

/// Handshakes take place beside each other, within the limits, and whoever does not finish one makes room.
#[test]
fn handshakes_that_do_not_end_hold_nobody_up() {
    let (home, certificate) = secured();
    let server = home.start_with(&[
        ("OSTRACON_LIMITS__CONNECTIONS", "5"),
        ("OSTRACON_LIMITS__HEADER_TIMEOUT", "1s"),
    ]);
    let silent = |n| {
        (0..n)
            .map(|_| TcpStream::connect(server.public.address()).unwrap())
            .collect::<Vec<_>>()
    };
    let some = silent(4);
    assert!(
        ask(&mut connect(&server, &certificate)).is_ok(),
        "beside four that say nothing"
    );
    drop(some);
    let all = silent(5);
    assert!(
        ask(&mut connect(&server, &certificate)).is_ok(),
        "once they were given up"
    );
    drop(all);
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let (home, certificate) = secured();
    let good = fs::read_to_string(home.config()).unwrap();
    let refused = |parts: &[&str]| {
        let (told, status) = home.refused();
        assert!(
            status == 2 && parts.iter().all(|part| told.contains(part)),
            "{parts:?}: {told}"
        );
    };
    let key = home.path().join("tls.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&["tls.public.private_key_file", "tls.key", "chmod o-rwx"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, &certificate).unwrap();
    refused(&["tls.public.private_key_file", "no private key in PEM"]);
    fs::write(home.path().join("tls.crt"), "").unwrap();
    refused(&["tls.public.certificate_file", "no certificate in PEM"]);
    fs::write(home.config(), good.replace("tls.crt", "absent.crt")).unwrap();
    refused(&["tls.public.certificate_file", "absent.crt", "No such file"]);
    fs::write(home.config(), good.replace("private_key_file = \"tls.key\"", "")).unwrap();
    refused(&["tls.public", "private_key_file"]);
    fs::write(home.config(), good.replacen("\"127.0.0.1:0\"", "\"unix:o.sock\"", 1)).unwrap();
    refused(&["tls.public", "unix:", "o.sock"]);
}

/// Told to end, a server waits for what it is answering, and for nothing that has not been asked yet.
#[test]
fn the_end_waits_for_requests_and_not_for_halves_of_them() {
    let home = Home::new();
    let server = home.start();
    let connect = || TcpStream::connect(server.public.address()).unwrap();
    let (mut half, mut whole, mut kept) = (connect(), connect(), connect());
    // One that has been answered, and begins to ask again.
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(kept.read(&mut [0; 12]).unwrap(), 12);
    kept.write_all(b"GET /heal").unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let body = "scope=session";
    let head = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Sec-Fetch-Site: same-origin\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    whole.write_all(head.as_bytes()).unwrap();
    // The body is waited for: the head has been read.
    let mut line = [0; 25];
    whole.read_exact(&mut line).unwrap();
    assert!(line.starts_with(b"HTTP/1.1 100 Continue"), "{line:?}");
    server.terminate();
    // Those who have asked nothing see the end while the other is still being answered.
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "");
    kept.read_to_string(&mut answer).unwrap();
    whole.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    whole.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    whole.shutdown(Shutdown::Both).ok();
    let (status, log) = server.ended();
    assert!(status.success() && !log.contains("were not finished in time"), "{log}");
}
