//! A client that authenticates with a key instead of a secret (RFC 7523 section 2.2), at a real authorization
//! server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use portcullis_config::{
    AuthorizationServer, ClientRegistration, OriginAuth, RegisteredClient, TokenEndpointAuthMethod,
};
use serde_json::{Value, json};
use support::{Harness, Settings, ana, by_hand};

/// A private key in PEM, and the key that verifies its signatures.
struct Key {
    pem: String,
    algorithm: Algorithm,
    verifies: DecodingKey,
}

impl Key {
    fn new(pkcs8: &[u8], algorithm: Algorithm, verifies: DecodingKey) -> Self {
        let text = STANDARD.encode(pkcs8);
        Self {
            pem: format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"),
            algorithm,
            verifies,
        }
    }

    fn ec(signing: &'static EcdsaSigningAlgorithm, algorithm: Algorithm) -> Self {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let verifies = DecodingKey::from_ec_der(pair.public_key().as_ref());
        Self::new(pair.to_pkcs8v1().unwrap().as_ref(), algorithm, verifies)
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let verifies = DecodingKey::from_ed_der(pair.public_key().as_ref());
        Self::new(pair.to_pkcs8().unwrap().as_ref(), Algorithm::EdDSA, verifies)
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let verifies = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        Self::new(der.as_ref(), Algorithm::RS256, verifies)
    }

    /// Verifies the assertion of a request and returns its content.
    fn verified(&self, request: &HashMap<String, String>) -> (Option<String>, Value) {
        let mut validation = Validation::new(self.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let token = jsonwebtoken::decode(&request["client_assertion"], &self.verifies, &validation).unwrap();
        (token.header.kid, token.claims)
    }
}

fn by_key() -> RegisteredClient {
    RegisteredClient {
        token_endpoint_auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
        key_id: Some("k1".to_owned()),
        ..by_hand()
    }
}

fn own_name() -> Settings {
    Settings {
        auth: Some(|_| OriginAuth::ClientCredentials {
            server: AuthorizationServer::OfOrigin,
            client: by_key(),
            scopes: Vec::new(),
        }),
        secret_hosts: vec!["127.0.0.1".to_owned()],
        ..Settings::default()
    }
}

/// A world whose authorization server does not verify assertions; the test does.
async fn world(key: &Key, settings: Settings) -> Harness {
    let world = Harness::with(Settings { secret: key.pem.clone(), ..settings }).await;
    world.provider.levers.lock().clients.insert("by-hand".to_owned(), None);
    world
}

/// Requirements: client.registration.key
#[tokio::test]
async fn given_a_key_of_any_kind_then_an_assertion_for_the_server_is_signed_and_the_key_stays() {
    for key in [
        Key::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256),
        Key::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384),
        Key::ed25519(),
        Key::rsa(),
    ] {
        let world = world(&key, own_name()).await;
        world.token().await;
        let request = &world.provider.requests("client_credentials")[0];
        assert_eq!(request["client_id"], "by-hand");
        assert_eq!(
            request["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let (key_id, mut claims) = key.verified(request);
        assert_eq!(key_id.as_deref(), Some("k1"));
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(jti.as_str().unwrap().len(), 43);
        let now = world.clock.now().seconds();
        let expected = json!({
            "iss": "by-hand", "sub": "by-hand", "aud": world.provider.issuer(), "iat": now, "exp": now + 60,
        });
        assert_eq!(claims, expected, "{:?}", key.algorithm);
        assert!(!request.contains_key("client_secret"));
        assert!(!world.provider.received().contains("PRIVATE KEY"));
    }
}

/// Requirements: client.registration.key
#[tokio::test]
async fn given_a_persons_account_then_code_and_refresh_are_asked_for_with_an_assertion_each() {
    let key = Key::ed25519();
    let settings = Settings {
        registration: ClientRegistration::Client(by_key()),
        secret_hosts: vec!["127.0.0.1".to_owned()],
        ..Settings::default()
    };
    let world = world(&key, settings).await;
    world.connect().await;
    let first = world.token().await;
    world.advance(3600);
    assert_ne!(world.token().await, first);
    let requests = [world.provider.requests("authorization_code"), world.provider.requests("refresh_token")];
    let once: BTreeSet<_> =
        requests.iter().flatten().map(|request| key.verified(request).1["jti"].to_string()).collect();
    assert_eq!((requests[0].len(), requests[1].len(), once.len()), (1, 1, 2));
    let row = world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap();
    assert_eq!(row.auth_method, "private_key_jwt");
}

/// Requirements: client.registration.key
#[tokio::test]
async fn given_a_server_that_quotes_the_assertion_then_it_stands_in_no_event() {
    let world = world(&Key::ed25519(), own_name()).await;
    world.provider.levers.lock().refuses = Some("invalid_client");
    let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap().to_string();
    let assertion = world.provider.requests("client_credentials")[0]["client_assertion"].clone();
    let events = format!("{:?}", world.events.drain());
    assert!(error.contains("no use for … (invalid_client)"), "{error}");
    assert!(events.contains("no use for …") && !events.contains(&assertion), "{events}");
}

/// Requirements: client.registration.key
#[tokio::test]
async fn given_what_cannot_sign_then_nothing_is_asked_and_the_message_says_what_can() {
    let mut key = Key::ed25519();
    for broken in ["hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"] {
        broken.clone_into(&mut key.pem);
        let world = world(&key, own_name()).await;
        let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap().to_string();
        assert!(error.contains("is not a usable private key") && error.contains("PKCS #8"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"));
        assert!(world.provider.requests("client_credentials").is_empty());
    }
}

/// Requirements: client.registration.key
#[tokio::test]
async fn given_a_server_on_a_host_that_the_secret_does_not_name_then_no_assertion_is_made_for_it() {
    let key = Key::ed25519();
    let world = world(&key, Settings { secret_hosts: vec!["as.example".to_owned()], ..own_name() }).await;
    let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap().to_string();
    assert!(error.contains("portcullis.dev/allowed-hosts"), "{error}");
    assert!(world.provider.requests("client_credentials").is_empty());
}
