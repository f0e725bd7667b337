//! What a query that goes on begins with, once it is as the key holds it.

use std::borrow::Cow;

use crate::{
    fields::query::{self, Piece},
    policy::{KeySpec, Selection},
};

/// What the canonical kept query of every query that begins like `query` begins with;
/// `None` when that may be anything.
///
/// Of sorted parameters only those stay in front whose name sorts before every other that
/// the key can hold. The last one goes on, so it counts where its name is whole, and up to
/// its first escape: what follows decides whether that is one.
pub(super) fn beginning(key: &KeySpec, query: &str) -> Option<String> {
    let (whole, last) = query.rsplit_once('&').unwrap_or(("", query));
    let mut kept: Vec<(Cow<'_, [u8]>, String)> = query::pieces(whole)
        .filter(|piece| key.keeps(piece))
        .map(|piece| (piece.name(), canonical_piece(piece)))
        .collect();
    let name = last.split_once('=').map(|(name, _)| name);
    if name.is_some_and(|name| !name.contains('%')) {
        let piece = Piece::new(last);
        let end = last.find('%').unwrap_or(last.len());
        if key.keeps(&piece) {
            kept.push((piece.name(), last[..end].to_owned()));
        }
    }
    if key.sort {
        let first = match &key.query {
            Selection::Only(names) => names.iter().min()?,
            Selection::All | Selection::None | Selection::Except(_) => return None,
        };
        kept.retain(|(name, _)| **name == **first);
    }
    if kept.is_empty() {
        return None;
    }
    let texts: Vec<String> = kept.into_iter().map(|(_, text)| text).collect();
    Some(texts.join("&"))
}

fn canonical_piece(piece: Piece<'_>) -> String {
    let mut out = Vec::new();
    piece.write_canonical(|bytes| out.extend_from_slice(bytes));
    // Escapes of what is not ASCII stay, so that text remains text.
    String::from_utf8_lossy(&out).into_owned()
}
