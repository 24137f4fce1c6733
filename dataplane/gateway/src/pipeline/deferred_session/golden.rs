//! Golden test of the stored form of deferred sessions.

use crate::golden::{assert_sealed, context};
use crate::pipeline::session::golden::session;

#[tokio::test]
async fn stored_sessions_open_as_before() {
    let context = context().await;
    let mut sealed = Vec::new();
    for (digest, origin_session) in [("session-digest", Some("origin-session")), ("sessionless-digest", None)]
    {
        context.deferred_sessions.save(&context, &session(digest), origin_session).await.ok().unwrap();
        sealed.push((digest, context.store.deferred_session(digest).await.unwrap().unwrap()));
    }
    let [(one, origin), (other, none)] = sealed.try_into().unwrap();
    let values = [("the origin's session", &[one][..], origin), ("no session at the origin", &[other], none)];
    assert_sealed("mcp/stored-sessions.json", &values);
}
