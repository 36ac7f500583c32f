//! Preference lists: `gzip;q=0.5, br` ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::Text;

/// A list of more is taken as it is: no client has so many preferences, and to tell whether one stands twice each is compared with all others.
const MOST: usize = 32;

/// `name;q=weight` members sorted by weight; `None` when it isn't such a list.
pub(super) fn by_weight(list: &[u8], order_is_meaningless: bool) -> Option<Text> {
    let mut members: SmallVec<[(u16, &[u8]); 8]> = SmallVec::new();
    for member in list.split(|&b| b == b',').filter(|member| !member.is_empty()) {
        let (name, weight) = match member.iter().position(|&b| b == b';') {
            Some(at) => (member[..at].trim_ascii_end(), weight(&member[at + 1..])?),
            None => (member.trim_ascii_end(), 1000),
        };
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'*' | b'_' | b'.' | b'+');
        // A name given twice has no weight that everybody would agree on.
        if name.is_empty()
            || members.len() == MOST
            || !name.iter().all(plain)
            || members.iter().any(|(_, known)| known.eq_ignore_ascii_case(name))
        {
            return None;
        }
        members.push((weight, name));
    }
    members.sort_by(|(a, a_name), (b, b_name)| {
        b.cmp(a).then_with(|| match order_is_meaningless {
            true => {
                let [a, b] = [*a_name, *b_name].map(|name| name.iter().map(u8::to_ascii_lowercase));
                a.cmp(b)
            }
            false => Ordering::Equal,
        })
    });
    let mut out = Text::new();
    for (weight, name) in members {
        if !out.is_empty() {
            out.push(b',');
        }
        let begin = out.len();
        out.extend_from_slice(name);
        out[begin..].make_ascii_lowercase();
        match weight {
            1000 => {}
            0 => out.extend_from_slice(b";q=0"),
            _ => {
                out.extend_from_slice(b";q=0.");
                let digits = [weight / 100, weight / 10 % 10, weight % 10].map(|digit| b'0' + digit as u8);
                let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
                out.extend_from_slice(&digits[..digits.len() - zeros]);
            }
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
