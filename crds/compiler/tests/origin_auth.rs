//! `OriginMcp.spec.auth`: the compiled config of each method, and the diagnostics of invalid ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::{
    AuthorizationServer, ClientRegistration, OriginAuth, SecretKey, SubjectToken, TokenEndpointAuthMethod,
};
use portcullis_policy::RouteTable;
use support::Folder;

/// A folder whose origin has this auth. The Secret `key` may be sent to these hosts.
fn folder(auth: &str, hosts: &str) -> Folder {
    let key = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: key, labels: {{portcullis.dev/credential: 'true'}}, \
         annotations: {{portcullis.dev/allowed-hosts: '{hosts}'}}}}, stringData: {{value: hunter2}}}}"
    );
    Folder::sound().edit("auth: {none: {}}", &format!("auth: {{{auth}}}")).add(&key)
}

fn compiled(folder: &Folder) -> OriginAuth {
    assert_eq!(folder.report(), "");
    let config = folder.compile().config.unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(RouteTable::build(&config, 1).is_ok());
    let auth = config.origins[0].auth.clone();
    let again: OriginAuth = serde_json::from_str(&serde_json::to_string(&auth).unwrap()).unwrap();
    assert_eq!(again, auth);
    auth
}

fn refused(auth: &str, says: &str) {
    let report = folder(auth, "auth.example.com").report();
    assert!(report.contains(says) && !report.contains("hunter2"), "{report}");
}

const CLIENT: &str = "client: {id: gateway, secretRef: {name: key, key: value}}";

/// PEM as it is written in a manifest (RFC 7468).
fn pem(kind: &str, der: &[u8]) -> String {
    format!("\"-----BEGIN {kind}-----\\n{}\\n-----END {kind}-----\\n\"", STANDARD.encode(der))
}

fn key() -> SecretKey {
    SecretKey("default/key/value".to_owned())
}

/// Requirements: client.query
#[test]
fn given_a_parameter_then_its_value_goes_only_to_hosts_that_its_secret_names() {
    let auth = "queryParameter: {name: api_key, valueRef: {name: key, key: value}}";
    let parameter = OriginAuth::QueryParameter { name: "api_key".to_owned(), value: key() };
    assert_eq!(compiled(&folder(auth, "mcp.linear.app")), parameter);
    refused(auth, "spec.auth.queryParameter.valueRef: Secret default/key may not be sent to mcp.linear.app");
    // The value is URL-encoded, so all characters can be sent.
    compiled(&folder(auth, "*").edit("hunter2", "'hünter2 &='"));
}

#[test]
fn given_an_account_for_everybody_then_it_is_registered_for_like_each_persons_own() {
    let OriginAuth::SharedOAuth { scopes, registration } =
        compiled(&folder("sharedOAuth: {scopes: [read]}", "*"))
    else {
        panic!("not shared")
    };
    assert_eq!((scopes, registration), (vec!["read".to_owned()], ClientRegistration::Auto));
    let by_hand =
        compiled(&folder(&format!("sharedOAuth: {{registration: {{{CLIENT}}}}}"), "auth.example.com"));
    assert_eq!(by_hand.secret(), Some(&key()));
    refused(
        "sharedOAuth: {registration: {}}",
        "spec.auth.sharedOAuth.registration: registration must have exactly one of",
    );
}

/// Requirements: client.credentials.bound
#[test]
fn given_client_credentials_then_they_name_the_server_or_leave_it_to_the_origin() {
    for (server, expected) in [
        ("", AuthorizationServer::OfOrigin),
        (
            ", issuer: 'https://auth.example.com'",
            AuthorizationServer::Issuer("https://auth.example.com".to_owned()),
        ),
        (
            ", tokenEndpoint: 'https://auth.example.com/token'",
            AuthorizationServer::TokenEndpoint("https://auth.example.com/token".parse().unwrap()),
        ),
    ] {
        let auth = format!("clientCredentials: {{{CLIENT}, scopes: [read]{server}}}");
        let OriginAuth::ClientCredentials { server, client, scopes } =
            compiled(&folder(&auth, "auth.example.com"))
        else {
            panic!("not client credentials")
        };
        assert_eq!((server, client.secret, scopes), (expected, Some(key()), vec!["read".to_owned()]));
    }
    refused(
        "clientCredentials: {client: {id: gateway}}",
        "client.secretRef: clientCredentials requires a client that authenticates",
    );
    let both = format!(
        "clientCredentials: {{{CLIENT}, issuer: 'https://a.example', tokenEndpoint: 'https://a.example/t'}}"
    );
    refused(&both, "both issuer and tokenEndpoint are set");
    let inside = format!("clientCredentials: {{{CLIENT}, issuer: 'http://10.0.0.4'}}");
    refused(&inside, "clientCredentials.issuer: 10.0.0.4 is a private address");
    let mute = "{apiVersion: v1, kind: Secret, metadata: {name: mute, labels: {portcullis.dev/credential: 'true'}}, stringData: {value: hunter2}}";
    let unsent =
        folder(&format!("clientCredentials: {{{}}}", CLIENT.replace("name: key", "name: mute")), "*")
            .add(mute);
    assert!(
        unsent.report().contains("Secret default/mute does not list allowed hosts"),
        "{}",
        unsent.report()
    );
}

