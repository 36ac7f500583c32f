//! `LARDER_…` in the environment.

use larder_core::{Error, suggest};

use super::at::{placed, wrong};
use super::document::{Pair, Table};
use super::site;
use super::variables::Variables;

const FRONT: &str = "LARDER_";
pub(super) const CONFIG: &str = "LARDER_CONFIG";
/// For the program `larder` alone, which shares an environment with the application often enough.
const REFRESH_SECRET: &str = "LARDER_REFRESH_SECRET";
/// What a name ends with, and which key of a table that is. A suffix stands before what it ends with.
const ENDS: [(&str, &str); 3] =
    [("PASSWORD_FILE", "password_file"), ("PASSWORD", "password"), ("URL", "url")];

/// What the environment says about one key of one alias.
struct Said<'a> {
    variable: &'a str,
    /// `MY_PAGES`.
    stem: &'a str,
    key: &'static str,
}

/// Whether a file is named.
pub(super) fn names_a_file(variables: &Variables) -> bool {
    variables.names().any(|name| name == CONFIG)
}

/// Puts what the environment says over the tables of the file.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) for a variable that is empty or unknown, or that contradicts another.
pub(super) fn apply(tables: &mut Vec<Table>, variables: &Variables) -> Result<(), Error> {
    let mut said = read(variables, tables)?;
    // URLs first: a password belongs to what they name.
    said.sort_by_key(|said| said.key != "url");
    for Said { variable, stem, key } in said {
        let value = variables.get(variable).map_err(|error| placed(variable, &error))?.to_owned();
        let there = tables.iter().position(|table| is_called(&table.name, stem));
        let pair = Pair { name: key.to_owned(), value, at: variable.to_owned() };
        match there {
            _ if is_called(site::NAME, stem) => {
                return Err(wrong(
                    variable,
                    "no cache can be called \"site\", which is the table of the per-site pair",
                ));
            }
            Some(at) if key == "url" && tables[at].at.starts_with(FRONT) => {
                let other = &tables[at].at;
                return Err(wrong(variable, format_args!("{other} is the URL of the same cache; unset one")));
            }
            Some(at) if key == "url" => {
                let name = tables[at].name.clone();
                tables[at] = table(name, pair);
            }
            Some(at) => {
                let pairs = &mut tables[at].pairs;
                pairs.retain(|there| !there.name.starts_with("password") || there.at.starts_with(FRONT));
                pairs.push(pair);
            }
            None if key == "url" => tables.push(table(alias_of(stem), pair)),
            None => {
                let url = variable_of(stem, "URL");
                return Err(wrong(
                    variable,
                    format_args!("there is no cache that this password is for; set {url}"),
                ));
            }
        }
    }
    Ok(())
}

fn table(name: String, url: Pair) -> Table {
    Table { name, at: url.at.clone(), pairs: vec![url], folder: None }
}

fn alias_of(stem: &str) -> String {
    if stem.is_empty() { "default".to_owned() } else { stem.to_lowercase() }
}

/// `my-pages` is called by `MY_PAGES`, and `default` by nothing, too.
fn is_called(alias: &str, stem: &str) -> bool {
    alias.replace(['-', '.', ' '], "_").to_lowercase() == alias_of(stem)
}

fn variable_of(stem: &str, end: &str) -> String {
    if stem.is_empty() { format!("{FRONT}{end}") } else { format!("{FRONT}{stem}_{end}") }
}

fn read<'a>(variables: &'a Variables, tables: &[Table]) -> Result<Vec<Said<'a>>, Error> {
    let mut said = Vec::new();
    for variable in variables.names() {
        let Some(rest) = variable.strip_prefix(FRONT) else { continue };
        if variable == CONFIG || variable == REFRESH_SECRET || rest.starts_with("TEST_") {
            continue;
        }
        let found = ENDS.iter().find_map(|(end, key)| {
            let stem = rest.strip_suffix(end)?;
            let stem =
                if stem.is_empty() { "" } else { stem.strip_suffix('_').filter(|stem| !stem.is_empty())? };
            Some(Said { variable, stem, key })
        });
        match found {
            Some(one) => said.push(one),
            None if is_kubernetes(rest) => {}
            None => return Err(unknown(variable, rest, tables)),
        }
    }
    Ok(said)
}

fn unknown(variable: &str, rest: &str, tables: &[Table]) -> Error {
    let mut stems = vec![String::new()];
    stems.extend(tables.iter().map(|table| table.name.to_uppercase().replace(['-', '.', ' '], "_")));
    // Of an alias that is only being named: LARDER_PAGES_ULR.
    stems.extend(rest.rsplit_once('_').map(|(stem, _)| stem.to_owned()));
    let mut known = vec![CONFIG.to_owned()];
    known.extend(stems.iter().flat_map(|stem| ENDS.map(|(end, _)| variable_of(stem, end))));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = match suggest(variable, &known) {
        near if near.starts_with("did") => near,
        _ => "there are LARDER_CONFIG, LARDER_URL, LARDER_PASSWORD, LARDER_PASSWORD_FILE, and the last three with an alias: LARDER_PAGES_URL".to_owned(),
    };
    wrong(variable, format_args!("this variable says nothing to Larder; {hint}"))
}

/// What Kubernetes sets in every container beside a service called `larder` or `larder-…`: `SERVICE_HOST`, `SERVICE_PORT_HTTP`, `PORT`,
/// `PORT_6379_TCP_ADDR`.
fn is_kubernetes(rest: &str) -> bool {
    let rest = format!("_{rest}");
    let of_port = |behind: &str| {
        let mut words = behind.split('_').skip(1);
        let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
        behind.is_empty() || number && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.match_indices("_PORT").any(|(at, word)| of_port(&rest[at + word.len()..]))
}
