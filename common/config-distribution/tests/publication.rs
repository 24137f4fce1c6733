//! A published config is read back unchanged. An object that the operator did not write for this place is
//! rejected.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;

use portcullis_clock::Random;
use portcullis_config::{
    Access, Capabilities, ClientPolicy, Config, GatewayConfig, Members, Network, OriginAuth, OriginConfig,
    OriginLimits, RouteConfig, SecretKey, SecretValue, Secrets, Selection, TeamAccess, TeamConfig,
    TokenLifetimes,
};
use portcullis_config_distribution::{
    DocumentKind, SealedCredential, VerifiedDocument, VerifiedDocuments, VerifyError, documents, object_name,
    sign_document,
};
use portcullis_keyring::Keyring;
use secrecy::{ExposeSecret as _, SecretString};

fn keys() -> Keyring {
    Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap()
}

fn key() -> SecretKey {
    SecretKey("mcp/key/token".into())
}

fn contract() -> Config {
    let gateway = GatewayConfig {
        name: "gateway".into(),
        public_url: "https://mcp.example.com".parse().unwrap(),
        identity_providers: vec![],
        tokens: TokenLifetimes { access_seconds: 900, refresh_seconds: 9000, session_seconds: 900 },
        store_outage_grace_seconds: 900,
        admins: Members::default(),
        clients: ClientPolicy {
            metadata_document_hosts: vec![],
            dynamic_registration: true,
            workloads: vec![],
        },
        trusted_proxies: vec![],
    };
    let origin = OriginConfig {
        uid: "uid-origin".into(),
        id: "opaque".into(),
        name: "mcp/linear".into(),
        display_name: "Linear".into(),
        url: "https://mcp.linear.app/mcp".parse().unwrap(),
        suspended: false,
        auth: OriginAuth::Header { name: "X-Api-Key".into(), prefix: String::new(), value: key() },
        network: Network::default(),
        limits: OriginLimits { request_timeout_ms: 1000, response_bytes: 1000 },
    };
    let route = RouteConfig {
        uid: "uid-route".into(),
        name: "mcp/read".into(),
        slug: "read".into(),
        display_name: "Read".into(),
        description: String::new(),
        suspended: false,
        identity_provider: "company".into(),
        origin: "uid-origin".into(),
        capabilities: Capabilities::default(),
        access: Access::Teams,
    };
    let access = vec![TeamAccess { route: "uid-route".into(), tools: Selection::default() }];
    let team = TeamConfig {
        uid: "uid-team".into(),
        name: "mcp/finance".into(),
        display_name: "Finance".into(),
        members: Members::default(),
        access,
    };
    let mut secrets = Secrets::default();
    let allowed_hosts = vec!["mcp.linear.app".into()];
    secrets.insert(key(), SecretValue { value: SecretString::from("hush"), allowed_hosts });
    Config { gateway, origins: vec![origin], routes: vec![route], teams: vec![team], secrets }
}

type Object = (DocumentKind, String, BTreeMap<String, String>);

fn published(keys: &Keyring, contract: &Config) -> Vec<Object> {
    let mut objects: Vec<Object> = documents(contract)
        .map(|it| (it.kind(), it.object_name(), it.sign(&keys.mac).unwrap().data()))
        .collect();
    for (key, value) in contract.secrets.iter() {
        let document = SealedCredential::seal(&keys.sealing, &Random::system(), key, value).unwrap();
        let name = object_name(DocumentKind::Credential, &key.0);
        let sealed = sign_document(&keys.mac, DocumentKind::Credential, &name, &document).unwrap();
        objects.push((DocumentKind::Credential, name, sealed.data()));
    }
    objects
}

fn pieces(keys: &Keyring, objects: &[Object]) -> VerifiedDocuments {
    let mut pieces = VerifiedDocuments::default();
    for (kind, name, data) in objects {
        pieces.insert(name, VerifiedDocument::from_object(keys, *kind, name, data).unwrap().unwrap());
    }
    pieces
}

#[test]
fn given_a_contract_when_published_and_joined_then_it_is_the_same_and_no_secret_is_in_the_clear() {
    let (keys, contract) = (keys(), contract());
    let objects = published(&keys, &contract);
    assert!(objects.iter().all(|(_, _, data)| data.values().all(|value| !value.contains("hush"))));
    let (joined, missing) = pieces(&keys, &objects).join();
    let joined = joined.unwrap();
    assert_eq!(missing, []);
    assert_eq!(serde_json::to_value(&joined).unwrap(), serde_json::to_value(&contract).unwrap());
    let secret = joined.secrets.get(&key()).unwrap();
    assert_eq!(
        (secret.value.expose_secret(), secret.allowed_hosts.as_slice()),
        ("hush", &["mcp.linear.app".to_owned()][..])
    );
}

