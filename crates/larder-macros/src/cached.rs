//! `#[cached]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Error, Expr, Result};

use crate::function::Function;
use crate::options::{Options, text};

const OPTIONS: &[&str] = &[
    "timeout",
    "key",
    "skip",
    "tags",
    "version",
    "cache",
    "using",
    "some_only",
    "associated",
    "attach",
    "helpers",
    "crate",
];

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options, OPTIONS)?;
    let function = Function::parse(function, "cached")?;
    if let Some(span) = options.some_only
        && !function.is_optional()
    {
        return Err(Error::new(span, "`some_only` is for functions that give an `Option`"));
    }
    if options.no_helpers && function.receiver.is_none() && !options.associated && options.key.is_none() {
        let what = "without `self` and without helpers nothing tells functions of this name apart: say `associated`, or give a key";
        return Err(Error::new(function.item.sig.ident.span(), what));
    }
    let krate = options.krate();
    let memo = memo(&options, &function, &krate)?;
    let body = function.body(&krate);
    let run = match (function.is_fallible(), options.some_only.is_some()) {
        (true, _) => quote!(run_fallible),
        (false, true) => quote!(run_optional),
        (false, false) => quote!(run),
    };
    let (attributes, visibility, signature) = (&function.item.attrs, &function.item.vis, &function.item.sig);
    let helpers = (!options.no_helpers).then(|| helpers(&options, &function, &krate, &memo));
    Ok(quote! {
        #(#attributes)*
        #visibility #signature {
            let __larder_memo = #memo;
            __larder_memo.#run(#body).await
        }
        #helpers
    })
}

/// The place of the value, as an expression that gives a `Memo`.
fn memo(options: &Options, function: &Function, krate: &TokenStream) -> Result<TokenStream> {
    let key = function.key(options, krate)?;
    let cache = match (&options.cache, &options.using) {
        (Some(cache), _) => quote! {
            ::core::option::Option::Some(
                ::core::clone::Clone::clone(::core::borrow::Borrow::<#krate::Cache>::borrow(&(#cache)))
            )
        },
        (None, Some(alias)) => quote!(#krate::memo::by_alias(#alias)),
        (None, None) => quote!(::core::option::Option::Some(#krate::memo::default_cache())),
    };
    let timeout = options.timeout.as_ref().map(|timeout| match timeout {
        Expr::Path(path) if path.path.is_ident("None") => quote!(.timeout(#krate::Timeout::FOREVER)),
        timeout => quote!(.timeout(#timeout)),
    });
    let version = options.version.as_ref().map(|version| quote!(.version(#version)));
    let apart = options.apart.then(|| quote!(.apart()));
    let tags = options.tags.iter().map(text);
    Ok(quote! {
        #krate::memo::Memo::at(#cache, #key) #timeout #version #apart .tags([#(#tags),*])
    })
}

fn helpers(options: &Options, function: &Function, krate: &TokenStream, memo: &TokenStream) -> TokenStream {
    let name = function.item.sig.ident.unraw().to_string();
    let visibility = &function.item.vis;
    // What is not there has no helpers either.
    let conditions: Vec<_> = function.item.attrs.iter().filter(|a| a.path().is_ident("cfg")).collect();
    let names = function.names();
    let mut place = function.beside("cached");
    place.asyncness = None;
    place.output = syn::parse_quote!(-> #krate::memo::Memo);
    let refreshed = function.beside("refreshed");
    let call = function.call(options);
    // Nobody has to call them, and they look as the function does.
    let quietly = quote!(allow(dead_code, clippy::needless_pass_by_value, clippy::too_many_arguments));
    let about_place = format!("Where what `{name}` gives for these arguments is kept.");
    let about_refreshed =
        format!("What `{name}` gives when it is run anew; it is kept in place of what was there.");
    quote! {
        #(#conditions)*
        #[doc = #about_place]
        #[#quietly]
        #visibility #place {
            let _ = (#(&#names,)*);
            #memo
        }

        #(#conditions)*
        #[doc = #about_refreshed]
        #[#quietly]
        #visibility #refreshed {
            #memo.forget().await;
            #call.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(options: TokenStream, function: TokenStream) -> String {
        expand(options, function).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_remedy() {
        let plain = || {
            quote!(
                async fn f(id: u64) -> u64 {
                    id
                }
            )
        };
        let method = || {
            quote!(
                async fn f(&self, id: u64) -> u64 {
                    id
                }
            )
        };
        for (options, function, says) in [
            (
                quote!(),
                quote!(
                    fn f() {}
                ),
                "needs an `async fn`",
            ),
            (
                quote!(),
                quote!(
                    struct S;
                ),
                "stands on an async function",
            ),
            (
                quote!(),
                quote!(
                    async fn f();
                ),
                "stands on an async function",
            ),
            (
                quote!(),
                quote!(
                    async fn f() -> impl Copy {
                        1
                    }
                ),
                "a type with a name",
            ),
            (
                quote!(),
                quote!(
                    async fn f((a, b): (u8, u8)) -> u8 {
                        a
                    }
                ),
                "give this argument a name",
            ),
            (
                quote!(),
                quote!(
                    async fn f(_: u8) -> u8 {
                        1
                    }
                ),
                "give this argument a name",
            ),
            (
                quote!(),
                quote!(
                    async fn f(a: impl Copy) -> u8 {
                        1
                    }
                ),
                "give a key, or skip(a)",
            ),
            (
                quote!(),
                quote!(
                    async fn f(a: &[impl Copy]) -> u8 {
                        1
                    }
                ),
                "give a key, or skip(a)",
            ),
            (quote!(), method(), "skip(self)"),
            (quote!(skip(id)), method(), "skip(self)"),
            (quote!(skip(user)), plain(), "there is no argument `user` to skip"),
            (quote!(skip(self)), plain(), "there is no argument `self` to skip"),
            (quote!(key = "a", skip(id)), plain(), "a `key` is given"),
            (quote!(timout = 5), plain(), "there is no option `timout`; there are timeout, key"),
            (quote!(timeout), plain(), "timeout = …"),
            (quote!(timeout = 5, timeout = 6), plain(), "said twice"),
            (quote!(tags = "a"), plain(), "tags are a list"),
            (quote!(using = 5), plain(), "an alias is a text"),
            (quote!(using = "a", cache = c), plain(), "give one of them"),
            (quote!(some_only), plain(), "for functions that give an `Option`"),
            (quote!(helpers = 5), plain(), "this is no value for `helpers`"),
            (quote!(skip = id), plain(), "skip(argument, another)"),
            (quote!(helpers = false), plain(), "say `associated`, or give a key"),
        ] {
            let error = wrong(options, function);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_stood_on_the_function_stays_and_its_helpers_are_as_visible() {
        let function = quote! {
            /// Docs.
            #[tracing::instrument]
            pub(crate) async fn f(mut id: u64) -> u64 { id }
        };
        let text = expand(quote!(), function).unwrap().to_string();
        assert!(text.contains("Docs."));
        for part in [
            "# [tracing :: instrument] pub (crate) async fn f (mut id : u64)",
            "pub (crate) fn f_cached (id : u64) -> :: larder :: memo :: Memo",
            "pub (crate) async fn f_refreshed (id : u64) -> u64",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let renamed = expand(
            quote!(crate = a::b),
            quote!(
                async fn f() {}
            ),
        )
        .unwrap()
        .to_string();
        assert!(renamed.contains("a :: b :: memo") && !renamed.contains(":: larder ::"), "{renamed}");
    }
}
