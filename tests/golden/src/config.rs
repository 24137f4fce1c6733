//! Config documents for tests, as JSON. A test changes what matters to it with [`with`].

use serde_json::{Value, json};

/// A config without teams.
#[must_use]
pub fn config(gateway: Value, origins: Vec<Value>, routes: Vec<Value>) -> Value {
    json!({"gateway": gateway, "origins": origins, "routes": routes, "teams": []})
}

/// A gateway with the identity provider `company`, a development provider without users.
#[must_use]
pub fn gateway() -> Value {
    json!({
        "name": "gateway", "publicUrl": "https://gateway.example",
        "identityProviders": [{"name": "company", "kind": {"development": {"users": []}}}],
        "tokens": {"accessSeconds": 900, "refreshSeconds": 3600, "sessionSeconds": 3600},
        "storeOutageGraceSeconds": 900,
        "admins": {"groups": [], "users": [], "serviceAccounts": []},
        "clients": {"metadataDocumentHosts": [], "dynamicRegistration": true},
        "trustedProxies": [],
    })
}

/// An origin without authentication. Its id is its UID.
#[must_use]
pub fn origin(uid: &str) -> Value {
    json!({
        "uid": uid, "id": uid, "name": format!("mcp/{uid}"), "displayName": uid,
        "url": "https://origin.example/mcp", "suspended": false, "auth": "none",
        "network": {"privateNetworks": [], "caBundlePem": null},
        "limits": {"requestTimeoutMs": 60_000, "responseBytes": 1_000_000},
    })
}

/// A route for everyone from the identity provider `company`, with all capabilities of its origin.
#[must_use]
pub fn route(uid: &str, slug: &str, origin: &str) -> Value {
    let all = everything();
    json!({
        "uid": uid, "name": format!("mcp/{uid}"), "slug": slug, "displayName": slug, "description": "",
        "suspended": false, "identityProvider": "company", "origin": origin, "access": "Everyone",
        "capabilities": {"tools": all, "prompts": all, "resources": all, "resourceTemplates": all},
    })
}

/// A selection of all items, without overrides.
#[must_use]
pub fn everything() -> Value {
    json!({"include": null, "exclude": [], "overrides": []})
}

/// A document with some of its members replaced.
///
/// # Panics
/// When one of them is not an object.
#[must_use]
#[allow(clippy::panic, reason = "tests only")]
pub fn with(mut document: Value, members: Value) -> Value {
    match (&mut document, members) {
        (Value::Object(document), Value::Object(members)) => document.extend(members),
        (document, members) => panic!("{document} and {members} must be objects"),
    }
    document
}
