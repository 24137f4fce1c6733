//! What the authorization server has given out, by digest: questions, codes, grants and their tokens.
//!
//! A grant is one person's yes to one client. Its refresh token is replaced at each use; a replaced one that comes back,
//! or a code that comes back, ends the grant (RFC 9700 sections 4.14.2 and 2.1.1).

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use portcullis_ambient::{Clock, Instant, NoRandomness, Random};
use sha2::{Digest as _, Sha256};

use crate::accounts::Account;

/// How long an access token is good for.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const CODE_LIFETIME: Duration = Duration::from_secs(60);
const QUESTION_LIFETIME: Duration = Duration::from_secs(600);

/// How many of each kind are kept; beyond it the oldest goes, so that no stranger can fill the memory.
const MOST: usize = 2000;

type Digest = [u8; 32];

/// A registered client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
}

/// An authorization request that waits for its answer.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) state: Option<String>,
}

/// The tokens of a grant as its client receives them.
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Why there are no tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotIssued {
    /// `invalid_grant`, and what is wrong with it.
    Invalid(&'static str),
    NoRandomness,
}

impl From<NoRandomness> for NotIssued {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

#[derive(Clone)]
struct Code {
    question: Question,
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
struct Expiring<K, V>(HashMap<K, (Instant, V)>);

impl<K: std::hash::Hash + Eq + Clone, V> Expiring<K, V> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn insert(&mut self, key: K, value: V, now: Instant, lifetime: Duration) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (until, _)| *until > now);
            if self.0.len() >= MOST
                && let Some(oldest) =
                    self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone())
            {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(key, (now.after(lifetime), value));
    }

    fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.0.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K, now: Instant) -> Option<&mut V> {
        self.0.get_mut(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    fn remove(&mut self, key: &K, now: Instant) -> Option<V> {
        self.0.remove(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }
}

struct Books {
    clients: Expiring<String, Client>,
    questions: Expiring<Digest, Question>,
    codes: Expiring<Digest, Code>,
    grants: Expiring<u64, Grant>,
    /// Every refresh token of a grant, replaced ones too.
    refresh: Expiring<Digest, u64>,
    access: Expiring<Digest, u64>,
    next_grant: u64,
}

/// The books, and what is needed to write in them.
pub(crate) struct Ledger {
    clock: Clock,
    random: Random,
    books: Mutex<Books>,
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text).into()
}

impl Ledger {
    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        let books = Books {
            clients: Expiring::new(),
            questions: Expiring::new(),
            codes: Expiring::new(),
            grants: Expiring::new(),
            refresh: Expiring::new(),
            access: Expiring::new(),
            next_grant: 0,
        };
        Self { clock, random, books: Mutex::new(books) }
    }

    pub(crate) fn register(&self, client: Client) -> Result<String, NoRandomness> {
        let id = format!("demo-{}", self.random.token()?);
        self.books.lock().clients.insert(id.clone(), client, self.clock.now(), REFRESH_LIFETIME);
        Ok(id)
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.books.lock().clients.get(&id.to_owned(), self.clock.now()).cloned()
    }

    /// Keeps a question until it is answered; returns its id.
    pub(crate) fn ask(&self, question: Question) -> Result<String, NoRandomness> {
        let id = self.random.token()?;
        self.books.lock().questions.insert(digest(&id), question, self.clock.now(), QUESTION_LIFETIME);
        Ok(id)
    }

    /// Takes a question away: it has been answered.
    pub(crate) fn answered(&self, id: &str) -> Option<Question> {
        self.books.lock().questions.remove(&digest(id), self.clock.now())
    }

    /// A code for a question that was answered with yes.
    pub(crate) fn grant_code(&self, question: Question, account: Account) -> Result<String, NoRandomness> {
        let code = self.random.token()?;
        let granted = Code { question, account, spent: None };
        self.books.lock().codes.insert(digest(&code), granted, self.clock.now(), CODE_LIFETIME);
        Ok(code)
    }

    /// A code's tokens, once. Whatever else is wrong, a code that was presented is over.
    pub(crate) fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Issued, NotIssued> {
        let issued = self.fresh()?;
        let now = self.clock.now();
        let mut books = self.books.lock();
        let id = books.next_grant;
        let Some(code) = books.codes.get_mut(&digest(code), now) else {
            return Err(NotIssued::Invalid("the code is unknown or older than a minute"));
        };
        let spent = code.spent.replace(id);
        let code = code.clone();
        books.next_grant += 1;
        if let Some(grant) = spent {
            books.grants.remove(&grant, now);
            return Err(NotIssued::Invalid("the code has been used"));
        }
        if code.question.client_id != client_id || code.question.redirect_uri != redirect_uri {
            return Err(NotIssued::Invalid("the code is another client's or for another redirect_uri"));
        }
        if URL_SAFE_NO_PAD.encode(digest(verifier)) != code.question.challenge {
            return Err(NotIssued::Invalid("code_verifier does not fit the challenge"));
        }
        let grant = Grant {
            client_id: client_id.to_owned(),
            account: code.account,
            refresh: digest(&issued.refresh),
        };
        books.grants.insert(id, grant, now, REFRESH_LIFETIME);
        books.keep(&issued, id, now);
        Ok(issued)
    }

    /// New tokens for a refresh token, which is over with it.
    pub(crate) fn refresh(&self, token: &str, client_id: &str) -> Result<Issued, NotIssued> {
        const DEAD: NotIssued = NotIssued::Invalid("the refresh token is unknown, used, expired or revoked");
        let issued = self.fresh()?;
        let now = self.clock.now();
        let presented = digest(token);
        let mut books = self.books.lock();
        let Some(id) = books.refresh.get(&presented, now).copied() else { return Err(DEAD) };
        let Some(grant) = books.grants.get_mut(&id, now).filter(|grant| grant.client_id == client_id) else {
            return Err(DEAD);
        };
        if grant.refresh != presented {
            books.grants.remove(&id, now);
            return Err(DEAD);
        }
        grant.refresh = digest(&issued.refresh);
        books.keep(&issued, id, now);
        Ok(issued)
    }

    /// Whose account an access token acts for, while it and its grant live.
    pub(crate) fn account(&self, access: &str) -> Option<Account> {
        let now = self.clock.now();
        let books = self.books.lock();
        let grant = books.access.get(&digest(access), now)?;
        books.grants.get(grant, now).map(|grant| grant.account)
    }

    /// Ends the grant that a token belongs to, if it is this client's.
    pub(crate) fn revoke(&self, token: &str, client_id: &str) {
        let now = self.clock.now();
        let token = digest(token);
        let mut books = self.books.lock();
        let id = books.access.get(&token, now).or_else(|| books.refresh.get(&token, now)).copied();
        if let Some(id) = id
            && books.grants.get(&id, now).is_some_and(|grant| grant.client_id == client_id)
        {
            books.grants.remove(&id, now);
        }
    }

    fn fresh(&self) -> Result<Issued, NoRandomness> {
        Ok(Issued { access: self.random.token()?, refresh: self.random.token()? })
    }
}

