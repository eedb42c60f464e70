//! How much is at stake, and where.

use alloc::{borrow::ToOwned, boxed::Box, string::String};

use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::claims::Claims;

/// How much is at stake behind a route. Ordered: what is higher is stricter.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Signature and expiry are enough, for tokens of a short enough life; longer-lived ones are asked for all the same.
    Low,
    /// The denylist is asked.
    #[default]
    Standard,
    /// The denylist is asked, and whatever else is configured, a failing one refuses.
    High,
}

/// A tier for what is for an audience, allows a scope, or goes to a path.
///
/// ```
/// use ostracon_core::{Tier, TierRule};
///
/// let rule: TierRule = serde_json::from_str(r#"{"scope":"admin","tier":"high"}"#)?;
/// assert_eq!(rule, TierRule::scope("admin", Tier::High)?);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawRule", into = "RawRule")]
pub struct TierRule {
    on: On,
    tier: Tier,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum On {
    Audience(Box<str>),
    Scope(Box<str>),
    /// Without its last slash; empty for all paths.
    Path(Box<str>),
}

impl TierRule {
    /// For tokens that `audience` is among the audiences of.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Rule`] when it is empty.
    pub fn audience(audience: &str, tier: Tier) -> Result<Self, PolicyError> {
        if audience.is_empty() {
            return Err(PolicyError::Rule("an audience must not be empty"));
        }
        let on = On::Audience(audience.into());
        Ok(Self { on, tier })
    }

    /// For tokens that allow `scope`, one word.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Rule`] when it is not one word of a scope.
    pub fn scope(scope: &str, tier: Tier) -> Result<Self, PolicyError> {
        let word = crate::Scope::new(scope).is_ok_and(|s| s.iter().count() == 1);
        if !word {
            return Err(PolicyError::Rule("a scope must be one word of printable ASCII"));
        }
        let on = On::Scope(scope.into());
        Ok(Self { on, tier })
    }

    /// For requests to `path` and what lies below it, segment by segment: `/admin` is not for `/administrator`.
    ///
    /// Case counts. A request whose path has more than one reading (an empty, `.` or `..` segment, `%`, `\`, `;`) is
    /// taken to go everywhere: each path rule applies to it, and the default tier, and so the strictest decides.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Rule`] when it does not begin with `/` or has more than one reading itself.
    pub fn path(path: &str, tier: Tier) -> Result<Self, PolicyError> {
        if !has_one_reading(path) {
            return Err(PolicyError::Rule("a path must begin with / and have one reading"));
        }
        let on = On::Path(path.strip_suffix('/').unwrap_or(path).into());
        Ok(Self { on, tier })
    }

    /// What it asks for.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    pub(super) fn is_by_path(&self) -> bool {
        matches!(self.on, On::Path(_))
    }

    pub(super) fn applies(&self, claims: &Claims, path: Option<&str>) -> bool {
        match &self.on {
            On::Audience(audience) => claims.aud().contains(audience),
            On::Scope(scope) => claims.scope().iter().any(|word| word == &**scope),
            On::Path(prefix) => path.is_some_and(|path| {
                let below = path.strip_prefix(&**prefix);
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || !has_one_reading(path)
            }),
        }
    }
}

/// Whether every server and proxy reads `path` alike. The last slash is one more segment, an empty one, and harmless.
pub(super) fn has_one_reading(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\' | b';' | b'?' | b'#');
    let Some(segments) = path.strip_prefix('/') else {
        return false;
    };
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    path == "/" || path.bytes().all(plain) && segments.split('/').all(|s| !matches!(s, "" | "." | ".."))
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    tier: Tier,
}

impl TryFrom<RawRule> for TierRule {
    type Error = PolicyError;
    fn try_from(raw: RawRule) -> Result<Self, PolicyError> {
        match (raw.audience, raw.scope, raw.path) {
            (Some(audience), None, None) => Self::audience(&audience, raw.tier),
            (None, Some(scope), None) => Self::scope(&scope, raw.tier),
            (None, None, Some(path)) => Self::path(&path, raw.tier),
            _ => Err(PolicyError::Rule("one of audience, scope and path must stand")),
        }
    }
}

