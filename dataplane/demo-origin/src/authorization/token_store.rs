//! State of the authorization server, stored by digest: authorization requests, codes, grants and their
//! tokens.
//!
//! A grant is one user's consent to one client. Its refresh token is replaced at each use. Reuse of a
//! replaced refresh token or of a code revokes the grant (RFC 9700 sections 4.14.2 and 2.1.1).

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use portcullis_clock::{Clock, NoRandomness, Random, UnixMillis};
use sha2::{Digest as _, Sha256};

use crate::accounts::Account;

/// Lifetime of access tokens.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const CODE_LIFETIME: Duration = Duration::from_secs(60);
const REQUEST_LIFETIME: Duration = Duration::from_secs(600);

/// Maximum number of entries per map. Above it the oldest entry is removed, which bounds the memory use.
const MAX_ENTRIES: usize = 2000;

type Digest = [u8; 32];

/// A registered client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
}

/// An authorization request that waits for the user's consent.
#[derive(Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) state: Option<String>,
}

/// The tokens of a grant, as returned to the client.
pub(crate) struct IssuedTokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Why no tokens are issued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// `invalid_grant`, with its description.
    InvalidGrant(&'static str),
    NoRandomness,
}

impl From<NoRandomness> for TokenError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

#[derive(Clone)]
struct Code {
    question: AuthorizationRequest,
    account: Account,
    /// Id of the grant that the code was redeemed for.
    spent: Option<u64>,
}

struct Grant {
    client_id: String,
    account: Account,
    refresh: Digest,
}

/// A bounded map with expiring entries. Expired entries are removed when the map is full.
struct ExpiringMap<K, V>(HashMap<K, (UnixMillis, V)>);

impl<K: std::hash::Hash + Eq + Clone, V> ExpiringMap<K, V> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn insert(&mut self, key: K, value: V, now: UnixMillis, lifetime: Duration) {
        if self.0.len() >= MAX_ENTRIES {
            self.0.retain(|_, (until, _)| *until > now);
            if self.0.len() >= MAX_ENTRIES
                && let Some(oldest) =
                    self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone())
            {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(key, (now.after(lifetime), value));
    }

