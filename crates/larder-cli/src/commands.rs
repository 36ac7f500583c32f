//! What the program does.

use std::borrow::Cow;
use std::io::{Read as _, Write};
use std::time::Instant;

use larder::core::{Entry, Key, Ttl, Value, When};
use larder::{Codec, Error, PurgePages as _, Tag, Timeout};
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::Command;
use crate::failure::Failure;
use crate::open::Opened;
use crate::output::Output;

/// Does it; whether what was asked for was there.
pub(crate) async fn run(
    command: Command,
    opened: &Opened,
    version: Option<u64>,
    output: &mut Output<impl Write>,
) -> Result<bool, Failure> {
    let work = Work { opened, version: version.unwrap_or_else(|| opened.cache.version()) };
    if !opened.cache.capabilities().shared && !matches!(command, Command::Ping { .. }) {
        let name = opened.cache.capabilities().name;
        return Err(Failure::said(format!(
            "a {name}: cache lives inside one process, and this one's is empty; name one that processes share: file:, sqlite:, redis:, …"
        )));
    }
    match command {
        Command::Get { key, raw, json } => work.get(&key, raw, json, output).await,
        Command::Set { key, value, timeout, tags, json, raw } => {
            let form = if raw {
                Form::Raw
            } else if json {
                Form::Json
            } else {
                Form::Text
            };
            work.set(&key, value, form, timeout.unwrap_or(Timeout::DEFAULT), tags).await
        }
        Command::Del { keys, json } => work.del(keys, json, output).await,
        Command::Keys { pattern, json } => work.keys(&pattern, json, output).await,
        Command::Ttl { key, json } => work.ttl(&key, json, output).await,
        Command::Invalidate { tags, soft } => {
            let done = match soft {
                true => opened.cache.soft_invalidate(tags).await,
                false => opened.cache.invalidate(tags).await,
            };
            done.map(|()| true).map_err(|error| work.failed(&error))
        }
        Command::Purge { which, soft } => {
            let purge = if soft { which.purge().soft() } else { which.purge() };
            opened.cache.purge(purge).await.map(|()| true).map_err(|error| work.failed(&error))
        }
        Command::Clear { yes } => work.clear(yes).await,
        Command::Ping { json } => work.ping(json, output).await,
        Command::Warm(_) => Err(Failure::said("warm asks a site, and no cache")),
    }
}

/// What a value on the command line is.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Json,
    Raw,
}

struct Work<'a> {
    opened: &'a Opened,
    version: u64,
}

