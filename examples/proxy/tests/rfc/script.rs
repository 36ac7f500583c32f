//! How cases are written.
//!
//! ```text
//! ## 9111§4.2.1 s-maxage beats max-age
//! > GET /a                         the client asks; further `>` lines are fields, `> | text` is content
//! < 200                            what the origin answers, if it is asked; `< close` breaks the connection. Another line with a
//!                                  status begins the answer for when it is asked once more
//! < cache-control: max-age=1, s-maxage=60
//! < | body
//! ? if-none-match: "a"             a field that the origin must have seen; `? !range`: one that it must not
//! = asked 200                      what must come of it: `asked` or `stored`, and the status; `refreshed`: stored, and `& asked` follows
//! = age: 5                         a field that the client must get; `= !warning`: one that it must not
//! = | body
//! + 5                              the clock goes on, in seconds
//! & asked                          behind the client's back the origin is asked once more
//! option no-heuristics …           before the first step: how the proxy is set up
//! ```
//!
//! `{now}`, `{now-10}` and `{now+10}` are dates. A step begins at each `>` with a method.

/// One rule.
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) line: usize,
    pub(crate) options: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum Step {
    Ask(Box<Exchange>),
    Wait(u64),
    /// The origin is asked by the proxy itself.
    Behind,
}

#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) line: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) content: Option<String>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) seen: Vec<Expect>,
    /// `None`: behind the client's back, before or after its answer.
    pub(crate) asked: Option<bool>,
    pub(crate) status: u16,
    pub(crate) got: Vec<Expect>,
    pub(crate) body: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// 0: the connection is closed.
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) enum Expect {
    Is(String, String),
    Not(String),
}

fn field(text: &str, at: &str) -> (String, String) {
    let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("{at}: {text:?} is no field"));
    (name.trim().to_ascii_lowercase(), value.trim().to_owned())
}

fn expect(text: &str, at: &str) -> Expect {
    match text.strip_prefix('!') {
        Some(name) => Expect::Not(name.trim().to_ascii_lowercase()),
        None => {
            let (name, value) = field(text, at);
            Expect::Is(name, value)
        }
    }
}

pub(crate) fn parse(name: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (number, at) = (number + 1, format!("{name}:{}", number + 1));
        let line = line.trim_end();
        if line.is_empty() || line.starts_with("# ") || line == "#" {
            continue;
        }
        if let Some(title) = line.strip_prefix("## ") {
            cases.push(Case { title: title.to_owned(), line: number, options: vec![], steps: vec![] });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{at}: no case begins before it"));
        if let Some(options) = line.strip_prefix("option ") {
            case.options.extend(options.split_whitespace().map(str::to_owned));
            continue;
        }
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "+" {
            case.steps.push(Step::Wait(rest.parse().unwrap_or_else(|_| panic!("{at}: seconds are wanted"))));
            continue;
        }
        if mark == "&" {
            assert_eq!(rest, "asked", "{at}");
            case.steps.push(Step::Behind);
            continue;
        }
        let is_request_line = mark == ">"
            && !rest.starts_with('|')
            && rest.contains(" /")
            && !rest.split(' ').next().unwrap_or("").ends_with(':');
        if is_request_line {
            let (method, path) = rest.split_once(' ').unwrap();
            let exchange =
                Exchange { line: number, method: method.into(), path: path.into(), ..Exchange::default() };
            case.steps.push(Step::Ask(Box::new(exchange)));
            continue;
        }
        let Some(Step::Ask(step)) = case.steps.last_mut() else { panic!("{at}: no request before it") };
        let content = rest.strip_prefix('|').map(|text| text.strip_prefix(' ').unwrap_or(text).to_owned());
        match (mark, content) {
            (">", Some(text)) => step.content = Some(text),
            (">", None) => step.fields.push(field(rest, &at)),
            ("<", None) if rest == "close" => step.answers.push(Answer::default()),
            ("<", None) if rest.len() == 3 && rest.parse::<u16>().is_ok() => {
                step.answers.push(Answer { status: rest.parse().unwrap(), ..Answer::default() });
            }
            ("<", text) => {
                let answer = step.answers.last_mut().unwrap_or_else(|| panic!("{at}: no status before it"));
                match text {
                    Some(text) => answer.body = text,
                    None => answer.fields.push(field(rest, &at)),
                }
            }
            ("?", None) => step.seen.push(expect(rest, &at)),
            ("=", Some(text)) => step.body = Some(text),
            ("=", None) => match rest.split_once(' ') {
                Some((word @ ("asked" | "stored" | "refreshed"), status))
                    if status.parse::<u16>().is_ok() =>
                {
                    step.asked = (word != "refreshed").then_some(word == "asked");
                    step.status = status.parse().unwrap();
                }
                _ => step.got.push(expect(rest, &at)),
            },
            _ => panic!("{at}: {line:?} is not understood"),
        }
    }
    for case in &cases {
        for step in &case.steps {
            if let Step::Ask(step) = step {
                assert!(
                    step.status > 0,
                    "{name}:{}: a step expects `= asked 200` or `= stored 200`",
                    step.line
                );
            }
        }
    }
    cases
}
