//! Mutations of strings, keys and encodings.

use fastrand::Rng;

use crate::words::{CHARACTERS, KEYS, METHODS, URI_PARTS};

/// A key that some decoder may know as JSON text, sometimes in another spelling.
pub fn some_key(rng: &mut Rng) -> String {
    let key = KEYS[rng.usize(..KEYS.len())];
    let token = serde_json::Value::from(key).to_string();
    if rng.u8(..) < 64 { key_variant(rng, &token) } else { token }
}

/// A spelling that a decoder may take for this key. Keeps the raw text of keys that it cannot read.
pub fn key_variant(rng: &mut Rng, token: &str) -> String {
    let Ok(key) = serde_json::from_str::<String>(token) else { return token.to_owned() };
    let variant = match rng.u32(0..12) {
        0 => return token.to_owned(),
        1 => return escape_some(rng, &key),
        2 => key.to_uppercase(),
        3 => key.to_lowercase(),
        4 => change_case_of_one(rng, &key),
        5 => fold(rng, &key),
        6 => snake_case(&key),
        7 => insert(rng, &key),
        8 => format!("{key}{}", CHARACTERS[rng.usize(..CHARACTERS.len())]),
        9 => format!("{}{key}", CHARACTERS[rng.usize(..CHARACTERS.len())]),
        10 => key.chars().filter(|character| *character != '_').collect(),
        _ => capitalize(&key),
    };
    serde_json::Value::from(variant).to_string()
}

/// A string of JSON, changed; may become invalid.
pub fn change_string(rng: &mut Rng, token: &str) -> String {
    let Ok(mut text) = serde_json::from_str::<String>(token) else { return "\"hidden\"".to_owned() };
    match rng.u32(0..8) {
        0 => return escape_some(rng, &text),
        1 => {
            let lone = [
                "\\ud800",
                "\\udfff",
                "\\uDBFF\\u0041",
                "\\u0000",
                "\\ud83d\\ude00",
                "\\/",
                "\\e",
                "\\u00e9",
                "\t",
            ];
            let middle = token.len() - 1;
            return format!("{}{}\"", &token[..middle], lone[rng.usize(..lone.len())]);
        }
        2 => text = METHODS[rng.usize(..METHODS.len())].to_owned(),
        _ => change_plain(rng, &mut text),
    }
    serde_json::Value::from(text).to_string()
}

/// Changes text in one place.
pub fn change_plain(rng: &mut Rng, text: &mut String) {
    *text = match rng.u32(0..8) {
        0 => text.to_uppercase(),
        1 => fold(rng, text),
        2 => insert(rng, text),
        3..6 if text.contains(':') => {
            let at = boundary(rng, text);
            format!("{}{}{}", &text[..at], URI_PARTS[rng.usize(..URI_PARTS.len())], &text[at..])
        }
        6 => text.chars().skip(1).collect(),
        _ => format!("{text}{}", CHARACTERS[rng.usize(..CHARACTERS.len())]),
    };
}

fn boundary(rng: &mut Rng, text: &str) -> usize {
    let places: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    places[rng.usize(..places.len())]
}

/// Inserts a character that decoders may treat specially.
fn insert(rng: &mut Rng, text: &str) -> String {
    let character = CHARACTERS[rng.usize(..CHARACTERS.len())];
    let at = boundary(rng, text);
    format!("{}{character}{}", &text[..at], &text[at..])
}

fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

fn change_case_of_one(rng: &mut Rng, text: &str) -> String {
    let chosen = rng.usize(..text.chars().count().max(1));
    let change = |(place, character): (usize, char)| match character {
        _ if place != chosen => character,
        _ if character.is_ascii_lowercase() => character.to_ascii_uppercase(),
        _ => character.to_ascii_lowercase(),
    };
    text.chars().enumerate().map(change).collect()
}

/// Characters that some case folding takes for others.
fn fold(rng: &mut Rng, text: &str) -> String {
    const PAIRS: [(&str, &str); 8] = [
        ("s", "\u{17f}"),
        ("k", "\u{212a}"),
        ("i", "\u{131}"),
        ("I", "\u{130}"),
        ("a", "\u{430}"),
        ("e", "\u{435}"),
        ("n", "\u{ff4e}"),
        ("ss", "ß"),
    ];
    let (from, to) = PAIRS[rng.usize(..PAIRS.len())];
    if rng.bool() { text.replacen(from, to, 1) } else { text.replace(from, to) }
}

fn snake_case(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if character.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// The same string with escapes.
fn escape_some(rng: &mut Rng, text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        if rng.u8(..) < 80 || matches!(character, '"' | '\\' | '\0'..='\x1f') {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&if rng.bool() { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
    out
}

/// Writes the body in another charset, or parts of it as UTF-7.
pub fn encode_body(rng: &mut Rng, body: &mut Vec<u8>) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    *body = match rng.u32(0..6) {
        0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        1 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        2 => text.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect(),
        // `hidden` in UTF-7, for readers of UTF-7; a string of ASCII characters for others.
        3..5 => text.replacen("allowed", "+AGgAaQBkAGQAZQBu-", 1).into_bytes(),
        _ => text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect(),
    };
}