    fn get(&self, key: &K, now: UnixMillis) -> Option<&V> {
        self.0.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K, now: UnixMillis) -> Option<&mut V> {
        self.0.get_mut(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    fn remove(&mut self, key: &K, now: UnixMillis) -> Option<V> {
        self.0.remove(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }
}

struct StoreState {
    clients: ExpiringMap<String, Client>,
    requests: ExpiringMap<Digest, AuthorizationRequest>,
    codes: ExpiringMap<Digest, Code>,
    grants: ExpiringMap<u64, Grant>,
    /// All refresh tokens of all grants, including replaced ones.
    refresh: ExpiringMap<Digest, u64>,
    access: ExpiringMap<Digest, u64>,
    next_grant: u64,
}

/// Clients, authorization requests, codes, grants and tokens.
pub(crate) struct TokenStore {
    clock: Clock,
    random: Random,
    state: Mutex<StoreState>,
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text).into()
}

impl TokenStore {
    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        let books = StoreState {
            clients: ExpiringMap::new(),
            requests: ExpiringMap::new(),
            codes: ExpiringMap::new(),
            grants: ExpiringMap::new(),
            refresh: ExpiringMap::new(),
            access: ExpiringMap::new(),
            next_grant: 0,
        };
        Self { clock, random, state: Mutex::new(books) }
    }

    pub(crate) fn register(&self, client: Client) -> Result<String, NoRandomness> {
        let id = format!("demo-{}", self.random.token()?);
        self.state.lock().clients.insert(id.clone(), client, self.clock.now(), REFRESH_LIFETIME);
        Ok(id)
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.state.lock().clients.get(&id.to_owned(), self.clock.now()).cloned()
    }

    /// Stores an authorization request until it is answered. Returns its id.
    pub(crate) fn add_request(&self, question: AuthorizationRequest) -> Result<String, NoRandomness> {
        let id = self.random.token()?;
        self.state.lock().requests.insert(digest(&id), question, self.clock.now(), REQUEST_LIFETIME);
        Ok(id)
    }

    /// Removes and returns an authorization request.
    pub(crate) fn take_request(&self, id: &str) -> Option<AuthorizationRequest> {
        self.state.lock().requests.remove(&digest(id), self.clock.now())
    }

    /// Issues a code for an authorization request that the user allowed.
    pub(crate) fn grant_code(
        &self,
        question: AuthorizationRequest,
        account: Account,
    ) -> Result<String, NoRandomness> {
        let code = self.random.token()?;
        let granted = Code { question, account, spent: None };
        self.state.lock().codes.insert(digest(&code), granted, self.clock.now(), CODE_LIFETIME);
        Ok(code)
    }

    /// Exchanges a code for tokens, once. A presented code is spent even if the exchange fails.
    pub(crate) fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<IssuedTokens, TokenError> {
        let issued = self.new_tokens()?;
        let now = self.clock.now();
        let mut books = self.state.lock();
        let id = books.next_grant;
        let Some(code) = books.codes.get_mut(&digest(code), now) else {
            return Err(TokenError::InvalidGrant("the code is unknown or older than a minute"));
        };
        let spent = code.spent.replace(id);
        let code = code.clone();
        books.next_grant += 1;
        if let Some(grant) = spent {
            books.grants.remove(&grant, now);
            return Err(TokenError::InvalidGrant("the code was already used"));
        }
        if code.question.client_id != client_id || code.question.redirect_uri != redirect_uri {
            return Err(TokenError::InvalidGrant(
                "the code was issued to another client or for another redirect_uri",
            ));
        }
        if URL_SAFE_NO_PAD.encode(digest(verifier)) != code.question.challenge {
            return Err(TokenError::InvalidGrant("code_verifier does not match the code challenge"));
        }
        let grant = Grant {
            client_id: client_id.to_owned(),
            account: code.account,
            refresh: digest(&issued.refresh),
        };
        books.grants.insert(id, grant, now, REFRESH_LIFETIME);
        books.store_tokens(&issued, id, now);
        Ok(issued)
    }

    /// Exchanges a refresh token for new tokens. The presented refresh token becomes invalid.
    pub(crate) fn refresh(&self, token: &str, client_id: &str) -> Result<IssuedTokens, TokenError> {
        const INVALID_REFRESH_TOKEN: TokenError =
            TokenError::InvalidGrant("the refresh token is unknown, used, expired or revoked");
        let issued = self.new_tokens()?;
        let now = self.clock.now();
        let presented = digest(token);
        let mut books = self.state.lock();
        let Some(id) = books.refresh.get(&presented, now).copied() else { return Err(INVALID_REFRESH_TOKEN) };
        let Some(grant) = books.grants.get_mut(&id, now).filter(|grant| grant.client_id == client_id) else {
            return Err(INVALID_REFRESH_TOKEN);
        };
        if grant.refresh != presented {
            books.grants.remove(&id, now);
            return Err(INVALID_REFRESH_TOKEN);
        }
        grant.refresh = digest(&issued.refresh);
        books.store_tokens(&issued, id, now);
        Ok(issued)
    }

    /// The account of an access token, while the token and its grant are valid.
    pub(crate) fn account(&self, access: &str) -> Option<Account> {
        let now = self.clock.now();
        let books = self.state.lock();
        let grant = books.access.get(&digest(access), now)?;
        books.grants.get(grant, now).map(|grant| grant.account)
    }

    /// Revokes the grant of a token if the token belongs to this client.
    pub(crate) fn revoke(&self, token: &str, client_id: &str) {
        let now = self.clock.now();
        let token = digest(token);
        let mut books = self.state.lock();
        let id = books.access.get(&token, now).or_else(|| books.refresh.get(&token, now)).copied();
        if let Some(id) = id
            && books.grants.get(&id, now).is_some_and(|grant| grant.client_id == client_id)
        {
            books.grants.remove(&id, now);
        }
    }

    fn new_tokens(&self) -> Result<IssuedTokens, NoRandomness> {
        Ok(IssuedTokens { access: self.random.token()?, refresh: self.random.token()? })
    }
}

impl StoreState {
    fn store_tokens(&mut self, issued: &IssuedTokens, grant: u64, now: UnixMillis) {
        self.access.insert(digest(&issued.access), grant, now, ACCESS_LIFETIME);
        self.refresh.insert(digest(&issued.refresh), grant, now, REFRESH_LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rfc-43-characters";

    struct Fixture {
        ledger: TokenStore,
        clock: Clock,
        client: String,
    }

    fn given_a_client() -> Fixture {
        let clock = Clock::manual(UnixMillis(1_000_000));
        let ledger = TokenStore::new(clock.clone(), Random::system());
        let client = Client { name: "c".into(), redirect_uris: vec!["http://127.0.0.1/cb".into()] };
        let client = ledger.register(client).unwrap();
        Fixture { ledger, clock, client }
    }

    impl Fixture {
        fn code(&self) -> String {
            let question = AuthorizationRequest {
                client_id: self.client.clone(),
                redirect_uri: "http://127.0.0.1/cb".into(),
                challenge: URL_SAFE_NO_PAD.encode(digest(VERIFIER)),
                state: None,
            };
            let id = self.ledger.add_request(question).unwrap();
            let question = self.ledger.take_request(&id).unwrap();
            assert!(self.ledger.take_request(&id).is_none());
            self.ledger.grant_code(question, Account::named("heron").unwrap()).unwrap()
        }

        fn redeem(&self, code: &str) -> Result<IssuedTokens, TokenError> {
            self.ledger.redeem(code, &self.client, "http://127.0.0.1/cb", VERIFIER)
        }
    }

    #[test]
    fn given_a_code_when_redeemed_twice_then_the_grant_ends() {
        let given = given_a_client();
        let code = given.code();
        let tokens = given.redeem(&code).unwrap();
        assert_eq!(given.ledger.account(&tokens.access).map(Account::name), Some("heron"));
        assert!(given.redeem(&code).is_err());
        assert_eq!(given.ledger.account(&tokens.access), None);
        assert!(given.ledger.refresh(&tokens.refresh, &given.client).is_err());
    }

    #[test]
    fn given_a_wrong_verifier_then_the_code_is_over_as_well() {
        let given = given_a_client();
        let code = given.code();
        assert!(given.ledger.redeem(&code, &given.client, "http://127.0.0.1/cb", "guess").is_err());
        assert!(given.redeem(&code).is_err());
    }

    #[test]
    fn given_time_passes_then_codes_and_access_tokens_expire_and_a_refresh_renews() {
        let given = given_a_client();
        let late = given.code();
        given.clock.advance(CODE_LIFETIME);
        assert!(given.redeem(&late).is_err());
        let tokens = given.redeem(&given.code()).unwrap();
        given.clock.advance(ACCESS_LIFETIME);
        assert_eq!(given.ledger.account(&tokens.access), None);
        let renewed = given.ledger.refresh(&tokens.refresh, &given.client).unwrap();
        assert!(given.ledger.account(&renewed.access).is_some());
    }

    #[test]
    fn given_a_replaced_refresh_token_when_it_comes_back_then_the_grant_ends() {
        let given = given_a_client();
        let first = given.redeem(&given.code()).unwrap();
        let second = given.ledger.refresh(&first.refresh, &given.client).unwrap();
        assert!(given.ledger.refresh(&first.refresh, &given.client).is_err());
        assert_eq!(given.ledger.account(&second.access), None);
        assert!(given.ledger.refresh(&second.refresh, &given.client).is_err());
    }

    #[test]
    fn given_another_client_then_it_can_neither_refresh_nor_revoke() {
        let given = given_a_client();
        let tokens = given.redeem(&given.code()).unwrap();
        assert!(given.ledger.refresh(&tokens.refresh, "demo-other").is_err());
        given.ledger.revoke(&tokens.refresh, "demo-other");
        assert!(given.ledger.account(&tokens.access).is_some());
        given.ledger.revoke(&tokens.refresh, &given.client);
        assert_eq!(given.ledger.account(&tokens.access), None);
    }

    #[test]
    fn given_more_clients_than_are_kept_then_the_oldest_go() {
        let given = given_a_client();
        given.clock.advance(Duration::from_secs(1));
        for _ in 0..MAX_ENTRIES {
            given.ledger.register(Client { name: "n".into(), redirect_uris: vec![] }).unwrap();
        }
        assert!(given.ledger.client(&given.client).is_none());
        assert_eq!(given.ledger.state.lock().clients.0.len(), MAX_ENTRIES);
    }
}
