//! Tests of the guarded HTTP client against a real server on loopback.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use portcullis_egress::{EgressError, HttpClient, HttpClients};
use url::Url;

async fn served() -> Url {
    let router = Router::new()
        .route("/", get(|| async { r#"{"fine":true}"# }))
        .route("/away", get(|| async { Redirect::temporary("/") }))
        .route(
            "/announced",
            get(|| async {
                let never = Body::from_stream(futures_util::stream::pending::<Result<String, Infallible>>());
                ([(CONTENT_LENGTH, "1000000000")], never)
            }),
        )
        .route("/large", get(|| async { "x".repeat(2_000) }))
        .route(
            "/chunked",
            get(|| async {
                let chunks = (0..20).map(|_| Ok::<_, Infallible>("x".repeat(100)));
                Body::from_stream(futures_util::stream::iter(chunks))
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/").parse().unwrap()
}

fn local() -> HttpClient {
    HttpClients::new().http(&["127.0.0.0/8".parse().unwrap()], None).unwrap()
}

#[tokio::test]
async fn given_an_allowed_network_when_asked_over_plain_http_then_it_answers() {
    let (http, url) = (local(), served().await);
    let answer = http.send(http.get(url), 100).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["fine"], true);
}

/// Requirements: client.addresses
#[tokio::test]
async fn given_no_allowance_when_an_address_or_a_name_is_local_then_nothing_is_sent() {
    let http = HttpClients::new().http(&[], None).unwrap();
    let url = served().await;
    let port = url.port().unwrap();
    for url in [
        url.to_string(),
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[64:ff9b::a9fe:a9fe]/".to_owned(),
    ] {
        let url: Url = url.parse().unwrap();
        let error = http.send(http.get(url.clone()), 100).await.err().unwrap();
        assert!(matches!(error, EgressError::Forbidden { .. }), "{url}: {error}");
        assert!(http.check(&url).await.is_err(), "{url}");
    }
}

/// Requirements: client.addresses
#[tokio::test]
async fn given_an_allowed_network_then_link_local_and_plain_http_elsewhere_stay_refused() {
    let http = local();
    for url in ["http://169.254.169.254/", "http://[fe80::1]/", "http://10.0.0.1/"] {
        let error = http.send(http.get(url.parse().unwrap()), 100).await.err().unwrap();
        assert!(matches!(error, EgressError::Forbidden { .. }), "{url}: {error}");
    }
    let error = http.send(http.get("http://1.1.1.1/".parse().unwrap()), 100).await.err().unwrap();
    assert!(matches!(error, EgressError::PlainHttp { .. }), "{error}");
    let error = http.send(http.get("ftp://127.0.0.1/".parse().unwrap()), 100).await.err().unwrap();
    assert!(matches!(error, EgressError::Url(_)), "{error}");
}

/// Requirements: as.document.address, advisory.ssrf
#[tokio::test]
async fn given_a_redirect_then_it_is_not_followed() {
    let (http, url) = (local(), served().await);
    let answer = http.send(http.get(url.join("away").unwrap()), 100).await.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
}

/// Requirements: as.document.size
#[tokio::test]
async fn given_a_body_over_the_limit_then_it_is_refused_whether_announced_or_not() {
    let (http, url) = (local(), served().await);
    for path in ["large", "chunked"] {
        let url = url.join(path).unwrap();
        let error = http.send(http.get(url.clone()), 1_999).await.err().unwrap();
        assert!(matches!(error, EgressError::TooLarge { limit: 1_999, .. }), "{path}: {error}");
        assert_eq!(http.send(http.get(url), 2_000).await.unwrap().body.len(), 2_000);
    }
    let never = http.get(url.join("announced").unwrap()).timeout(Duration::from_secs(5));
    let error = http.send(never, 1_999).await.err().unwrap();
    assert!(matches!(error, EgressError::TooLarge { .. }), "not even waited for: {error}");
}

#[tokio::test]
async fn given_nobody_listens_then_the_error_says_so_and_repeats_no_query() {
    let http = local();
    let request =
        http.get("http://127.0.0.1:1/?code=secret".parse().unwrap()).timeout(Duration::from_secs(2));
    let error = http.send(request, 100).await.err().unwrap().to_string();
    assert!(error.contains("127.0.0.1 did not respond") && !error.contains("secret"), "{error}");
}

#[test]
fn given_a_bundle_without_a_certificate_then_no_client_is_made() {
    let error = HttpClients::new().http(&[], Some("no PEM")).err().unwrap();
    assert!(matches!(error, EgressError::CaBundle(_)), "{error}");
}
