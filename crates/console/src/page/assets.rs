//! The page's files, put into the program by `build.rs` from what Vite has made of `web/`.
//!
//! A build without them works, too: then there is a sentence in the place of the page.

use super::plain;
use crate::reply::Reply;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

const INDEX: &str = "index.html";
const SETUP: &str = "setup.html";
const MISSING: &str = "the page of the web console is not in this build of quorate\nhint: ./dev page builds it with node and npm, and the next build of the program takes it up; the REST API works without it\n";
/// Vite names these files after their content.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The console's page, and what it consists of.
pub fn answer(path: &str) -> Response<Body> {
    file(path, INDEX)
}

/// The same for the wizard's page. Each is at the root of its own server.
pub fn answer_setup(path: &str) -> Response<Body> {
    file(path, SETUP)
}

fn file(path: &str, page: &str) -> Response<Body> {
    let name = match path.trim_start_matches('/') {
        "" => page,
        // Another page than the server's own.
        INDEX | SETUP => "",
        name => name,
    };
    let Some((name, bytes)) = FILES.iter().find(|(file, _)| *file == name) else {
        return if name == page {
            plain(Reply::text(503, MISSING))
        } else {
            plain(Reply::text(404, "there is no such page"))
        };
    };
    let mut response = Response::new(Body::from(*bytes));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    if name.starts_with("assets/") {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
