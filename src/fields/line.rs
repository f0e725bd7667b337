//! The lines of a head as HTTP/1.1 writes them (RFC 9112 §3, §4, §5).

use http::StatusCode;

/// Appends the status line of a response.
///
/// "A server MUST send the space that separates the status-code from the reason-phrase even
/// when the reason-phrase is absent" (RFC 9112 §4).
pub fn push_status(head: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
}

/// Appends the line of a field.
pub fn push_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.reserve(name.len() + value.len() + ": \r\n".len());
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_grammar_has_them() {
        let mut head = Vec::new();
        push_status(&mut head, StatusCode::EARLY_HINTS);
        push_field(&mut head, "link", b"</a.css>");
        push_field(&mut head, "x-empty", b"");
        let without_name = StatusCode::from_u16(599).unwrap();
        push_status(&mut head, without_name);
        let text = String::from_utf8(head).unwrap();
        let wanted = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nx-empty: \r\nHTTP/1.1 599 \r\n";
        assert_eq!(text, wanted);
    }
}
