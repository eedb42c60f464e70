//! Those who issue tokens of their own: an application with its key, and an identity provider that publishes its keys.

use std::sync::{Arc, Condvar, Mutex};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ostracon_core::{Algorithm, KeyId, VerifyingKey};
use serde_json::{Value, json};

use crate::{
    application::{Application, Reply},
    program::now,
};

/// A key, and whoever signs with it as it likes.
#[derive(Debug)]
pub enum Minter {
    /// HS256.
    Secret(Vec<u8>),
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    Ec(EcdsaKeyPair),
}

impl Minter {
    /// One for HS256.
    pub fn hs256(secret: impl Into<Vec<u8>>) -> Self {
        Self::Secret(secret.into())
    }

    /// One for RS256, with a fresh key.
    pub fn rs256() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// One for ES256, with a fresh key.
    pub fn es256() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// The algorithm.
    pub fn alg(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::Ec(_) => Algorithm::ES256,
        }
    }

    /// A token of `claims`, whose header has its `alg` and what is in `header`.
    pub fn mint(&self, header: &Value, claims: &Value) -> String {
        let mut whole = json!({"alg": self.alg()});
        for (name, value) in header.as_object().unwrap() {
            whole[name.as_str()] = value.clone();
        }
        let encoded = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let input = format!("{}.{}", encoded(&whole), encoded(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, input.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Its public key in PEM.
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Secret(_) => panic!("a secret has no public half"),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Self::Ec(pair) => pair.public_key().as_der().unwrap(),
        };
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der.as_ref())
        )
    }

    /// Its public key as a JWK named `kid`.
    pub fn jwk(&self, kid: &str) -> Value {
        let kid = KeyId::new(kid).unwrap();
        let key = VerifyingKey::from_pem(kid, self.alg(), self.public_pem().as_bytes()).unwrap();
        key.public_jwk().unwrap()
    }
}

/// What a provider does when it is asked for its keys.
#[derive(Clone, Debug)]
pub enum Mood {
    /// It answers with these.
    Keys(Vec<Value>),
    /// It answers with this, whatever it is.
    Says(String),
    /// It answers 500.
    Fails,
    /// It sends elsewhere, to where its keys are.
    Redirects,
    /// It does not answer.
    Hangs,
}

/// An identity provider: it publishes keys at `/keys`, and counts how often it is asked.
#[derive(Debug)]
pub struct Provider {
    server: Application,
    mood: Arc<(Mutex<Mood>, Condvar)>,
}

impl Provider {
    /// One that does as `mood` says.
    pub fn start(mood: Mood) -> Self {
        let mood = Arc::new((Mutex::new(mood), Condvar::new()));
        let shown = Arc::clone(&mood);
        let server = Application::start(move |arrived| {
            let (mood, changed) = &*shown;
            let mut mood = mood.lock().unwrap();
            while matches!(*mood, Mood::Hangs) {
                mood = changed.wait(mood).unwrap();
            }
            match &*mood {
                Mood::Redirects if arrived.path == "/keys" => Reply {
                    status: "302 Found",
                    headers: vec![("Location", "/elsewhere".to_owned())],
                    body: String::new(),
                },
                Mood::Keys(keys) => Reply::ok("application/json", json!({"keys": keys}).to_string()),
                Mood::Says(body) => Reply::ok("application/json", body.as_str()),
                _ => Reply {
                    status: "500 Internal Server Error",
                    headers: Vec::new(),
                    body: "not now".to_owned(),
                },
            }
        });
        Self { server, mood }
    }

    /// Changes what it does.
    pub fn becomes(&self, mood: Mood) {
        *self.mood.0.lock().unwrap() = mood;
        self.mood.1.notify_all();
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        format!("http://{}/keys", self.server.address())
    }

    /// How often it has answered.
    pub fn asked(&self) -> usize {
        self.server.arrived()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Whoever waits for an answer is let go.
        self.becomes(Mood::Fails);
    }
}

/// Claims of an access token of `iss` for `sub`, as most providers write them, good for five minutes.
pub fn foreign_claims(iss: &str, sub: &str) -> Value {
    json!({"iss": iss, "sub": sub, "aud": "shop", "iat": now(), "exp": now().saturating_add(300)})
}
