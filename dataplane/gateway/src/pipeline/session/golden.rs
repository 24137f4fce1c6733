//! Golden test of `Mcp-Session-Id`: the next version must open ids that clients hold.

use portcullis_golden::assert_golden;

use super::*;
use crate::golden::{assert_sealed, context, headers, pretty};
use crate::pipeline::audit_record::AuditRecord;
use crate::pipeline::route::Routed;

/// The principal that sends these headers, at the only route.
pub(in crate::pipeline) async fn caller(context: &Context, headers: &HeaderMap) -> Authenticated {
    let mut record = AuditRecord::disabled();
    let routed = Routed::find(context.tables.current().unwrap(), "r", &mut record).ok().unwrap();
    let connection = context.limits.connections.admit([127, 0, 0, 1].into(), false).unwrap();
    Authenticated::authenticate(context, routed, &connection, headers, &mut record).await.ok().unwrap()
}

/// A session from before an account is connected.
pub(in crate::pipeline) fn deferred() -> SessionKind {
    SessionKind::Deferred {
        initialize: r#"{"protocolVersion":"2025-11-25"}"#.to_owned(),
        nonce: "nonce".to_owned(),
    }
}

/// A session with this digest.
pub(in crate::pipeline) fn session(digest: &str) -> Session {
    let kind = SessionKind::Origin("origin-session".to_owned());
    Session { contents: SessionContents { t: 0, e: false, kind }, digest: digest.to_owned() }
}

#[tokio::test]
async fn session_ids_open_as_before() {
    let context = context().await;
    let mut headers = headers(&context);
    let by = caller(&context, &headers).await;
    let person = by.caller().principal.id.as_str();
    let bound_to = [person, "route-uid", "origin-uid", "https://origin.example/mcp"];
    let origin = || SessionKind::Origin("origin-session".to_owned());
    let sealed = [
        ("of the origin", origin(), false),
        ("of the origin, with URL elicitation", origin(), true),
        ("before an account is connected", deferred(), false),
        ("before an account is connected, with URL elicitation", deferred(), true),
    ]
    .map(|(name, kind, url_elicitation)| {
        let id = Session::seal(&context, &by, kind, url_elicitation).ok().unwrap();
        (name, &bound_to[..], id.to_str().unwrap().to_owned())
    });
    let kept = assert_sealed("mcp/session-ids.json", &sealed);
    let digests = kept.into_iter().map(|(name, id)| {
        headers.insert(SESSION_ID, id.parse().unwrap());
        let session = Session::open(&context, &by, &headers).ok().unwrap().unwrap();
        (name, serde_json::Value::from(session.digest()))
    });
    assert_golden("mcp/session-digests.json", &pretty(&digests.collect()));
}
