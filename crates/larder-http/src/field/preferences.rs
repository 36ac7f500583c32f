//! Preference lists: `gzip;q=0.5, br` ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).

/// `name;q=weight` members sorted by weight; `None` when it isn't such a list.
pub(super) fn by_weight(list: &[u8], order_is_meaningless: bool) -> Option<Vec<u8>> {
    let mut members = Vec::new();
    for member in list.split(|&b| b == b',').filter(|member| !member.is_empty()) {
        let mut parts = member.splitn(2, |&b| b == b';');
        let name = parts.next()?.trim_ascii_end().to_ascii_lowercase();
        let weight = parts.next().map_or(Some(1000), weight)?;
        let plain =
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-*_.+".contains(b));
        // A name given twice has no weight that everybody would agree on.
        if !plain || members.iter().any(|(_, known)| *known == name) {
            return None;
        }
        members.push((weight, name));
    }
    members.sort_by(|(a, a_name), (b, b_name)| {
        b.cmp(a)
            .then_with(|| if order_is_meaningless { a_name.cmp(b_name) } else { std::cmp::Ordering::Equal })
    });
    let mut out = Vec::new();
    for (weight, name) in members {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(&name);
        match weight {
            1000 => {}
            0 => out.extend_from_slice(b";q=0"),
            _ => out.extend_from_slice(format!(";q=0.{weight:03}").trim_end_matches('0').as_bytes()),
        }
    }
    Some(out)
}

/// `q=0.5` in thousandths ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).
pub(crate) fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), fraction @ ..] = parameter.trim_ascii() else {
        return None;
    };
    let digits = match fraction {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * 1000;
    for (digit, worth) in digits.iter().zip([100, 10, 1]) {
        thousandths += digit.is_ascii_digit().then(|| u16::from(digit - b'0') * worth)?;
    }
    (thousandths <= 1000).then_some(thousandths)
}
