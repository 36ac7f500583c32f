//! Key functions that have to wait: they are asked first, and what they said goes with the request.

use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;

use super::{KeyText, may_be_a_page};
use crate::engine::Engine;
use crate::settings::Settings;

type Boxed = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A key function that has to wait.
pub(crate) type LaterFn = Arc<dyn Fn(Parts) -> Boxed + Send + Sync>;

pub(crate) fn boxed<F>(text: impl Fn(Parts) -> F + Send + Sync + 'static) -> LaterFn
where
    F: Future<Output: KeyText> + Send + 'static,
{
    Arc::new(move |parts| {
        let text = text(parts);
        Box::pin(async move { text.await.into_text() })
    })
}

/// On a request: what the key functions of one layer said.
#[derive(Clone)]
pub(crate) struct Told {
    /// Layers that were told the same are one; a layer inside with other functions asks its own.
    of: Arc<Settings>,
    texts: Arc<[Option<String>]>,
}

impl Told {
    /// What was said for a layer with these settings.
    pub(crate) fn of<'a>(parts: &'a Parts, settings: &Settings) -> Option<&'a [Option<String>]> {
        let told = parts.extensions.get::<Self>()?;
        std::ptr::eq(Arc::as_ptr(&told.of), settings).then_some(&*told.texts)
    }
}

impl Engine {
    /// Whether key functions have to be waited for before this request can be looked at.
    pub(crate) fn asks_first(&self, parts: &Parts) -> bool {
        let settings = self.settings();
        !settings.later.is_empty() && may_be_a_page(&parts.method) && Told::of(parts, settings).is_none()
    }

    /// Asks them.
    pub(crate) async fn ask_first(&self, parts: &mut Parts) {
        let of = self.shared_settings();
        let mut texts = Vec::with_capacity(of.later.len());
        for text in &of.later {
            texts.push(text(parts.clone()).await);
        }
        parts.extensions.insert(Told { of, texts: texts.into() });
    }
}
