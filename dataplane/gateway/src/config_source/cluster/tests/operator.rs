//! A minimal operator for tests: it signs documents.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_clock::Random;
use portcullis_config::{OriginAuth, OriginConfig, RouteConfig, SecretKey, SecretValue, TeamConfig};
use portcullis_config_distribution::{
    DocumentKind, SealedCredential, Stamp, object_name, sign_document, sign_stamped,
};
use portcullis_golden::config::{everything, gateway, origin, route, with};
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTable;
use serde_json::{Value, json};

use crate::config_source::cluster::object::WatchedObject;

/// Key of the credential.
pub(super) const TOKEN: &str = "mcp/key/token";

/// Produces published objects.
pub(super) struct Operator {
    pub(super) keys: Arc<Keyring>,
    pub(super) version: u64,
}

impl Operator {
    pub(super) fn new() -> Self {
        Self { keys: keys(), version: 100 }
    }

    pub(super) fn object(
        &mut self,
        kind: DocumentKind,
        identity: &str,
        document: &impl serde::Serialize,
    ) -> WatchedObject {
        self.version += 1;
        let name = object_name(kind, identity);
        let installation = self.keys.installation().unwrap().id.clone();
        let stamp = Stamp { installation, serial: i64::try_from(self.version).unwrap() };
        let document = serde_json::to_string(document).unwrap();
        let data = sign_stamped(&self.keys.mac, kind, &name, &stamp, &document).unwrap().data();
        WatchedObject { name, version: self.version, label: kind.label().to_owned(), data }
    }

    pub(super) fn gateway(&mut self, public_url: &str) -> WatchedObject {
        self.gateway_with(public_url, json!({"oidc": {
            "issuer": "https://idp.example", "clientId": "portcullis", "clientSecret": null, "scopes": ["openid"],
            "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
            "trustEmail": false, "privateNetworks": [], "caBundlePem": null,
        }}))
    }

    pub(super) fn gateway_with(&mut self, public_url: &str, provider: Value) -> WatchedObject {
        let document = with(
            gateway(),
            json!({
                "name": "mcp/main", "publicUrl": public_url,
                "identityProviders": [{"name": "company", "kind": provider}],
            }),
        );
        let document: portcullis_config::GatewayConfig = serde_json::from_value(document).unwrap();
        self.object(DocumentKind::Gateway, "", &document)
    }

    pub(super) fn origin(&mut self, id: &str, auth: &OriginAuth) -> WatchedObject {
        let document = with(origin(id), json!({"auth": auth}));
        let document: OriginConfig = serde_json::from_value(document).unwrap();
        self.object(DocumentKind::Origin, id, &document)
    }

    pub(super) fn route(&mut self, uid: &str, slug: &str, origin: &str) -> WatchedObject {
        self.route_with(uid, with(route(uid, slug, origin), json!({"access": "Teams"})))
    }

    pub(super) fn suspended_route(&mut self, uid: &str, slug: &str, origin: &str) -> WatchedObject {
        self.route_with(uid, with(route(uid, slug, origin), json!({"access": "Teams", "suspended": true})))
    }

    fn route_with(&mut self, uid: &str, document: Value) -> WatchedObject {
        let document: RouteConfig = serde_json::from_value(document).unwrap();
        self.object(DocumentKind::Route, uid, &document)
    }

    pub(super) fn team(&mut self, uid: &str, route: &str) -> WatchedObject {
        self.team_of(uid, route, "readers")
    }

    pub(super) fn team_of(&mut self, uid: &str, route: &str, group: &str) -> WatchedObject {
        let document = json!({
            "uid": uid, "name": format!("mcp/{uid}"), "displayName": uid,
            "members": {"groups": [group], "users": [], "serviceAccounts": []},
            "access": [{"route": route, "tools": everything()}],
        });
        let document: TeamConfig = serde_json::from_value(document).unwrap();
        self.object(DocumentKind::Team, uid, &document)
    }

    pub(super) fn credential(&mut self, value: &str) -> WatchedObject {
        let value =
            SecretValue { value: value.to_owned().into(), allowed_hosts: vec!["origin.example".to_owned()] };
        let key = SecretKey(TOKEN.to_owned());
        let document = SealedCredential::seal(&self.keys.sealing, &Random::system(), &key, &value).unwrap();
        self.object(DocumentKind::Credential, TOKEN, &document)
    }
}

impl Operator {
    /// The object as a version without serials wrote it.
    pub(super) fn without_serial(&mut self, object: WatchedObject) -> WatchedObject {
        let mut document: serde_json::Map<String, Value> =
            serde_json::from_str(&object.data["document"]).unwrap();
        document.retain(|name, _| name != "installation" && name != "serial");
        let kind = DocumentKind::from_label(&object.label).unwrap();
        let data = sign_document(&self.keys.mac, kind, &object.name, &document).unwrap().data();
        WatchedObject { data, ..object }
    }
}

/// Keys of an installation that a version without serials created.
pub(super) fn keys_without_required_serials() -> Arc<Keyring> {
    let text = Keyring::generate(&Random::system()).unwrap();
    let mut written: Value = serde_json::from_slice(&text).unwrap();
    written["installation"]["serialsRequired"] = false.into();
    Arc::new(Keyring::from_json(written.to_string().as_bytes()).unwrap())
}

pub(super) fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap())
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
