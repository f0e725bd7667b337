//! Blotting secrets out of the text that problems are shown with.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// `text` with asterisks for what may be secret: the values of origin headers, the debug
/// secret and those of the admin API, unless they only name where the secret is, and a
/// password in an origin's URL. As long as `text`.
pub(super) fn blot(text: &str, document: &DeValue<'_>) -> String {
    let mut shown = text.to_owned();
    let file = document.as_table();
    for server in tables(file, "server") {
        if let Some(secret) = server.get("debug_secret") {
            blot_value(&mut shown, secret);
        }
    }
    for origin in tables(file, "origin") {
        blot_origin(&mut shown, origin);
    }
    let admin = file
        .and_then(|file| file.get("admin"))
        .and_then(|admin| admin.get_ref().as_table());
    for caller in tables(admin, "token").chain(tables(admin, "aws_key")) {
        if let Some(secret) = caller.get("secret") {
            blot_value(&mut shown, secret);
        }
    }
    shown
}

/// The tables under `name`, be it an array of them or one by mistake.
fn tables<'a, 'i>(
    of: Option<&'a DeTable<'i>>,
    name: &str,
) -> impl Iterator<Item = &'a DeTable<'i>> {
    let value = of.and_then(|table| table.get(name)).map(Spanned::get_ref);
    let one = value.and_then(DeValue::as_table);
    let many = value.and_then(DeValue::as_array);
    let many = many.into_iter().flatten();
    many.filter_map(|table| table.get_ref().as_table())
        .chain(one)
}

fn blot_origin(shown: &mut String, origin: &DeTable<'_>) {
    match origin
        .get("headers")
        .map(|headers| (headers.get_ref(), headers))
    {
        Some((DeValue::Table(table), _)) => {
            table.values().for_each(|value| blot_value(shown, value))
        }
        Some((_, headers)) => blot_value(shown, headers),
        None => {}
    }
    let url = origin
        .get("url")
        .filter(|url| url.get_ref().as_str().is_some_and(|u| u.contains('@')));
    if let Some(url) = url {
        blot_value(shown, url);
    }
}

fn blot_value(shown: &mut String, value: &Spanned<DeValue<'_>>) {
    let outside = |text: &str| text.starts_with("env:") || text.starts_with("file:");
    let span = value.span();
    let Some(seen) = shown.get(span.clone()) else {
        return;
    };
    if value.get_ref().as_str().is_some_and(outside) {
        return;
    }
    // Lines stay, quotes too; a character becomes as many asterisks as it has bytes.
    let blot = |c: char| match c {
        '\n' | '\r' | '"' | '\'' => c.to_string(),
        c => "*".repeat(c.len_utf8()),
    };
    let blotted: String = seen.chars().map(blot).collect();
    shown.replace_range(span, &blotted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_and_passwords_are_not_shown() {
        let text = "[server]\ndebug_secret = \"abc\"\n[[origin]]\nurl = \"https://me:pass@host\"\nheaders = { A = \"s\u{e9}cret\", B = \"env:B\", C = 7 }\n";
        let (table, _) = DeTable::parse_recoverable(text);
        let shown = blot(text, &DeValue::Table(table.into_inner()));
        let wanted = "[server]\ndebug_secret = \"***\"\n[[origin]]\nurl = \"********************\"\nheaders = { A = \"*******\", B = \"env:B\", C = * }\n";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn secrets_of_the_admin_api_are_not_shown() {
        let text = "[admin]\naws_key = { id = \"AK\", secret = 'abc' }\n[[admin.token]]\nsecret = \"hunter2\"\n[[admin.token]]\nsecret = \"file:t\"\n";
        let (table, _) = DeTable::parse_recoverable(text);
        let shown = blot(text, &DeValue::Table(table.into_inner()));
        let wanted = text.replace("abc", "***").replace("hunter2", "*******");
        assert_eq!(shown, wanted);
    }
}
