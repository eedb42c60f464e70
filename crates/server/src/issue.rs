//! Logging a subject in: a session and its first pair of tokens.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use ostracon_core::{Claims, ClientId, Compact, Scope, SigningKey, Subject, Targets, TokenType, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{app::App, problem::Problem, random};

/// Who logs in, and for what.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) sub: Subject,
    pub(crate) aud: Vec<String>,
    pub(crate) client_id: ClientId,
    pub(crate) scope: Scope,
    /// What the application wants to read in its tokens, beside [`RESERVED`].
    pub(crate) claims: Map<String, Value>,
}

/// The claims that are ours to set.
pub(crate) const RESERVED: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "client_id",
    "scope",
    "auth_time",
    "session_exp",
];

/// A pair of tokens, as it is answered.
#[derive(Serialize)]
pub(crate) struct Pair {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_expires_in: u64,
    sid: String,
    jti: String,
    /// `Set-Cookie` values for whoever talks to the browser.
    cookies: [String; 2],
}

/// The claims of both kinds of token, in the order in which they are written.
#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    sid: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_exp: Option<u64>,
    /// In an access token beside the others, where applications look for them; in a refresh token, which is read by
    /// nobody but us, under one name, so that the next access token can be given them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    beside: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a Map<String, Value>>,
}

/// One audience is written as a string, several as an array (RFC 7519 §4.1.3).
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

impl App {
    /// Begins a session for `login` and signs its first pair.
    ///
    /// # Errors
    ///
    /// [`Problem`] `member_invalid` when the tokens would be larger than what is accepted anywhere; `revoked_ahead` when
    /// a cut-off in the future would deny them from the start; as for the denylist when that cannot be asked.
    pub(crate) async fn log_in(&self, login: &Login) -> Result<Pair, Problem> {
        let sid = random::id().map_err(Problem::internal)?;
        let now = self.past_cutoffs(login).await?;
        let pair = self.pair(login, &sid, now)?;
        tracing::debug!(%sid, "a session begins");
        Ok(pair)
    }

    fn signer(&self) -> Result<&SigningKey, Problem> {
        self.keys
            .first()
            .ok_or_else(|| Problem::internal("there is no signing key"))
    }

    fn pair(&self, login: &Login, sid: &str, now: UnixTime) -> Result<Pair, Problem> {
        let signer = self.signer()?;
        let ttl = &self.tokens;
        let jti = random::id().map_err(Problem::internal)?;
        let refresh_jti = random::id().map_err(Problem::internal)?;
        let refresh_ttl = ttl.refresh_ttl.min(ttl.session_ttl);
        let ends = |after: Duration| now.saturating_add(after).as_secs();
        let access = Issued {
            iss: ttl.issuer.as_str(),
            sub: login.sub.as_str(),
            aud: match &*login.aud {
                [one] => Audience::One(one),
                many => Audience::Many(many),
            },
            client_id: login.client_id.as_str(),
            scope: login.scope.as_str(),
            sid,
            jti: &jti,
            iat: now.as_secs(),
            exp: ends(ttl.access_ttl),
            auth_time: now.as_secs(),
            session_exp: None,
            beside: Some(&login.claims),
            claims: None,
        };
        let refresh = Issued {
            jti: &refresh_jti,
            exp: ends(refresh_ttl),
            session_exp: Some(ends(ttl.session_ttl)),
            beside: None,
            claims: (!login.claims.is_empty()).then_some(&login.claims),
            aud: match &*login.aud {
                [one] => Audience::One(one),
                many => Audience::Many(many),
            },
            ..access
        };
        let access_token = sign(signer, TokenType::Access, &access)?;
        let refresh_token = sign(signer, TokenType::Refresh, &refresh)?;
        let settings = &self.cookies;
        let too_large = || Problem::member_invalid("claims", "the tokens would not fit into cookies (4096 bytes)");
        let cookies = [
            settings
                .set(&settings.access, &access_token, ttl.access_ttl)
                .ok_or_else(too_large)?,
            settings
                .set(&settings.refresh, &refresh_token, refresh_ttl)
                .ok_or_else(too_large)?,
        ];
        Ok(Pair {
            token_type: "Bearer",
            expires_in: ttl.access_ttl.as_secs(),
            refresh_expires_in: refresh_ttl.as_secs(),
            sid: sid.to_owned(),
            access_token,
            refresh_token,
            cookies,
            jti,
        })
    }

    /// The time at which `login` may be issued so that nothing revoked earlier denies it: now, or where a cut-off lies
    /// in this very second, the beginning of the next. A cut-off covers its whole second, so the old login is not spared
    /// and the new one is not killed (A72). The wait is at most a second, and only here.
    async fn past_cutoffs(&self, login: &Login) -> Result<UnixTime, Problem> {
        // Should somebody keep cutting off, the last login of each second waits for its turn.
        for _ in 0..5 {
            let now = self.now();
            let Some(cutoff) = self.cutoff(login, now).await? else {
                return Ok(now);
            };
            if cutoff > now {
                return Err(Problem::revoked_ahead(format!(
                    "what is issued up to {cutoff} is revoked already; lift that revocation first"
                )));
            }
            let next = UnixTime::from_secs(now.as_secs().saturating_add(1));
            tokio::time::sleep(next.since(now)).await;
        }
        Err(Problem::revoked_ahead("revocations of this subject keep coming in"))
    }

    /// The cut-off that denies what is issued for `login` at `now`, if one does.
    async fn cutoff(&self, login: &Login, now: UnixTime) -> Result<Option<UnixTime>, Problem> {
        let kid = self.signer()?.kid();
        let json = serde_json::json!({
            "iss": self.tokens.issuer, "sub": login.sub, "client_id": login.client_id,
            "iat": now.as_secs(), "exp": now.as_secs(),
        });
        let claims = Claims::parse(json.to_string().as_bytes())?;
        let targets = Targets::of(&claims, Some(kid));
        if self.denylist.is_clear(&targets) {
            return Ok(None);
        }
        let (denylist, kid) = (std::sync::Arc::clone(&self.denylist), kid.clone());
        let check = move || denylist.check(&Targets::of(&claims, Some(&kid)), now);
        let facts = tokio::task::spawn_blocking(check).await.map_err(Problem::internal)??;
        Ok(facts.revocation.and_then(|hit| hit.cutoff()))
    }
}

fn sign(signer: &SigningKey, typ: TokenType, issued: &Issued<'_>) -> Result<String, Problem> {
    // What is issued is accepted: the application's claims are held against the same limits as a token that comes in.
    let json = serde_json::to_vec(issued).map_err(Problem::internal)?;
    Claims::parse(&json).map_err(|refusal| Problem::member_invalid("claims", refusal))?;
    let token = signer.sign(typ, issued).map_err(Problem::internal)?;
    if token.len() > Compact::MAX_BYTES {
        return Err(Problem::member_invalid(
            "claims",
            "the tokens would be larger than is accepted",
        ));
    }
    Ok(token)
}

impl Pair {
    /// Where it was issued, as RFC 6749 §5.1 has it answered: stored by nobody.
    pub(crate) fn headers() -> [(header::HeaderName, HeaderValue); 1] {
        [(header::PRAGMA, HeaderValue::from_static("no-cache"))]
    }
}
