//! What a reload cannot change.

use std::{path::PathBuf, time::Duration};

use ostracon_core::Issuer;
use ostracon_store::Options;

use crate::{
    config::{AuditSettings, Config, LogFormat},
    listen::Address,
};

/// What cannot change while the server runs.
#[derive(Debug)]
pub(super) struct Fixed {
    data_dir: PathBuf,
    public: Address,
    admin: Address,
    issuer: Issuer,
    pub(super) denylist: Options,
    sweep_every: Duration,
    log_format: LogFormat,
    audit: AuditSettings,
    core_dumps: bool,
    connections: usize,
    header_timeout: Duration,
    /// Whether the listeners speak TLS.
    tls: (bool, bool),
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            public: config.public.clone(),
            admin: config.admin.clone(),
            issuer: config.tokens.issuer.clone(),
            denylist: config.denylist.clone(),
            sweep_every: config.sweep_every,
            log_format: config.log_format,
            audit: config.audit.clone(),
            core_dumps: config.core_dumps,
            connections: config.limits.connections,
            header_timeout: config.limits.header_timeout,
            tls: (config.tls.public.is_some(), config.tls.admin.is_some()),
        }
    }

    /// The first member that is another one in `other`.
    pub(super) fn differs(&self, other: &Self) -> Option<&'static str> {
        [
            ("data_dir", self.data_dir != other.data_dir),
            ("listen.public", self.public != other.public),
            ("listen.admin", self.admin != other.admin),
            ("tokens.issuer", self.issuer != other.issuer),
            ("denylist", self.denylist != other.denylist),
            ("denylist.sweep_every", self.sweep_every != other.sweep_every),
            ("log.format", self.log_format != other.log_format),
            ("audit", self.audit != other.audit),
            ("process.core_dumps", self.core_dumps != other.core_dumps),
            ("limits.connections", self.connections != other.connections),
            ("limits.header_timeout", self.header_timeout != other.header_timeout),
            ("whether a listener speaks TLS", self.tls != other.tls),
        ]
        .into_iter()
        .find_map(|(member, differs)| differs.then_some(member))
    }
}