#[test]
fn given_names_then_they_follow_from_identity_alone_and_are_names_of_kubernetes() {
    let name = object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000000");
    assert_eq!(name, object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000000"));
    assert_ne!(name, object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000001"));
    assert!(name.strip_prefix("route-").is_some_and(|id| id.len() == 20), "{name}");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    assert_eq!(object_name(DocumentKind::Gateway, "a"), object_name(DocumentKind::Gateway, "b"));
}

fn refused(
    keys: &Keyring,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
) -> Option<VerifyError> {
    VerifiedDocument::from_object(keys, kind, name, data).err()
}

#[test]
fn given_an_object_when_anything_of_it_is_not_the_operators_then_it_is_refused() {
    let keys = keys();
    let objects = published(&keys, &contract());
    let (kind, name, data) = objects.iter().find(|(kind, _, _)| *kind == DocumentKind::Route).unwrap();
    let changed = |part: &str, value: Option<String>| {
        let mut data = data.clone();
        match value {
            Some(value) => data.insert(part.to_owned(), value),
            None => data.remove(part),
        };
        refused(&keys, *kind, name, &data)
    };
    assert_eq!(changed("nothing", None), None);
    for part in ["document", "hash", "mac"] {
        assert_eq!(changed(part, None), Some(VerifyError::Incomplete(part)));
    }
    let other = data["document"].replace("\"read\"", "\"write\"");
    assert_eq!(changed("document", Some(other)), Some(VerifyError::Forged));
    assert_eq!(changed("hash", Some("0".repeat(64))), Some(VerifyError::WrongHash));
    assert_eq!(changed("mac", Some("x.AAAA".into())), Some(VerifyError::Forged));
    // A valid document under another name, as another kind, or of another installation.
    assert_eq!(refused(&keys, *kind, "route-other", data), Some(VerifyError::Forged));
    assert_eq!(refused(&keys, DocumentKind::Team, name, data), Some(VerifyError::Forged));
    assert_eq!(refused(&self::keys(), *kind, name, data), Some(VerifyError::Forged));
}

#[test]
fn given_a_document_of_a_version_that_is_not_known_then_it_is_not_understood() {
    let keys = keys();
    let document = serde_json::json!({"uid": "x", "somethingNew": true});
    let data = sign_document(&keys.mac, DocumentKind::Route, "route-x", &document).unwrap().data();
    assert!(matches!(
        refused(&keys, DocumentKind::Route, "route-x", &data),
        Some(VerifyError::NotUnderstood(_))
    ));
}

#[test]
fn given_a_sealed_credential_when_its_name_or_hosts_change_then_it_does_not_open() {
    let keys = keys();
    let value =
        SecretValue { value: SecretString::from("hush"), allowed_hosts: vec!["a.example.com".into()] };
    let sealed = SealedCredential::seal(&keys.sealing, &Random::system(), &key(), &value).unwrap();
    assert!(sealed.open(&keys.sealing).is_ok());
    let elsewhere = SealedCredential { key: SecretKey("other/key/token".into()), ..sealed.clone() };
    let anywhere = SealedCredential { allowed_hosts: vec!["*".into()], ..sealed };
    for changed in [elsewhere, anywhere] {
        assert_eq!(changed.open(&keys.sealing).err(), Some(VerifyError::Unopenable));
    }
}

#[test]
fn given_a_missing_piece_when_joined_then_what_needs_it_waits_and_the_rest_is_served() {
    let keys = keys();
    let mut contract = contract();
    let open = OriginConfig {
        uid: "uid-open".into(),
        name: "mcp/open".into(),
        auth: OriginAuth::None,
        ..contract.origins[0].clone()
    };
    let other = RouteConfig {
        uid: "uid-other".into(),
        name: "mcp/other".into(),
        slug: "other".into(),
        origin: "uid-open".into(),
        ..contract.routes[0].clone()
    };
    contract.origins.push(open);
    contract.routes.push(other);
    let objects = published(&keys, &contract);
    let mut pieces = pieces(&keys, &objects);
    pieces.remove(&object_name(DocumentKind::Credential, &key().0));
    let (joined, missing) = pieces.join();
    let joined = joined.unwrap();
    assert_eq!(joined.routes.iter().map(|route| route.slug.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(joined.teams[0].access, []);
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "mcp/linear needs the credential mcp/key/token, which is missing",
            "mcp/read needs its origin uid-origin, which is missing"
        ]
    );
    pieces.remove(&object_name(DocumentKind::Gateway, ""));
    assert!(pieces.join().0.is_none());
}
