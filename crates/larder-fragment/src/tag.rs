//! Django's spelling, `{% cache 500 sidebar request.user.username %}`, in engines that have no tags of one's own: found in a template's
//! source and rewritten to what they do have.

use std::borrow::Cow;
use std::fmt;

/// A `{% cache … %}`, taken apart. Everything but the name is an expression of the engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CacheTag<'s> {
    pub(crate) timeout: &'s str,
    pub(crate) name: &'s str,
    pub(crate) vary_on: Vec<&'s str>,
    pub(crate) using: Option<&'s str>,
    pub(crate) tags: Option<&'s str>,
}

impl CacheTag<'_> {
    /// The name as a literal of the engine.
    pub(crate) fn quoted_name(&self) -> String {
        format!("\"{}\"", self.name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// What is wrong with a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) line: usize,
    what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Replaces the beginnings and ends of cached fragments; `open` gets the tag and how many there were before it. All lines stay where they
/// are, and so do the signs that trim white space.
pub(crate) fn rewrite<'s>(
    source: &'s str,
    mut open: impl FnMut(&CacheTag<'_>, usize, Trim<'_>) -> String,
    close: impl Fn(Trim<'_>) -> String,
) -> Result<Cow<'s, str>, Wrong> {
    let mut out = String::new();
    let (mut done, mut at, mut count) = (0, 0, 0);
    let mut opened: Vec<usize> = Vec::new();
    let mut raw: Option<&str> = None;
    while let Some(start) = source[at..].find("{").map(|i| at + i) {
        let rest = &source[start..];
        if raw.is_none() && rest.starts_with("{#") {
            at = rest.find("#}").map_or(source.len(), |end| start + end + 2);
            continue;
        }
        if raw.is_none() && rest.starts_with("{{") {
            // What is left open is for the engine to complain of.
            at = start + expression_end(rest).unwrap_or(2);
            continue;
        }
        if !rest.starts_with("{%") {
            at = start + 1;
            continue;
        }
        if let Some(end) = raw {
            // Nothing in there is code: a quote is no beginning of a string.
            let inner = rest[2..].split_once("%}").map_or("", |(inner, _)| inner);
            if trimmed(inner).0 == end {
                raw = None;
            }
            at = start + 2;
            continue;
        }
        let Some(length) = block_end(rest) else { break };
        let (inner, trim) = trimmed(&rest[2..length - 2]);
        at = start + length;
        let word = inner.split_whitespace().next().unwrap_or_default();
        let line = || source[..start].matches('\n').count() + 1;
        let replaced = match word {
            "raw" => {
                raw = Some("endraw");
                continue;
            }
            "verbatim" => {
                raw = Some("endverbatim");
                continue;
            }
            "cache" => {
                let tag =
                    parse(inner["cache".len()..].trim()).map_err(|what| Wrong { line: line(), what })?;
                opened.push(start);
                count += 1;
                open(&tag, count - 1, trim)
            }
            // What a template that comes from Django begins with.
            "load" if inner["load".len()..].trim() == "cache" => String::new(),
            "endcache" => {
                if opened.pop().is_none() {
                    let what = "endcache without a cache before it".to_owned();
                    return Err(Wrong { line: line(), what });
                }
                close(trim)
            }
            _ => continue,
        };
        out.push_str(&source[done..start]);
        out.push_str(&replaced);
        // Errors further down are reported with their lines.
        out.extend(rest[..length].matches('\n').map(|_| "{#\n#}"));
        done = at;
    }
    if let Some(start) = opened.pop() {
        let line = source[..start].matches('\n').count() + 1;
        return Err(Wrong { line, what: "cache without an endcache".to_owned() });
    }
    if done == 0 {
        return Ok(Cow::Borrowed(source));
    }
    out.push_str(&source[done..]);
    Ok(Cow::Owned(out))
}

/// The signs that trim white space, at both ends of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim<'s> {
    pub(crate) before: &'s str,
    pub(crate) after: &'s str,
}

fn trimmed(inner: &str) -> (&str, Trim<'_>) {
    let sign = |at_end: bool| {
        let found = if at_end { inner.chars().last() } else { inner.chars().next() };
        usize::from(found.is_some_and(|c| c == '-' || c == '+'))
    };
    let before = sign(false);
    let after = if inner.len() > before { sign(true) } else { 0 };
    let (head, tail) = (&inner[..before], &inner[inner.len() - after..]);
    (inner[before..inner.len() - after].trim(), Trim { before: head, after: tail })
}

/// Where a block ends: `%}` in quotes does not end it.
fn block_end(block: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in block.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '%') if block[at..].starts_with("%}") && at >= 2 => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Where an expression that is printed ends: `}}` in quotes or within brackets does not end it.
fn expression_end(expression: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in expression.char_indices().skip(2) {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            // Tera's third.
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, '}') if depth == 0 && expression[at..].starts_with("}}") => return Some(at + 2),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn parse(arguments: &str) -> Result<CacheTag<'_>, String> {
    let mut words = words(arguments);
    let named = |words: &mut Vec<&str>, name: &str| -> Result<Option<usize>, String> {
        let found: Vec<usize> = (0..words.len()).filter(|i| words[*i].starts_with(name)).collect();
        match found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(format!("cache has {name} twice")),
        }
    };
    let mut take = |name: &str| -> Result<Option<&str>, String> {
        let Some(at) = named(&mut words, name)? else { return Ok(None) };
        match &words.remove(at)[name.len()..] {
            "" => Err(format!("nothing stands behind {name} in cache; write it without spaces")),
            value => Ok(Some(value)),
        }
    };
    let (using, tags) = (take("using=")?, take("tags=")?);
    let [timeout, name, vary_on @ ..] = &words[..] else {
        return Err(
            "cache needs a timeout and a name: {% cache 500 sidebar request.user.username %}".to_owned()
        );
    };
    let unquoted = ['"', '\''].iter().find_map(|q| name.strip_prefix(*q)?.strip_suffix(*q));
    Ok(CacheTag { timeout, name: unquoted.unwrap_or(name), vary_on: vary_on.to_vec(), using, tags })
}

