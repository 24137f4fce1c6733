//! An operator that fits into a test.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_ambient::Random;
use portcullis_contract::{OriginAuth, OriginDoc, RouteDoc, SecretKey, SecretValue, TeamDoc};
use portcullis_keys::Keys;
use portcullis_policy::RouteTable;
use portcullis_publication::{CredentialDoc, Kind, object_name, publish};
use serde_json::{Value, json};

use crate::snapshot::cluster::object::Object;

/// What the credential is called.
pub(super) const TOKEN: &str = "mcp/key/token";

/// An operator, as far as this room can tell.
pub(super) struct Operator {
    pub(super) keys: Arc<Keys>,
    pub(super) version: u64,
}

impl Operator {
    pub(super) fn new() -> Self {
        Self { keys: keys(), version: 100 }
    }

    pub(super) fn object(&mut self, kind: Kind, identity: &str, document: &impl serde::Serialize) -> Object {
        self.version += 1;
        let name = object_name(kind, identity);
        let data = publish(&self.keys.mac, kind, &name, document).unwrap().data();
        Object { name, version: self.version, label: kind.label().to_owned(), data }
    }

    pub(super) fn gateway(&mut self, public_url: &str) -> Object {
        self.gateway_with(public_url, json!({"oidc": {
            "issuer": "https://idp.example", "clientId": "portcullis", "clientSecret": null, "scopes": ["openid"],
            "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
            "trustEmail": false, "privateNetworks": [], "caBundlePem": null,
        }}))
    }

    pub(super) fn gateway_with(&mut self, public_url: &str, provider: Value) -> Object {
        let document = json!({
            "name": "mcp/main", "publicUrl": public_url,
            "identityProviders": [{"name": "company", "kind": provider}],
            "tokens": {"accessSeconds": 900, "refreshSeconds": 3600, "sessionSeconds": 3600},
            "storeOutageGraceSeconds": 900,
            "admins": {"groups": [], "users": [], "serviceAccounts": []},
            "clients": {"metadataDocumentHosts": [], "dynamicRegistration": true}, "trustedProxies": [],
        });
        let document: portcullis_contract::GatewayDoc = serde_json::from_value(document).unwrap();
        self.object(Kind::Gateway, "", &document)
    }

    pub(super) fn origin(&mut self, id: &str, auth: &OriginAuth) -> Object {
        let document = json!({
            "uid": id, "id": id, "name": format!("mcp/{id}"), "displayName": id,
            "url": "https://origin.example/mcp", "suspended": false, "auth": auth,
            "network": {"privateNetworks": [], "caBundlePem": null},
            "limits": {"requestTimeoutMs": 60_000, "responseBytes": 1_000_000},
        });
        let document: OriginDoc = serde_json::from_value(document).unwrap();
        self.object(Kind::Origin, id, &document)
    }

    pub(super) fn route(&mut self, uid: &str, slug: &str, origin: &str) -> Object {
        let all = json!({"include": null, "exclude": [], "overrides": []});
        let document = json!({
            "uid": uid, "name": format!("mcp/{uid}"), "slug": slug, "displayName": slug, "description": "",
            "suspended": false, "identityProvider": "company", "origin": origin, "access": "Teams",
            "capabilities": {"tools": all, "prompts": all, "resources": all, "resourceTemplates": all},
        });
        let document: RouteDoc = serde_json::from_value(document).unwrap();
        self.object(Kind::Route, uid, &document)
    }

    pub(super) fn team(&mut self, uid: &str, route: &str) -> Object {
        let document = json!({
            "uid": uid, "name": format!("mcp/{uid}"), "displayName": uid,
            "members": {"groups": ["readers"], "users": [], "serviceAccounts": []},
            "access": [{"route": route, "tools": {"include": null, "exclude": [], "overrides": []}}],
        });
        let document: TeamDoc = serde_json::from_value(document).unwrap();
        self.object(Kind::Team, uid, &document)
    }

    pub(super) fn credential(&mut self, value: &str) -> Object {
        let value =
            SecretValue { value: value.to_owned().into(), allowed_hosts: vec!["origin.example".to_owned()] };
        let key = SecretKey(TOKEN.to_owned());
        let document = CredentialDoc::seal(&self.keys.sealing, &Random::system(), &key, &value).unwrap();
        self.object(Kind::Credential, TOKEN, &document)
    }
}

pub(super) fn keys() -> Arc<Keys> {
    Arc::new(Keys::from_json(&Keys::generate(&Random::system()).unwrap()).unwrap())
}

pub(super) fn header() -> OriginAuth {
    OriginAuth::Header { name: "x-key".to_owned(), prefix: String::new(), value: SecretKey(TOKEN.to_owned()) }
}

pub(super) fn anywhere() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8080))
}

pub(super) fn slugs(table: &RouteTable) -> Vec<String> {
    let mut slugs: Vec<_> = table.routes().map(|route| route.slug.to_string()).collect();
    slugs.sort();
    slugs
}
