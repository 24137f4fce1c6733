//! Reads all pages of a list.

use serde_json::Map;
use serde_json::value::RawValue;

use super::{Client, ClientError, Reply, Transport};
use crate::error::code;
use crate::list::List;
use crate::method::Method;

/// Maximum number of items. Longer lists are truncated.
const MAX_ITEMS: usize = 5_000;
/// Maximum number of pages.
const MAX_PAGES: usize = 100;

/// The items of a list.
#[derive(Debug, Default)]
pub struct Listing {
    /// JSON texts of the items, in the origin's order.
    pub items: Vec<Box<RawValue>>,
    /// Whether these are all items. `false` if the list was truncated.
    pub complete: bool,
}

/// Outcome of listing.
pub enum ListReply {
    /// All pages are valid.
    Listed(Listing),
    /// The origin does not have the method (-32601).
    Unsupported,
    /// The origin responded to a page with something else.
    Failed(Reply),
}

pub(super) async fn read<T: Transport>(
    client: &mut Client<T>,
    method: Method,
) -> Result<ListReply, ClientError<T::Error>> {
    let Some(shape) = method.list() else { return Ok(ListReply::Unsupported) };
    let mut listing = Listing::default();
    let mut params = Map::new();
    let mut last_cursor = None;
    for _ in 0..MAX_PAGES {
        let reply = client.request(shape.method, std::mem::take(&mut params)).await?;
        if reply.error().is_some_and(|error| error.code == code::METHOD_NOT_FOUND) {
            return Ok(ListReply::Unsupported);
        }
        let page = reply.result().and(reply.message()).and_then(|message| List::parse(message, shape).ok());
        let Some((items, cursor)) = page.as_ref().and_then(|page| Some((page.items()?, page.next_cursor())))
        else {
            return Ok(ListReply::Failed(reply));
        };
        let free = MAX_ITEMS - listing.items.len();
        let truncated = items.len() > free;
        // Items of a parsed list are valid JSON.
        listing.items.extend(items.take(free).flat_map(|item| RawValue::from_string(item.to_owned())));
        if truncated {
            break;
        }
        // An origin that repeats a cursor would be asked for the same page forever.
        let Some(cursor) = cursor.filter(|cursor| last_cursor.as_ref() != Some(cursor)) else {
            listing.complete = true;
            break;
        };
        params.insert("cursor".to_owned(), cursor.clone().into());
        last_cursor = Some(cursor);
    }
    Ok(ListReply::Listed(listing))
}