impl Books {
    fn keep(&mut self, issued: &Issued, grant: u64, now: Instant) {
        self.access.insert(digest(&issued.access), grant, now, ACCESS_LIFETIME);
        self.refresh.insert(digest(&issued.refresh), grant, now, REFRESH_LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rfc-43-characters";

    struct Given {
        ledger: Ledger,
        clock: Clock,
        client: String,
    }

    fn given_a_client() -> Given {
        let clock = Clock::manual(Instant(1_000_000));
        let ledger = Ledger::new(clock.clone(), Random::system());
        let client = Client { name: "c".into(), redirect_uris: vec!["http://127.0.0.1/cb".into()] };
        let client = ledger.register(client).unwrap();
        Given { ledger, clock, client }
    }

    impl Given {
        fn code(&self) -> String {
            let question = Question {
                client_id: self.client.clone(),
                redirect_uri: "http://127.0.0.1/cb".into(),
                challenge: URL_SAFE_NO_PAD.encode(digest(VERIFIER)),
                state: None,
            };
            let id = self.ledger.ask(question).unwrap();
            let question = self.ledger.answered(&id).unwrap();
            assert!(self.ledger.answered(&id).is_none());
            self.ledger.grant_code(question, Account::named("heron").unwrap()).unwrap()
        }

        fn redeem(&self, code: &str) -> Result<Issued, NotIssued> {
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
        for _ in 0..MOST {
            given.ledger.register(Client { name: "n".into(), redirect_uris: vec![] }).unwrap();
        }
        assert!(given.ledger.client(&given.client).is_none());
        assert_eq!(given.ledger.books.lock().clients.0.len(), MOST);
    }
}
