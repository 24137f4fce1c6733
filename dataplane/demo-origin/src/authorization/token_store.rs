//! What the authorization server has given out, by digest: questions, codes, grants and their tokens.
//!
//! A grant is one person's yes to one client. Its refresh token is replaced at each use; a replaced one that comes back,
//! or a code that comes back, ends the grant (RFC 9700 sections 4.14.2 and 2.1.1).

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use portcullis_clock::{Clock, NoRandomness, Random, UnixMillis};
use sha2::{Digest as _, Sha256};

use crate::accounts::Account;

/// How long an access token is good for.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const CODE_LIFETIME: Duration = Duration::from_secs(60);
const REQUEST_LIFETIME: Duration = Duration::from_secs(600);

/// How many of each kind are kept; beyond it the oldest goes, so that no stranger can fill the memory.
const MAX_ENTRIES: usize = 2000;

type Digest = [u8; 32];

/// A registered client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
}

/// An authorization request that waits for its answer.
#[derive(Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) state: Option<String>,
}

/// The tokens of a grant as its client receives them.
pub(crate) struct IssuedTokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Why there are no tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// `invalid_grant`, and what is wrong with it.
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
    /// The grant that it became.
    spent: Option<u64>,
}

struct Grant {
    client_id: String,
    account: Account,
    refresh: Digest,
}

/// A bounded map whose entries end; what is over goes when something comes.
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
    /// Every refresh token of a grant, replaced ones too.
    refresh: ExpiringMap<Digest, u64>,
    access: ExpiringMap<Digest, u64>,
    next_grant: u64,
}

/// The books, and what is needed to write in them.
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

    /// Keeps a question until it is answered; returns its id.
    pub(crate) fn add_request(&self, question: AuthorizationRequest) -> Result<String, NoRandomness> {
        let id = self.random.token()?;
        self.state.lock().requests.insert(digest(&id), question, self.clock.now(), REQUEST_LIFETIME);
        Ok(id)
    }

    /// Takes a question away: it has been answered.
    pub(crate) fn take_request(&self, id: &str) -> Option<AuthorizationRequest> {
        self.state.lock().requests.remove(&digest(id), self.clock.now())
    }

    /// A code for a question that was answered with yes.
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

    /// A code's tokens, once. Whatever else is wrong, a code that was presented is over.
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
            return Err(TokenError::InvalidGrant("the code has been used"));
        }
        if code.question.client_id != client_id || code.question.redirect_uri != redirect_uri {
            return Err(TokenError::InvalidGrant("the code is another client's or for another redirect_uri"));
        }
        if URL_SAFE_NO_PAD.encode(digest(verifier)) != code.question.challenge {
            return Err(TokenError::InvalidGrant("code_verifier does not fit the challenge"));
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

    /// New tokens for a refresh token, which is over with it.
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

    /// Whose account an access token acts for, while it and its grant live.
    pub(crate) fn account(&self, access: &str) -> Option<Account> {
        let now = self.clock.now();
        let books = self.state.lock();
        let grant = books.access.get(&digest(access), now)?;
        books.grants.get(grant, now).map(|grant| grant.account)
    }

    /// Ends the grant that a token belongs to, if it is this client's.
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
