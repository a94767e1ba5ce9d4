//! Pages of long listings, by key: a token says after which entry the next page begins, and of which listing.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The size of a page that was asked for: `usual` for 0, and `most` for more than that (AIP-158).
///
/// # Errors
/// If it is below 0; the text is for a violation of the field.
pub fn size(asked: i32, usual: usize, most: usize) -> Result<usize, &'static str> {
    match usize::try_from(asked) {
        Ok(0) => Ok(usual.min(most)),
        Ok(asked) => Ok(asked.min(most)),
        Err(_) => Err("is negative"),
    }
}

/// The token of the page after the entry `last`. `listing` names the listing with its filters: no other takes the token.
pub fn token(last: Uuid, listing: &str) -> String {
    let mark = mark(last, listing);
    last.as_bytes().iter().chain(&mark).map(|byte| format!("{byte:02x}")).collect()
}

/// The entry after which a page begins: nil, which is before all, without a token.
///
/// # Errors
/// If the token is none of this listing; the text is for a violation of the field.
pub fn after(token: &str, listing: &str) -> Result<Uuid, &'static str> {
    const REFUSED: &str = "is not a page token of this listing";
    if token.is_empty() {
        return Ok(Uuid::nil());
    }
    let id = token.get(..32).and_then(|hex| Uuid::try_parse(hex).ok()).ok_or(REFUSED)?;
    if token == self::token(id, listing) { Ok(id) } else { Err(REFUSED) }
}

/// Ties an entry to its listing. Not a secret: a token opens nothing that the listing would not show.
fn mark(last: Uuid, listing: &str) -> [u8; 8] {
    let digest = Sha256::new().chain_update(last.as_bytes()).chain_update(listing.as_bytes()).finalize();
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest[..8]);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_in_its_own_listing_alone() {
        let id = Uuid::from_u128(7);
        let token = token(id, "users/a");
        assert_eq!(after(&token, "users/a"), Ok(id));
        assert_eq!(after("", "users/a"), Ok(Uuid::nil()));
        let broken = [token.replace('7', "8"), token[..40].to_owned(), format!("{token}0"), "é".repeat(24), "x".into()];
        for text in broken {
            assert!(after(&text, "users/a").is_err(), "{text}");
        }
        assert!(after(&token, "users/b").is_err());
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(size(0, 100, 500), Ok(100));
        assert_eq!(size(500, 100, 500), Ok(500));
        assert_eq!(size(501, 100, 500), Ok(500));
        assert!(size(-1, 100, 500).is_err());
    }
}