/// Split at white space, but not in quotes or brackets.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut depth, mut quote) = (Vec::new(), None, 0_usize, None);
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && depth == 0 && quote.is_none() {
            if let Some(start) = start.take() {
                words.push(&text[start..at]);
            }
            continue;
        }
        start.get_or_insert(at);
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Result<String, String> {
        let open = |tag: &CacheTag<'_>, n: usize, trim: Trim<'_>| {
            let (using, tags) = (tag.using.unwrap_or("-"), tag.tags.unwrap_or("-"));
            format!(
                "<{n}{}|{}|{}|{:?}|{using}|{tags}|{}>",
                trim.before, tag.timeout, tag.name, tag.vary_on, trim.after
            )
        };
        rewrite(source, open, |trim| format!("</{}{}>", trim.before, trim.after))
            .map(Cow::into_owned)
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn djangos_tag_is_found_with_all_it_says() {
        for (source, result) in [
            ("no tags", "no tags"),
            ("{% load cache %}{% load static %}", "{% load static %}"),
            ("{% cache 500 top_author %}x{% endcache %}", "<0|500|top_author|[]|-|-|>x</>"),
            (
                "{%- cache  ttl 'a b' user.name f(1, 2)|upper using=\"other\" tags=[\"a b\"] -%}x{%- endcache +%}",
                "<0-|ttl|a b|[\"user.name\", \"f(1, 2)|upper\"]|\"other\"|[\"a b\"]|->x</-+>",
            ),
            (
                "{% cache 1 a %}{% cache 2 b \"%} %}\" %}{% endcache %}{% endcache %}",
                "<0|1|a|[]|-|-|><1|2|b|[\"\\\"%} %}\\\"\"]|-|-|></></>",
            ),
            ("{% cache 1 a\n x %}\n{% endcache %}", "<0|1|a|[\"x\"]|-|-|>{#\n#}\n</>"),
            ("{% raw %}{% cache %}{% endraw %}", "{% raw %}{% cache %}{% endraw %}"),
            ("{# {% cache %} #}{ { {{ x }}", "{# {% cache %} #}{ { {{ x }}"),
            ("{% cached 1 %}{%", "{% cached 1 %}{%"),
            ("{{ '{#' }}{% cache 1 a %}x{% endcache %}", "{{ '{#' }}<0|1|a|[]|-|-|>x</>"),
            ("{{ \"{% endcache %}\" }}", "{{ \"{% endcache %}\" }}"),
            (
                r"{{- '\' }}{% cache %}' ~ `{% load cache %}` -}}{% load cache %}",
                r"{{- '\' }}{% cache %}' ~ `{% load cache %}` -}}",
            ),
            (
                "{{ {'a': {'b': '{%'}} }}{% cache 1 a %}{{{}}}{% endcache %}",
                "{{ {'a': {'b': '{%'}} }}<0|1|a|[]|-|-|>{{{}}}</>",
            ),
            ("{{ x {% cache 1 a %}{% endcache %}", "{{ x <0|1|a|[]|-|-|></>"),
            (
                "{% raw %}{{ {% it's %} {# {%- raw %}{% endraw x %}{%}{%- endraw %}{% load cache %}'",
                "{% raw %}{{ {% it's %} {# {%- raw %}{% endraw x %}{%}{%- endraw %}'",
            ),
            ("{%%}{%-%}{% cache 1 ü %}ü{% endcache %}", "{%%}{%-%}<0|1|ü|[]|-|-|>ü</>"),
        ] {
            assert_eq!(shown(source).as_deref(), Ok(result), "{source}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_remedy() {
        for (source, wrong) in [
            ("{% cache %}", "line 1: cache needs a timeout and a name"),
            ("\n{% cache 1 %}", "line 2: cache needs a timeout and a name"),
            ("\n\n{% cache 1 a %}", "line 3: cache without an endcache"),
            ("{% endcache %}", "line 1: endcache without a cache"),
            ("{% cache 1 a using=x using=y %}", "cache has using= twice"),
            ("{% cache 1 a tags= %}", "nothing stands behind tags="),
        ] {
            let error = shown(source).unwrap_err();
            assert!(error.contains(wrong), "{source}: {error}");
        }
    }

    #[test]
    fn a_template_cut_anywhere_is_rewritten_or_refused() {
        let whole = "ü{%- load cache %}{% cache 5 'ü' f(\"%}\\\"\") [ü using=ü -%}{# ü #}{% raw %}{%+endraw+%}{%endcache%}{{ü['}}\\'', \"ü\"]}}";
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                if let Some(part) = whole.get(from..to) {
                    _ = shown(part);
                }
            }
        }
        assert!(shown(whole).is_ok());
    }
}
