//! Pages from templates: `{{name}}` in the HTML is replaced, escaped.

use std::fmt::Write as _;
use std::time::SystemTime;

use axum::response::Html;
use serde_json::Value;

/// The page with the links and the buttons.
pub(crate) fn home(fields: &[(&str, &str)]) -> Html<String> {
    Html(fill(include_str!("home.html"), fields))
}

/// What a view made of the API's answer.
pub(crate) fn results(view: &str, answer: &Value) -> Html<String> {
    let answer = format!("{answer:#}");
    let fields = [
        ("title", view),
        ("content", "Results received!"),
        ("current_time", &now()),
        ("detail", "What httpbin answered:"),
        ("answer", &answer),
    ];
    Html(fill(include_str!("view.html"), &fields))
}

/// A page of the small site that asks nobody.
pub(crate) fn about(view: &str) -> Html<String> {
    let fields = [
        ("title", view),
        ("content", "About this site"),
        ("current_time", &now()),
        ("detail", "Nobody put a layer on this page: the pair around the site caches it with the rest."),
        ("answer", ""),
    ];
    Html(fill(include_str!("view.html"), &fields))
}

/// What stands in place of the results when the API gave none.
pub(crate) fn down(httpbin: &str, why: &str) -> Html<String> {
    let fields = [
        ("title", "Bad gateway"),
        ("content", "The API is down"),
        ("current_time", &now()),
        ("detail", "This page is not stored: the next request asks again."),
        ("answer", &format!("{httpbin}: {why}")),
    ];
    Html(fill(include_str!("view.html"), &fields))
}

/// The time of day, to the millisecond, so that two loads never show the same one.
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn fill(template: &str, fields: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        page.push_str(before);
        let value = fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value);
        escape(value, &mut page);
        rest = after;
    }
    page + rest
}

fn escape(text: &str, page: &mut String) {
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                let _ = write!(page, "&#{};", u32::from(c));
            }
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_and_never_read_as_a_template() {
        let page = fill("<b title=\"{{a}}\">{{b}}</b>", &[("a", "\"'<&>"), ("b", "{{a}}")]);
        assert_eq!(page, "<b title=\"&#34;&#39;&#60;&#38;&#62;\">{{a}}</b>");
    }

    #[test]
    fn no_template_asks_for_a_field_that_is_not_filled() {
        let answer = Value::String("x".to_owned());
        for page in [results("v", &answer), about("v"), down("h", "w")] {
            assert!(!page.0.contains("{{"), "{}", page.0);
            assert!(page.0.contains("id=\"current_time\""), "{}", page.0);
        }
    }
}