impl Work<'_> {
    async fn get(
        &self,
        key: &str,
        raw: bool,
        json: bool,
        output: &mut Output<impl Write>,
    ) -> Result<bool, Failure> {
        let Some(entry) = self.look(key).await? else { return Ok(false) };
        let bytes = entry.value().to_bytes().map_err(|error| self.failed(&error))?;
        let codec = self.opened.cache.codec();
        // JSON is shown as it was written.
        let written = (codec == Codec::Json).then(|| String::from_utf8_lossy(&bytes));
        match codec.decode::<serde_json::Value>(&bytes) {
            _ if raw => output.value(&bytes)?,
            Ok(value) if json => output.line(&written.map_or_else(|| value.to_string(), Cow::into_owned))?,
            Err(_) if json => {
                return Err(Failure::said(format!(
                    "what stands under this key is {} bytes that can't be shown as JSON; take --raw",
                    bytes.len()
                )));
            }
            Ok(serde_json::Value::String(text)) => output.value(text.as_bytes())?,
            Ok(value) if written.is_none() => output.value(value.to_string().as_bytes())?,
            _ => output.value(&bytes)?,
        }
        Ok(true)
    }

    async fn set(
        &self,
        key: &str,
        value: String,
        form: Form,
        timeout: Timeout,
        tags: Vec<String>,
    ) -> Result<bool, Failure> {
        let cache = &self.opened.cache;
        let bytes = if value == "-" { standard_input()? } else { value.into_bytes() };
        let text = |bytes| {
            String::from_utf8(bytes)
                .map_err(|_| Failure::said("the value is not UTF-8; take --raw to store bytes as they are"))
        };
        let done = match form {
            Form::Text => {
                cache.set(key, text(bytes)?).version(self.version).timeout(timeout).tags(tags).await
            }
            Form::Json => {
                let text = text(bytes)?;
                let wrong =
                    |error| Failure::said(format!("the value is no JSON: {error}; text needs no --json"));
                // Another codec would not know what the text is.
                let set = match cache.codec() {
                    Codec::Json => {
                        cache.set(key, RawValue::from_string(text.trim().to_owned()).map_err(wrong)?)
                    }
                    _ => cache.set(key, serde_json::from_str::<serde_json::Value>(&text).map_err(wrong)?),
                };
                set.version(self.version).timeout(timeout).tags(tags).await
            }
            Form::Raw => self.put(key, bytes, timeout, tags).await,
        };
        done.map(|()| true).map_err(|error| self.failed(&error))
    }

    /// Stores bytes that are no value of any codec.
    async fn put(&self, key: &str, bytes: Vec<u8>, timeout: Timeout, tags: Vec<String>) -> Result<(), Error> {
        let cache = &self.opened.cache;
        let key = self.key(key);
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        let timeout = timeout.or(cache.default_timeout());
        let expires = timeout.as_millis().map(|after| cache.clock().now().saturating_add(after));
        let fill = cache.begin(&tags).await?;
        match cache.seal(&fill, &[], expires).await? {
            Some(stamp) if !timeout.is_zero() => {
                cache.put(&key, Entry::new(Value::Bytes(bytes.into()), expires, stamp), When::Always).await?;
            }
            // A timeout of zero, or a tag that was invalidated this very moment: as if it had been stored before.
            _ => {
                cache.evict(&key).await?;
            }
        }
        Ok(())
    }

    async fn del(
        &self,
        keys: Vec<String>,
        json: bool,
        output: &mut Output<impl Write>,
    ) -> Result<bool, Failure> {
        let removed = self.opened.cache.delete_many(keys).version(self.version).await;
        let removed = removed.map_err(|error| self.failed(&error))?;
        if json {
            output.line(&json!({ "removed": removed }).to_string())?;
        } else {
            output.line(&removed.to_string())?;
        }
        Ok(removed > 0)
    }

    async fn keys(
        &self,
        pattern: &str,
        json: bool,
        output: &mut Output<impl Write>,
    ) -> Result<bool, Failure> {
        let keys = self.opened.cache.keys(pattern).version(self.version).await;
        let keys = keys.map_err(|error| self.failed(&error))?;
        if json {
            output.line(&json!(keys).to_string())?;
        } else {
            for key in &keys {
                output.key(key)?;
            }
        }
        Ok(!keys.is_empty())
    }

    async fn ttl(&self, key: &str, json: bool, output: &mut Output<impl Write>) -> Result<bool, Failure> {
        let ttl =
            self.opened.cache.ttl(key).version(self.version).await.map_err(|error| self.failed(&error))?;
        let seconds = ttl.left().map(|left| left.as_millis().div_ceil(1000));
        match (ttl, seconds) {
            (Ttl::Missing, _) => return Ok(false),
            _ if json => output.line(&json!({ "key": key, "ttl": seconds }).to_string())?,
            (_, Some(seconds)) => output.line(&seconds.to_string())?,
            (_, None) => output.line("none")?,
        }
        Ok(true)
    }

    async fn clear(&self, yes: bool) -> Result<bool, Failure> {
        let Opened { cache, place } = self.opened;
        if !yes {
            let which = match cache.space().prefix() {
                "" => "without a prefix".to_owned(),
                prefix => format!("with the prefix {prefix:?}"),
            };
            return Err(Failure::said(format!(
                "this would remove all entries {which}, of all versions, from {place}; nothing is removed without --yes"
            )));
        }
        cache.clear().await.map(|()| true).map_err(|error| self.failed(&error))
    }

    async fn ping(&self, json: bool, output: &mut Output<impl Write>) -> Result<bool, Failure> {
        let cache = &self.opened.cache;
        let begun = Instant::now();
        cache.ping().await.map_err(|error| self.failed(&error))?;
        let name = cache.capabilities().name;
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        if json {
            output.line(&json!({ "backend": name, "milliseconds": milliseconds }).to_string())?;
        } else {
            output.line(&format!("the {name} cache answers, after {milliseconds:.1} ms"))?;
        }
        Ok(true)
    }

    /// The valid entry of a key. Not by [`get`](larder::Cache::get), which removes what it can't decode.
    async fn look(&self, key: &str) -> Result<Option<Entry>, Failure> {
        let found = self.opened.cache.lookup(&[self.key(key)]).await;
        Ok(found.map_err(|error| self.failed(&error))?.pop().flatten())
    }

    fn key(&self, key: &str) -> Key {
        self.opened.cache.key_of(key, Some(self.version))
    }

    fn failed(&self, error: &Error) -> Failure {
        Failure::of(error, &self.opened.place)
    }
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::said(format!("the standard input can't be read: {error}")))?;
    Ok(bytes)
}
