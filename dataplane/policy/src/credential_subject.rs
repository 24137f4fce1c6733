//! The identity with which an origin receives calls.

use portcullis_config::OriginAuth;

use crate::{Origin, Route};

/// The identity with which the gateway calls an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSubject {
    /// No credential, or a static one that an administrator configured.
    None,
    /// The gateway itself, with its own tokens.
    Gateway,
    /// One shared account, connected by an administrator.
    SharedAccount,
    /// The caller's own connected account.
    Person,
    /// The caller, with tokens from their sign-in at the identity provider.
    SignIn,
}

impl Origin {
    /// The identity with which the gateway calls this origin.
    #[must_use]
    pub fn credential_subject(&self) -> CredentialSubject {
        match &self.auth {
            OriginAuth::None | OriginAuth::Header { .. } | OriginAuth::QueryParameter { .. } => {
                CredentialSubject::None
            }
            OriginAuth::SharedOAuth { .. } => CredentialSubject::SharedAccount,
            OriginAuth::ClientCredentials { .. } => CredentialSubject::Gateway,
            OriginAuth::UserOAuth { .. } => CredentialSubject::Person,
            OriginAuth::TokenExchange { .. } | OriginAuth::IdJag { .. } => CredentialSubject::SignIn,
        }
    }

    /// Whether tasks are available. An origin binds a task to the credential that started it, so users who share
    /// one could read and cancel each other's tasks.
    #[must_use]
    pub fn allows_tasks(&self) -> bool {
        self.is_personal()
    }

    /// Whether each user reaches this origin with their own account, so that what it shows may differ from
    /// user to user.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.auth.is_personal()
    }

    /// Whether what this origin shows to one user's account must not be shown to other users.
    #[must_use]
    pub fn has_private_catalog(&self) -> bool {
        self.is_personal() && self.catalog_sharing.is_private()
    }
}

impl Route {
    /// Whether each user must connect their own account at the origin.
    #[must_use]
    pub fn needs_account(&self) -> bool {
        self.origin.credential_subject() == CredentialSubject::Person
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_config::{Config, SecretKey, SecretValue};
    use portcullis_golden::config::{config, gateway, origin, route, with};
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::RouteTable;

    fn route_with(auth: &Value, sharing: &str) -> Arc<Route> {
        let origin = with(origin("o"), json!({"auth": auth, "catalogSharing": sharing}));
        let documents = config(gateway(), vec![origin], vec![route("r", "r", "o")]);
        let mut config: Config = serde_json::from_value(documents).unwrap();
        let allowed_hosts = vec!["origin.example".to_owned()];
        let key = SecretValue { value: SecretString::from("key"), allowed_hosts };
        config.secrets.insert(SecretKey("key".to_owned()), key);
        Arc::clone(RouteTable::build(&config, 1).unwrap().route("r").unwrap())
    }

    fn client() -> Value {
        json!({"id": "portcullis", "secret": null, "token_endpoint_auth_method": "none"})
    }

    fn exchange() -> Value {
        json!({
            "server": {"issuer": "https://as.example"}, "client": client(), "audience": null, "scopes": [],
            "subject_token": "access_token", "subject_hosts": null,
        })
    }

    /// Methods with which each user reaches the origin as themselves.
    fn personal() -> [(Value, CredentialSubject); 3] {
        [
            (json!({"userOAuth": {"scopes": [], "registration": "auto"}}), CredentialSubject::Person),
            (json!({"tokenExchange": exchange()}), CredentialSubject::SignIn),
            (
                json!({"idJag": {"issuer": "https://as.example", "client": client(), "scopes": []}}),
                CredentialSubject::SignIn,
            ),
        ]
    }

    /// Methods with which the origin sees one identity for all users.
    fn shared() -> [(Value, CredentialSubject); 5] {
        [
            (json!("none"), CredentialSubject::None),
            (json!({"header": {"name": "X-Key", "prefix": "", "value": "key"}}), CredentialSubject::None),
            (json!({"queryParameter": {"name": "key", "value": "key"}}), CredentialSubject::None),
            (
                json!({"sharedOAuth": {"scopes": [], "registration": "auto"}}),
                CredentialSubject::SharedAccount,
            ),
            (
                json!({"clientCredentials": {"server": "ofOrigin", "client": client(), "scopes": []}}),
                CredentialSubject::Gateway,
            ),
        ]
    }

    #[test]
    fn given_an_origin_that_knows_each_user_then_it_has_tasks_and_a_private_catalog() {
        for (auth, subject) in personal() {
            let route = route_with(&auth, "private");
            let origin = &route.origin;
            assert_eq!(origin.credential_subject(), subject, "{auth}");
            assert_eq!(route.needs_account(), subject == CredentialSubject::Person, "{auth}");
            assert!(origin.is_personal() && origin.allows_tasks() && origin.has_private_catalog(), "{auth}");
            assert!(!route_with(&auth, "shared").origin.has_private_catalog(), "{auth}");
        }
    }

    #[test]
    fn given_an_origin_that_all_users_share_then_it_has_no_tasks_and_no_private_catalog() {
        for (auth, subject) in shared() {
            for sharing in ["private", "shared"] {
                let route = route_with(&auth, sharing);
                let origin = &route.origin;
                assert_eq!(origin.credential_subject(), subject, "{auth}");
                assert!(!origin.is_personal() && !origin.allows_tasks(), "{auth}");
                assert!(!route.needs_account(), "{auth}");
                assert!(!origin.has_private_catalog(), "{auth} {sharing}");
            }
        }
    }
}
