//! The style, the script and the picture of the pages. Their names change with what is in them, so that browsers keep them for good.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::page::Failure;
use crate::problem::Problem;

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", "text/css; charset=utf-8", include_str!("console.css")));
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "console",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("console.js"),
    )
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

pub(super) struct Asset {
    path: String,
    media_type: HeaderValue,
    content: &'static str,
}

const DIR: &str = "/admin/assets/";

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        let hash = digest::digest(&digest::SHA256, content.as_bytes());
        let hash = hash.as_ref().iter().take(6);
        let hash = hash.fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self {
            path: format!("{DIR}{name}-{hash}.{extension}"),
            media_type: HeaderValue::from_static(media_type),
            content,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Failure> {
    let mut all = [&STYLE, &SCRIPT, &ICON].into_iter();
    let found = all.find(|asset| asset.path.strip_prefix(DIR) == Some(&name));
    let asset = found.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type.clone()),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    Ok((headers, asset.content).into_response())
}
