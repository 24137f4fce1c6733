//! The demo's accounts and their notes. Notes are bounded in number and size, and are lost when the process
//! ends.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Accounts on the authorization page. The first one is preselected.
pub(crate) const ACCOUNT_NAMES: [&str; 3] = ["otter", "heron", "badger"];

/// Maximum number of notes per account.
const MAX_NOTES: usize = 100;

/// Maximum length of a note, in bytes.
const MAX_NOTE_LEN: usize = 4000;

/// The account that a request acts for. Set by the bearer check, read by the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account(&'static str);

impl Account {
    /// The account with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ACCOUNT_NAMES.into_iter().find(|known| *known == name).map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        self.0
    }
}

/// Why a note was not added. Its text is the tool's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoteError {
    Full,
    TooLong,
    Empty,
}

impl std::fmt::Display for NoteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => write!(f, "The notebook is full ({MAX_NOTES} notes). Delete a note first."),
            Self::TooLong => write!(f, "The note is longer than {MAX_NOTE_LEN} bytes. Shorten it."),
            Self::Empty => f.write_str("The note is empty. Set `text`."),
        }
    }
}

struct AccountNotes {
    next: u64,
    notes: BTreeMap<u64, String>,
}

/// The notes of all accounts.
pub(crate) struct Accounts(Mutex<BTreeMap<&'static str, AccountNotes>>);

impl Accounts {
    /// Every account starts with a welcome note.
    pub(crate) fn new() -> Self {
        let with_welcome = |name: &'static str| {
            let welcome = format!("Welcome to the {name}'s notebook. Ask your assistant to add a note.");
            (name, AccountNotes { next: 2, notes: BTreeMap::from([(1, welcome)]) })
        };
        Self(Mutex::new(ACCOUNT_NAMES.into_iter().map(with_welcome).collect()))
    }

    /// The account's notes, oldest first.
    pub(crate) fn notes(&self, account: Account) -> Vec<(u64, String)> {
        let books = self.0.lock();
        let Some(book) = books.get(account.0) else { return Vec::new() };
        book.notes.iter().map(|(id, text)| (*id, text.clone())).collect()
    }

    pub(crate) fn note(&self, account: Account, id: u64) -> Option<String> {
        self.0.lock().get(account.0)?.notes.get(&id).cloned()
    }

    /// Adds a note and returns its number. Numbers are unique per account and never reused.
    pub(crate) fn add(&self, account: Account, text: &str) -> Result<u64, NoteError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NoteError::Empty);
        }
        if text.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong);
        }
        let mut books = self.0.lock();
        let book = books.entry(account.0).or_insert_with(|| AccountNotes { next: 1, notes: BTreeMap::new() });
        if book.notes.len() >= MAX_NOTES {
            return Err(NoteError::Full);
        }
        let id = book.next;
        book.next += 1;
        book.notes.insert(id, text.to_owned());
        Ok(id)
    }

    /// Deletes a note. Returns false if it does not exist.
    pub(crate) fn delete(&self, account: Account, id: u64) -> bool {
        self.0.lock().get_mut(account.0).is_some_and(|book| book.notes.remove(&id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_two_accounts_when_one_adds_a_note_then_the_other_does_not_see_it() {
        let accounts = Accounts::new();
        let (otter, heron) = (Account::named("otter").unwrap(), Account::named("heron").unwrap());
        let id = accounts.add(otter, " buy fish ").unwrap();
        assert_eq!(accounts.note(otter, id).as_deref(), Some("buy fish"));
        assert_eq!(accounts.note(heron, id), None);
        assert!(!accounts.delete(heron, id));
        assert!(accounts.delete(otter, id));
        assert_ne!(accounts.add(otter, "again").unwrap(), id);
    }

    #[test]
    fn given_a_full_notebook_then_a_note_is_refused_with_what_to_do() {
        let accounts = Accounts::new();
        let otter = Account::named("otter").unwrap();
        while accounts.notes(otter).len() < MAX_NOTES {
            accounts.add(otter, "x").unwrap();
        }
        let refused = accounts.add(otter, "one more").unwrap_err();
        assert_eq!(refused, NoteError::Full);
        assert!(refused.to_string().contains("Delete a note"));
        assert_eq!(accounts.add(otter, &"x".repeat(MAX_NOTE_LEN + 1)), Err(NoteError::TooLong));
        assert_eq!(accounts.add(otter, " \n"), Err(NoteError::Empty));
    }

    #[test]
    fn given_a_name_that_is_not_an_accounts_then_there_is_no_account() {
        assert_eq!(Account::named("lion"), None);
    }
}
