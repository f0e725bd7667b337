//! What the `Authorization` field of a signed request says, and nothing else.

use http::header::HOST;

use super::{ALGORITHM, DATE, Distrust};

/// Credential, signed fields and signature of
/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, in any order.
pub(super) fn parameters(authorization: &str) -> Result<(&str, &str, [u8; 32]), Distrust> {
    let rest = authorization
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or(Distrust::Incomplete(
            "an Authorization field that begins with AWS4-HMAC-SHA256",
        ))?;
    let (mut credential, mut signed, mut signature) = (None, None, None);
    for parameter in rest.split(',') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let seat = match name.trim() {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut signature,
            _ => {
                return Err(Distrust::Incomplete(
                    "Credential, SignedHeaders and Signature in the Authorization field, nothing else",
                ));
            }
        };
        if seat.replace(value.trim()).is_some() {
            return Err(Distrust::Incomplete(
                "each parameter once in the Authorization field",
            ));
        }
    }
    let credential = credential.ok_or(Distrust::Incomplete(
        "a 'Credential' parameter in the Authorization field",
    ))?;
    let signed = signed.ok_or(Distrust::Incomplete(
        "a 'SignedHeaders' parameter in the Authorization field",
    ))?;
    let signature = signature.ok_or(Distrust::Incomplete(
        "a 'Signature' parameter in the Authorization field",
    ))?;
    let signature = sha256(signature).ok_or(Distrust::Incomplete(
        "a Signature of 64 lower-case hexadecimal digits",
    ))?;
    Ok((credential, signed, signature))
}

/// The key's id, and date, region, service and terminator of
/// `id/20150830/us-east-1/cloudfront/aws4_request`.
pub(super) fn credential(credential: &str) -> Result<(&str, [&str; 4]), Distrust> {
    let mut parts = credential.rsplitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (Some(terminator), Some(service), Some(region), Some(day), Some(key)) =
        (next(), next(), next(), next(), next())
    else {
        return Err(Distrust::Incomplete(
            "a Credential of the form id/date/region/service/aws4_request",
        ));
    };
    Ok((key, [day, region, service, terminator]))
}

/// Checks that the names are sorted, in lower case, and hold the two that matter.
pub(super) fn signed_fields(signed: &str) -> Result<(), Distrust> {
    let names: Vec<&str> = signed.split(';').collect();
    let ordered = names.is_sorted_by(|one, next| one < next);
    let lower = !signed.bytes().any(|byte| byte.is_ascii_uppercase());
    if !ordered || !lower {
        return Err(Distrust::Incomplete(
            "SignedHeaders in lower case, sorted, each once",
        ));
    }
    if !names.contains(&HOST.as_str()) {
        return Err(Distrust::Misscoped(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    if !names.contains(&DATE) {
        return Err(Distrust::Misscoped(
            "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    Ok(())
}

/// 32 bytes of 64 lower-case hexadecimal digits.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
