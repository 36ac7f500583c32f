//! The function under an attribute: what it has to be, and its default key.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, Ident, ItemFn, Pat, Result, ReturnType, Signature, Type};

use crate::options::{Options, text};

pub(crate) struct Function {
    pub(crate) item: ItemFn,
    /// The arguments by name, `self` apart.
    arguments: Vec<(Ident, Type)>,
    pub(crate) receiver: Option<Span>,
}

impl Function {
    pub(crate) fn parse(tokens: TokenStream, attribute: &str) -> Result<Self> {
        let item: ItemFn = syn::parse2(tokens).map_err(|error| {
            Error::new(
                error.span(),
                format!("#[{attribute}] stands on an async function with a body ({error})"),
            )
        })?;
        let signature = &item.sig;
        if signature.asyncness.is_none() {
            let what = format!("#[{attribute}] needs an `async fn`: a cache has to be waited for");
            return Err(Error::new(signature.fn_token.span(), what));
        }
        if let ReturnType::Type(_, ty) = &signature.output
            && let Type::ImplTrait(ty) = &**ty
        {
            return Err(Error::new(
                ty.span(),
                "what is kept needs a type with a name; this is an `impl Trait`",
            ));
        }
        let (mut arguments, mut receiver) = (Vec::new(), None);
        for argument in &signature.inputs {
            match argument {
                FnArg::Receiver(this) => receiver = Some(this.span()),
                FnArg::Typed(typed) => match &*typed.pat {
                    Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                        arguments.push((name.ident.clone(), (*typed.ty).clone()));
                    }
                    other => {
                        let what = "give this argument a name, and take it apart in the body";
                        return Err(Error::new(other.span(), what));
                    }
                },
            }
        }
        Ok(Self { item, arguments, receiver })
    }

    pub(crate) fn output(&self) -> TokenStream {
        match &self.item.sig.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => quote!(#ty),
        }
    }

    /// Whether it gives what is called a result.
    pub(crate) fn is_fallible(&self) -> bool {
        match &self.item.sig.output {
            ReturnType::Type(_, ty) => last_name(ty).is_some_and(|name| name.ends_with("Result")),
            ReturnType::Default => false,
        }
    }

    /// Whether it gives an `Option`.
    pub(crate) fn is_optional(&self) -> bool {
        match &self.item.sig.output {
            ReturnType::Type(_, ty) => last_name(ty).is_some_and(|name| name == "Option"),
            ReturnType::Default => false,
        }
    }

    /// The body, as a closure that gives a future.
    pub(crate) fn body(&self, krate: &TokenStream) -> TokenStream {
        let (output, statements) = (self.output(), &self.item.block.stmts);
        quote! {
            move || async move {
                // So that `?` and `return` know what they are to give.
                if false {
                    return #krate::memo::never::<#output>();
                }
                #(#statements)*
            }
        }
    }

    /// The key, as an expression that gives `Result<String, Error>`.
    pub(crate) fn key(&self, options: &Options, krate: &TokenStream) -> Result<TokenStream> {
        if let Some(key) = &options.key {
            let key = text(key);
            return Ok(quote!(::core::result::Result::Ok(#key)));
        }
        for skipped in &options.skip {
            let known = *skipped == "self" && self.receiver.is_some();
            if !known && !self.arguments.iter().any(|(name, _)| name == skipped) {
                return Err(Error::new(skipped.span(), format!("there is no argument `{skipped}` to skip")));
            }
        }
        let is_skipped = |name: &str| options.skip.iter().any(|skipped| skipped == name);
        if let Some(receiver) = self.receiver
            && !is_skipped("self")
        {
            let what = "`self` is no part of the default key, so that all values of this type would share what is kept: \
                        give a key, as key = format!(\"name:{}\", self.id), or skip(self) if it makes no difference";
            return Err(Error::new(receiver, what));
        }
        let (place, name) = self.place(krate);
        let this = self.this(options).map(|this| quote!(.of_type(#this)));
        let kinds = self.item.sig.generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(ty) => {
                let ty = &ty.ident;
                Some(quote!(.of_type(::core::any::type_name::<#ty>())))
            }
            GenericParam::Const(value) => {
                let value = &value.ident;
                Some(quote!(.part(&#value)))
            }
            GenericParam::Lifetime(_) => None,
        });
        let mut parts = Vec::new();
        for (name, ty) in self.arguments.iter().filter(|(name, _)| !is_skipped(&name.to_string())) {
            if has_no_name(ty.to_token_stream()) {
                let what = format!(
                    "the type of `{name}` has no name to tell calls apart by: give a key, or skip({name})"
                );
                return Err(Error::new(ty.span(), what));
            }
            // Errors point to the argument.
            parts.push(quote_spanned!(ty.span()=> .part(&#name)));
        }
        Ok(quote! {
            #krate::memo::KeyParts::of(#place, #name) #this #(#kinds)* #(#parts)* .key()
        })
    }

    /// Where it stands, as an expression: functions of one name may stand in two `impl`s or two functions of a module. And its name.
    pub(crate) fn place(&self, krate: &TokenStream) -> (TokenStream, String) {
        let place = quote!({
            fn __larder_here() {}
            #krate::memo::stands_in(&__larder_here)
        });
        (place, self.item.sig.ident.unraw().to_string())
    }

    /// The name of the type that it belongs to, as an expression.
    pub(crate) fn this(&self, options: &Options) -> Option<TokenStream> {
        (self.receiver.is_some() || options.associated).then(|| quote!(::core::any::type_name::<Self>()))
    }

    /// The signature of a function beside this one.
    pub(crate) fn beside(&self, suffix: &str) -> Signature {
        let mut signature = self.item.sig.clone();
        signature.ident =
            Ident::new(&format!("{}_{suffix}", signature.ident.unraw()), signature.ident.span());
        for argument in &mut signature.inputs {
            match argument {
                FnArg::Typed(typed) => {
                    typed.attrs.clear();
                    if let Pat::Ident(name) = &mut *typed.pat {
                        name.mutability = None;
                    }
                }
                FnArg::Receiver(this) => this.attrs.clear(),
            }
        }
        signature
    }

    /// How this function is called from one beside it.
    pub(crate) fn call(&self, options: &Options) -> TokenStream {
        let name = &self.item.sig.ident;
        let arguments = self.names();
        let types = self.item.sig.generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(ty) => Some(&ty.ident),
            GenericParam::Const(value) => Some(&value.ident),
            GenericParam::Lifetime(_) => None,
        });
        let types: Vec<&Ident> = types.collect();
        let types = (!types.is_empty()).then(|| quote!(::<#(#types),*>));
        match (self.receiver.is_some(), options.associated) {
            (true, _) => quote!(self.#name #types (#(#arguments),*)),
            (false, true) => quote!(Self::#name #types (#(#arguments),*)),
            (false, false) => quote!(#name #types (#(#arguments),*)),
        }
    }

    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.arguments.iter().map(|(name, _)| name).collect()
    }
}

/// Whether it is an `impl Trait`, or has one in it.
fn has_no_name(ty: TokenStream) -> bool {
    ty.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "impl",
        TokenTree::Group(group) => has_no_name(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Type::Paren(inner) => last_name(&inner.elem),
        Type::Group(inner) => last_name(&inner.elem),
        _ => None,
    }
}
