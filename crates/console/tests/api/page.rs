//! The web console: what it asks for before it answers, and what it never does.

use super::world::{Answer, PEER, World};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use console::{BasicAuth, Console, Outcome, RestApiSettings, Service};
use std::sync::Arc;
use tokio::sync::mpsc;

struct Page {
    world: World,
    console: Console,
}

impl Page {
    /// `password`: of the user `admin`.
    fn new(password: Option<&str>) -> Self {
        let mut world = World::new();
        let authentication = password.map(|password| BasicAuth::new("admin", password));
        world.publish(|snapshot| {
            snapshot.settings = Arc::new(RestApiSettings { authentication, ..RestApiSettings::default() });
        });
        let (_, unused) = mpsc::channel(1);
        let mut commands = std::mem::replace(&mut world.commands, unused);
        tokio::spawn(async move {
            while let Some(request) = commands.recv().await {
                let _ = request.answer.send(Outcome::new(202, "reload scheduled"));
            }
        });
        let console = Console::new(world.api.clone(), false);
        Self { world, console }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "10.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-length", body.len());
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (head, body) = self.console.respond(PEER.parse().unwrap(), request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    async fn sign_in(&self, password: &str) -> Answer {
        let body = serde_json::json!({"username": "admin", "password": password}).to_string();
        self.ask("POST", "/session", &[FROM_THE_PAGE], &body).await
    }

    /// The cookie, as a browser sends it back.
    async fn cookie(&self, password: &str) -> String {
        let answer = self.sign_in(password).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

const FROM_THE_PAGE: (&str, &str) = ("x-quorate-console", "1");

#[tokio::test]
async fn without_a_password_in_the_configuration_the_console_only_shows() {
    let page = Page::new(None);
    assert_eq!(page.ask("GET", "/api/cluster", &[], "").await.status, 200);
    assert_eq!(page.ask("GET", "/api/quorate/overview", &[], "").await.status, 200);
    for (method, path) in [("POST", "/api/reload"), ("PATCH", "/api/config"), ("DELETE", "/api/switchover")] {
        let answer = page.ask(method, path, &[FROM_THE_PAGE], "{}").await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.body.contains("restapi.authentication") && answer.body.contains("hint:"), "{}", answer.body);
    }
    assert_eq!(page.sign_in("").await.status, 403);
    let who = page.ask("GET", "/session", &[], "").await.body;
    assert!(who.contains(r#""login_needed": false"#) && who.contains(r#""may_change": false"#), "{who}");
}

#[tokio::test]
async fn with_a_password_nothing_is_answered_before_it_was_given() {
    let page = Page::new(Some("right"));
    for (method, path) in [
        ("GET", "/api/cluster"),
        ("GET", "/api/quorate/stream"),
        ("GET", "/api/openapi.json"),
        ("POST", "/api/reload"),
        ("OPTIONS", "/api/primary"),
    ] {
        for cookie in ["", "quorate_session=", "quorate_session=AAAA", "other=x; quorate_session"] {
            let answer = page.ask(method, path, &[FROM_THE_PAGE, ("cookie", cookie)], "").await;
            assert_eq!(answer.status, 401, "{method} {path} with {cookie:?}");
            assert_eq!(answer.header("www-authenticate"), None, "the browser would ask, and keep the password");
        }
    }
    // The password itself is no ticket here: that would be a way around the limit of failures.
    let basic = ("authorization", "Basic YWRtaW46cmlnaHQ=");
    assert_eq!(page.ask("GET", "/api/cluster", &[basic], "").await.status, 401);

    let refused = page.sign_in("wrong").await;
    assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    let signed_in = page.sign_in("right").await;
    let cookie = signed_in.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "browsers would not send it without TLS: {cookie}");
    assert!(!cookie.contains("right") && !signed_in.body.contains("quorate_session"));

    let cookie = page.cookie("right").await;
    let session = [FROM_THE_PAGE, ("cookie", cookie.as_str())];
    assert_eq!(page.ask("GET", "/api/cluster?x=y", &session, "").await.status, 200);
    assert_eq!(page.ask("POST", "/api/reload", &session, "").await.status, 202);
    assert_eq!(page.ask("POST", "/api/members/pg1/reload", &session, "").await.status, 202);
    let who = page.ask("GET", "/session", &session, "").await.body;
    assert!(who.contains(r#""user": "admin""#) && who.contains(r#""may_change": true"#), "{who}");

    let out = page.ask("DELETE", "/session", &session, "").await;
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(page.ask("GET", "/api/cluster", &session, "").await.status, 401);
}

#[tokio::test]
async fn in_tls_the_cookie_is_for_tls_only() {
    let mut page = Page::new(Some("right"));
    page.console = Console::new(page.world.api.clone(), true);
    let signed_in = page.sign_in("right").await;
    assert!(signed_in.header("set-cookie").unwrap().ends_with("; Secure"), "{signed_in:?}");
    // Where the REST API wants a certificate for changes, a password alone is not enough here either.
    let authentication = Some(BasicAuth::new("admin", "right"));
    let settings = RestApiSettings { authentication, changes_need_certificate: true, ..RestApiSettings::default() };
    page.world.publish(|snapshot| snapshot.settings = Arc::new(settings));
    let cookie = page.cookie("right").await;
    let session = [FROM_THE_PAGE, ("cookie", cookie.as_str())];
    assert_eq!(page.ask("GET", "/api/cluster", &session, "").await.status, 200);
    let refused = page.ask("POST", "/api/reload", &session, "").await;
    assert_eq!((refused.status, refused.body.as_str()), (403, "client certificate required"));
}

#[tokio::test]
async fn a_change_that_another_site_sends_is_refused() {
    let page = Page::new(Some("right"));
    let cookie = page.cookie("right").await;
    let cookie = ("cookie", cookie.as_str());
    let own = ("origin", "http://10.0.0.1:8080");
    for (headers, status) in [
        (vec![cookie, FROM_THE_PAGE, own], 202),
        (vec![cookie, FROM_THE_PAGE, own, ("sec-fetch-site", "same-origin")], 202),
        (vec![cookie, own], 403),
        (vec![cookie, FROM_THE_PAGE, ("origin", "http://evil.example")], 403),
        (vec![cookie, FROM_THE_PAGE, ("origin", "http://10.0.0.1:9999")], 403),
        (vec![cookie, FROM_THE_PAGE, ("origin", "null")], 403),
        (vec![cookie, FROM_THE_PAGE, own, ("sec-fetch-site", "cross-site")], 403),
        (vec![FROM_THE_PAGE, own], 401),
    ] {
        assert_eq!(page.ask("POST", "/api/reload", &headers, "").await.status, status, "{headers:?}");
    }
    for method in ["POST", "DELETE"] {
        assert_eq!(page.ask(method, "/session", &[cookie], "{}").await.status, 403, "{method}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down_and_a_new_password_ends_the_sessions() {
    let page = Page::new(Some("right"));
    let cookie = page.cookie("right").await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(page.sign_in("wrong").await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let refused = page.sign_in("right").await;
    assert!(refused.status == 429 && refused.header("retry-after").is_some(), "{refused:?}");

    let session = [("cookie", cookie.as_str())];
    assert_eq!(page.ask("GET", "/api/cluster", &session, "").await.status, 200, "who is in stays in");
    page.world.publish(|snapshot| {
        let authentication = Some(BasicAuth::new("admin", "new"));
        snapshot.settings = Arc::new(RestApiSettings { authentication, ..RestApiSettings::default() });
    });
    assert_eq!(page.ask("GET", "/api/cluster", &session, "").await.status, 401);
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_the_page_may_not_do() {
    let page = Page::new(Some("right"));
    let services = r#","quorate":{"services":{"console":"http://10.0.0.2:8080"}}"#;
    page.world.store.put("members/pg2", &super::world::member("pg2", "replica", services));
    let hostile = r#","quorate":{"services":{"console":"http://x; script-src *"}}"#;
    page.world.store.put("members/pg3", &super::world::member("pg3", "replica", hostile));
    page.world.publish(|_| {});
    for path in ["/", "/api/cluster", "/session", "/nothing", "/../../etc/passwd", "/apix"] {
        let answer = page.ask("GET", path, &[], "").await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("connect-src 'self' http://10.0.0.2:8080;"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    assert_eq!(page.ask("GET", "/nothing", &[], "").await.status, 404);
    assert_eq!(page.ask("POST", "/", &[], "{}").await.status, 405);
    // With the page in the program, or with a sentence in its place.
    let index = page.ask("GET", "/", &[], "").await;
    let has_page = index.status == 200 && index.body.contains("<script type=\"module\"");
    assert!(has_page || index.status == 503 && index.body.contains("./dev page"), "{index:?}");
}
