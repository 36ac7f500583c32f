//! Template fragments: a part of a page that is rendered once and kept, as by Django's `{% cache %}`.
//!
//! An application uses this through the `larder` facade, with the feature of its template engine; see the modules `minijinja`, `askama` and
//! `tera` for how each spells it. [`Fragments`] is the handle they share:
//!
//! * A fragment has a **timeout**, a **name**, the values it **varies on**, tags, and may name another cache by its alias.
//! * Those who miss at the same time share one run of its body. A body that fails is not stored, and its error reaches who asked.
//! * Its tags, and those of what is read from a cache while its body is rendered, invalidate it, and the page around it.
//! * A cache that can't be reached is as good as none: the fragment is rendered.
//! * [`fragment_key`] is what it is called in its cache, to the letter as in Django, for deleting it from code.
//!
//! Templates are rendered without await, and caches outside the process have to be waited for. [`Fragments::render`] puts the rendering where
//! waiting hurts nobody.

#[cfg(feature = "askama")]
pub mod askama;
mod drive;
mod fill;
mod fragments;
mod key;
mod markup;
#[cfg(feature = "minijinja")]
pub mod minijinja;
mod scope;
mod spec;
#[cfg(any(feature = "minijinja", feature = "tera"))]
mod tag;
#[cfg(feature = "tera")]
pub mod tera;

pub use fragments::{Fragments, RenderError};
pub use key::fragment_key;
pub use markup::Markup;
pub use spec::Fragment;
