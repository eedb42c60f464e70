//! An application over an empty directory, and the client that may ask it.

use std::{path::Path, sync::Arc};

use ostracon_server::{App, Clock, Config, new_secret};

pub(crate) const NOW: u64 = 1_790_000_000;

/// An application that is opened in `dir`, and the secret of its client `web`, which has `roles`; `more` is configuration.
pub(crate) fn open(dir: &Path, clock: Clock, roles: &str, more: &str) -> (Arc<App>, String) {
    ostracon_store::write_new(&dir.join("hs.secret"), new_secret().unwrap().0.as_bytes()).unwrap();
    let (secret, hash) = new_secret().unwrap();
    let text = format!(
        r#"
data_dir = "denylist"
tokens = {{ issuer = "https://auth.example", audience = "app" }}
keys = [{{ kid = "k", alg = "HS256", secret_file = "hs.secret" }}]
clients = [{{ id = "web", secret_sha256 = "{hash}", roles = {roles} }}]
{more}
"#
    );
    let path = dir.join("ostracon.toml");
    ostracon_store::write_new(&path, text.as_bytes()).unwrap();
    let app = App::open(Config::load_with(&path, []).unwrap(), clock).unwrap();
    (app, secret.to_string())
}
