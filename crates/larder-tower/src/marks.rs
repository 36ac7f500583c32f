//! What stands on a request that a layer goes by.

use axum::extract::OriginalUri;
use http::{Extensions, Uri};

use crate::outer::{Enclosed, Outer};
use crate::refresh::Refresh;
use crate::session::OnRequest;
use crate::stale::Renewing;

/// Stands on every request that has a mark which no one but Larder puts there: most have none, and each that is looked for costs as much as one that
/// is there.
#[derive(Clone, Copy)]
struct Ours;

/// Puts a mark on a request that [`Marks`] find.
pub(crate) fn mark<T: Clone + Send + Sync + 'static>(extensions: &mut Extensions, mark: T) {
    extensions.insert(Ours);
    extensions.insert(mark);
}

/// The marks on one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks<'a> {
    /// The URL as it was before nested routers took a part of it away.
    pub(crate) original: Option<&'a Uri>,
    /// Another Larder layer stands outside.
    pub(crate) nested: bool,
    /// The page is to be made anew.
    pub(crate) refresh: bool,
    /// A session stands there.
    pub(crate) session: bool,
    /// The request is run again, behind the answer to another.
    pub(crate) renewing: Option<&'a Renewing>,
}

impl<'a> Marks<'a> {
    #[inline]
    pub(crate) fn of(extensions: &'a Extensions) -> Self {
        let mut marks = Self::default();
        if !extensions.is_empty() {
            marks.original = extensions.get::<OriginalUri>().map(|original| &original.0);
            marks.refresh = Refresh::is_asked(extensions);
            marks.session = OnRequest::is_on(extensions);
            if extensions.get::<Ours>().is_some() {
                marks.see_ours(extensions);
            }
        }
        marks
    }

    #[cold]
    fn see_ours(&mut self, extensions: &'a Extensions) {
        self.nested = extensions.get::<Enclosed>().is_some() || extensions.get::<Outer>().is_some();
        self.renewing = extensions.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::again::Wants;
    use crate::outer::Judge;

    #[test]
    fn each_mark_is_found_beside_whatever_else_there_is() {
        let uri = Uri::from_static("/courses?page=2");
        for bits in 0..32_u8 {
            let has = |bit: u8| bits & (1 << bit) != 0;
            let mut extensions = Extensions::new();
            if has(0) {
                extensions.insert(OriginalUri(uri.clone()));
            }
            if has(1) {
                extensions.insert(Refresh);
            }
            if has(2) {
                mark(&mut extensions, Judge::new(&Wants::default(), None).ear());
            }
            if has(3) {
                mark(&mut extensions, Renewing(std::sync::Weak::new()));
            }
            if has(4) {
                mark(&mut extensions, Enclosed::default());
            }
            let marks = Marks::of(&extensions);
            assert_eq!(marks.original, has(0).then_some(&uri), "{bits:b}");
            assert_eq!((marks.refresh, marks.renewing.is_some()), (has(1), has(3)), "{bits:b}");
            assert_eq!(marks.nested, has(2) || has(4), "{bits:b}");
        }
    }
}