impl From<TierRule> for RawRule {
    fn from(rule: TierRule) -> Self {
        let (mut audience, mut scope, mut path) = (None, None, None);
        match rule.on {
            On::Audience(name) => audience = Some(name.into()),
            On::Scope(word) => scope = Some(word.into()),
            On::Path(prefix) if prefix.is_empty() => path = Some("/".to_owned()),
            On::Path(prefix) => path = Some(prefix.into()),
        }
        Self {
            audience,
            scope,
            path,
            tier: rule.tier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims::parse(br#"{"iss":"i","exp":9,"aud":["shop","bank"],"scope":"read admin"}"#).unwrap()
    }

    #[test]
    fn audiences_and_scopes_are_whole_words() {
        let applies = |rule: Result<TierRule, PolicyError>| rule.unwrap().applies(&claims(), None);
        assert!(applies(TierRule::audience("bank", Tier::High)));
        assert!(!applies(TierRule::audience("Bank", Tier::High)));
        assert!(applies(TierRule::scope("admin", Tier::High)));
        assert!(!applies(TierRule::scope("adm", Tier::High)));
        assert!(!applies(TierRule::path("/", Tier::High)), "no path is no path");
    }

    #[test]
    fn a_path_covers_what_lies_below_it_and_every_path_with_two_readings() {
        let rule = TierRule::path("/admin/", Tier::High).unwrap();
        let applies = |path: &str| rule.applies(&claims(), Some(path));
        for path in ["/admin", "/admin/", "/admin/users/7"] {
            assert!(applies(path), "{path}");
        }
        for path in ["/", "/administrator", "/Admin", "/shop/admin", "/shop/", "/shop/a.b"] {
            assert!(!applies(path), "{path}");
        }
        for path in [
            "/shop/../admin",
            "//admin",
            "/x/./y",
            "/%61dmin",
            "/x\\admin",
            "/x;y",
            "admin",
            "",
            "/x?y",
            "/x y",
        ] {
            assert!(applies(path), "{path}");
        }
        let all = TierRule::path("/", Tier::High).unwrap();
        assert!(all.applies(&claims(), Some("/")) && all.applies(&claims(), Some("/a/b")));
    }

    #[test]
    fn rules_that_could_never_mean_anything_are_refused() {
        for (json, ok) in [
            (r#"{"audience":"a","tier":"low"}"#, true),
            (r#"{"scope":"a","tier":"standard"}"#, true),
            (r#"{"path":"/","tier":"low"}"#, true),
            (r#"{"path":"/a/b","tier":"high"}"#, true),
            (r#"{"audience":"","tier":"low"}"#, false),
            (r#"{"scope":"a b","tier":"low"}"#, false),
            (r#"{"scope":"","tier":"low"}"#, false),
            (r#"{"path":"admin","tier":"low"}"#, false),
            (r#"{"path":"","tier":"low"}"#, false),
            (r#"{"path":"/a//b","tier":"low"}"#, false),
            (r#"{"path":"/a//","tier":"low"}"#, false),
            (r#"{"path":"/%61","tier":"low"}"#, false),
            (r#"{"tier":"low"}"#, false),
            (r#"{"audience":"a","path":"/","tier":"low"}"#, false),
            (r#"{"audience":"a","tier":"highest"}"#, false),
            (r#"{"audience":"a","tier":"low","x":1}"#, false),
        ] {
            let rule = serde_json::from_str::<TierRule>(json);
            assert_eq!(rule.is_ok(), ok, "{json}");
            if let Ok(rule) = rule {
                assert_eq!(serde_json::to_string(&rule).unwrap(), json);
            }
        }
    }
}