/// Requirements: client.exchange.hosts
#[test]
fn given_a_token_exchange_then_the_gateways_owner_says_where_identity_tokens_may_go() {
    let exchange = |server: &str| format!("tokenExchange: {{{CLIENT}, audience: orders, {server}}}");
    let issuer = exchange("issuer: 'https://auth.example.com'");
    let endpoint = exchange("tokenEndpoint: 'https://auth.example.com/token', subjectTokenType: id_token");
    for auth in [&issuer, &endpoint] {
        refused(
            auth,
            "users' identity tokens may not be sent to auth.example.com; ask the owner of the gateway to allow it",
        );
    }
    let allowed = |auth: &str, hosts: &str| {
        folder(auth, "auth.example.com")
            .edit("everyone: true", &format!("everyone: true, identityTokenHosts: ['{hosts}']"))
    };
    let OriginAuth::TokenExchange { audience, subject_token, subject_hosts, .. } =
        compiled(&allowed(&issuer, "*.example.com"))
    else {
        panic!("no exchange")
    };
    assert_eq!((audience.as_deref(), subject_token), (Some("orders"), SubjectToken::AccessToken));
    assert_eq!(subject_hosts, Some(vec!["*.example.com".to_owned()]));
    let OriginAuth::TokenExchange { subject_token, .. } = compiled(&allowed(&endpoint, "AUTH.example.com"))
    else {
        panic!("no exchange")
    };
    assert_eq!(subject_token, SubjectToken::IdToken);
    let elsewhere = allowed(&endpoint, "sts.example.com").report();
    assert!(elsewhere.contains("may not be sent to auth.example.com"), "{elsewhere}");
    // Without tenancy only the gateway's own namespace is served.
    let tenancy =
        "  tenancy:\n    - {namespaces: [default], everyone: true, privateNetworks: [127.0.0.0/8]}\n";
    compiled(&folder(&issuer, "auth.example.com").edit(tenancy, ""));
    refused(&exchange("scopes: [read]"), "the authorization server that exchanges tokens is missing");
}

#[test]
fn given_an_identity_assertion_then_it_names_the_origins_authorization_server() {
    let auth = format!("idJag: {{issuer: 'https://auth.example.com', {CLIENT}, scopes: [chat]}}");
    let OriginAuth::IdJag { issuer, client, scopes } = compiled(&folder(&auth, "auth.example.com")) else {
        panic!("no assertion")
    };
    assert_eq!((issuer.as_str(), client.id.as_str()), ("https://auth.example.com", "gateway"));
    assert_eq!(scopes, ["chat"]);
    refused(&auth.replace("https://auth.example.com", "http://10.0.0.4"), "10.0.0.4 is a private address");
    refused(&auth.replace("[chat]", "['chat read']"), "spec.auth.idJag.scopes[0]");
}

#[test]
fn given_two_ways_then_both_are_told() {
    refused(
        "none: {}, queryParameter: {name: k, valueRef: {name: key, key: value}}",
        "exactly one of none, header, queryParameter, userOAuth, sharedOAuth, clientCredentials, tokenExchange, idJag; found none, queryParameter",
    );
}

#[test]
fn given_a_client_with_a_key_then_it_is_one_in_pem_and_its_id_goes_with_it() {
    let auth = "clientCredentials: {client: {id: gateway, secretRef: {name: key, key: value}, \
                tokenEndpointAuthMethod: private_key_jwt, keyId: k1}}";
    refused(auth, "client.secretRef: the value of 'value' in Secret default/key is not a usable private key");
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let report = folder(auth, "*").edit("hunter2", &pem(kind, b"hunter2")).report();
        assert!(report.contains("openssl pkcs8 -topk8 -nocrypt"), "{report}");
    }
    let key_pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let pem = &pem("PRIVATE KEY", key_pair.to_pkcs8v1().unwrap().as_ref());
    let OriginAuth::ClientCredentials { client, .. } = compiled(&folder(auth, "*").edit("hunter2", pem))
    else {
        panic!("not client credentials")
    };
    assert_eq!(client.token_endpoint_auth_method, TokenEndpointAuthMethod::PrivateKeyJwt);
    assert_eq!((client.secret, client.key_id.as_deref()), (Some(key()), Some("k1")));
    let mute = folder(auth, "").edit("hunter2", pem).report();
    assert!(mute.contains("Secret default/key does not list allowed hosts"), "{mute}");
}
