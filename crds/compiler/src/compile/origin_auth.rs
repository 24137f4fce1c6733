//! `spec.auth` of an origin.

use portcullis_contract as contract;
use portcullis_contract::ClientRegistration;
use portcullis_crds::kinds::origin_auth::{
    HeaderAuth, OriginAuth, QueryParameterAuth, RegisteredClient, Registration, TokenEndpointAuthMethod,
    UserOAuth,
};
use portcullis_crds::words;
use portcullis_crds::words::syntax::{HEADER_NAME, is_reserved_header};
use url::Url;

use super::case::Case;
use super::credential::{Credentials, Use};
use super::oidc::check_scopes;

/// What the members of the union have in common to be compiled.
struct Work<'a, 'c> {
    case: &'a mut Case,
    /// The origin's. `None` where its URL cannot be read, which has been said.
    host: Option<&'a str>,
    credentials: &'a Credentials<'c>,
}

pub(super) fn compile(
    case: &mut Case,
    auth: &OriginAuth,
    url: Option<&Url>,
    credentials: &Credentials<'_>,
) -> Option<contract::OriginAuth> {
    let OriginAuth { none, header, query_parameter, user_oauth } = auth;
    let members = [
        ("none", none.is_some()),
        ("header", header.is_some()),
        ("queryParameter", query_parameter.is_some()),
        ("userOAuth", user_oauth.is_some()),
    ];
    let found: Vec<_> = members.iter().filter_map(|(name, is_there)| is_there.then_some(*name)).collect();
    if found.len() != 1 {
        let found = if found.is_empty() {
            "there is none ('none: {}' says that nothing is sent)".to_owned()
        } else {
            format!("there are {}", found.join(", "))
        };
        let all = members.map(|(name, _)| name).join(", ");
        case.error("spec.auth", "NotExactlyOne", format!("auth has exactly one of {all}; {found}"));
        return None;
    }
    let mut work = Work { case, host: url.and_then(Url::host_str), credentials };
    if let Some(header) = header {
        return work.header(header);
    }
    if let Some(parameter) = query_parameter {
        return work.query_parameter(parameter);
    }
    if let Some(oauth) = user_oauth {
        return work.user_oauth(oauth);
    }
    Some(contract::OriginAuth::None)
}

impl Work<'_, '_> {
    fn header(&mut self, header: &HeaderAuth) -> Option<contract::OriginAuth> {
        let field = "spec.auth.header.name";
        if let Some(Err(message)) = words::check(HEADER_NAME, &header.name) {
            self.case.error(field, "InvalidValue", message);
        } else if is_reserved_header(&header.name) {
            let message = format!(
                "the header {} belongs to the protocol and cannot carry a credential; servers take theirs in Authorization or a \
                 header of their own, like X-Api-Key",
                header.name
            );
            self.case.error(field, "ReservedHeader", message);
        }
        let prefix = header.prefix.clone().unwrap_or_default();
        let purpose = Use::Header { host: self.host?, prefix: &prefix };
        let value =
            self.credentials.take(self.case, "spec.auth.header.valueRef", &header.value_ref, purpose)?;
        Some(contract::OriginAuth::Header { name: header.name.clone(), prefix, value })
    }

    fn query_parameter(&mut self, parameter: &QueryParameterAuth) -> Option<contract::OriginAuth> {
        if parameter.name.is_empty() {
            let message = "a parameter has a name; write the one that the origin's documentation says";
            self.case.error("spec.auth.queryParameter.name", "InvalidValue", message);
        }
        let field = "spec.auth.queryParameter.valueRef";
        let purpose = Use::QueryParameter { host: self.host? };
        let value = self.credentials.take(self.case, field, &parameter.value_ref, purpose)?;
        Some(contract::OriginAuth::QueryParameter { name: parameter.name.clone(), value })
    }

    fn user_oauth(&mut self, oauth: &UserOAuth) -> Option<contract::OriginAuth> {
        let field = "spec.auth.userOAuth";
        check_scopes(self.case, &format!("{field}.scopes"), &oauth.scopes);
        let registration =
            self.registration(&format!("{field}.registration"), oauth.registration.as_ref())?;
        Some(contract::OriginAuth::UserOAuth { scopes: oauth.scopes.clone(), registration })
    }

    fn registration(
        &mut self,
        field: &str,
        registration: Option<&Registration>,
    ) -> Option<ClientRegistration> {
        match registration {
            None | Some(Registration { auto: Some(_), client: None }) => Some(ClientRegistration::Auto),
            Some(Registration { auto: None, client: Some(client) }) => {
                self.client(&format!("{field}.client"), client).map(ClientRegistration::Client)
            }
            Some(Registration { auto, .. }) => {
                let found = if auto.is_some() { "both" } else { "none" };
                let message = format!("registration has exactly one of auto, client; this one has {found}");
                self.case.error(field, "NotExactlyOne", message);
                None
            }
        }
    }

    fn client(&mut self, field: &str, client: &RegisteredClient) -> Option<contract::RegisteredClient> {
        use contract::TokenEndpointAuthMethod as Method;
        let secret = match &client.secret_ref {
            Some(reference) => {
                let field = format!("{field}.secretRef");
                Some(self.credentials.take(self.case, &field, reference, Use::OriginClient)?)
            }
            None => None,
        };
        let method = match client.token_endpoint_auth_method {
            Some(TokenEndpointAuthMethod::None) => Method::None,
            Some(TokenEndpointAuthMethod::ClientSecretBasic) => Method::ClientSecretBasic,
            Some(TokenEndpointAuthMethod::ClientSecretPost) => Method::ClientSecretPost,
            None if secret.is_some() => Method::ClientSecretBasic,
            None => Method::None,
        };
        if secret.is_some() == (method == Method::None) {
            let message = "none is for a client without a secretRef; client_secret_basic and client_secret_post are for one with it";
            self.case.error(format!("{field}.tokenEndpointAuthMethod"), "InvalidValue", message);
        }
        Some(contract::RegisteredClient { id: client.id.clone(), secret, token_endpoint_auth_method: method })
    }
}
